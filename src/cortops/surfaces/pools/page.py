"""A pool as people see it: what the file declares, with what every process of the gateway says of it now. Pure.

Addresses and sessions come from the file: the gateway's own page, which anyone may read, has neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from cortops.environment.declared import Environment
from cortops.environment.model import RouterNode
from cortops.environment.private import in_clear
from cortops.environment.traffic import Gateway, Pool
from cortops.protocol.drains import Drain
from cortops.surfaces.gateway.checks import health
from cortops.surfaces.reach import from_host, place
from cortops.surfaces.readings import answered_by, json_of
from cortops.words.evidence import Verdict
from cortops.words.question import JSONValue, Reply
from cortops.words.state import State, worst

WHY_CHARS_MAX = 160
_OUT = (State.DOWN, State.MAINTENANCE)


class MemberRow(msgspec.Struct, frozen=True, kw_only=True):
    """One member. sessions: model -> ids. slots: requests at once, over all processes; usable: as many as may be used now. in_flight: over
    all processes that tell, None where none does. seen: process -> its state there. declared False: the gateway still has it, the file no
    longer.
    """

    name: str
    state: State
    why: str
    upstream: str
    sessions: Mapping[str, tuple[int, ...]]
    slots: int
    usable: int
    in_flight: int | None
    seen: Mapping[str, str]
    drain: Drain | None = None
    declared: bool = True


class PoolRow(msgspec.Struct, frozen=True, kw_only=True):
    """One pool. naming: how its name stands to its models. capacity: model -> requests at once. in_flight, queued: over all processes that
    tell, None where none does.
    """

    name: str
    models: tuple[str, ...]
    naming: str
    state: State
    capacity: Mapping[str, int]
    in_flight: int | None
    queued: int | None
    queue_max: int
    queue_wait_s: float
    members: tuple[MemberRow, ...]


class PoolsPage(msgspec.Struct, frozen=True, kw_only=True):
    """All pools at one moment. processes: process of the gateway -> why it could not be asked, "" for one that answered."""

    environment: str
    at: float
    processes: Mapping[str, str]
    pools: tuple[PoolRow, ...]
    note: str = ""

    def in_flight(self, member: str) -> int:
        """Requests of a member in all its pools."""
        return sum(row.in_flight or 0 for pool in self.pools for row in pool.members if row.name == member)

    def has_drained(self, member: str) -> bool:
        """Whether every process that answers knows that it is drained."""
        rows = [row for pool in self.pools for row in pool.members if row.name == member]
        return bool(rows) and all(state == "drained" for row in rows for state in row.seen.values())

    @property
    def silent(self) -> tuple[str, ...]:
        """Processes that gave no answer."""
        return tuple(name for name, why in self.processes.items() if why)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What one process says of one member."""

    process: str
    state: str
    why: str
    in_flight: int
    usable: int
    capacity: int
    drained: bool
    leaving: bool


def page(env: Environment, replies: Mapping[str, Reply], drains: Sequence[Drain], *, at: float, note: str = "") -> PoolsPage:
    """The file, the answers to surfaces.gateway.checks.questions, and the drains of the store -> every pool."""
    gateway = env.gateway
    assert gateway is not None, "the caller has looked"
    processes, answers = {}, {}
    for process in gateway.ports():
        answer = answered_by(replies, health(process), process)
        pools = None if isinstance(answer, Verdict) else json_of(answer).get("pools")
        answers[process] = pools if isinstance(pools, Mapping) else {}
        no_page = "" if isinstance(pools, Mapping) else f"{process}: no health page"
        processes[process] = answer.text if isinstance(answer, Verdict) else no_page
    by_member = {drain.member: drain for drain in reversed(drains)}
    asked = {process: found for process, found in answers.items() if not processes[process]}
    rows = tuple(_pool(env, gateway, name, pool, asked, by_member) for name, pool in env.pools.items())
    return PoolsPage(environment=env.name, at=at, processes=processes, pools=rows, note=note)


def without(env: Environment, page_: PoolsPage, member: str) -> tuple[str, ...]:
    """Pools that would have no member left that takes requests, if this one took none."""
    left = {
        pool.name: [row.name for row in pool.members if row.declared and row.name != member and row.state not in _OUT]
        for pool in page_.pools
    }
    return tuple(name for name, pool in env.pools.items() if member in pool.members and not left[name])


def naming(pool: str, models: Sequence[str]) -> str:
    """Pools are named after models (facts B)."""
    if not models:
        return "serves no model"
    after = [model for model in models if re.sub("[^a-z0-9]+", "-", model.lower()).strip("-") == pool]
    if not after:
        return "not named after a model that it serves"
    return "named after its model" if len(models) == 1 else f"named after {after[0]}"


