"""One apply from look to manifest: real lock, journal and manifests in a folder of its own, scripted drivers, no gate."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.surfaces.stage import example, site_of

from cortops.deploy import deployment as engine
from cortops.deploy.deployment import Deployment
from cortops.deploy.journal import Journal
from cortops.deploy.lock import Lock, this_process
from cortops.deploy.manifest import Manifests
from cortops.deploy.observed import Absent, Desired, Driver, Observed, Present, Progress, Step
from cortops.deploy.secrets import SecretStore
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.wanted import Kind, SecretView
from cortops.surfaces.chain.render import PLACE as CHAIN
from cortops.targets.local import LocalTarget
from cortops.targets.supervisord import Supervisord
from cortops.testing.clock import VirtualClock
from cortops.words.change import Action
from cortops.words.errors import LockHeld, PlanChanged, PortTaken, StepFailed
from cortops.words.resource import Blob

pytestmark = pytest.mark.real  # real shells and their tools, hundreds of processes


@dataclass
class World:
    """What exists, as both drivers see it; `made` is what they were asked to do."""

    there: dict[str, Mapping[str, str]] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    fails: str = ""
    blocked: str = ""

    def driver(self, place: str) -> Driver:
        return _Scripted(place, self)


@dataclass
class _Scripted:
    place: str
    world: World

    async def observe(self, desired: Sequence[Desired]) -> Mapping[str, Observed]:
        blocked = self.world.blocked
        return {
            item.resource.key: Present(self.world.there[item.resource.key])
            if item.resource.key in self.world.there
            else Absent(blocked=f"port 1 is taken by {blocked}" if blocked and "service:" in item.resource.key else "")
            for item in desired
        }

    async def apply(self, steps: Sequence[Step], apply_id: str) -> AsyncGenerator[Progress, None]:
        for step in steps:
            key = step.desired.resource.key
            if self.world.fails and self.world.fails in key:
                yield Progress(key=key, event="failed", text="no")
                return
            self.world.made.append(key)
            self.world.there[key] = dict(step.desired.attributes)
            if step.action is Action.DELETE:
                del self.world.there[key]
            yield Progress(key=key, event="done")


def deployment_in(root: Path, world: World) -> Deployment:
    """The bundled environment with its model and chain in the cache already, and no check to pass: gates have tests of their own."""
    env, clock, target = example(), VirtualClock(), LocalTarget("here")
    cache = root / "cache"
    return Deployment(
        env=env,
        hosts=site_of(env).hosts,
        managers={"here": Supervisord("/srv/local", "/py/bin/python")},
        secrets=SecretStore(
            root / "secrets", clock, lambda count: hashlib.sha512(str(root).encode()).digest()[:count], environment=env.name
        ),
        drivers=lambda _view: {"here": world.driver("here"), CHAIN: world.driver(CHAIN)},
        lock=Lock(target, str(root / "state"), clock),
        journal=Journal(target, str(root / "state")),
        manifests=Manifests(target, str(root / "state")),
        cache=cache,
        ask=_nothing_answers,
        clock=clock,
        tool_version="1",
    )


def _random_bytes(count: int) -> bytes:
    return hashlib.sha512(b"of this test").digest()[:count]


async def _nothing_answers(questions: object) -> dict[str, object]:
    return {}


@pytest.fixture
def no_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.surfaces, "checks", lambda env, site: ())
    monkeypatch.setattr(engine, "fetch_missing", _fetch_nothing)


async def _fetch_nothing(*_: object) -> None:
    return None


def apply(deployment: Deployment, digest: str | None = None) -> engine.Applied:
    return asyncio.run(engine.apply(deployment, apply_id="a1", owner=this_process(), digest=digest, report=lambda event: None))


def state(deployment: Deployment) -> tuple[str | None, int]:
    """(how the last apply ended, how many generations there are)."""

    async def read() -> tuple[str | None, int]:
        last, kept = await deployment.journal.last_apply(), await deployment.manifests.generations()
        return last.finished if last else None, len(kept)

    return asyncio.run(read())


def test_an_apply_makes_all_and_the_next_one_nothing(tmp_path: Path, no_gate: None) -> None:
    world = World()
    deployment = deployment_in(tmp_path, world)
    seen = asyncio.run(engine.look(deployment))
    assert not seen.view.complete and world.made == [] and not (tmp_path / "secrets").exists(), "looking changes nothing"
    first = apply(deployment, seen.plan.digest)
    assert first.made == len(world.made) == len(seen.plan.changes) and first.generation == 1
    assert state(deployment) == ("ok", 1)
    assert set(deployment.secrets.names()) == {want.name for want in secrets_of(deployment.env)}
    again = apply(replace(deployment, tool_version="2"))
    assert (again.made, again.generation, state(deployment)[1]) == (0, 1, 1)


def test_a_plan_that_no_longer_holds_is_not_made(tmp_path: Path, no_gate: None) -> None:
    world = World()
    deployment = deployment_in(tmp_path, world)
    digest = asyncio.run(engine.look(deployment)).plan.digest
    world.there["here directory:/srv/local"] = {"mode": "777"}  # somebody was here
    with pytest.raises(PlanChanged):
        apply(deployment, digest)
    assert world.made == [] and deployment.secrets.names() == ()


def test_a_taken_port_refuses_before_anything_is_made(tmp_path: Path, no_gate: None) -> None:
    world = World(blocked="pid 7 (nginx)")
    deployment = deployment_in(tmp_path, world)
    with pytest.raises(PortTaken, match=r"port 1 is taken by pid 7 \(nginx\)"):
        apply(deployment)
    assert world.made == [] and state(deployment) == (None, 0)


def test_a_failed_step_is_journaled_and_leaves_no_manifest_and_the_next_apply_finishes(tmp_path: Path, no_gate: None) -> None:
    world = World(fails="service:engine-1")
    deployment = deployment_in(tmp_path, world)
    with pytest.raises(StepFailed, match="service:engine-1 could not be made on here: no"):
        apply(deployment)
    assert state(deployment) == ("failed", 0)
    done = len(world.made)
    world.fails = ""
    assert apply(deployment).made == len(world.there) - done
    assert state(deployment) == ("ok", 1)


def test_two_at_once_are_refused(tmp_path: Path, no_gate: None) -> None:
    deployment = deployment_in(tmp_path, World())

    async def run() -> None:
        async with deployment.lock.held(this_process(), "other"):
            with pytest.raises(LockHeld):
                await engine.apply(deployment, apply_id="a1", owner=this_process(), digest=None, report=lambda event: None)

    asyncio.run(run())


def test_where_nothing_is_to_do_another_one_that_applies_is_not_in_the_way(tmp_path: Path, no_gate: None) -> None:
    deployment = deployment_in(tmp_path, World())
    apply(deployment)

    async def beside() -> engine.Applied:
        async with deployment.lock.held(this_process(), "other"):
            return await engine.apply(deployment, apply_id="mine", owner=this_process(), digest=None, report=lambda event: None)

    assert asyncio.run(beside()).made == 0


def test_the_secrets_of_an_environment_are_those_that_its_declaration_names() -> None:
    wanted = {want.name: want for want in secrets_of(example())}
    assert [name for name, want in wanted.items() if want.kind is Kind.WALLET] == [
        "deployer/key",
        "router-1/key",
        "router-2/key",
        "miner-1/key",
        "miner-2/key",
        "miner-3/key",
        "oracle-1/key",
        "validator-1/key",
    ]
    assert [name for name, want in wanted.items() if want.kind is Kind.TOKEN] == [
        "smollm2/api-key",  # one for both routers of a pool
        "portal/session-key",
    ]
    certificate = wanted["tls/gateway.localhost"]
    assert (certificate.signed_by, "127.0.0.1" in certificate.hosts) == ("local-ca", True)


def test_only_what_a_target_lacks_is_fetched(tmp_path: Path) -> None:
    """Blobs that are there already need no cache: a damaged or empty one does not matter then."""
    world = World()
    deployment = deployment_in(tmp_path, world)
    seen = asyncio.run(engine.look(deployment))
    for item in seen.desired:
        if isinstance(item.resource, Blob):
            world.there[item.resource.key] = dict(item.attributes)
    again = asyncio.run(engine.look(deployment))
    asyncio.run(engine.fetch_missing(deployment, again, lambda event: pytest.fail("nothing is to be fetched")))
    assert isinstance(again.view, SecretView)


def test_an_apply_that_was_cut_off_is_finished_and_said(tmp_path: Path, no_gate: None) -> None:
    deployment = deployment_in(tmp_path, World())
    asyncio.run(deployment.journal.begin("a0", by="ops@laptop", digest="d"))
    notes = apply(deployment).notes
    assert notes == ("the apply a0 by ops@laptop was cut off after 0 steps; this one does what is left",)
    assert apply(deployment).notes == ()
