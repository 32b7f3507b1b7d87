"""Renewal alone: certificates that are old, their files, a reload; nothing else that waits to be applied."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.deploy.acme.test_plan import HOSTNAME, PUBLIC, SECRET, deployment_with, no_gate, seed
from tests.deploy.test_deployment import World

from cortops.deploy import authority
from cortops.deploy import deployment as engine
from cortops.deploy.acme.plan import CERTIFICATE_WELL
from cortops.deploy.acme.renew import Renewed, renew
from cortops.deploy.deployment import Deployment
from cortops.deploy.limits import Accepted
from cortops.deploy.lock import Lock, this_process
from cortops.targets.local import LocalTarget
from cortops.words.errors import NotAllowed, Refused, StepFailed

CERTIFICATE = f"acme certificate:{HOSTNAME}"
PEM, KEY = (f"here file:/srv/local/etc/tls/{HOSTNAME}.{ending}" for ending in ("pem", "key"))
PROXY = "here service:proxy"
__all__ = ["no_gate"]


def applied(root: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """An environment that is all as declared; every certificate that it asks for from now on is another one."""
    deployment = deployment_with(root, world)
    real, given = engine.waves.apply, iter(range(100))

    async def obtained(*args: object) -> int:
        before = len(world.made)
        made = await real(*args)  # type: ignore[arg-type]
        if CERTIFICATE in world.made[before:]:
            one = authority.issue(PUBLIC, [HOSTNAME], deployment.clock.now(), seed(f"given {next(given)}"))
            deployment.secrets.obtained(SECRET, one.certificate + one.key)
        return made

    monkeypatch.setattr(engine.waves, "apply", obtained)
    accepted = Accepted(irreversible=True)
    asyncio.run(engine.apply(deployment, apply_id="a1", owner=this_process(), digest=None, report=lambda event: None, accepted=accepted))
    world.made.clear()
    return deployment


def renewed(deployment: Deployment) -> Renewed | None:
    return asyncio.run(renew(deployment, apply_id="r1", owner=this_process()))


def test_what_is_not_due_is_left_alone_and_what_is_due_is_all_that_changes(
    tmp_path: Path, no_gate: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    deployment = applied(tmp_path, world, monkeypatch)
    assert renewed(deployment) is None and world.made == []

    world.there[CERTIFICATE] = {"days_left": "29 of 90"}
    world.there["here file:/srv/local/etc/nginx.conf"] = {"sha256": "edited", "mode": "644"}  # waits for an apply
    before = deployment.secrets.publics([])
    assert renewed(deployment) == Renewed(hostnames=(HOSTNAME,), generation=2)
    assert world.made == [CERTIFICATE, PEM, KEY, PROXY]
    assert world.there[CERTIFICATE] == CERTIFICATE_WELL and before == {}
    left = [change.resource for change in asyncio.run(engine.look(deployment)).plan.changes]
    assert left[0] == "file:/srv/local/etc/nginx.conf" and not [name for name in left if "tls" in name or "certificate" in name]
    latest = asyncio.run(deployment.manifests.latest())
    assert latest is not None and latest.restores == 1  # going back leads past it
    kept = {item.resource.key: dict(item.attributes) for item in latest.resources}
    assert kept[PEM] == world.there[PEM] and kept[PROXY] == world.there[PROXY]
    journaled = asyncio.run(deployment.journal.last_apply())
    assert journaled is not None and journaled.finished == "ok"


def test_one_that_fails_is_journaled_and_tried_again(tmp_path: Path, no_gate: None, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    deployment = applied(tmp_path, world, monkeypatch)
    world.there[CERTIFICATE] = {"days_left": "29 of 90"}
    world.fails = CERTIFICATE
    with pytest.raises(StepFailed):
        renewed(deployment)
    journaled = asyncio.run(deployment.journal.last_apply())
    assert journaled is not None and journaled.finished == "failed"
    world.fails = ""
    assert renewed(deployment) == Renewed(hostnames=(HOSTNAME,), generation=2)


def test_nothing_is_restarted_and_nobody_acts_who_may_not(tmp_path: Path, no_gate: None, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    deployment = applied(tmp_path, world, monkeypatch)
    world.there[CERTIFICATE] = {"days_left": "29 of 90"}
    world.there[PROXY] = {**world.there[PROXY], "definition": "another"}
    with pytest.raises(Refused, match="the new certificate is kept, and not served yet"):
        renewed(deployment)
    assert PROXY not in world.made

    held = Lock(LocalTarget("here"), str(tmp_path / "state"), deployment.clock, by=("somebody@else",))
    with pytest.raises(NotAllowed):
        renewed(replace(deployment, lock=held))
