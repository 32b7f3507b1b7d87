"""The text of an environment file that says what was found on hosts: a new file, or an own one with what is new put in. Pure.

An own file is changed where something differs and nowhere else: comments, order and layout stay as they are. So a second look at the
same hosts changes no byte. What comes out is read back before it is given away.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from cortops.environment.document import Value, read
from cortops.environment.expand import expand
from cortops.environment.model import FORMAT
from cortops.words.errors import BadInput

RANGE_MIN = 3  # so many that differ by their number only are written as one range
LINE_MAX = 132

Body = Mapping[str, str]
Ranged = Mapping[str, str | Sequence[str]]  # of a range: one value for all, or one for each
LISTED = ("address",)  # keys of which a range may hold one for each: what differs there says nothing else of the nodes

_PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9@._:/+-]*")
_NULL = re.compile(r"~|[nN]ull|NULL|")
_NUMBERED = re.compile(r"(.*?)(0|[1-9][0-9]{0,5})")
_INDENT = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkText:
    """The section network of a new file. like: a known network, of which the rest is taken over unless given. told: comment lines."""

    like: str = ""
    chain_id: int | None = None
    rpc_url: str = ""
    runtime: str = ""
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """text: of the file now. added, changed: names of its entries. left: what differs and stands where it cannot be changed safely."""

    text: str
    added: tuple[str, ...]
    changed: tuple[str, ...]
    left: tuple[str, ...]


def fresh(
    name: str, network: NetworkText, hosts: Mapping[str, Body], nodes: Mapping[str, Body], comments: Mapping[str, str] | None = None
) -> str:
    """The text of a new file. Hosts and nodes that differ by their number only share a line; a comment stands behind its node."""
    lines = [
        f"format: {FORMAT}",
        f"environment: {scalar(name)}",
        "owners: {default: operator}  # who is asked when something is ill: put an address of yours here",
        "",
        *_network(network),
        "",
        "hosts:",
        *_entries(hosts, _INDENT),
        "",
        "nodes:",
        *_entries(nodes, _INDENT, comments),
    ]
    text = "\n".join(lines) + "\n"
    _as_meant({}, text, {"hosts": hosts, "nodes": nodes}, whole=False)
    return text


def _network(network: NetworkText) -> Iterator[str]:
    yield from (f"# {line}" for line in network.told)
    own = [
        *([f"chain_id: {network.chain_id}"] if network.chain_id is not None else []),
        *([f"rpc: {{url: {scalar(network.rpc_url)}}}"] if network.rpc_url else []),
        *([f"contracts: {{runtime: {scalar(network.runtime)}}}"] if network.runtime else []),
    ]
    if network.like and not own:
        yield f"network: {network.like}"
    else:
        yield "network:"
        yield from (f"{_INDENT}{line}" for line in ([f"like: {network.like}"] if network.like else []) + own)


def merge(
    text: str,
    hosts: Mapping[str, Body],
    nodes: Mapping[str, Body],
    comments: Mapping[str, str] | None = None,
    *,
    releases: Mapping[str, Body] | None = None,
) -> Merged:
    """An own file with these hosts, nodes and releases in it. What it says of others, and keys that are not among ours, stay.

    Raises BadInput where the file is laid out so that nothing can be put into it safely.
    """
    document = yaml.compose(text, Loader=yaml.BaseLoader)
    if not isinstance(document, yaml.MappingNode):
        raise BadInput("the file is not a block of sections, so nothing can be put into it", next="Choose another name with --write FILE.")
    known = expand(read(text).tree).tree
    edits: list[_Edit] = []
    added: list[str] = []
    changed: list[str] = []
    left: list[str] = []
    every = {"hosts": hosts, "nodes": nodes, **({"releases": releases} if releases else {})}
    for section, wanted in every.items():
        written = _section(known, section)
        place = _value_of(document, section)
        new = {name: body for name, body in wanted.items() if name not in written}
        if new:
            edits.append(_insertion(text, document, section, place, new, comments or {}))
            added += new
        for name, body in wanted.items():
            differing = {key: value for key, value in body.items() if name in written and written[name].get(key) != value}
            if not differing:
                continue
            own = _value_of(place, name) if isinstance(place, yaml.MappingNode) else None
            changes = _changes(text, own, differing) if isinstance(own, yaml.MappingNode) else None
            if changes is None:
                told = ", ".join(
                    f"{key} {_short(written[name].get(key))} is {_short(value)} on the host" for key, value in differing.items()
                )
                left.append(f"{section}.{name}: {told}")
            else:
                edits += changes
                changed.append(name)
    merged = _applied(text, edits)
    kept = {section: {name: body for name, body in wanted.items() if name in {*added, *changed}} for section, wanted in every.items()}
    _as_meant(known, merged, kept, whole=True)
    return Merged(text=merged, added=tuple(added), changed=tuple(changed), left=tuple(left))


def scalar(value: str) -> str:
    """A value as YAML text: plain where that is safe inside { }, else in double quotes."""
    if _PLAIN.fullmatch(value) and not value.endswith(":") and not _NULL.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def ranged(entries: Mapping[str, Body], alone: Container[str] = ()) -> dict[str, Ranged]:
    """Entries with those joined to ranges that differ by their number and keys of LISTED only: `m[1-3]: {unit: "m-{n}.service"}`.

    `expand` undoes it. alone: names that keep a line of their own.
    """
    result: dict[str, Ranged] = {}
    run: list[str] = []
    shared: _Shared | None = None

    def close() -> None:
        if shared is not None and len(run) >= RANGE_MIN:
            result[f"{shared.stem}[{shared.first}-{shared.first + len(run) - 1}]"] = shared.body(tuple(entries[name] for name in run))
        else:
            result.update({name: entries[name] for name in run})
        run.clear()

    for name, body in entries.items():
        match = None if name in alone else _NUMBERED.fullmatch(name)
        number = int(match[2]) if match else 0
        longer = shared.with_next(match[1], number, len(run), body) if match and shared and run else None
        if longer is None:
            close()
        shared = longer or (_Shared(match[1], number, tuple(body), body, _numbered(body, number)) if match else None)
        if match:
            run.append(name)
        else:
            result[name] = body
    close()
    return result


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the entries of a run have in common: `constant` values, and `numbered` ones, the same but for the entry's own number."""

    stem: str
    first: int
    keys: tuple[str, ...]
    constant: Body
    numbered: Body

    def with_next(self, stem: str, number: int, length: int, body: Body) -> _Shared | None:
        """The same for one entry more, None where that one is another kind."""
        other = _numbered(body, number)
        constant = {key: value for key, value in self.constant.items() if body.get(key) == value}
        numbered = {key: value for key, value in self.numbered.items() if other.get(key) == value}
        same = stem == self.stem and number == self.first + length and self.keys == tuple(body)
        told = {*constant, *numbered, *LISTED} >= {*body}
        return _Shared(stem, self.first, self.keys, constant, numbered) if same and told else None

    def body(self, members: Sequence[Body]) -> Ranged:
        def value(key: str) -> str | Sequence[str]:
            told = self.constant.get(key, self.numbered.get(key))
            return [member[key] for member in members] if told is None else told

        return {key: value(key) for key in self.keys}


