"""The upgrade as a machine: what happened goes in, what to do next comes out. Pure; the same events give the same commands.

A node waits, is switched, stands behind its gate, and ends passed, taken back or held. The next wave begins when all of one have passed.
The first that does not pass ends it: no further node is begun, what was begun is brought to its end, what was done stays done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from cortops.deploy.earning_gate import GateFacts, GateVerdict, died, judge
from cortops.deploy.waves.plan import Step, UpgradePlan

LOOK_FIRST_S, LOOK_LAST_S, LOOK_GROWTH = 1.0, 10.0, 1.3
LOOKS_AGREED = 2  # in a row, before a pass, or a death that may have been a look between two lives


class Phase(StrEnum):
    """Where a node is."""

    WAITING = "waiting"
    SWITCHING = "switching"
    GATED = "gated"
    TAKING_BACK = "taking back"
    PASSED = "passed"
    TAKEN_BACK = "taken back"
    HELD = "held"
    NOT_SWITCHED = "not switched"
    UNKNOWN = "unknown"


UNDER_WAY = (Phase.SWITCHING, Phase.GATED, Phase.TAKING_BACK)
NOT_WELL = (Phase.TAKEN_BACK, Phase.HELD, Phase.NOT_SWITCHED, Phase.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """One node in the upgrade. text: the last word on it. agreed: how many looks in a row said `verdict`."""

    step: Step
    phase: Phase = Phase.WAITING
    text: str = ""
    verdict: str = ""
    agreed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """The whole upgrade now. stopped: why no further node is begun, "" while all goes well."""

    plan: UpgradePlan
    nodes: Mapping[str, NodeState]
    stopped: str = ""
    looking: bool = False
    pause_s: float = LOOK_FIRST_S
    finished: bool = False
    told_waves: tuple[int, ...] = ()

    @property
    def under_way(self) -> tuple[NodeState, ...]:
        return tuple(node for node in self.nodes.values() if node.phase in UNDER_WAY)

    def named(self, *phases: Phase) -> tuple[str, ...]:
        """Names of the nodes in one of these phases."""
        return tuple(name for name, node in self.nodes.items() if node.phase in phases)

    @property
    def outcome(self) -> Literal["passed", "bad", "held", "failed", "stopped"]:
        """How it ended, the worst first: taken back, not to be switched, held, stopped by people."""
        if self.named(Phase.TAKEN_BACK):
            return "bad"
        if self.named(Phase.NOT_SWITCHED, Phase.UNKNOWN):
            return "failed"
        if self.named(Phase.HELD, Phase.GATED):
            return "held"
        return "stopped" if self.named(Phase.WAITING, *UNDER_WAY) else "passed"


# --- what happened ---


@dataclass(frozen=True, slots=True)
class Switched:
    """The node runs the new program."""

    node: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class SwitchFailed:
    """It does not. cause: the new `program` did not stay up and the old one is back; a `hindrance`, and nothing was changed; no safe
    `moment` came, or people said `stop`, before anything was changed; or nobody knows what it runs now (`unknown`).
    """

    node: str
    text: str
    cause: Literal["program", "hindrance", "moment", "stop", "unknown"]


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen of each node that is looked at."""

    facts: Mapping[str, GateFacts] = field(repr=False)


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The node runs what it ran before."""

    node: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class TakeBackFailed:
    """It could not be taken back, or nobody knows."""

    node: str
    text: str


@dataclass(frozen=True, slots=True)
class StopAsked:
    """People want no further node to be begun."""

    text: str


Event = Switched | SwitchFailed | Looked | TakenBack | TakeBackFailed | StopAsked


# --- what to do ---


@dataclass(frozen=True, slots=True)
class Switch:
    """Give the node the new program, at a safe moment."""

    node: str


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Write down that it is bad, and give it back what it ran before."""

    node: str
    why: str


@dataclass(frozen=True, slots=True)
class Look:
    """See these nodes after so many seconds; a Looked must follow."""

    nodes: tuple[str, ...]
    after_s: float


