"""The part of Go's templates that people write after `docker ... --format`. Runs on a test host: standard library only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|\(|\)|[^\s()]+')
Node = tuple[Any, ...]


class TemplateError(Exception):
    """What docker says of a template that it cannot run."""


def render(template: str, value: Any) -> str:
    """A template over one value, as Go prints it."""
    nodes, rest = _parse(list(_pieces(template)))
    if rest:
        raise TemplateError("unexpected {{end}}")
    return _run(nodes, value, {"$": value})


def _pieces(template: str) -> Iterator[tuple[str, str]]:
    at = 0
    for match in _ACTION.finditer(template):
        yield "text", template[at : match.start()]
        yield "action", match[1]
        at = match.end()
    yield "text", template[at:]


def _parse(pieces: Sequence[tuple[str, str]]) -> tuple[list[Node], Sequence[tuple[str, str]]]:
    """Pieces -> nodes up to {{end}} or {{else}}, and the pieces from there on."""
    nodes: list[Node] = []
    while pieces:
        (kind, text), pieces = pieces[0], pieces[1:]
        word = text.partition(" ")[0] if kind == "action" else ""
        if word in ("end", "else"):
            return nodes, [(kind, text), *pieces]
        if word in ("range", "if", "with"):
            body, pieces = _parse(pieces)
            other: list[Node] = []
            if pieces and pieces[0][1] == "else":
                other, pieces = _parse(pieces[1:])
            if not pieces:
                raise TemplateError("unexpected EOF")
            pieces = pieces[1:]
            nodes.append((word, text.partition(" ")[2], body, other))
        else:
            nodes.append((kind, text))
    return nodes, []


def _run(nodes: Sequence[Node], dot: Any, names: Mapping[str, Any]) -> str:
    out = ""
    for node in nodes:
        if node[0] == "text":
            out += node[1]
        elif node[0] == "action":
            out += _shown(_value(node[1], dot, names))
        elif node[0] == "range":
            out += _loop(node, dot, names)
        else:
            value = _value(node[1], dot, names)
            inner = value if node[0] == "with" and value else dot
            out += _run(node[2] if value else node[3], inner, names)
    return out


def _loop(node: Node, dot: Any, names: Mapping[str, Any]) -> str:
    head, assigned, expression = node[1].rpartition(":=")
    value = _value(expression, dot, names)
    pairs = list(value.items()) if isinstance(value, Mapping) else list(enumerate(value or ()))
    variables = [name.strip() for name in head.split(",")] if assigned else []
    out = ""
    for key, item in sorted(pairs) if isinstance(value, Mapping) else pairs:
        taken = dict(zip(variables, (key, item) if len(variables) == 2 else (item,), strict=False))
        out += _run(node[2], item, {**names, **taken})
    return out if pairs else _run(node[3], dot, names)


def _value(expression: str, dot: Any, names: Mapping[str, Any]) -> Any:
    """A pipeline: `.A.B`, `json .X`, `printf "..." .X`, `index .X "k"`, with parentheses and |."""
    value: Any = None
    for number, part in enumerate(re.split(r"\s*\|\s*(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", expression)):
        words = _WORD.findall(part)
        value, rest = _command(words, dot, names, () if number == 0 else (value,))
        if rest:
            raise TemplateError(f"unexpected {rest[0]} in {part}")
    return value


def _command(words: list[str], dot: Any, names: Mapping[str, Any], piped: tuple[Any, ...]) -> tuple[Any, list[str]]:
    if not words:
        raise TemplateError("missing value for command")
    first, rest = words[0], words[1:]
    if first in _FUNCTIONS:
        values: list[Any] = []
        while rest and rest[0] != ")":
            value, rest = _operand(rest, dot, names)
            values.append(value)
        return _FUNCTIONS[first](*values, *piped), rest
    return _operand(words, dot, names)


def _operand(words: list[str], dot: Any, names: Mapping[str, Any]) -> tuple[Any, list[str]]:
    first, rest = words[0], words[1:]
    if first == "(":
        value, rest = _command(rest, dot, names, ())
        return value, rest[1:]
    if first[0] == '"':
        return json.loads(first), rest
    if first[0] == "`":
        return first[1:-1], rest
    if re.fullmatch(r"-?\d+", first):
        return int(first), rest
    if first in ("true", "false"):
        return first == "true", rest
    head, *path = first.split(".")
    if head and head not in names:
        raise TemplateError(f'function "{head}" not defined')
    value = names[head] if head else dot
    for name in filter(None, path):
        if not isinstance(value, Mapping) or name not in value:
            raise TemplateError(f'map has no entry for key "{name}"')
        value = value[name]
    return value, rest


def _shown(value: Any) -> str:
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{_shown(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_shown, value)) + "]"
    return str(value)


def _printf(form: str, *values: Any) -> str:
    left = list(values)

    def one(match: re.Match[str]) -> str:
        if match[1] == "%":
            return "%"
        value = left.pop(0)
        return json.dumps(value) if match[1] == "q" else _shown(value)

    return re.sub(r"%[-+0-9.]*([sdvtq%])", one, form)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value.get(key, "") if isinstance(value, Mapping) else value[key]
    return value


_FUNCTIONS: Mapping[str, Any] = {
    "json": lambda value: json.dumps(value, separators=(",", ":")),
    "printf": _printf,
    "print": lambda *values: "".join(map(_shown, values)),
    "println": lambda *values: " ".join(map(_shown, values)) + "\n",
    "index": _index,
    "len": len,
    "eq": lambda first, *others: first in others,
    "ne": lambda first, second: first != second,
    "not": lambda value: not value,
    "join": lambda values, between: between.join(values),
    "upper": str.upper,
    "lower": str.lower,
}
