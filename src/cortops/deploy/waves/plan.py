"""Which nodes get a new program, in which order and waves, and how long that will take. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cortops.deploy.earning_gate import CANARY_SOAK_S, GateAsks, Rate, asks_of
from cortops.words.errors import BadInput, UnknownName

GROWTH = 2  # a wave has so many times the nodes of the one before
SWITCH_S = 20.0  # a switch with its looks, for what is said beforehand

LEFT = ("half", "due", "bad")  # by an earlier run
Standing = Literal["old", "half", "due", "bad", "new", "apart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An adopted node before the upgrade.

    program: sha256 of what it runs, "" where nobody could see. before: what it ran before the new one, where it runs that.
    standing: `old` it runs another program; `half` the new one, and its host has not recorded that, for the apply was cut off; `due` the
    new one, and its gate has not been passed since changed_at; `bad` the new one, it was judged bad (`why`) and not taken back; `new` it
    passed its gate; `apart` it cannot be changed now, and `why`.
    selectable: it gets work from the chain. earning: whether it earned before; None = not known. changed_for_s: since changed_at.
    """

    node: str
    host: str
    role: str
    program: str
    standing: Standing
    rate: Rate
    selectable: bool = True
    earning: bool | None = None
    why: str = ""
    before: str = ""
    changed_at: float | None = None
    changed_for_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One node's turn. was: sha256 of what it ran before. half: it runs the new one, and that is to be recorded. due_since: it was changed
    then, and only its gate is left; bad: it was judged so, and only the way back is left.
    """

    node: str
    host: str
    was: str
    asks: GateAsks
    every_s: float | None
    selectable: bool = True
    earned: bool | None = None
    half: bool = False
    due_since: float | None = None
    bad: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradePlan:
    """The whole upgrade. passed: nodes that run it already; apart: (node, why it is left out). per_host: nodes of a host at once."""

    environment: str
    release: str
    program: str
    waves: tuple[tuple[Step, ...], ...]
    passed: tuple[str, ...] = ()
    apart: tuple[tuple[str, str], ...] = ()
    per_host: int = 1
    digest: str = ""

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for wave in self.waves for step in wave)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Those that something is changed on, in order."""
        return tuple(dict.fromkeys(step.host for step in self.steps))

    def wave_of(self, node: str) -> int:
        """From 1; 0 for a node that is not part of it."""
        return next((number for number, wave in enumerate(self.waves, 1) if any(step.node == node for step in wave)), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What people ask for. nodes, hosts: only these, () = all. canary: the node that goes first, "" = chosen.

    wave_max: nodes in one wave at most. within_s: each gate's deadline instead of the one from the node's own rate.
    """

    nodes: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    canary: str = ""
    wave_max: int | None = None
    per_host: int = 1
    soak_s: float = CANARY_SOAK_S
    within_s: float | None = None


def plan_upgrade(environment: str, release: str, program: str, candidates: Sequence[Candidate], wishes: Wishes) -> UpgradePlan:
    """Candidates in the order of the file -> waves. What an earlier run left comes first: nodes to be taken back, and then nothing else;
    nodes whose gate is due, before anything new begins.

    Raises UnknownName for a node or host that is none, BadInput for a wish that cannot be.
    """
    chosen = _chosen(candidates, wishes)
    bad = [one for one in chosen if one.standing == "bad"]
    due = bad or [one for one in chosen if one.standing in ("half", "due")]
    old = [] if bad else [one for one in chosen if one.standing == "old"]
    canary = _canary(old, wishes.canary) if old and not due else None
    rest = in_order([one for one in old if one is not canary], after=canary.host if canary else due[0].host if due else "")
    groups: list[list[Candidate]] = [due] if due else [[canary]] if canary else []
    size = GROWTH
    while rest:
        size = min(size, wishes.wave_max or len(candidates))
        groups.append(rest[:size])
        rest, size = rest[size:], size * GROWTH
    first = due or ([canary] if canary else [])
    waves = tuple(tuple(_step(one, wishes, canary=one in first) for one in group) for group in groups)
    return UpgradePlan(
        environment=environment,
        release=release,
        program=program,
        waves=waves,
        passed=tuple(one.node for one in chosen if one.standing == "new"),
        apart=tuple((one.node, one.why) for one in chosen if one.standing == "apart"),
        per_host=wishes.per_host,
        digest=_digest(environment, program, waves),
    )


def _chosen(candidates: Sequence[Candidate], wishes: Wishes) -> list[Candidate]:
    known, hosts = [one.node for one in candidates], {one.host for one in candidates}
    for name in (*wishes.nodes, *([wishes.canary] if wishes.canary else [])):
        if name not in known:
            raise UnknownName(f"{name} is no adopted node", next=f"adopted are: {', '.join(known[:12]) or 'none; run cortops adopt'}")
    for name in wishes.hosts:
        if name not in hosts:
            raise UnknownName(f"{name} has no adopted node", next=f"hosts with such nodes: {', '.join(sorted(hosts)) or 'none'}")
    if wishes.per_host < 1 or (wishes.wave_max is not None and wishes.wave_max < 1):
        raise BadInput("a wave has at least one node, and so has a host at once")
    return [one for one in candidates if _is_asked(one, wishes)]


def _is_asked(one: Candidate, wishes: Wishes) -> bool:
    return (not wishes.nodes and not wishes.hosts) or one.node in wishes.nodes or one.host in wishes.hosts or one.standing in LEFT


def _canary(old: Sequence[Candidate], named: str) -> Candidate:
    """The named one; else, of those that earn, the one that is selected most often: its gate tells soonest."""
    if named:
        found = next((one for one in old if one.node == named), None)
        if found is None:
            raise BadInput(f"{named} cannot go first: it runs that release already, or is left out")
        return found

    def rank(one: Candidate) -> tuple[bool, bool, float]:
        return not one.selectable, one.earning is not True, -one.rate.selected / max(one.rate.over_s, 1.0)

    return min(old, key=rank)  # the first of equals, in the order of the file


def in_order(rest: Sequence[Candidate], *, after: str) -> list[Candidate]:
    """Host after host in turn, from the one after `after` on; those that did not earn before, or are never selected, come last."""
    sound = [one for one in rest if one.selectable and one.earning is not False]
    return [*_in_turn(sound, after), *_in_turn([one for one in rest if one not in sound], after)]


def _in_turn(nodes: Iterable[Candidate], after: str) -> list[Candidate]:
    queues: dict[str, list[Candidate]] = {}
    for one in nodes:
        queues.setdefault(one.host, []).append(one)
    hosts = list(queues)
    start = (hosts.index(after) + 1) % len(hosts) if after in hosts else 0
    turn = [*hosts[start:], *hosts[:start]]
    longest = max((len(queue) for queue in queues.values()), default=0)
    return [queues[host][place] for place in range(longest) for host in turn if place < len(queues[host])]


def _step(one: Candidate, wishes: Wishes, *, canary: bool) -> Step:
    asks = asks_of(one.rate, canary=canary, selectable=one.selectable, soak_s=wishes.soak_s, within_s=wishes.within_s)
    if one.standing == "due":  # whoever goes on waits as long again
        asks = replace(asks, deadline_s=asks.deadline_s + one.changed_for_s)
    return Step(
        node=one.node,
        host=one.host,
        was=one.before if one.standing in LEFT else one.program,
        asks=asks,
        every_s=one.rate.every_s,
        selectable=one.selectable,
        earned=one.earning,
        half=one.standing == "half",
        due_since=one.changed_at if one.standing == "due" else None,
        bad=one.why if one.standing == "bad" else "",
    )


def _digest(environment: str, program: str, waves: Sequence[Sequence[Step]]) -> str:
    """Of what is done to whom, in which order, and from what: how often nodes are selected changes while people read, and is left out."""
    steps = [[[step.node, step.host, step.was, step.half, step.due_since is not None, bool(step.bad)] for step in wave] for wave in waves]
    return hashlib.sha256(json.dumps([environment, program, steps]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds: of the first wave, and of all; as a rule, and at the latest."""

    first_s: float
    all_s: float
    latest_s: float


def estimate(plan: UpgradePlan) -> Estimate:
    """How long it takes, from each node's own rate. Nodes of one host go one after the other, hosts beside one another."""
    usual = [_wave_s(wave, plan.per_host, latest=False) for wave in plan.waves]
    latest = [_wave_s(wave, plan.per_host, latest=True) for wave in plan.waves]
    return Estimate(first_s=usual[0] if usual else 0.0, all_s=sum(usual), latest_s=sum(latest))


def _wave_s(wave: Sequence[Step], per_host: int, *, latest: bool) -> float:
    by_host: dict[str, list[float]] = {}
    for step in wave:
        gate_s = step.asks.latest_s if latest else step.asks.expected_s  # of a gate that is due its whole time again: nobody knows more
        took_s = SWITCH_S if step.bad else gate_s if step.due_since is not None else SWITCH_S + gate_s
        by_host.setdefault(step.host, []).append(took_s)
    return max((sum(sorted(times, reverse=True)[::per_host]) for times in by_host.values()), default=0.0)
