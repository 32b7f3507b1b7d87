"""The rows of the page's tables: nodes, pools, hostnames, and what the gateway keeps. Pure: read from a picture and the environment.

What an entity says of itself is found by its evidence: among the answers that its state rests on, the one that is JSON of the right form.
Of such an answer only numbers and times are shown: replies are as they came, and may hold what redaction takes out elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cortops.console.flow import Part
from cortops.console.wording import NEVER, utc
from cortops.environment.declared import Environment
from cortops.environment.graph import gateway_entities, node_entity
from cortops.environment.model import RouterNode
from cortops.monitor.picture import Picture
from cortops.surfaces.readings import json_of
from cortops.surfaces.states import EntityState
from cortops.words.entity import Entity
from cortops.words.question import Answer, JSONValue
from cortops.words.state import State

Page = Mapping[str, JSONValue]  # a JSON object that somebody answered
DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """A node; facts: what its health page says beside its status, `block 812, 2 s old · 0 in flight`."""

    seen: EntityState
    role: str
    host: str
    facts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    """A router in a pool; load: `1 of 2`, over all processes of the gateway; `–` when none could be asked."""

    seen: EntityState
    load: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRow:
    """A pool; queued: how many requests wait, over all processes of the gateway."""

    seen: EntityState
    queued: str
    members: tuple[MemberRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostnameRow:
    """A public hostname: its route, whether its name resolves, how long its certificate holds (`364 days`)."""

    seen: EntityState
    dns: EntityState
    to: str
    certificate: str


def node_rows(env: Environment, picture: Picture) -> tuple[NodeRow, ...]:
    """In the order of the file."""
    seen = _by_entity(picture)
    rows = []
    for name, node in env.nodes.items():
        state = seen[node_entity(name, node)]
        health = next(_pages(picture, state, "status"), {})
        rows.append(NodeRow(seen=state, role=node.role, host=node.host, facts=facts(health, picture.at)))
    return tuple(rows)


def pool_rows(env: Environment, picture: Picture) -> tuple[PoolRow, ...]:
    """In the order of the file."""
    seen = _by_entity(picture)
    gateways = _gateway_pages(env, picture, seen)
    rows = []
    for name, pool in env.pools.items():
        views = [view for page in gateways if (view := _object(_object(page.get("pools")).get(name)))]
        members = tuple(
            MemberRow(seen=seen[Entity("router", member)], load=_load(views, member, _capacity(env, name, member)))
            for member in pool.members
        )
        queued = str(sum(_number(view.get("queued")) for view in views)) if views else NEVER
        rows.append(PoolRow(seen=seen[Entity("pool", name)], queued=queued, members=members))
    return tuple(rows)


def hostname_rows(env: Environment, picture: Picture) -> tuple[HostnameRow, ...]:
    """In the order of the file."""
    seen = _by_entity(picture)
    rows = []
    for hostname, route in env.proxy.items():
        state = seen[Entity("proxy", hostname)]
        until = next(_pages(picture, state, "not_after"), {}).get("not_after")
        days = f"{int((until - picture.at) // DAY_S)} days" if isinstance(until, int | float) else NEVER
        rows.append(HostnameRow(seen=state, dns=seen[Entity("dns", hostname)], to=route.to, certificate=days))
    return tuple(rows)


def parts(env: Environment, picture: Picture) -> tuple[Part, ...]:
    """Key store and usage ledger: they live in the gateway and are seen through its health page; none without a gateway."""
    inside = gateway_entities(env)
    pages = _gateway_pages(env, picture, _by_entity(picture))
    reasons = [str(reason) for page in pages for reason in _list(page.get("own"))]
    return tuple(_part(name, word, inside[0], reasons, asked=bool(pages)) for name, word in _KEPT if inside)


def facts(health: Page, at: float) -> str:
    """What a health page says, in one line; "" where it says nothing of interest. at: the time of the picture."""
    return " · ".join(said for tell in _FACTS if (said := tell(health, at)))


_KEPT = (("key store", "key"), ("usage ledger", "usage"))


def _part(name: str, word: str, inside: Entity, reasons: Sequence[str], *, asked: bool) -> Part:
    if not asked:
        return Part(name=name, inside=inside, state=State.UNKNOWN, reason="the gateway could not be asked")
    if any(word in reason for reason in reasons):  # the words themselves stay inside: nobody has taken secrets out of them
        return Part(name=name, inside=inside, state=State.DEGRADED, reason="the gateway cannot use it; its log says why")
    return Part(name=name, inside=inside, state=State.OK, reason="the gateway uses it")


def _head(health: Page, at: float) -> str:
    head, age_s = health.get("head"), health.get("head_age_s")
    if not isinstance(head, int):
        return ""
    return f"block {head}" + (f", {age_s:.0f} s old" if isinstance(age_s, int | float) else "")


def _in_flight(health: Page, at: float) -> str:
    sessions = [_object(session) for session in _list(health.get("sessions"))]
    found = [session["in_flight"] for session in sessions if "in_flight" in session] or [health.get("in_flight")]
    return f"{sum(_number(count) for count in found)} in flight" if all(isinstance(count, int) for count in found) else ""


def _routers(health: Page, at: float) -> str:
    declared = health.get("routers_declared")
    return f"{len(_list(health.get('routers_connected')))} of {declared} routers" if isinstance(declared, int) else ""


def _count(key: str, words: str) -> Callable[[Page, float], str]:
    return lambda health, at: f"{value} {words}" if isinstance(value := health.get(key), int) else ""


def _time(key: str, words: str) -> Callable[[Page, float], str]:
    return lambda health, at: f"{words} {utc(value, at)}" if isinstance(value := health.get(key), int | float) and value else ""


_FACTS: tuple[Callable[[Page, float], str], ...] = (
    _head,
    _count("pending", "pending"),
    _in_flight,
    _count("miners", "miners"),
    _routers,
    _count("open_tasks", "open"),
    _count("tasks_judged", "judged"),
    _count("tasks_pending", "to judge"),
    _time("last_commit_at", "last commit"),
    _time("last_verdict_at", "last verdict"),
)


def _by_entity(picture: Picture) -> Mapping[Entity, EntityState]:
    return {item.entity: item for item in picture.entities}


def _pages(picture: Picture, state: EntityState, key: str) -> Iterator[Page]:
    """The JSON objects that hold `key`, of the answers that a state rests on."""
    for question in state.evidence:
        reply = picture.replies.get(question)
        if isinstance(reply, Answer) and reply.body[:1] == b"{":
            page = json_of(reply)
            if key in page:
                yield page


def _gateway_pages(env: Environment, picture: Picture, seen: Mapping[Entity, EntityState]) -> list[Page]:
    """The health page of each process of the gateway that answered."""
    found = (next(_pages(picture, seen[entity], "pools"), None) for entity in gateway_entities(env))
    return [page for page in found if page is not None]


def _capacity(env: Environment, pool: str, member: str) -> int:
    """How many requests a member may have at once, as declared: each process of the gateway sees its own part of it only."""
    node = env.nodes[member]
    if env.gateway is None or not isinstance(node, RouterNode):
        return 0
    models = [alias for alias, model in env.gateway.models.items() if model.pool == pool]
    return len({session for model in models for session in node.sessions.get(model, ())}) * env.pools[pool].in_flight_per_session


def _load(views: Sequence[Page], member: str, capacity: int) -> str:
    if not views:
        return NEVER
    entries = (_object(entry) for view in views for entry in _list(view.get("members")))
    return f"{sum(_number(entry.get('in_flight')) for entry in entries if entry.get('name') == member)} of {capacity}"


def _object(value: JSONValue) -> Page:
    return value if isinstance(value, Mapping) else {}


def _list(value: JSONValue) -> Sequence[JSONValue]:
    return value if isinstance(value, list) else ()


def _number(value: JSONValue) -> int:
    return value if isinstance(value, int) else 0
