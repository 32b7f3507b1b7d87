"""Hands: a safe moment is waited for, said, and given up; and whatever goes wrong with a change is told as what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from tests.deploy.waves.records import history, manifest, node_program, sha

from cortops.deploy.earning_gate import Rate, asks_of
from cortops.deploy.host_state import HostApplied, Starting
from cortops.deploy.node_programs import HostRecord, Program, programs
from cortops.deploy.observed import Present
from cortops.deploy.safe_moment import AT_ONCE, BEFORE_UPGRADE, Moment, OpenRound
from cortops.deploy.waves import hands as hands_module
from cortops.deploy.waves.hands import Around, HostHands, wait_for_moment
from cortops.deploy.waves.machine import Switched, SwitchFailed, TakeBackFailed, TakenBack
from cortops.deploy.waves.plan import Step
from cortops.deploy.waves.run import Stopping
from cortops.testing.clock import VirtualClock
from cortops.words.change import Plan
from cortops.words.errors import CortopsError, LockHeld, NoSafeMoment, ProgramFailed, StepFailed, Stopped, StoreUnavailable

BUSY = OpenRound(round=("network", 41, 0), selected_at=0.0, precommitted_at=0.0)


# --- the safe moment ---


def waited(busy_for_s: float, *, stop_at_s: float = 1e9, patience: Any = BEFORE_UPGRADE) -> tuple[list[str], float, str]:
    """What was said, how long it took, and how it ended."""
    clock, said = VirtualClock(), list[str]()

    async def look() -> Moment:
        at = clock.monotonic()
        return Moment(at=at, running=True, selectable=True, rounds=(BUSY,) if at < busy_for_s else ())

    async def run() -> str:
        try:
            await wait_for_moment(look, patience, clock, said.append, lambda: clock.monotonic() >= stop_at_s)
        except (NoSafeMoment, Stopped) as error:
            return type(error).__name__
        return "go"

    end = clock.run(run())
    return said, clock.monotonic(), end


def test_it_waits_until_the_work_is_done_and_says_so_once() -> None:
    said, took_s, end = waited(12.0)
    assert (said, took_s, end) == (["waits: it precommitted in session 41 0 s ago and has not committed"], 12.0, "go")


def test_a_long_wait_is_said_again_every_half_minute() -> None:
    said, _, _ = waited(65.0)
    assert [line.split(" ago")[0][-4:].strip() for line in said] == ["0 s", "30 s", "60 s"]


def test_a_wait_without_end_is_given_up() -> None:
    _, took_s, end = waited(10_000.0)
    assert (took_s, end) == (BEFORE_UPGRADE.precommitted_s, "NoSafeMoment")


def test_nobody_waits_who_does_not_want_to() -> None:
    said, took_s, end = waited(10_000.0, patience=AT_ONCE)
    assert (took_s, end) == (0.0, "go")
    assert said == ["goes on: it precommitted in session 41 0 s ago and has not committed"]


def test_people_may_stop_it_while_it_waits() -> None:
    _, took_s, end = waited(10_000.0, stop_at_s=7.0)
    assert (took_s, end) == (7.0, "Stopped")


# --- a change ---


@dataclass
class Stage:
    """A host whose applies do what the test says."""

    monkeypatch: pytest.MonkeyPatch
    fails: CortopsError | None = None
    runs_old: bool | None = True
    journal_fails: bool = False
    declared: list[tuple[str, str]] = field(default_factory=list)
    judged: list[tuple[str, str]] = field(default_factory=list)
    marked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    wanted: list[tuple[str, str]] = field(default_factory=list)
    guarded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.record = HostRecord(host="h1", environment="lab", latest=manifest(3, {"a": "X", "b": "X"}), first=None, cut_off=None)
        self.kept = history({"a": "XX", "b": "XX"}).generations
        self.monkeypatch.setattr(hands_module, "records", self.records)
        self.monkeypatch.setattr(hands_module, "apply_host", self.apply)
        self.monkeypatch.setattr(hands_module, "runs", self.runs)

    async def records(self, state: Any) -> HostRecord:
        return self.record

    async def runs(self, state: Any, node: str, program: str) -> bool | None:
        assert program == sha("X")
        return self.runs_old

    async def apply(self, state: Any, want: Any, *, guard: Any, **rest: Any) -> HostApplied:
        wanted = {item.name: item for item in want(self.record) if getattr(item, "name", "")}
        before = programs(self.record.latest)
        changed = [(name, node) for name, node in wanted.items() if node.program != before[name].program]
        self.wanted += [(name, node.program[0]) for name, node in changed]
        await guard([Starting(program=node, runs_now=True) for _, node in changed])
        if self.fails is not None:
            raise self.fails
        observed = {node.key: Present({"program": node.program, "pid": "812"}) for _, node in changed}
        return HostApplied(
            host="h1",
            plan=Plan(environment="lab", digest="d", changes=(), unchanged=(), unknown=()),
            made=1,
            generation=4,
            observed=observed,
        )

    async def judge(self, apply_id: str, *, resource: str, program: str, outcome: str, text: str, by: str) -> None:
        if self.journal_fails:
            raise StoreUnavailable("the journal on h1 cannot be written")
        self.judged.append((resource, outcome))

    async def generations(self) -> tuple[int, ...]:
        return tuple(one.generation for one in self.kept)

    async def read(self, generation: int) -> Any:
        return self.kept[generation]

    def hands(self) -> HostHands:
        async def moment(node: str) -> Moment:
            return Moment(at=0.0, running=True, selectable=True, rounds=())

        async def guard(starting: Sequence[Starting]) -> None:
            self.guarded += [one.program.name for one in starting]

        around = Around(
            states={"h1": SimpleNamespace(journal=self, manifests=self)},  # type: ignore[dict-item]
            moment=moment,
            guard=guard,
            declare=lambda node, release: self.declared.append((node, release)),
            mark=self.marked.append,
            say=lambda node, text: self.said.append(f"{node} {text}"),
            report=lambda event: None,
            owner=SimpleNamespace(who="ops@laptop"),  # type: ignore[arg-type]
            new_apply_id=lambda: "apply",
            tool_version="1",
            clock=VirtualClock(),
            stopping=Stopping(),
        )
        return HostHands(around, Program(sha256=sha("Y"), release="april", size=1))

    def switch(self) -> Switched | SwitchFailed:
        found: Switched | SwitchFailed = VirtualClock().run(self.hands().switch(STEP))
        return found

    def take_back(self) -> TakenBack | TakeBackFailed:
        found: TakenBack | TakeBackFailed = VirtualClock().run(self.hands().take_back(STEP, "it died"))
        return found


STEP = Step(node="a", host="h1", was=sha("X"), asks=asks_of(Rate(1, 60.0), canary=True, selectable=True), every_s=None)


def test_a_switch_writes_the_file_and_that_its_gate_has_begun_then_changes_that_node_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    assert stage.switch() == Switched("a", "runs yyyyyy as pid 812")
    assert (stage.declared, stage.judged, stage.marked) == ([("a", "april")], [("node-program:a", "begun")], ["a"])
    assert (stage.wanted, stage.guarded) == ([("a", "y")], ["a"])


@pytest.mark.parametrize(
    ("error", "runs_old", "cause", "declared"),
    [
        (ProgramFailed("node-program:a could not be made on h1: it did not stay up with yyyyyy: it ended"), True, "program", "build-x"),
        (StepFailed("blob:/x could not be made on h1: no space left on device"), True, "hindrance", "build-x"),
        (StepFailed("h1 stopped answering before node-program:a was done"), None, "unknown", "april"),
        (ProgramFailed("node-program:a could not be made on h1: it did not stay up with yyyyyy: it ended"), False, "unknown", "april"),
        (StoreUnavailable("the manifests on h1 cannot be used: no space left on device"), False, "unknown", "april"),
        (StoreUnavailable("the journal on h1 cannot be written: no space left on device"), True, "hindrance", "build-x"),
        (LockHeld("somebody applies"), True, "hindrance", "build-x"),
        (NoSafeMoment("not restarted: it precommitted in session 41"), True, "moment", "build-x"),
        (Stopped("stopped before anything was changed"), True, "stop", "build-x"),
    ],
)
def test_whatever_goes_wrong_is_told_and_the_file_says_what_runs(
    monkeypatch: pytest.MonkeyPatch, error: CortopsError, runs_old: bool | None, cause: str, declared: str
) -> None:
    stage = Stage(monkeypatch, fails=error, runs_old=runs_old)
    found = stage.switch()
    assert isinstance(found, SwitchFailed)
    assert (found.cause, stage.declared[-1], stage.marked) == (cause, ("a", declared), [])
    assert not found.text.startswith("node-program:")


def test_taking_back_writes_that_it_is_bad_before_it_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.record = HostRecord(host="h1", environment="lab", latest=manifest(4, {"a": "Y", "b": "X"}), first=None, cut_off=None)
    assert stage.take_back() == TakenBack("a", "runs xxxxxx as pid 812 again")
    assert (stage.judged, stage.wanted, stage.declared) == ([("node-program:a", "bad")], [("a", "x")], [("a", "build-x")])


def test_what_cannot_be_taken_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, fails=StoreUnavailable("h1 gives no answer"))
    stage.record = HostRecord(host="h1", environment="lab", latest=manifest(4, {"a": "Y", "b": "X"}), first=None, cut_off=None)
    assert stage.take_back() == TakeBackFailed("a", "h1 gives no answer")
    stage.kept = history({"a": "ZZ", "b": "XX"}).generations
    assert stage.take_back() == TakeBackFailed("a", "no generation of h1 has what a ran before")


def test_a_judgement_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, journal_fails=True)
    assert isinstance(stage.switch(), Switched)
    assert stage.said == ["a that it is begun could not be written down: the journal on h1 cannot be written"]


def test_the_nodes_of_these_tests_are_as_meant() -> None:
    assert node_program("a", "X").program == sha("X")
