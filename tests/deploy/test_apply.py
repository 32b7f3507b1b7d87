"""Applying a plan: wave after wave, the gate between, and what happens when a step or a gate fails. Scripted drivers, no host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from tests.deploy.test_plan import ALL, TOKEN, desired

from cortops.deploy.apply import StepTold, WaveBegun, WaveWell, apply
from cortops.deploy.observed import Absent, Desired, Observed, Present, Progress, Step, Unseen
from cortops.deploy.plan import plan
from cortops.words.change import Plan
from cortops.words.entity import Entity
from cortops.words.errors import GateClosed, PortTaken, StepFailed


@dataclass
class Scripted:
    """A driver that does what it is told: `fails` key -> text, `later` key -> what an observe during the apply sees."""

    place: str
    heard: list[str]
    fails: Mapping[str, str] = field(default_factory=dict)
    later: Mapping[str, Observed] = field(default_factory=dict)
    stops_after: int | None = None

    async def observe(self, desired: Sequence[Desired]) -> Mapping[str, Observed]:
        return {item.resource.key: self.later.get(item.resource.key, Absent()) for item in desired}

    async def apply(self, steps: Sequence[Step], apply_id: str) -> AsyncIterator[Progress]:
        for number, step in enumerate(steps):
            if number == self.stops_after:
                return
            key = step.desired.resource.key
            self.heard.append(f"{step.action} {key}")
            yield Progress(key=key, event="begun")
            if key in self.fails:
                yield Progress(key=key, event="failed", text=self.fails[key])
                return
            yield Progress(key=key, event="done")


@dataclass
class Stage:
    heard: list[str] = field(default_factory=list)
    told: list[object] = field(default_factory=list)
    fails: Mapping[str, str] = field(default_factory=dict)
    later: Mapping[str, Observed] = field(default_factory=dict)
    stops_after: int | None = None
    gate_closes_for: str = ""

    def run(self) -> int:
        seen: dict[str, Observed] = {item.key: Absent() for item in ALL}
        seen[TOKEN.key] = Unseen("no chain yet")
        items = {item.key: desired(item) for item in ALL}
        found = plan("lab", list(items.values()), seen, [], "1")
        drivers = {
            "h1": Scripted("h1", self.heard, self.fails, stops_after=self.stops_after),
            "chain": Scripted("chain", self.heard, self.fails, self.later),
        }
        return asyncio.run(apply(found, items, drivers, self.gate, self.told.append, "a1"))

    async def gate(self, started: Sequence[Entity], last: bool) -> None:
        self.heard.append(f"{'last gate' if last else 'gate'} {' '.join(map(str, started))}")
        if self.gate_closes_for in {entity.name for entity in started}:
            raise GateClosed("r1 is not well")


def test_waves_come_one_after_the_other_with_a_gate_between() -> None:
    stage = Stage()
    assert stage.run() == 5
    assert stage.heard == [
        "create h1 directory:/srv/etc",
        "create h1 file:/srv/etc/r1.env",
        "create h1 service:c1",
        "gate rpc/c1",
        "create chain contract:token",
        "gate ",
        "create h1 service:r1",
        "last gate router/r1",
    ]
    assert [type(event) for event in stage.told if not isinstance(event, StepTold)] == [WaveBegun, WaveWell] * 3


def test_without_a_change_the_last_gate_is_asked_all_the_same() -> None:
    stage = Stage()
    nothing = Plan(environment="lab", digest="", changes=(), unchanged=(), unknown=())
    assert asyncio.run(apply(nothing, {}, {}, stage.gate, stage.told.append, "a1")) == 0
    assert stage.heard == ["last gate "]


def test_what_could_only_be_ensured_is_left_alone_when_it_is_there_already() -> None:
    stage = Stage(later={TOKEN.key: Present(desired(TOKEN).attributes)})
    assert stage.run() == 4
    assert not any("contract:token" in line for line in stage.heard)


def test_what_still_cannot_be_seen_in_its_wave_ends_the_apply() -> None:
    with pytest.raises(StepFailed, match="contract:token cannot be looked at: still no chain"):
        Stage(later={TOKEN.key: Unseen("still no chain")}).run()


def test_after_a_failed_step_nothing_more_is_done_and_the_place_in_the_file_is_named() -> None:
    stage = Stage(fails={"h1 file:/srv/etc/r1.env": "No space left on device"})
    with pytest.raises(StepFailed, match=r"file:/srv/etc/r1.env could not be made on h1: No space left") as caught:
        stage.run()
    assert caught.value.where == "lab.yaml:9"
    assert stage.heard[-1] == "create h1 file:/srv/etc/r1.env"


def test_a_port_that_was_taken_meanwhile_has_its_own_name_and_cure() -> None:
    with pytest.raises(PortTaken, match="port 8443 is taken by pid 7"):
        Stage(fails={"h1 service:c1": "port 8443 is taken by pid 7 (nginx)"}).run()


def test_a_driver_that_falls_silent_is_not_taken_for_success() -> None:
    with pytest.raises(StepFailed, match="h1 stopped answering before service:c1 was done"):
        Stage(stops_after=2).run()


def test_a_closed_gate_ends_the_apply_before_the_next_wave() -> None:
    stage = Stage(gate_closes_for="c1")
    with pytest.raises(GateClosed):
        stage.run()
    assert stage.heard[-1] == "gate rpc/c1"
