"""A zone as octoDNS keeps it: `ZONE.yaml`, name -> record or list of records. Changed by whole lines; all others stay as they are. Pure.

Ours carry our mark where octoDNS lets tools keep theirs: `octodns: {cortops: {environment: lab}}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import yaml

from cortops.deploy.names.zone import Edit, RecordSet, after, demand_same, gone
from cortops.environment.dns import NamedRecord
from cortops.words.errors import BadInput

TTL_S = 3600  # of a record that says none. Source: octodns.provider.yaml, default_ttl

Lines = list[str]


def read(text: str, zone: str) -> tuple[RecordSet, ...]:
    """Every record set of the file. BadInput where it is none of octoDNS."""
    try:
        tree = yaml.load(text, Loader=yaml.CSafeLoader) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"this is no YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(tree, dict):
        raise BadInput("this is no zone of octoDNS: it has no names")
    return tuple(_record(zone, str(label), body) for label, bodies in tree.items() for body in _bodies(label, bodies))


def edited(text: str, zone: str, edit: Edit, mark: str) -> str:
    """The text with our records as `edit` wants them; the same text where that changes nothing.

    mark: the environment's name. BadInput where it cannot be done without touching what others wrote.
    """
    records = {record.key: record for record in read(text, zone)}
    wanted = after(records, edit, mark)
    if wanted == records:
        return text
    lines = text.splitlines()
    for name, kind in gone(records, edit, mark):
        _take(lines, _label(name, zone), kind)
    for want in edit.puts:
        _put(lines, _label(want.name, zone), _written(want, mark))
    return demand_same("\n".join(lines) + "\n", wanted, partial(read, zone=zone))


def _bodies(label: object, bodies: object) -> Sequence[Mapping[str, Any]]:
    """One record, or a list of them."""
    found: list[Any] = bodies if isinstance(bodies, list) else [bodies]
    for body in found:
        if not isinstance(body, dict) or not isinstance(body.get("type"), str) or not isinstance(body.get("ttl", TTL_S), int):
            raise BadInput(f"{label!s:.60} holds what is no record of octoDNS: it has no type")
    return found


def _record(zone: str, label: str, body: Mapping[str, Any]) -> RecordSet:
    values = body["values"] if "values" in body else body.get("value")
    texts = tuple(sorted(str(value).removesuffix(".") for value in (values if isinstance(values, list) else [values])))
    marked = body.get("octodns")
    ours = marked.get("cortops") if isinstance(marked, dict) else None
    mark = str(ours.get("environment", "")) if isinstance(ours, dict) else ""
    name = f"{label}.{zone}" if label else zone
    return RecordSet(name=name.lower(), type=body["type"], values=texts, ttl_s=body.get("ttl", TTL_S), mark=mark)


def _written(want: NamedRecord, mark: str) -> Lines:
    values = [f"{value}." if want.type == "CNAME" else value.replace(";", "\\;") for value in want.values]
    return [
        "octodns:",
        "  cortops:",
        f"    environment: {_quoted(mark)}",
        f"ttl: {want.ttl_s}",
        f"type: {want.type}",
        *([f"value: {_quoted(values[0])}"] if len(values) == 1 else ["values:", *(f"- {_quoted(value)}" for value in values)]),
    ]


def _quoted(text: str) -> str:
    """`2001:db8::7` is text, and not what YAML may make of it."""
    return f"'{text}'"


def _take(lines: Lines, label: str, kind: str) -> None:
    """The lines of one record out; its name too where it was the only one."""
    key, value = _entry(lines, label)
    items = value.value if isinstance(value, yaml.SequenceNode) else [value]
    item = next(item for item in items if any(name.value == "type" and body.value == kind for name, body in item.value))
    node, start = (value, key.start_mark.line) if len(items) == 1 else (item, item.start_mark.line)
    _demand_block(node, label)
    del lines[start : _end(lines, node)]


def _put(lines: Lines, label: str, body: Lines) -> None:
    """One record in: beside others of its name, else where octoDNS would sort the name."""
    root = _root(lines)
    labels = [(key.value, value) for key, value in (root.value if root is not None else [])]
    here = next((value for name, value in labels if name == label), None)
    if here is None:
        before = [value for name, value in labels if natural(name) < natural(label)]
        first = root.start_mark.line if root is not None else len(lines)
        at = _end(lines, before[-1]) if before else first
        lines[at:at] = [f"{_quoted(label) if not label or label.startswith('*') else label}:", *(f"  {line}" for line in body)]
        return
    _demand_block(here, label)
    start, end = here.start_mark.line, _end(lines, here)
    indent = " " * here.start_mark.column
    if isinstance(here, yaml.MappingNode):  # one record becomes a list of two
        lines[start:end] = [f"{indent}{'- ' if index == 0 else '  '}{line[len(indent) :]}" for index, line in enumerate(lines[start:end])]
    lines[end:end] = [f"{indent}{'- ' if index == 0 else '  '}{line}" for index, line in enumerate(body)]


def _root(lines: Lines) -> yaml.MappingNode | None:
    node = yaml.compose("\n".join(lines) + "\n", Loader=yaml.CSafeLoader)
    if isinstance(node, yaml.MappingNode):
        if node.flow_style:
            raise BadInput("the names of this zone stand in braces", next="Write one name a line, as octoDNS does, and run it again.")
        return node
    return None


def _entry(lines: Lines, label: str) -> tuple[yaml.Node, Any]:
    root = _root(lines)
    assert root is not None
    return next((key, value) for key, value in root.value if key.value == label)


def _demand_block(node: Any, label: str) -> None:
    if node.flow_style or (node.start_mark.column == 0 and isinstance(node, yaml.MappingNode)):
        raise BadInput(f"what {label!r} has stands in braces", next="Write one key a line, as octoDNS does, and run it again.")


def _end(lines: Lines, node: Any) -> int:
    """The line after the last one of a block; comments and empty lines below it belong to what follows."""
    is_block = isinstance(node, yaml.CollectionNode) and not node.flow_style  # its end is where the next thing begins
    end: int = min(node.end_mark.line + (0 if is_block else 1), len(lines))
    while end > node.start_mark.line + 1 and (not (line := lines[end - 1].strip()) or line.startswith("#")):
        end -= 1
    return end


def natural(label: str) -> tuple[tuple[int, int, str], ...]:
    """How octoDNS sorts names: numbers in them by their value."""

    def parts() -> Iterator[tuple[int, int, str]]:
        for part in re.split(r"([0-9]+)", label):
            if part:
                yield (0, int(part), "") if part.isdecimal() else (1, 0, part)

    return tuple(parts())


def _label(name: str, zone: str) -> str:
    return name.removesuffix(zone).removesuffix(".")