def _pool(
    env: Environment,
    gateway: Gateway,
    name: str,
    pool: Pool,
    answers: Mapping[str, Mapping[str, JSONValue]],
    drains: Mapping[str, Drain],
) -> PoolRow:
    models = tuple(alias for alias, model in gateway.models.items() if model.pool == name)
    pages = {process: found.get(name) for process, found in answers.items()}
    listed = dict.fromkeys((*pool.members, *(member for page_ in pages.values() for member in _names(page_))))
    members = tuple(_member(env, gateway, pool, models, member, _seen(member, pages), drains.get(member)) for member in listed)
    states = [row.state for row in members if row.declared]
    serves = any(state in (State.OK, State.DEGRADED) for state in states)
    least = worst(states)
    capacity = {model: sum(len(row.sessions.get(model, ())) * pool.in_flight_per_session for row in members) for model in models}
    return PoolRow(
        name=name,
        models=models,
        naming=naming(name, models),
        state=State.DEGRADED if serves and least is State.DOWN else least,
        capacity=capacity,
        in_flight=_sum([row.in_flight for row in members if row.in_flight is not None]),
        queued=_sum([_number(page_, "queued") for page_ in pages.values() if isinstance(page_, Mapping)]),
        queue_max=pool.queue_max,
        queue_wait_s=pool.queue_wait_s,
        members=members,
    )


def _member(
    env: Environment, gateway: Gateway, pool: Pool, models: Sequence[str], name: str, seen: Sequence[_Seen], drain: Drain | None
) -> MemberRow:
    node = env.nodes.get(name)
    declared = name in pool.members and isinstance(node, RouterNode)
    served = node.sessions if isinstance(node, RouterNode) else {}
    sessions = {model: in_clear(env, served[model]) for model in models if model in served}
    places = len({session for ids in sessions.values() for session in ids}) * pool.in_flight_per_session
    state, why = _state(name, seen, drain, declared=declared)
    return MemberRow(
        name=name,
        state=state,
        why=why[:WHY_CHARS_MAX],
        upstream=f"http://{place(from_host(env, node.host, gateway.on), node.port)}" if isinstance(node, RouterNode) else "",
        sessions=sessions if declared else {},
        slots=places if declared else 0,
        usable=0 if drain is not None or not declared else _usable(gateway, seen),
        in_flight=_sum([one.in_flight for one in seen]),
        seen={one.process: "drained" if one.drained else one.state for one in seen},
        drain=drain,
        declared=declared,
    )


def _state(name: str, seen: Sequence[_Seen], drain: Drain | None, *, declared: bool) -> tuple[State, str]:
    """The member's state over all processes, and why. A drained one is in maintenance, well or not."""
    ill = [one for one in seen if one.state not in ("ok", "unknown")]
    if drain is not None:
        began = datetime.fromtimestamp(drain.since, UTC)
        told = f"drained by {drain.by} since {began.day} {began:%b %H:%M} UTC" + (f": {drain.why}" if drain.why else "")
        late = [one.process for one in seen if not one.drained]
        return State.MAINTENANCE, told + (f"; {', '.join(late)} will know within 2 s" if late else "") + (f"; {ill[0].why}" if ill else "")
    if not declared:
        leaving = all(one.leaving for one in seen)
        return State.MAINTENANCE, "no longer declared; its last requests end" if leaving else "no longer declared: cortops apply"
    if not seen:
        return State.UNKNOWN, "no process of the gateway says anything of it"
    if ill and len(ill) == len(seen):
        return State.DOWN, ill[0].why
    if ill:
        return State.DEGRADED, "; ".join(f"{one.process}: {one.why}" for one in ill)
    if all(one.state == "unknown" for one in seen):
        return State.UNKNOWN, "not asked yet"
    back = [one for one in seen if one.usable < one.capacity]
    return State.OK, f"comes back: {min(one.usable for one in back)} of {back[0].capacity} slots, growing" if back else ""


def _usable(gateway: Gateway, seen: Sequence[_Seen]) -> int:
    """Over all hosts, of which each has sessions of its own; the processes of one share them."""
    on = {each.name: each.host for each in gateway.instances()}
    hosts = dict.fromkeys(on[one.process] for one in seen)
    return sum(min(one.usable for one in seen if on[one.process] == host) for host in hosts)


def _seen(member: str, pages: Mapping[str, JSONValue]) -> list[_Seen]:
    return [
        _Seen(
            process=process,
            state=str(one.get("state")),
            why=str(one.get("why") or ""),
            in_flight=_number(one, "in_flight"),
            usable=_number(one, "usable"),
            capacity=_number(one, "capacity"),
            drained=one.get("drained") is True,
            leaving=one.get("leaving") is True,
        )
        for process, page_ in pages.items()
        for one in _members(page_)
        if one.get("name") == member
    ]


def _members(page_: JSONValue) -> list[Mapping[str, JSONValue]]:
    listed = page_.get("members") if isinstance(page_, Mapping) else None
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def _names(page_: JSONValue) -> list[str]:
    return [str(one.get("name"))[:64] for one in _members(page_)]


def _sum(told: Sequence[int]) -> int | None:
    return sum(told) if told else None


def _number(page_: JSONValue, name: str) -> int:
    value = page_.get(name) if isinstance(page_, Mapping) else 0
    return value if isinstance(value, int) else 0
