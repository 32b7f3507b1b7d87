"""The text of an environment file in which some nodes run another release. Pure.

Where all nodes of a range change alike the range stays one entry; else it falls apart into smaller ones. Everything else stays as it is,
comments and layout included, and what comes out is read back before it is given away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import yaml

from cortops.environment.document import Value, read
from cortops.environment.expand import LISTS, expand, names
from cortops.environment.write import scalar
from cortops.words.errors import BadInput

KEY = "release"

_RANGE = re.compile(r"\[(\d{1,6})-(\d{1,6})\]")
_NUMBER = re.compile(r"\{n(?:\+(\d{1,6}))?\}")


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class _Member:
    """One node of an entry. number: as in its name, "" where the entry is no range; index: its position in it, from 0."""

    name: str
    number: str
    index: int
    release: str


def set_release(text: str, wanted: Mapping[str, str]) -> str:
    """wanted: node -> the name of its release. Raises BadInput for a node that the file has not, or one that cannot be changed safely."""
    document = yaml.compose(text, Loader=yaml.BaseLoader)
    section = _value_of(document, "nodes")
    declared = _nodes(text)
    for name in wanted:
        if name not in declared:
            raise BadInput(f"the environment file declares no node {name}")
    if not isinstance(document, yaml.MappingNode) or not isinstance(section, yaml.MappingNode):
        raise BadInput("the section nodes is not a block of names, so no release can be put into it")
    edits = [edit for key, value in section.value for edit in _entry(text, section, key, value, declared, wanted)]
    changed = _applied(text, edits)
    if not _is_meant(text, changed, wanted):
        raise BadInput(
            f"the release of {', '.join(list(wanted)[:4])} cannot be written into this file without changing more of it",
            next="Write it by hand: nodes.NAME.release",
        )
    return changed


def _entry(
    text: str,
    section: yaml.MappingNode,
    key: yaml.Node,
    value: yaml.Node,
    declared: Mapping[str, Mapping[str, Value]],
    wanted: Mapping[str, str],
) -> Iterator[_Edit]:
    """The edits that one entry of `nodes`, a node or a range of them, needs."""
    expanded = names(str(key.value))
    if isinstance(expanded, str) or not isinstance(value, yaml.MappingNode):
        return
    members = [
        _Member(name, number, index, wanted.get(name, str(declared.get(name, {}).get(KEY) or "")))
        for index, (name, number) in enumerate(expanded)
    ]
    if all(str(declared.get(one.name, {}).get(KEY) or "") == one.release for one in members):
        return
    if len({one.release for one in members}) == 1:
        yield _set(text, value, members[0].release)
        return
    body = text[value.start_mark.index : _end_of(value)]
    groups: list[list[_Member]] = []
    for _, group in groupby(members, key=lambda one: one.release):
        found = list(group)
        groups += [[one] for one in found] if _RANGE.search(body) or len(found) == 1 else [found]
    between = text[key.end_mark.index : value.start_mark.index]
    apart = ", " if section.flow_style else "\n" + " " * key.start_mark.column
    pieces = [f"{_named(str(key.value), group)}{between}{_body(body, value, group)}" for group in groups]
    yield _Edit(key.start_mark.index, _end_of(value), apart.join(pieces))


def _named(key: str, group: Sequence[_Member]) -> str:
    if len(group) == 1:
        return scalar(group[0].name)
    return _RANGE.sub(f"[{group[0].number}-{group[-1].number}]", key)


def _body(body: str, value: yaml.MappingNode, group: Sequence[_Member]) -> str:
    """The text of an entry's value for some of its members, with their release."""
    edits = [*_shares(body, value, group)]
    if group[0].release:
        edits.append(_set(body, value, group[0].release, offset=value.start_mark.index))
    written = _applied(body, edits)
    if len(group) > 1:
        return written
    one = group[0]

    def number(match: re.Match[str]) -> str:
        return str(int(one.number) + int(match[1])) if match[1] else one.number

    def place(match: re.Match[str]) -> str:
        count = int(match[2]) - int(match[1]) + 1
        width = len(match[1]) if match[1].startswith("0") else 0
        return str(int(match[1]) + one.index % max(count, 1)).zfill(width)

    return _NUMBER.sub(number, _RANGE.sub(place, written))


def _shares(body: str, value: yaml.MappingNode, group: Sequence[_Member]) -> Iterator[_Edit]:
    """The edits that leave of each list by position what belongs to these members."""
    offset = value.start_mark.index
    for key, items in value.value:
        if isinstance(items, yaml.SequenceNode) and key.value not in (KEY, *LISTS):
            texts = [body[item.start_mark.index - offset : item.end_mark.index - offset] for item in items.value]
            own = [texts[one.index] for one in group if one.index < len(texts)]
            written = own[0] if len(group) == 1 and own else f"[{', '.join(own)}]"
            yield _Edit(items.start_mark.index - offset, _end_of(items) - offset, written)


def _applied(text: str, edits: Sequence[_Edit]) -> str:
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _set(text: str, value: yaml.MappingNode, release: str, offset: int = 0) -> _Edit:
    """The edit that gives a mapping this release. offset: where `text` begins in the file that the mapping's marks are of."""
    place = _value_of(value, KEY)
    if place is not None:
        return _Edit(place.start_mark.index - offset, place.end_mark.index - offset, scalar(release))
    if not value.flow_style:
        at = _line_end(text, _end_of(value) - offset)
        return _Edit(at, at, f"\n{' ' * value.value[0][0].start_mark.column}{KEY}: {scalar(release)}")
    at = max((_end_of(one) for _, one in value.value), default=value.start_mark.index + 1) - offset
    return _Edit(at, at, f"{', ' if value.value else ''}{KEY}: {scalar(release)}")


def _value_of(node: yaml.Node | None, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for name, value in pairs if isinstance(name, yaml.ScalarNode) and name.value == key), None)


def _end_of(node: yaml.Node) -> int:
    """The offset after the last character of a value; a block's own end mark stands after the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end_of(last[1] if isinstance(node, yaml.MappingNode) else last)
    return int(node.end_mark.index)


def _line_end(text: str, offset: int) -> int:
    found = text.find("\n", offset)
    return len(text) if found < 0 else found


def _nodes(text: str) -> dict[str, Mapping[str, Value]]:
    body = expand(read(text).tree).tree.get("nodes")
    return {name: value for name, value in body.items() if isinstance(value, dict)} if isinstance(body, dict) else {}


def _is_meant(before: str, after: str, wanted: Mapping[str, str]) -> bool:
    """Whether just the wanted releases differ."""
    document = read(after)
    old, new = expand(read(before).tree).tree, expand(document.tree).tree
    nodes = old.get("nodes")
    if document.findings or not isinstance(nodes, dict):
        return False
    expected = {name: {**body, KEY: wanted[name]} if name in wanted and isinstance(body, dict) else body for name, body in nodes.items()}
    return {**old, "nodes": expected} == new
