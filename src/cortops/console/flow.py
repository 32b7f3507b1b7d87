"""The service flow: what a request passes, as boxes with what is in them and the arrows between. Pure; `layout` gives it places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from cortops.surfaces.states import EntityState
from cortops.words.entity import Entity
from cortops.words.state import State, worst

LINES_MAX = 6  # of one group in a box; a page with 500 miners still fits on a screen
PART = "part"  # the kind of what is drawn and linked, and is no entity of its own: key store, usage ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing in a box. state: None for what has none, as the client."""

    text: str
    entity: Entity | None = None
    href: str = ""
    state: State | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Things of one kind, in the order of the file. title: "" where the box's own says it all. more: how many are not listed."""

    title: str
    lines: tuple[Line, ...]
    more: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One box. state: the worst of what is in it, None for what has none. summary: `3 ok`, `1 of 3 down`."""

    key: str
    title: str
    groups: tuple[Group, ...]
    state: State | None = None
    summary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """From one box to another; does: what goes along it."""

    start: str
    end: str
    does: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """stages: along the way of a request, each (what stands in it, what stands beside that)."""

    stages: tuple[tuple[Box | None, Box | None], ...]
    arrows: tuple[Arrow, ...]

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All of them, in the order in which they are read."""
        return tuple(box for stage in self.stages for box in stage if box is not None)

    def leads_to(self, box: Box) -> tuple[tuple[str, str], ...]:
        """(title, what goes there) of each box that an arrow leads to from this one."""
        titles = {other.key: other.title for other in self.boxes}
        return tuple((titles[arrow.end], arrow.does) for arrow in self.arrows if arrow.start == box.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that lives inside an entity and is seen through it only."""

    name: str
    inside: Entity
    state: State
    reason: str


Holds = Callable[[Entity], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    key: str
    title: str
    groups: tuple[tuple[str, Holds], ...]


def _of(kind: str) -> Holds:
    return lambda entity: entity.kind == kind


def _queue(entity: Entity) -> bool:
    return entity.kind == "contract" and entity.name.startswith("session-queue")


def _registry(entity: Entity) -> bool:
    return entity.kind == "contract" and not _queue(entity)


_CLIENT, _OTHER = "client", "other"
_BOOKS = "books"  # what is in it is no entity: nothing declared says what leads to it
_STAGES: tuple[tuple[_Kind, _Kind | None], ...] = (
    (_Kind(key=_CLIENT, title="Client", groups=()), None),
    (_Kind(key="dns", title="DNS", groups=(("", _of("dns")),)), None),
    (
        _Kind(key="nginx", title="nginx", groups=(("", _of("proxy")),)),
        _Kind(key="monitor", title="Monitor", groups=(("", _of("monitor")),)),
    ),
    (
        _Kind(key="gateway", title="Gateway", groups=(("", _of("gateway")), ("Portal", _of("portal")))),
        _Kind(key=_BOOKS, title="Keys and usage", groups=(("", _of(PART)),)),
    ),
    (_Kind(key="pool", title="Pools", groups=(("", _of("pool")),)), None),
    (_Kind(key="router", title="Routers", groups=(("", _of("router")), ("Private payloads", _of("payloads")))), None),
    (
        _Kind(
            key="chain",
            title="On chain",
            groups=(("Sessions", _of("session")), ("Queue", _queue), ("Contracts", _registry), ("Chain", _of("rpc"))),
        ),
        None,
    ),
    (
        _Kind(key="miner", title="Miners", groups=(("", _of("miner")),)),
        _Kind(key="followers", title="Followers", groups=(("Oracle", _of("oracle")), ("Validator", _of("validator")))),
    ),
    (
        _Kind(key="engine", title="Engines", groups=(("", _of("engine")),)),
        _Kind(key="host", title="Hosts", groups=(("", _of("host")),)),
    ),
)
_ARROWS = (
    Arrow(start=_CLIENT, end="dns", does="asks for an address"),
    Arrow(start="dns", end="nginx", does="names"),
    Arrow(start="nginx", end="gateway", does="requests"),
    Arrow(start="nginx", end="pool", does="requests past the gateway"),
    Arrow(start="nginx", end="chain", does="JSON-RPC"),
    Arrow(start="nginx", end="monitor", does="this page"),
    Arrow(start="gateway", end=_BOOKS, does="keys read, usage written"),
    Arrow(start="gateway", end="pool", does="requests"),
    Arrow(start="pool", end="router", does="requests"),
    Arrow(start="router", end="chain", does="tasks submitted"),
    Arrow(start="chain", end="miner", does="tasks assigned, results committed"),
    Arrow(start="chain", end="followers", does="tasks ended and judged"),
    Arrow(start="miner", end="engine", does="prompts"),
)


def flow(entities: Sequence[EntityState], parts: Sequence[Part] = ()) -> Flow:
    """Every entity stands in exactly one box; an arrow is drawn where one of its boxes depends on the other."""
    lines = [_line(item) for item in entities] + [_part_line(part) for part in parts]
    taken: set[Entity] = set()
    stages = []
    for main, side in _STAGES:
        stages.append((_box(main, lines, taken), _box(side, lines, taken) if side else None))
    strangers = [line for line in lines if line.entity is not None and line.entity not in taken]
    if strangers:  # a kind that this page has not heard of yet is shown all the same
        stages[0] = (stages[0][0], _filled(_OTHER, "Other", [_group("", strangers)], strangers))
    found = tuple(stage for stage in stages if stage != (None, None))
    return Flow(stages=found, arrows=tuple(_arrows(found, entities)))


def href_of(entity: Entity) -> str:
    """The page of an entity, as a path."""
    return f"/entities/{quote(entity.kind, safe='')}/{quote(entity.name, safe='')}"


def _line(item: EntityState) -> Line:
    return Line(text=item.entity.name, entity=item.entity, href=href_of(item.entity), state=item.state, reason=item.reason)


def _part_line(part: Part) -> Line:
    return Line(text=part.name, entity=Entity(PART, part.name), href=href_of(part.inside), state=part.state, reason=part.reason)


def _box(kind: _Kind, lines: Sequence[Line], taken: set[Entity]) -> Box | None:
    if kind.key == _CLIENT:
        return Box(key=kind.key, title=kind.title, groups=(Group(title="", lines=(Line(text="any SDK"),)),))
    held = {title: [line for line in lines if line.entity is not None and holds(line.entity)] for title, holds in kind.groups}
    inside = [line for group in held.values() for line in group]
    if not inside:
        return None
    taken.update(line.entity for line in inside if line.entity is not None)
    return _filled(kind.key, kind.title, [_group(title, group) for title, group in held.items() if group], inside)


def _filled(key: str, title: str, groups: Iterable[Group], inside: Sequence[Line]) -> Box:
    states = [line.state for line in inside if line.state is not None]
    state = worst(states)
    like_it = states.count(state)
    summary = f"{like_it} {state}" if like_it == len(states) else f"{like_it} of {len(states)} {state}"
    return Box(key=key, title=title, groups=tuple(groups), state=state, summary=summary)


def _group(title: str, lines: Sequence[Line]) -> Group:
    return Group(title=title, lines=tuple(lines[:LINES_MAX]), more=max(len(lines) - LINES_MAX, 0))


def _arrows(stages: Iterable[tuple[Box | None, Box | None]], entities: Sequence[EntityState]) -> Iterator[Arrow]:
    keys = {box.key for stage in stages for box in stage if box is not None}
    edges = _edges(entities)
    first = next((main.key for main, _ in list(stages)[1:] if main is not None), None)
    for arrow in _ARROWS:
        if arrow.start == _CLIENT and first is not None:
            yield Arrow(start=_CLIENT, end=first, does=arrow.does if first == "dns" else "requests")
        elif {arrow.start, arrow.end} <= keys and (arrow.end == _BOOKS or {(arrow.start, arrow.end), (arrow.end, arrow.start)} & edges):
            yield arrow


def _edges(entities: Sequence[EntityState]) -> set[tuple[str, str]]:
    """(box, box) where something in the first depends on something in the second."""
    kinds = [kind for stage in _STAGES for kind in stage if kind is not None]
    known: dict[Entity, str] = {}

    def box_of(entity: Entity) -> str:
        if entity not in known:
            known[entity] = next((kind.key for kind in kinds if any(holds(entity) for _, holds in kind.groups)), _OTHER)
        return known[entity]

    return {(box_of(item.entity), box_of(need)) for item in entities for need in item.depends_on}


def states_of(shown: Flow) -> Mapping[str, tuple[State, str]]:
    """Box -> its state and summary, of those that have one."""
    return {box.key: (box.state, box.summary) for box in shown.boxes if box.state is not None}
