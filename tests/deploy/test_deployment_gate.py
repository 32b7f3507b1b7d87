"""The end of an apply: the gate before the manifest, what could not be looked at, and secrets that are made once. All in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.test_deployment import World, apply, deployment_in, state

from cortops.deploy import deployment as engine
from cortops.deploy.deployment import GATE_TIMEOUT_S, Deployment
from cortops.deploy.journal import ApplyRecord
from cortops.deploy.lock import Held, Owner, this_process
from cortops.deploy.manifest import Manifest
from cortops.deploy.observed import Desired, Driver, Observed, Unseen
from cortops.surfaces.chain.render import PLACE as CHAIN
from cortops.testing.clock import VirtualClock
from cortops.words.entity import Entity
from cortops.words.errors import GateClosed, Refused
from cortops.words.evidence import Check, Verdict
from cortops.words.question import Answer, Http, Question, Reply

pytestmark = pytest.mark.real  # real shells and their tools, hundreds of processes

GATEWAY = Entity("gateway", "gateway-1")


@dataclass
class Health:
    """One check on the gateway; `heard` is what the world held each time it was asked."""

    world: World
    well: bool
    heard: list[int]

    def checks(self, *_: object) -> tuple[Check, ...]:
        return (Check(entity=GATEWAY, name="health", asks=("q",), judge=self.judge, owner="ops"),)

    def questions(self, *_: object) -> tuple[Question, ...]:
        return (Http(id="q", url="http://gateway"), Http(id="other", url="http://other"))

    def judge(self, replies: Mapping[str, Reply], now: float) -> Verdict:
        assert set(replies) == {"q"}
        return Verdict(outcome="ok" if self.well else "bad", text="answers 503")

    async def ask(self, questions: Sequence[Question]) -> Mapping[str, Reply]:
        self.heard.append(len(self.world.there))
        return {item.id: Answer(question=item.id, at=0, elapsed_s=0, status=200, body=b"") for item in questions}


@dataclass
class Memory:
    """Lock, journal and manifests of one apply at a time."""

    last: ApplyRecord | None = None
    kept: list[Manifest] = field(default_factory=list)

    def demand_allowed(self, owner: Owner) -> None:
        """Everyone may."""

    @asynccontextmanager
    async def held(self, owner: Owner, apply_id: str) -> AsyncIterator[Held]:
        yield Held(apply=apply_id)

    async def begin(self, apply_id: str, *, by: str, digest: str, **_: object) -> None:
        self.last = ApplyRecord(apply=apply_id, begun=0, by=by, digest=digest, steps=(), finished=None)

    async def finish(self, apply_id: str, outcome: str) -> None:
        assert self.last is not None and self.last.apply == apply_id
        self.last = replace(self.last, finished=outcome)

    async def last_apply(self) -> ApplyRecord | None:
        return self.last

    async def latest(self) -> Manifest | None:
        return self.kept[-1] if self.kept else None

    async def generations(self) -> tuple[int, ...]:
        return tuple(manifest.generation for manifest in self.kept)

    async def write(self, manifest: Manifest) -> None:
        self.kept.append(manifest)


@dataclass
class Blind:
    """A driver that cannot look."""

    place: str

    async def observe(self, desired: Sequence[Desired]) -> Mapping[str, Observed]:
        return {item.resource.key: Unseen("no answer from the chain") for item in desired}


@pytest.fixture(autouse=True)
def nothing_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetch_nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(engine, "fetch_missing", fetch_nothing)


def with_health(root: Path, well: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[Deployment, Health]:
    world = World()
    health = Health(world, well, [])
    monkeypatch.setattr(engine.surfaces, "checks", health.checks)
    monkeypatch.setattr(engine.surfaces, "questions", health.questions)
    memory: Any = Memory()
    return replace(deployment_in(root, world), ask=health.ask, lock=memory, journal=memory, manifests=memory), health


def wait(deployment: Deployment, apply_id: str) -> engine.Applied:
    """Apply on the deployment's own clock: a gate's time passes at once."""
    assert isinstance(deployment.clock, VirtualClock)
    work = engine.apply(deployment, apply_id=apply_id, owner=this_process(), digest=None, report=lambda event: None)
    return deployment.clock.run(work)


def test_the_manifest_is_written_only_after_every_entity_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment, health = with_health(tmp_path, True, monkeypatch)
    applied = apply(deployment)
    assert len(health.heard) == 2, "after the gateway's own wave, and at the end"
    assert health.heard[-1] == applied.made == len(health.world.there)
    assert state(deployment) == ("ok", 1)


def test_a_gate_that_stays_closed_fails_the_apply_and_leaves_no_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment, health = with_health(tmp_path, False, monkeypatch)
    with pytest.raises(GateClosed, match="gateway/gateway-1 is not well after 60 s: answers 503"):
        wait(deployment, "a1")
    assert deployment.clock.monotonic() >= GATE_TIMEOUT_S
    assert state(deployment) == ("failed", 0)
    made, index = len(health.world.made), deployment.secrets.index()
    health.well = True
    assert apply(deployment).made == len(health.world.made) - made, "what is made stays made"
    assert state(deployment) == ("ok", 1)
    assert deployment.secrets.index() == index, "secrets are made once"


def test_after_the_last_gate_closed_the_next_apply_asks_again_and_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment, health = with_health(tmp_path, False, monkeypatch)
    monkeypatch.setattr(engine.waves, "_started", lambda *_: ())  # so that only the last gate asks
    for apply_id in ("a1", "a2"):
        with pytest.raises(GateClosed):
            wait(deployment, apply_id)
        assert state(deployment) == ("failed", 0)
    made = list(health.world.made)
    health.well = True
    assert [(done.made, done.generation) for done in (apply(deployment), apply(deployment))] == [(0, 1), (0, 1)]
    assert health.world.made == made
    assert state(deployment) == ("ok", 1)


def test_all_as_declared_where_we_could_look_is_not_all_as_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment, _ = with_health(tmp_path, True, monkeypatch)
    apply(deployment)
    whole = deployment.drivers

    def blind(view: engine.SecretView) -> Mapping[str, Driver]:
        return {**whole(view), CHAIN: Blind(CHAIN)}  # type: ignore[dict-item]  # nothing is applied there

    with pytest.raises(Refused, match="chain could not be looked at: no answer from the chain"):
        apply(replace(deployment, drivers=blind))
    assert state(deployment) == ("ok", 1)