@dataclass(frozen=True, slots=True)
class Record:
    """Write down on its host how the node's gate ended."""

    node: str
    outcome: Literal["passed", "bad", "held"]
    text: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Something that people want to know at once. node: "" for the whole; wave: the one that has just passed, 0 for none."""

    node: str
    text: str
    wave: int = 0


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left to do."""


Command = Switch | TakeBack | Look | Record | Tell | Finish


def begin(plan: UpgradePlan) -> tuple[Upgrade, tuple[Command, ...]]:
    """The first state, and what to do first."""
    states = {step.node: _first(step) for step in plan.steps}
    back = tuple(TakeBack(step.node, step.bad) for step in plan.steps if step.bad)
    stopped = next((f"{step.node}: {step.bad}" for step in plan.steps if step.bad), "")
    return _go_on(Upgrade(plan=plan, nodes=states, stopped=stopped), back)


def _first(step: Step) -> NodeState:
    if step.bad:
        return NodeState(step=step, phase=Phase.TAKING_BACK, text=step.bad)
    if step.due_since is not None:
        return NodeState(step=step, phase=Phase.GATED, text="it was changed, and its gate was not passed yet")
    return NodeState(step=step)


def step(upgrade: Upgrade, event: Event) -> tuple[Upgrade, tuple[Command, ...]]:
    """The state after an event, and what to do now. An event about a node that is not where the event belongs changes nothing."""
    match event:
        case Switched(name, text) if _is(upgrade, name, Phase.SWITCHING):
            upgrade = replace(_put(upgrade, name, Phase.GATED, text), pause_s=LOOK_FIRST_S)
            return _go_on(upgrade, (Tell(name, text),))
        case SwitchFailed(name, text, cause) if _is(upgrade, name, Phase.SWITCHING):
            return _not_switched(upgrade, name, text, cause)
        case TakenBack(name, text) if _is(upgrade, name, Phase.TAKING_BACK):
            why = upgrade.nodes[name].text
            return _go_on(_put(upgrade, name, Phase.TAKEN_BACK, why), (Tell(name, text),))
        case TakeBackFailed(name, text) if _is(upgrade, name, Phase.TAKING_BACK):
            return _go_on(_put(upgrade, name, Phase.UNKNOWN, f"{upgrade.nodes[name].text}; it could not be taken back: {text}"), ())
        case StopAsked(text):
            return _go_on(upgrade if upgrade.stopped else replace(upgrade, stopped=text), ())
        case Looked(facts):
            return _looked(replace(upgrade, looking=False), facts)
    return upgrade, ()


def _is(upgrade: Upgrade, name: str, phase: Phase) -> bool:
    return name in upgrade.nodes and upgrade.nodes[name].phase is phase


def _put(upgrade: Upgrade, name: str, phase: Phase, text: str) -> Upgrade:
    node = replace(upgrade.nodes[name], phase=phase, text=text, verdict="", agreed=0)
    return replace(upgrade, nodes={**upgrade.nodes, name: node})


_AFTER_FAILURE = {
    "program": Phase.TAKEN_BACK,
    "hindrance": Phase.NOT_SWITCHED,
    "moment": Phase.WAITING,
    "stop": Phase.WAITING,
    "unknown": Phase.UNKNOWN,
}


def _not_switched(upgrade: Upgrade, name: str, text: str, cause: str) -> tuple[Upgrade, tuple[Command, ...]]:
    stopped = replace(upgrade, stopped=upgrade.stopped or f"{name}: {text}")
    told: tuple[Command, ...] = () if cause == "stop" else (Tell(name, text),)
    record: tuple[Command, ...] = (Record(name, "bad", text),) if cause == "program" else ()
    return _go_on(_put(stopped, name, _AFTER_FAILURE[cause], text), (*record, *told))


