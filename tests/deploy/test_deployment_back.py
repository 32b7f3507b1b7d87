"""Who may apply, what must be accepted first, and the way back to a generation: engine, lock, journal and manifests are real."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.test_deployment import World, deployment_in, no_gate, state

from cortops.deploy import deployment as engine
from cortops.deploy.deployment import Deployment
from cortops.deploy.host_state import apply_host, host_state
from cortops.deploy.limits import Accepted
from cortops.deploy.lock import Lock, this_process
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.environment.rules import ApplyRules, Rules
from cortops.surfaces.chain.render import PLACE as CHAIN
from cortops.targets.local import LocalTarget
from cortops.testing.clock import VirtualClock
from cortops.words.errors import ArtifactUnavailable, NotAccepted, NotAllowed, StepFailed
from cortops.words.resource import Blob

pytestmark = pytest.mark.real  # real shells and their tools, hundreds of processes

IDS = itertools.count(1)

__all__ = ["no_gate"]  # the fixture


def apply(deployment: Deployment, *, accepted: Accepted = Accepted()) -> engine.Applied:  # noqa: B008 — frozen
    """Each apply has an id of its own, as on the command line."""
    run = engine.apply(
        deployment, apply_id=f"a{next(IDS)}", owner=this_process(), digest=None, report=lambda event: None, accepted=accepted
    )
    return asyncio.run(run)


def back(now: Deployment, generation: int) -> Deployment:
    """The deployment that goes back, as the command line makes it."""
    goal = asyncio.run(now.manifests.read(generation))
    assert goal is not None
    then = load(goal.declared, now.env.file)
    assert isinstance(then, Environment)
    return engine.back_to(goal, now, replace(now, env=then))


def begun(deployment: Deployment) -> Any:
    return [entry for entry in asyncio.run(deployment.journal.read()) if entry.event == "begun"][-1]


def attributes(world: World) -> dict[str, dict[str, str]]:
    return {key: dict(value) for key, value in world.there.items() if not key.startswith(f"{CHAIN} ")}


def gateway_edit(deployment: Deployment) -> Deployment:
    """Another limit of the gateway: its configuration changes, and its processes read it again."""
    text = deployment.env.text.replace("[completion], request_timeout_s: 480", "[completion], request_timeout_s: 470")
    env = load(text, deployment.env.file)
    assert isinstance(env, Environment) and text != deployment.env.text
    return replace(deployment, env=env)


def test_one_who_may_not_apply_is_refused_before_anything_is_looked_at_or_written(tmp_path: Path, no_gate: None) -> None:
    world = World()
    made = deployment_in(tmp_path, world)
    lock = Lock(LocalTarget("here"), str(tmp_path / "state"), VirtualClock(), ("alice@laptop", "bob@ops"))
    with pytest.raises(NotAllowed, match="may not change this environment") as refused:
        apply(replace(made, lock=lock))
    assert refused.value.why == "rules.apply.by names alice@laptop, bob@ops"
    assert world.made == [] and not (tmp_path / "state").exists()
    mine = Lock(LocalTarget("here"), str(tmp_path / "state"), VirtualClock(), ("alice@laptop", this_process().who))
    assert apply(replace(made, lock=mine)).generation == 1


def test_nor_does_such_a_one_change_a_host_with_adopted_nodes() -> None:
    state = host_state(LocalTarget("h1"), "of-this-test", VirtualClock(), lambda blob: Path("/nowhere"), ("alice@laptop",))
    work = apply_host(
        state,
        lambda record: pytest.fail("it was looked at"),
        apply_id="a1",
        owner=this_process(),
        tool_version="1",
        report=lambda event: None,
    )
    with pytest.raises(NotAllowed):
        asyncio.run(work)
    assert not Path(state.root).exists()


def on_a_chain_of_others(deployment: Deployment) -> Deployment:
    network = deployment.env.network.model_copy(update={"development": False})
    return replace(deployment, env=replace(deployment.env, network=network))


def test_what_cannot_come_back_is_refused_before_anything_is_fetched_or_written(
    tmp_path: Path, no_gate: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    made = on_a_chain_of_others(deployment_in(tmp_path, world))
    with monkeypatch.context() as patched:
        patched.setattr(engine, "fetch_missing", lambda *_: pytest.fail("something was fetched"))
        with pytest.raises(NotAccepted) as refused:
            apply(made)
    digest = asyncio.run(engine.look(made)).whole.digest[:12]
    assert "a contract stays on its chain for ever" in refused.value.why
    assert refused.value.next == f"If you mean it: cortops apply {made.env.file} --plan {digest} --accept-irreversible"
    assert world.made == [] and not (tmp_path / "state").exists() and made.secrets.names() == ()
    assert apply(made, accepted=Accepted(irreversible=True)).generation == 1
    assert (begun(made).accepted, begun(made).tool_version) == (("--accept-irreversible",), "1")


def test_a_plan_over_a_limit_is_refused_and_the_edit_of_the_rule_allows_it(tmp_path: Path, no_gate: None) -> None:
    world = World()
    made = deployment_in(tmp_path, world)
    apply(made)
    few = Rules(apply=ApplyRules(deletes_max=1))
    smaller = gateway_edit(made)
    smaller = replace(smaller, env=replace(smaller.env, rules=few, proxy={}))
    with pytest.raises(NotAccepted) as refused:
        apply(smaller)
    assert refused.value.why.startswith("deletes ") and "rules.apply.deletes_max is 1" in refused.value.why
    assert refused.value.next.endswith(" --accept-large")
    allowed = replace(smaller, env=replace(smaller.env, rules=Rules()))
    assert apply(allowed).generation == 2


def test_going_back_brings_all_of_it_back_and_is_a_generation_of_its_own(tmp_path: Path, no_gate: None) -> None:
    world = World()
    first = deployment_in(tmp_path, world)
    apply(first)
    was = attributes(world)
    second = gateway_edit(first)
    assert apply(second).generation == 2
    assert attributes(world) != was
    going = back(second, 1)
    done = apply(going)
    assert (done.generation, attributes(world)) == (3, was)
    latest = asyncio.run(second.manifests.latest())
    assert latest is not None and (latest.restores, latest.declared) == (1, first.env.text)
    assert {item.resource.place for item in latest.resources} == {"here", CHAIN}, "what is on chain is recorded on"
    assert begun(second).to == 1
    assert apply(going).made == 0 and state(second)[1] == 3, "a second time there is nothing to do"
    assert asyncio.run(engine.look(second)).plan.changes, "the file still says otherwise, and plan shows it"
    assert asyncio.run(engine.look(first)).plan.changes == ()


@pytest.mark.parametrize("step", range(6))
def test_a_going_back_that_fails_anywhere_is_finished_by_the_next_one(tmp_path: Path, no_gate: None, step: int) -> None:
    world = World()
    first = deployment_in(tmp_path, world)
    apply(first)
    was = attributes(world)
    second = gateway_edit(first)
    apply(second)
    changes = asyncio.run(engine.look(back(second, 1))).plan.changes
    assert len(changes) == 6
    world.fails = changes[step].resource
    with pytest.raises(StepFailed) as failed:
        apply(back(second, 1))
    assert f"{step} of {len(changes)} changes are made, and stay" in failed.value.why
    last = asyncio.run(second.journal.last_apply())
    assert last is not None and (last.finished, last.to) == ("failed", 1)
    world.fails = ""
    assert apply(back(second, 1)).generation == 3
    assert attributes(world) == was


def test_what_we_packed_ourselves_comes_from_the_cache_and_only_its_version_can_make_it_anew(tmp_path: Path) -> None:
    made = deployment_in(tmp_path, World())
    seen = asyncio.run(engine.look(made))
    packed = replace(made, env=replace(made.env, releases={}), tool_version="1.4")  # as if none of its files were declared anywhere
    with pytest.raises(ArtifactUnavailable, match="is not in the cache any more") as failed:
        asyncio.run(engine.fetch_missing(packed, seen, lambda event: None))
    assert failed.value.next.startswith("Run this with cortops 1.4, which packs it anew")
    (made.cache / "artifacts").mkdir(parents=True)
    for item in seen.desired:
        if isinstance(item.resource, Blob):
            (made.cache / "artifacts" / item.resource.sha256).touch()
    asyncio.run(engine.fetch_missing(packed, seen, lambda event: pytest.fail("something was fetched")))


def test_a_failed_apply_says_what_is_made_and_both_ways_on(tmp_path: Path, no_gate: None) -> None:
    world = World()
    first = deployment_in(tmp_path, world)
    apply(first)
    was = attributes(world)
    second = gateway_edit(first)
    world.fails = "service:gateway-1"
    with pytest.raises(StepFailed) as failed:
        apply(second)
    assert "changes are made, and stay" in failed.value.why
    assert failed.value.next.endswith(
        f"What is left: cortops plan {second.env.file}. Back to generation 1 instead: cortops rollback {second.env.file}"
    )
    world.fails = ""
    assert apply(back(second, 1)).generation == 2
    assert attributes(world) == was
