"""The upgrade machine by hand: what happened goes in, and exactly what it wants done comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cortops.deploy.earning_gate import GateFacts, Rate
from cortops.deploy.waves.machine import (
    LOOK_FIRST_S,
    LOOK_LAST_S,
    Command,
    Event,
    Finish,
    Look,
    Looked,
    Phase,
    Record,
    StopAsked,
    Switch,
    Switched,
    SwitchFailed,
    TakeBack,
    TakeBackFailed,
    TakenBack,
    Tell,
    Upgrade,
    begin,
    step,
)
from cortops.deploy.waves.plan import Candidate, Wishes, plan_upgrade
from cortops.surfaces.nodes.chain_facts import NodeChain

OLD, NEW = "3f" * 32, "9a" * 32
RUNS = GateFacts(age_s=700.0, running=True, program=True, chain=NodeChain())
EARNS = replace(RUNS, chain=NodeChain(selected=2, precommits=2, commits=2))
DEAD = replace(RUNS, running=False)
MISSES = replace(RUNS, chain=NodeChain(selected=2, missed=2, missed_row=(1, 2)))
LATE = replace(RUNS, age_s=1e6)


class Driven:
    """An upgrade with its last commands; `tell` lines and record lines are kept apart."""

    def __init__(self, *nodes: tuple[str, str], candidates: tuple[Candidate, ...] = (), **wishes: object) -> None:
        found = candidates or tuple(
            Candidate(node=node, host=host, role="miner", program=OLD, standing="old", rate=Rate(38, 86_400), earning=True)
            for node, host in nodes
        )
        self.upgrade, commands = begin(plan_upgrade("lab", "april", NEW, found, Wishes(**wishes)))  # type: ignore[arg-type]
        self.told: list[str] = []
        self.recorded: list[tuple[str, str]] = []
        self.wanted = self._keep(commands)

    def then(self, *events: Event) -> list[Command]:
        """What the last of these events leads to, besides words."""
        for event in events:
            self.upgrade, commands = step(self.upgrade, event)
            self.wanted = self._keep(commands)
        return self.wanted

    def look(self, **facts: GateFacts) -> list[Command]:
        return self.then(Looked(facts))

    def phases(self) -> Mapping[str, Phase]:
        return {name: node.phase for name, node in self.upgrade.nodes.items()}

    def _keep(self, commands: tuple[Command, ...]) -> list[Command]:
        self.told += [f"{one.node} {one.text}".strip() for one in commands if isinstance(one, Tell)]
        self.recorded += [(one.node, one.outcome) for one in commands if isinstance(one, Record)]
        return [one for one in commands if not isinstance(one, Tell | Record)]


def three(**wishes: object) -> Driven:
    return Driven(("a", "h1"), ("b", "h1"), ("c", "h2"), **wishes)


def after_the_canary() -> Driven:
    driven = three()
    driven.then(Switched("a", "runs 9a"))
    driven.look(a=EARNS)
    driven.look(a=EARNS)
    return driven


def test_the_canary_is_switched_alone_and_looked_at_until_two_looks_agree() -> None:
    driven = three()
    assert driven.wanted == [Switch("a")]
    assert driven.then(Switched("a", "runs 9a")) == [Look(("a",), LOOK_FIRST_S)]
    assert driven.look(a=EARNS) == [Look(("a",), LOOK_FIRST_S)]
    assert driven.look(a=EARNS) == [Switch("c"), Switch("b")]
    assert driven.told == ["a runs 9a", "a passed: selected 2, committed 2, in 12 min", "wave 1 passed: a; one wave is left"]
    assert driven.recorded == [("a", "passed")]


def test_looks_grow_rarer() -> None:
    driven = three()
    driven.then(Switched("a"))
    pauses = []
    for _ in range(20):
        [look] = driven.look(a=RUNS)
        assert isinstance(look, Look)
        pauses.append(look.after_s)
    assert pauses == sorted(pauses)
    assert pauses[-1] == LOOK_LAST_S


def test_all_pass_and_it_is_over() -> None:
    driven = after_the_canary()
    driven.then(Switched("b"))
    assert driven.then(Switched("c")) == []
    driven.look(b=EARNS, c=EARNS)
    assert driven.look(b=EARNS, c=EARNS) == [Finish()]
    assert driven.upgrade.outcome == "passed"


def test_nodes_of_one_host_never_go_together_unless_told() -> None:
    nodes = (("a", "h1"), ("b", "h1"), ("c", "h1"))
    driven = Driven(*nodes)
    driven.then(Switched("a"))
    driven.look(a=EARNS)
    assert driven.look(a=EARNS) == [Switch("b")]
    driven.then(Switched("b"))
    driven.look(b=EARNS)
    assert driven.look(b=EARNS) == [Switch("c")]
    together = Driven(*nodes, per_host=2)
    together.then(Switched("a"))
    together.look(a=EARNS)
    assert together.look(a=EARNS) == [Switch("b"), Switch("c")]


def test_a_bad_canary_is_taken_back_and_nothing_else_is_touched() -> None:
    driven = three()
    driven.then(Switched("a"))
    why = "it was selected twice since the change and did not precommit"
    assert driven.look(a=MISSES) == [TakeBack("a", why)]
    assert driven.then(TakenBack("a", "runs 3f again")) == [Finish()]
    assert driven.phases() == {"a": Phase.TAKEN_BACK, "c": Phase.WAITING, "b": Phase.WAITING}
    assert (driven.upgrade.outcome, driven.upgrade.stopped) == ("bad", f"a: {why}")


def test_a_death_is_believed_at_the_second_look() -> None:
    driven = three()
    driven.then(Switched("a"))
    assert driven.look(a=DEAD) == [Look(("a",), LOOK_FIRST_S)]
    assert driven.look(a=RUNS) != [TakeBack("a", "")]
    assert driven.phases()["a"] is Phase.GATED, "it was a look between two lives"
    driven.look(a=DEAD)
    assert isinstance(driven.look(a=DEAD)[0], TakeBack)


def test_a_restart_loop_is_believed_at_once() -> None:
    driven = three()
    driven.then(Switched("a"))
    assert isinstance(driven.look(a=replace(RUNS, crashes=1))[0], TakeBack)


def test_a_hold_asks_and_changes_nothing_more() -> None:
    driven = three()
    driven.then(Switched("a"))
    assert driven.look(a=LATE) == [Finish()]
    assert (driven.phases()["a"], driven.upgrade.outcome) == (Phase.HELD, "held")
    assert driven.recorded == [("a", "held")]


def test_what_did_not_stay_up_is_bad_though_its_host_took_it_back() -> None:
    driven = three()
    assert driven.then(SwitchFailed("a", "did not stay up", "program")) == [Finish()]
    assert (driven.phases()["a"], driven.upgrade.outcome, driven.recorded) == (Phase.TAKEN_BACK, "bad", [("a", "bad")])


def test_a_full_disk_is_no_fault_of_the_release() -> None:
    driven = three()
    assert driven.then(SwitchFailed("a", "no space left", "hindrance")) == [Finish()]
    assert (driven.phases()["a"], driven.upgrade.outcome, driven.recorded) == (Phase.NOT_SWITCHED, "failed", [])


def test_no_safe_moment_leaves_the_node_as_it_is() -> None:
    driven = three()
    assert driven.then(SwitchFailed("a", "it precommitted in session 41", "moment")) == [Finish()]
    assert (driven.phases()["a"], driven.upgrade.outcome) == (Phase.WAITING, "stopped")


def test_a_lost_host_is_unknown() -> None:
    driven = three()
    assert driven.then(SwitchFailed("a", "connection lost", "unknown")) == [Finish()]
    assert (driven.phases()["a"], driven.upgrade.outcome) == (Phase.UNKNOWN, "failed")


def test_a_bad_one_in_a_wave_lets_the_others_come_to_their_own_end() -> None:
    driven = after_the_canary()
    driven.then(Switched("b"))
    driven.then(Switched("c"))
    assert driven.look(b=MISSES, c=RUNS)[0] == TakeBack("b", "it was selected twice since the change and did not precommit")
    driven.then(TakenBack("b"))
    driven.look(c=EARNS)
    assert driven.look(c=EARNS) == [Finish()]
    assert driven.phases() == {"a": Phase.PASSED, "c": Phase.PASSED, "b": Phase.TAKEN_BACK}


def test_one_that_passed_and_dies_later_stops_all() -> None:
    driven = after_the_canary()
    driven.then(Switched("b"))
    driven.then(Switched("c"))
    assert driven.look(a=DEAD, b=RUNS, c=RUNS) == [Look(("a", "c", "b"), LOOK_FIRST_S)]
    assert driven.look(a=DEAD, b=RUNS, c=RUNS)[0] == TakeBack("a", "it died: it does not run 12 min after the change")
    assert driven.upgrade.stopped.startswith("a: it died")


def test_a_take_back_that_fails_is_said() -> None:
    driven = three()
    driven.then(Switched("a"))
    driven.look(a=MISSES)
    assert driven.then(TakeBackFailed("a", "connection lost")) == [Finish()]
    assert driven.upgrade.nodes["a"].text.endswith("it could not be taken back: connection lost")
    assert driven.upgrade.outcome == "failed"


def test_a_stop_brings_the_current_node_to_its_end() -> None:
    driven = three()
    driven.then(Switched("a"))
    assert driven.then(StopAsked("you asked")) == []
    driven.look(a=EARNS)
    assert driven.look(a=EARNS) == [Finish()]
    assert (driven.upgrade.outcome, driven.phases()["b"]) == ("stopped", Phase.WAITING)


def test_a_stop_before_the_switch_begins_nothing() -> None:
    driven = three()
    driven.then(StopAsked("you asked"))
    assert driven.then(SwitchFailed("a", "stopped", "stop")) == [Finish()]
    assert set(driven.phases().values()) == {Phase.WAITING}


def left(**fields: object) -> tuple[Candidate, ...]:
    """Two nodes, of which an earlier run left the first with the new program."""
    old = Candidate(node="b", host="h2", role="miner", program=OLD, standing="old", rate=Rate(38, 86_400), earning=True)
    return (replace(old, node="a", host="h1", program=NEW, before=OLD, **fields), old)  # type: ignore[arg-type]


def test_a_gate_that_is_due_is_finished_first() -> None:
    driven = Driven(candidates=left(standing="due", changed_at=1.0))
    assert driven.wanted == [Look(("a",), LOOK_FIRST_S)]
    driven.look(a=EARNS)
    assert driven.look(a=EARNS) == [Switch("b")]


def test_one_that_was_judged_bad_is_taken_back_first_and_last() -> None:
    driven = Driven(candidates=left(standing="bad", why="it died"))
    assert driven.wanted == [TakeBack("a", "it died")]
    assert driven.then(TakenBack("a")) == [Finish()]
    assert driven.upgrade.outcome == "bad"


def test_nothing_to_do_is_over_at_once() -> None:
    upgrade, commands = begin(plan_upgrade("lab", "april", NEW, (), Wishes()))
    assert (commands, upgrade.outcome) == ((Finish(),), "passed")


def test_an_event_out_of_place_changes_nothing() -> None:
    driven = three()
    before: Upgrade = driven.upgrade
    for event in (Switched("b"), TakenBack("a"), TakeBackFailed("c", "why"), SwitchFailed("nobody", "why", "unknown")):
        assert driven.then(event) == []
    assert driven.upgrade == before