def _numbered(body: Body, number: int) -> dict[str, str]:
    return {key: re.sub(rf"(?<![0-9]){number}(?![0-9])", "{n}", value) for key, value in body.items()}


def _entries(entries: Mapping[str, Body], indent: str, comments: Mapping[str, str] | None = None) -> Iterator[str]:
    for name, body in ranged(entries, alone=comments or {}).items():
        comment = f"  # {comments[name]}" if comments and name in comments else ""
        yield from _flow(f"{indent}{name}: {{", [piece for key, value in body.items() for piece in _pieces(key, value)], f"}}{comment}")


def _pieces(key: str, value: str | Sequence[str]) -> list[str]:
    """`key: value`, or `key: [a`, `b`, `c]`: what stands between two commas."""
    if isinstance(value, str):
        return [f"{key}: {scalar(value)}"]
    first, *others = [scalar(item) for item in value]
    return [f"{key}: [{first}", *others[:-1], f"{others[-1]}]"] if others else [f"{key}: [{first}]"]


def _flow(opening: str, items: Sequence[str], closing: str) -> Iterator[str]:
    """`name: {a: 1, b: 2}`, on as many lines as it takes."""
    line = opening
    for index, item in enumerate(items):
        piece = item + (closing if index == len(items) - 1 else ",")
        if line != opening and len(line) + 1 + len(piece) > LINE_MAX:
            yield line.rstrip()
            line = " " * len(opening) + piece
        else:
            line += piece if line == opening else f" {piece}"
    yield line


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


def _applied(text: str, edits: Iterable[_Edit]) -> str:
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _section(tree: Mapping[str, Value], section: str) -> dict[str, dict[str, Value]]:
    body = tree.get(section)
    return {name: value if isinstance(value, dict) else {} for name, value in body.items()} if isinstance(body, dict) else {}


def _value_of(node: yaml.Node | None, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for name, value in pairs if isinstance(name, yaml.ScalarNode) and name.value == key), None)


