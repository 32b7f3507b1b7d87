"""What of a page may change, and the difference between two moments: the data of an event. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cortops.console.flow import href_of, states_of
from cortops.console.overview import Overview
from cortops.console.wording import MARKS, utc
from cortops.surfaces.states import EntityState
from cortops.words.state import State

PAGE = "page"  # the box around all others, whose state is the worst

Shown = Mapping[str, str | float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The changing parts of the page. id: names the moment, for those who come back. texts: what stands in one place, by its name."""

    id: str
    at: float
    layout: str
    entities: Mapping[str, Shown] = field(default_factory=dict)
    boxes: Mapping[str, Shown] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    worst: tuple[Shown, ...] = ()


def live(shown: Overview) -> Live:
    """All of it, of one overview."""
    picture = shown.picture
    entities: dict[str, Shown] = {str(item.entity): entity_shown(item, picture.at) for item in picture.entities}
    lines = (line for box in shown.flow.boxes for group in box.groups for line in group.lines)
    of_parts: dict[str, Shown] = {
        str(line.entity): {"state": line.state, "mark": MARKS[line.state], "reason": line.reason}
        for line in lines
        if line.entity is not None and line.state is not None and str(line.entity) not in entities
    }
    boxes: dict[str, Shown] = {key: _box_shown(state, summary) for key, (state, summary) in states_of(shown.flow).items()}
    return Live(
        id=f"{picture.begun_at:.3f}/{picture.at:.3f}",
        at=picture.at,
        layout=shown.layout,
        entities=entities | of_parts,
        boxes=boxes | {PAGE: _box_shown(shown.sentence.state, "")},
        texts=dict(_texts(shown)),
        worst=tuple({"entity": str(item.entity), "href": href_of(item.entity)} | entity_shown(item, picture.at) for item in shown.worst),
    )


def entity_shown(item: EntityState, now: float) -> dict[str, str | float | None]:
    """An entity as an event has it: state, mark, since (a number, and in words), reason."""
    return {"state": item.state, "mark": MARKS[item.state], "since": item.since, "since_text": utc(item.since, now), "reason": item.reason}


def _box_shown(state: State, summary: str) -> Shown:
    return {"state": state, "mark": MARKS[state], "summary": summary}


def difference(old: Live | None, new: Live) -> dict[str, object]:
    """What is in `new` and was not so in `old`; all of it for None. {} when nothing changed."""
    if old is None or old.layout != new.layout:
        changed: dict[str, object] = {"entities": new.entities, "boxes": new.boxes, "texts": new.texts, "worst": new.worst}
        return {"full": True, "layout": new.layout, **changed}
    parts: dict[str, object] = {
        name: {key: value for key, value in getattr(new, name).items() if getattr(old, name).get(key) != value}
        for name in ("entities", "boxes", "texts")
    }
    found = {name: part for name, part in parts.items() if part}
    if old.worst != new.worst:
        found["worst"] = new.worst
    return {"full": False, "layout": new.layout, **found} if found else {}


def _texts(shown: Overview) -> Iterator[tuple[str, str]]:
    yield "sentence", shown.sentence.text
    yield "state", shown.sentence.state
    yield "ill", str(shown.ill)
    for node in shown.nodes:
        yield f"facts:{node.seen.entity}", node.facts
    for pool in shown.pools:
        yield f"queued:{pool.seen.entity}", pool.queued
        for member in pool.members:
            yield f"load:{pool.seen.entity}:{member.seen.entity}", member.load
    for row in shown.hostnames:
        yield f"certificate:{row.seen.entity}", row.certificate