def _looked(upgrade: Upgrade, facts: Mapping[str, GateFacts]) -> tuple[Upgrade, tuple[Command, ...]]:
    commands: list[Command] = []
    again = False
    for name, node in upgrade.nodes.items():
        if name not in facts or node.phase not in (Phase.GATED, Phase.PASSED):
            continue
        verdict = _verdict(node, facts[name])
        agreed = node.agreed + 1 if verdict.outcome == node.verdict else 1
        changed = replace(node, verdict=verdict.outcome, agreed=agreed, text=verdict.text or node.text)
        upgrade = replace(upgrade, nodes={**upgrade.nodes, name: changed})
        if verdict.outcome == "wait" or (node.phase is Phase.PASSED and verdict.outcome == "pass"):
            continue
        if not verdict.certain and agreed < LOOKS_AGREED:
            again = True
            continue
        upgrade, more = _judged(upgrade, name, verdict)
        commands += more
    pause_s = LOOK_FIRST_S if again else min(upgrade.pause_s * LOOK_GROWTH, LOOK_LAST_S)
    return _go_on(replace(upgrade, pause_s=pause_s), tuple(commands))


def _verdict(node: NodeState, facts: GateFacts) -> GateVerdict:
    """One that passed is still watched while the upgrade lasts: for death only."""
    if node.phase is Phase.PASSED:
        return died(facts) or GateVerdict("pass", node.text)
    return judge(facts, node.step.asks)


def _judged(upgrade: Upgrade, name: str, verdict: GateVerdict) -> tuple[Upgrade, list[Command]]:
    match verdict.outcome:
        case "pass":
            return _put(upgrade, name, Phase.PASSED, verdict.text), [
                Record(name, "passed", verdict.text),
                Tell(name, f"passed: {verdict.text}"),
            ]
        case "bad":
            upgrade = replace(_put(upgrade, name, Phase.TAKING_BACK, verdict.text), stopped=upgrade.stopped or f"{name}: {verdict.text}")
            told = Tell(name, f"bad: {verdict.text}; taking it back")
            return upgrade, [told, TakeBack(name, verdict.text)]
        case _:
            upgrade = replace(_put(upgrade, name, Phase.HELD, verdict.text), stopped=upgrade.stopped or f"{name}: {verdict.text}")
            return upgrade, [Record(name, "held", verdict.text), Tell(name, f"held: {verdict.text}")]


def _go_on(upgrade: Upgrade, commands: tuple[Command, ...]) -> tuple[Upgrade, tuple[Command, ...]]:
    """Begin what may be begun now, look at what must be looked at, and say when a wave has passed or all is over."""
    out = list(commands)
    for number, wave in enumerate(upgrade.plan.waves, 1):
        if all(upgrade.nodes[one.node].phase is Phase.PASSED for one in wave):
            if number not in upgrade.told_waves:
                upgrade = replace(upgrade, told_waves=(*upgrade.told_waves, number))
                out.append(Tell("", _wave_text(upgrade.plan, number), wave=number))
            continue
        upgrade, begun = _begin_wave(upgrade, wave)
        out += begun
        break
    watched = upgrade.named(Phase.GATED, Phase.PASSED) if upgrade.under_way else ()
    if watched and not upgrade.looking and upgrade.named(Phase.GATED):
        upgrade = replace(upgrade, looking=True)
        out.append(Look(watched, upgrade.pause_s))
    if not upgrade.under_way and not upgrade.finished:
        upgrade = replace(upgrade, finished=True)
        out.append(Finish())
    return upgrade, tuple(out)


def _begin_wave(upgrade: Upgrade, wave: tuple[Step, ...]) -> tuple[Upgrade, list[Command]]:
    """Nodes of this wave whose turn it is: never more of one host at once than the plan allows."""
    begun: list[Command] = []
    if upgrade.stopped:
        return upgrade, begun
    for one in wave:
        busy = sum(node.step.host == one.host for node in upgrade.under_way)
        if upgrade.nodes[one.node].phase is Phase.WAITING and busy < upgrade.plan.per_host:
            upgrade = _put(upgrade, one.node, Phase.SWITCHING, "")
            begun.append(Switch(one.node))
    return upgrade, begun


def _wave_text(plan: UpgradePlan, number: int) -> str:
    wave, left = plan.waves[number - 1], len(plan.waves) - number
    who = wave[0].node if len(wave) == 1 else f"{len(wave)} nodes"
    return f"wave {number} passed: {who}" + (f"; {left} waves are left" if left > 1 else "; one wave is left" if left else "")