def _changes(text: str, own: yaml.MappingNode, differing: Body) -> list[_Edit] | None:
    """The edits that give an entry these values, None where one of them is no plain value of its own."""
    places = {key: _value_of(own, key) for key in differing}
    new = {key: differing[key] for key, place in places.items() if place is None}
    edits = [_key_insertion(text, own, new)] if new else []
    for key, place in places.items():
        if isinstance(place, yaml.ScalarNode) and place.end_mark.index > place.start_mark.index:
            edits.append(_Edit(place.start_mark.index, place.end_mark.index, scalar(differing[key])))
        elif place is not None:
            return None
    return edits


def _key_insertion(text: str, own: yaml.MappingNode, new: Body) -> _Edit:
    """New keys at the end of an entry, in their order."""
    pieces = [f"{key}: {scalar(value)}" for key, value in new.items()]
    if own.flow_style:
        at, comma = _before_closing(text, own)
        return _Edit(at, at, comma + ", ".join(pieces))
    at = _line_end(text, _end_of(own))
    return _Edit(at, at, "".join(f"\n{' ' * own.value[0][0].start_mark.column}{piece}" for piece in pieces))


def _insertion(
    text: str, document: yaml.MappingNode, section: str, place: yaml.Node | None, new: Mapping[str, Body], comments: Mapping[str, str]
) -> _Edit:
    """New entries at the end of a section, laid out as the section is."""
    if place is None:
        at, lead = len(text), "" if text.endswith("\n") else "\n"
        return _Edit(at, at, f"{lead}\n{section}:\n" + "\n".join(_entries(new, _INDENT, comments)) + "\n")
    if isinstance(place, yaml.MappingNode) and place.flow_style:
        at, comma = _before_closing(text, place)
        pieces = [
            f"{scalar(name)}: {{{', '.join(f'{key}: {scalar(value)}' for key, value in body.items())}}}" for name, body in new.items()
        ]
        return _Edit(at, at, comma + f",\n{_INDENT}".join(pieces))
    if isinstance(place, yaml.MappingNode):
        at = _line_end(text, _end_of(place))
        return _Edit(at, at, "\n" + "\n".join(_entries(new, " " * place.value[0][0].start_mark.column, comments)))
    if isinstance(place, yaml.ScalarNode) and place.value == "":
        key = next(name for name, _ in document.value if name.value == section)
        at = _line_end(text, key.end_mark.index)
        return _Edit(at, at, "\n" + "\n".join(_entries(new, _INDENT, comments)))
    raise BadInput(
        f"the section {section} is not a block of names, so nothing can be put into it", next="Choose another name with --write FILE."
    )


def _before_closing(text: str, node: yaml.MappingNode) -> tuple[int, str]:
    """Where the last thing before the closing brace ends, and what separates a new one from it."""
    at = node.end_mark.index - 1
    if not node.value:
        return at, ""
    last = max(at_end for at_end in (_end_of(value) for _, value in node.value))
    return (last, ", ") if "," not in text[last:at].partition("#")[0] else (at, " ")


def _end_of(node: yaml.Node) -> int:
    """The offset after the last character of a value; a block's own end mark stands after the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        key, value = last if isinstance(node, yaml.MappingNode) else (None, last)
        if isinstance(value, yaml.ScalarNode) and value.end_mark.index == value.start_mark.index and key is not None:
            return int(key.end_mark.index)
        return _end_of(value)
    return int(node.end_mark.index)


def _line_end(text: str, offset: int) -> int:
    found = text.find("\n", offset)
    end = len(text) if found < 0 else found
    return end - 1 if end > offset and text[end - 1] == "\r" else end


def _as_meant(before: Mapping[str, Value], text: str, wanted: Mapping[str, Mapping[str, Body]], *, whole: bool) -> None:
    """Read the result back: the wanted entries say what they should, and nothing else has changed."""
    document = read(text)
    expanded = expand(document.tree)
    after = expanded.tree
    right = not document.findings or not whole
    for section, entries in wanted.items():
        now, old = _section(after, section), _section(before, section)
        right &= all({**old.get(name, {}), **body} == now.get(name) for name, body in entries.items())
        right &= not whole or {name: body for name, body in now.items() if name not in entries} == {
            name: body for name, body in old.items() if name not in entries
        }
    others = [key for key in {*before, *after} if key not in wanted]
    right &= not whole or all(before.get(key) == after.get(key) for key in others)
    if not right:
        raise BadInput(
            "what was found cannot be put into this file without changing more of it", next="Choose another name with --write FILE."
        )


def _short(value: object) -> str:
    return "nothing" if value is None else f"'{str(value)[:60]}'"
