"""Ranges: `m[1-12]` as the key of a host or node stands for twelve of them.

In the body of a range `{n}` is the number, `{n+5100}` the number plus 5100, and a value with a range of its own (`host: "h[3-9]"`)
takes the name at the same position, starting over when it runs out. A list in the place of one value (`address: ["0x…", "0x…"]`) holds
one for each member, in their order. In a list of names a range stands for all its names, anywhere in the file. `m[01-12]` keeps the
leading zero.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass

from cortops.environment.cortensord import CortensordNode
from cortops.environment.document import Value
from cortops.environment.model import NODE_ROLES, Host
from cortops.environment.reason import Finding, Path, printable

NAMES_MAX = 5_000  # of one range
VALUES_MAX = 500_000  # of all ranges together
RANGED_SECTIONS = ("hosts", "nodes")
LISTS = frozenset(  # keys of hosts and nodes that hold a list for each of them; in all others it is one value for each member of a range
    info.alias or name
    for model in (Host, CortensordNode, *NODE_ROLES.values())
    for name, info in model.model_fields.items()
    if typing.get_origin(info.annotation) is tuple
)

_RANGE = re.compile(r"\[(\d{1,6})-(\d{1,6})\]")
_BRACKET = re.compile(r"[\[\]]")
_NUMBER = re.compile(r"\{n(?:\+(\d{1,6}))?\}")


@dataclass(frozen=True, slots=True)
class Expanded:
    """The tree without ranges. `origins`: (path as declared + expanded step) -> path as declared, where the two differ.

    `complete` is False where the limit on values cut it.
    """

    tree: dict[str, Value]
    origins: Mapping[Path, Path]
    findings: tuple[Finding, ...]
    complete: bool


def expand(tree: Mapping[str, Value]) -> Expanded:
    """Write out every range of a file; a wrong range gives a finding and is left out."""
    expander = _Expander()
    result: dict[str, Value] = {}
    for section, value in tree.items():
        if section in RANGED_SECTIONS and isinstance(value, dict):
            result[section] = expander.section(value, (section,))
        else:
            result[section] = expander.value(value, (section,), None)
    return Expanded(result, expander.origins, tuple(expander.findings), complete=expander.values <= VALUES_MAX)


def names(text: str) -> list[tuple[str, str]] | str:
    """`m[1-3]` -> [("m1", "1"), ...], each name with its number ("" for a name without range). A str says what is wrong."""
    if not _BRACKET.search(text):
        return [(text, "")]
    match = _RANGE.search(text)
    if match is None or _BRACKET.search(text[: match.start()] + text[match.end() :]):
        return "is not a name with one range"
    first, last = match.groups()
    if int(last) < int(first):
        return "has a range that runs backwards"
    if int(last) - int(first) >= NAMES_MAX:
        return f"stands for more than {NAMES_MAX:,} names"
    width = len(first) if first.startswith("0") else 0
    numbers = [str(number).zfill(width) for number in range(int(first), int(last) + 1)]
    return [(text[: match.start()] + number + text[match.end() :], number) for number in numbers]


@dataclass(frozen=True, slots=True)
class _Member:
    """One name of a range: its number as written, its position from 0, and how many there are."""

    name: str
    number: str
    index: int
    count: int


class _Expander:
    def __init__(self) -> None:
        self.origins: dict[Path, Path] = {}
        self.findings: list[Finding] = []
        self.values = 0
        self._known: dict[str, list[tuple[str, str]] | str] = {}

    def section(self, entries: Mapping[str, Value], path: Path) -> dict[str, Value]:
        result: dict[str, Value] = {}
        for key, body in entries.items():
            source = (*path, key)
            expanded = names(key)
            if isinstance(expanded, str):
                self._refuse(source, expanded, "Write one range of numbers, for example m[1-12].")
                continue
            for index, (name, number) in enumerate(expanded):
                if name in result:
                    self._refuse(source, f"declares {printable(name)} a second time", "Let names and ranges not overlap.")
                    continue
                if not self._spend(1, source):
                    return result
                if number:
                    self.origins[(*path, name)] = source
                result[name] = (
                    self._body(body, source, _Member(name, number, index, len(expanded))) if number else self.value(body, source, None)
                )
        return result

    def _body(self, body: Value, path: Path, member: _Member) -> Value:
        """The body of one member of a range; of a list by position it gets its own value."""
        if not isinstance(body, dict):
            return self.value(body, path, member)
        own: dict[str, Value] = {}
        for key, item in body.items():
            if isinstance(item, list) and key not in LISTS:
                if len(item) != member.count and member.index == 0:
                    what = f"has {len(item)} values for the {member.count} of {printable(str(path[-1]))}"
                    self._refuse((*path, key), what, "Give one for each of them, in their order.")
                self.origins[(path[0], member.name, key)] = (*path, key, member.index)
                own[key] = item[member.index % len(item)] if item else ""
            else:
                own[key] = item
        return self.value(own, path, member)

    def value(self, value: Value, path: Path, member: _Member | None) -> Value:
        """One value at `path` (as declared), written out for one member of a range, or for none."""
        if isinstance(value, dict):
            if not self._spend(len(value), path):
                return {}
            return {key: self.value(item, (*path, key), member) for key, item in value.items()}
        if isinstance(value, list):
            return self._list(value, path, member)
        return self._scalar(value, path, member) if isinstance(value, str) and member else value

    def _list(self, items: list[Value], path: Path, member: _Member | None) -> list[Value]:
        result: list[Value] = []
        for index, item in enumerate(items):
            expanded = self._names(item) if isinstance(item, str) and _RANGE.search(item) else None
            if expanded is None:
                written: list[Value] = [self.value(item, (*path, index), member)]
            elif isinstance(expanded, str):
                self._refuse((*path, index), expanded, 'Write one range of numbers, for example "r[1-2]".')
                continue
            else:
                written = [name for name, _ in expanded]
            if not self._spend(len(written), path):
                break
            for name in written:
                if len(result) != index:
                    self.origins[(*path, len(result))] = (*path, index)
                result.append(name)
        return result

    def _scalar(self, text: str, path: Path, member: _Member) -> str:
        if _RANGE.search(text):
            expanded = self._names(text)
            if isinstance(expanded, str):
                self._refuse(path, expanded, 'Write one range of numbers, for example "h[3-9]".')
                return text
            text = expanded[member.index % len(expanded)][0]
        return _NUMBER.sub(lambda match: str(int(member.number) + int(match[1])) if match[1] else member.number, text)

    def _names(self, text: str) -> list[tuple[str, str]] | str:
        if text not in self._known:
            self._known[text] = names(text)
        return self._known[text]

    def _spend(self, values: int, path: Path) -> bool:
        before = self.values
        self.values += values
        if self.values > VALUES_MAX >= before:
            self._refuse(path, f"makes more than {VALUES_MAX:,} values of all ranges together", "Use smaller ranges.")
        return self.values <= VALUES_MAX

    def _refuse(self, path: Path, what: str, instead: str) -> None:
        self.findings.append(Finding(path, what, instead))
