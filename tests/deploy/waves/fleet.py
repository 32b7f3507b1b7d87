"""A simulated fleet: nodes of a host, rounds by chance, a release of some kind, and a kill at a step; all from a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pytest

from cortops.deploy.earning_gate import GateFacts, Rate
from cortops.deploy.safe_moment import BEFORE_TAKING_BACK, BEFORE_UPGRADE, Moment, decide, open_rounds
from cortops.deploy.waves.machine import Switched, SwitchFailed, TakeBackFailed, TakenBack, Tell, Upgrade
from cortops.deploy.waves.plan import Candidate, Standing, Step, UpgradePlan, Wishes, plan_upgrade
from cortops.deploy.waves.run import Stopping, run
from cortops.surfaces.nodes.chain_facts import ChainEvent, count
from cortops.testing.clock import VirtualClock

OLD, NEW = "3f" * 32, "9a" * 32
BEGAN = VirtualClock().now()
Kind = Literal["good", "crashes", "pings", "dies", "unselected"]


class Killed(BaseException):
    """The process of the upgrade is gone, in the middle of anything."""


@dataclass
class Node:
    """One simulated node: what it runs, since when, and what it did in each round that began since (selected at, precommit, commit)."""

    name: str
    host: str
    program: str = OLD
    pid: int = 1
    since: float = BEGAN
    history: list[str] = field(default_factory=lambda: [OLD])
    judged: dict[str, tuple[str, str]] = field(default_factory=dict)
    restarts: list[float] = field(default_factory=list)


@dataclass
class World:
    """Hands and eyes over simulated nodes. blind: each look of that number sees nothing; kill_at: the step at which the process dies."""

    seed: int
    kind: Kind
    clock: VirtualClock
    hosts: Mapping[str, int]
    blind: frozenset[int] = frozenset()
    kill_at: int | None = None
    steps: int = 0
    looks: int = 0
    under_way: set[str] = field(default_factory=set)
    ever_new: list[str] = field(default_factory=list)
    most_at_once: int = 0
    broken_work: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = [f"{host}-m{number}" for host, many in self.hosts.items() for number in range(1, many + 1)]
        self.nodes = {name: Node(name=name, host=name.partition("-")[0]) for name in names}

    # --- time ---

    def tick(self) -> None:
        """One step more of the process that upgrades."""
        self.steps += 1
        if self.steps == self.kill_at:
            raise Killed

    def rounds(self, node: Node, until: float) -> list[tuple[int, float]]:
        """(number, when) of the rounds that select this node, since it began to run what it runs: every ten minutes or so."""
        if self.kind == "unselected" and node.program == NEW:
            return []
        chance = random.Random(f"{self.seed} {node.name} {node.pid}")
        found, at = [], node.since
        while (at := at + chance.uniform(60, 1_100)) <= until:
            found.append((len(found), at))
        return found

    def events(self, node: Node, until: float) -> list[ChainEvent]:
        """What the chain has of it: precommit after 10 s, commit after 20, end after 40; somebody else always commits."""
        events: list[tuple[float, ChainEvent]] = []

        def add(at: float, step: str, miner: str, number: int) -> None:
            if at <= until:
                block = int(at - BEGAN) + 1
                miners = () if step == "ended" else (miner,)
                events.append(
                    (at, ChainEvent(step=step, round=("network", node.pid * 1000 + number, 0), miners=miners, block=block, index=0, at=at))
                )  # type: ignore[arg-type]

        dies_at = self.dies_at(node)
        for number, at in self.rounds(node, until):
            works = node.program == OLD or self.kind in ("good", "dies")
            add(at, "assigned", node.name, number)
            add(at, "assigned", "other", number)
            for after, step in ((10, "precommitted"), (20, "committed")):
                add(at + after, step, "other", number)
                if works and at + after <= dies_at:
                    add(at + after, step, node.name, number)
            add(at + 40, "ended", "", number)
        return [event for _, event in sorted(events, key=lambda pair: pair[0])]

    def dies_at(self, node: Node) -> float:
        """When it dies by itself: after the commit of its first round."""
        if self.kind != "dies" or node.program == OLD:
            return float("inf")
        return self.rounds(node, node.since + 1e5)[0][1] + 21

    # --- hands ---

    async def switch(self, step: Step) -> Switched | SwitchFailed:
        self.begin(step.node)
        node = self.nodes[step.node]
        waited_from = self.clock.monotonic()
        while True:
            self.tick()
            decision = decide(self.moment(node), self.clock.monotonic() - waited_from, BEFORE_UPGRADE)
            if decision.move == "give up":
                return SwitchFailed(step.node, decision.text, "moment")
            if decision.move == "go":
                break
            await self.clock.sleep(2)
        self.tick()
        if self.kind == "crashes":
            self.ever_new.append(step.node)
            self.restart(node, node.program)
            self.tick()
            self.under_way.discard(step.node)
            return SwitchFailed(step.node, "it did not stay up", "program")
        self.ever_new.append(step.node)
        self.restart(node, NEW)
        self.tick()
        return Switched(step.node, "runs it")

    async def take_back(self, step: Step, why: str) -> TakenBack | TakeBackFailed:
        self.begin(step.node)
        node = self.nodes[step.node]
        self.tick()
        node.judged[NEW] = ("bad", why)
        self.tick()
        waited_from = self.clock.monotonic()
        while decide(self.moment(node), self.clock.monotonic() - waited_from, BEFORE_TAKING_BACK).move == "wait":
            await self.clock.sleep(1)
        self.restart(node, step.was)
        self.tick()
        self.under_way.discard(step.node)
        return TakenBack(step.node, "runs the old one again")

    async def record(self, step: Step, outcome: str, text: str) -> None:
        self.tick()
        self.nodes[step.node].judged[NEW] = (outcome, text)
        self.under_way.discard(step.node)

    def begin(self, name: str) -> None:
        self.under_way.add(name)
        same = [one for one in self.under_way if self.nodes[one].host == self.nodes[name].host]
        self.most_at_once = max(self.most_at_once, len(same))

    def moment(self, node: Node) -> Moment:
        now = self.clock.now()
        rounds = open_rounds(self.events(node, now), node.name, lambda block: BEGAN + block, now)
        return Moment(at=now, running=now < self.dies_at(node), selectable=True, rounds=rounds)

    def restart(self, node: Node, program: str) -> None:
        now = self.clock.now()
        if any(one.precommitted_at is not None for one in self.moment(node).rounds or ()):
            self.broken_work.append(node.name)
        node.program, node.since, node.pid = program, now, node.pid + 1
        node.restarts.append(now)
        if node.history[-1] != program:
            node.history.append(program)

    # --- eyes ---

    async def look(self, steps: Sequence[Step]) -> Mapping[str, GateFacts]:
        self.tick()
        self.looks += 1
        now, seen = self.clock.now(), {}
        for step in steps:
            node = self.nodes[step.node]
            self.under_way.add(step.node) if NEW not in node.judged else None
            if self.looks in self.blind:
                seen[step.node] = GateFacts(age_s=now - node.since, running=None, chain_why="no RPC answers")
                continue
            parts, network = count(self.events(node, now), [node.name], lambda block: BEGAN + block, now)
            seen[step.node] = GateFacts(
                age_s=now - node.since,
                running=now < self.dies_at(node),
                program=node.program == NEW,
                registered=True,
                chain=parts[node.name],
                network=network,
            )
        return seen

    # --- the next run ---

    def candidates(self) -> list[Candidate]:
        return [
            Candidate(
                node=node.name,
                host=node.host,
                role="miner",
                program=node.program,
                standing=self.standing(node),
                rate=Rate(150, 86_400.0),
                earning=True,
                why=node.judged.get(NEW, ("", ""))[1],
                before=OLD if node.program == NEW else "",
                changed_at=node.since,
            )
            for node in self.nodes.values()
        ]

    def standing(self, node: Node) -> Standing:
        if node.program == OLD:
            return "old"
        judged = node.judged.get(NEW, ("held", ""))[0]
        return "new" if judged == "passed" else "bad" if judged == "bad" else "due"

    def plan(self) -> UpgradePlan:
        return plan_upgrade("lab", "april", NEW, self.candidates(), Wishes())

    @property
    def refused(self) -> bool:
        """The release was judged bad, and nothing of it runs: the next `upgrade` says so and does nothing."""
        return any(NEW in node.judged and node.judged[NEW][0] == "bad" and node.program == OLD for node in self.nodes.values())


def upgrade_once(world: World, stopping: Stopping | None = None, told: list[str] | None = None) -> Upgrade | None:
    """One run of the process; None when it was killed."""
    lines = told if told is not None else []

    def report(tell: Tell, upgrade: Upgrade) -> None:
        lines.append(f"{tell.node} {tell.text}".strip())

    world.under_way = {name for name in world.under_way if world.standing(world.nodes[name]) == "due"}
    try:
        return world.clock.run(run(world.plan(), world, world, world.clock, stopping or Stopping(), report))
    except Killed:
        return None
    except BaseExceptionGroup as group:
        if group.subgroup(Killed) is None:
            raise
        return None


def simulate(world: World, *, runs: int = 6) -> Upgrade:
    """Run after run, as people would, until one comes to its end."""
    for _ in range(runs):
        found = upgrade_once(world)
        if found is not None:
            return found
        world.kill_at = None
        if world.refused and world.plan().steps and not any(step.bad for step in world.plan().steps):
            break
    return upgrade_once(world) or pytest.fail("killed twice")  # type: ignore[return-value]


def world(kind: Kind, seed: int = 1, **more: object) -> World:
    fields: dict[str, object] = {"hosts": {"h1": 4, "h2": 5, "h3": 3}} | more
    return World(seed=seed, kind=kind, clock=VirtualClock(), **fields)  # type: ignore[arg-type]


def check(made: World) -> None:
    """What holds after whatever happened."""
    assert {node.program for node in made.nodes.values()} <= {OLD, NEW}, "one generation or the other, never a mix"
    assert made.most_at_once <= 1, "never two nodes of one host at once"
    if made.kind != "good":
        assert len(set(made.ever_new)) <= 1, "a bad release never comes further than the canary"
        assert sum(bool(node.restarts) for node in made.nodes.values()) <= 1, "the others were not restarted"
    if made.kind in ("good", "unselected"):
        assert made.broken_work == [], "no work was broken off"
