"""YAML text -> plain values with the line and column of each.

Every scalar stays text: the model decides what is a number, so `0x12`, `on`, `1.10` and `012` mean what they look like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from cortops.environment.reason import Finding, Path, printable

SIZE_MAX_BYTES = 1024 * 1024
DEPTH_MAX = 32
VALUES_MAX = 50_000  # after anchors are followed, so that a small file cannot become a huge tree

Value = None | str | list["Value"] | dict[str, "Value"]
Places = Mapping[Path, tuple[int, int]]

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq"))


@dataclass(frozen=True, slots=True)
class Document:
    """A file's values, where each stands (line and column, from 1), and what is wrong with its YAML.

    `complete` is False where the rest of the file could not be read; later stages then have nothing to judge.
    """

    tree: dict[str, Value]
    places: Places
    findings: tuple[Finding, ...]
    complete: bool = True


def read(text: str) -> Document:
    """Text of one YAML document -> Document; wrong YAML gives findings, never an exception.

    Limits: 1 MiB of UTF-8, 32 levels, 50,000 values. Duplicate keys, tags and `<<` are refused; anchors are followed.
    """
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        return _unreadable(text, error.start, "is not valid Unicode", "Save the file as UTF-8.")
    if size > SIZE_MAX_BYTES:
        return _unreadable("", 0, f"is {size:,} bytes long", f"At most {SIZE_MAX_BYTES:,} are read; use ranges such as m[1-12].")
    try:
        root = yaml.compose(text, Loader=yaml.CBaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return _stopped(place, f"is not YAML: {printable(error.problem or 'unreadable')}", _cure(error.problem or ""))
    except yaml.YAMLError:
        match = re.search("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
        return _unreadable(text, match.start() if match else 0, "holds a control character", "Remove it.")
    if not isinstance(root, yaml.MappingNode):
        what = "is empty" if root is None else "is not a block of sections"
        return _stopped((1, 1), what, "Begin with: format: 1")
    builder = _Builder()
    tree = builder.mapping(root, ())
    return Document(tree, builder.places, tuple(builder.findings), complete=builder.values <= VALUES_MAX)


def _stopped(place: tuple[int, int], what: str, instead: str) -> Document:
    return Document({}, {(): place}, (Finding((), what, instead),), complete=False)


def _unreadable(text: str, offset: int, what: str, instead: str) -> Document:
    before = text[:offset]
    return _stopped((before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1), what, instead)


def _cure(problem: str) -> str:
    if "mapping values" in problem:
        return "Put text that holds ': ' into quotes, and write one key a line."
    if "tab" in problem or "cannot start any token" in problem:
        return "Indent with blanks, and put text that begins with a sign into quotes."
    if "another document" in problem or "single document" in problem:
        return "Keep one document in the file: remove the line ---."
    if "nesting" in problem:
        return f"At most {DEPTH_MAX} levels are read."
    if "alias" in problem:
        return "Declare it with & before it is used with *."
    return "Look at the brackets, quotes and indentation here and on the line above."


class _Builder:
    """Nodes -> values, collecting places and findings on the way."""

    def __init__(self) -> None:
        self.places: dict[Path, tuple[int, int]] = {(): (1, 1)}
        self.findings: list[Finding] = []
        self.values = 0

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Value]:
        result: dict[str, Value] = {}
        for key_node, value_node in node.value:
            place = _place(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self._refuse(path, place, "has a key that is not plain text", "Write one word before the colon.")
                continue
            key = key_node.value
            here = (*path, key)
            if key in result:
                first = self.places[here][0]
                self._refuse(here, place, f"is declared twice (first in line {first})", "Keep one of the two.")
                continue
            if key == "<<" and not key_node.style:
                self._refuse(here, place, "merges are not read", "Write the keys out, or use a range such as m[1-12].")
                continue
            self.places[here] = place
            result[key] = self._value(value_node, here)
        return result

    def _value(self, node: yaml.Node, path: Path) -> Value:
        self.values += 1
        if len(path) > DEPTH_MAX or self.values > VALUES_MAX:
            if self.values <= VALUES_MAX + 1:
                limit = f"more than {DEPTH_MAX} levels" if len(path) > DEPTH_MAX else f"more than {VALUES_MAX:,} values"
                self._refuse(path[:3], _place(node), f"has {limit}", "Write it flatter, and use anchors less.")
            self.values = VALUES_MAX + 1  # one finding, and nothing more is followed
            return None
        if node.tag not in _PLAIN_TAGS:
            self._refuse(path, _place(node), f"has the tag {printable(node.tag)}", "Remove the tag: the key says what kind of value it is.")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        is_null = isinstance(node, yaml.ScalarNode) and not node.style and node.value in _NULLS
        return None if is_null else str(node.value)

    def _item(self, node: yaml.Node, path: Path) -> Value:
        self.places[path] = _place(node)
        return self._value(node, path)

    def _refuse(self, path: Path, place: tuple[int, int], what: str, instead: str) -> None:
        self.findings.append(Finding(path, what, instead, at=place))


def _place(node: yaml.Node) -> tuple[int, int]:
    return (node.start_mark.line + 1, node.start_mark.column + 1)
