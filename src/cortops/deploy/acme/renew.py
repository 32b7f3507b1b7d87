"""Renewal alone: what an apply would do for certificates that are old, and nothing else that waits to be applied."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from cortops import surfaces
from cortops.deploy import apply as waves
from cortops.deploy.acme.plan import PLACE
from cortops.deploy.apply import StepTold, WaveBegun, WaveWell
from cortops.deploy.deployment import GATE_TIMEOUT_S, Deployment, Look, look
from cortops.deploy.gate import wait_until_well
from cortops.deploy.going_back import content_of
from cortops.deploy.lock import Owner
from cortops.deploy.manifest import Manifest, next_generation
from cortops.words.change import Action, Change, Plan
from cortops.words.entity import Entity
from cortops.words.errors import Refused, StoreUnavailable
from cortops.words.resource import Certificate, File, SecretRef, Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """hostnames: whose certificates are new, served and well. generation: which holds that."""

    hostnames: tuple[str, ...]
    generation: int


async def renew(deployment: Deployment, *, apply_id: str, owner: Owner) -> Renewed | None:
    """Renew what has less than a third of its life left: obtain, write the files, reload nginx, wait until that is well.

    None where nothing is due. Raises as an apply does: NotAllowed, LockHeld, StepFailed, GateClosed; Refused where nginx waits for more
    than a reload, or nothing has been applied yet. A certificate that was never obtained is left to an apply, which asks people.
    """
    deployment.lock.demand_allowed(owner)
    if not _due(await look(deployment)):
        return None
    async with deployment.lock.held(owner, apply_id):
        seen = await look(deployment)
        if seen.latest is None or seen.cut_off is not None:
            raise Refused("an apply was cut off, or was never made", next=f"Run: cortops apply {deployment.env.file}")
        due = _due(seen)
        await deployment.journal.begin(
            apply_id, by=owner.who, via=owner.via, digest=seen.plan.digest, tool_version=deployment.tool_version, accepted=(), to=None
        )
        try:
            await _make(deployment, seen, due, apply_id)
            after = await look(deployment)
            await _make(deployment, after, _follows(after, _secrets(seen, due)), apply_id)
            await deployment.manifests.write(_manifest(deployment, after, due, apply_id, owner))
        except BaseException:
            with suppress(StoreUnavailable):
                await deployment.journal.finish(apply_id, "failed")
            raise
        await deployment.journal.finish(apply_id, "ok")
    names = tuple(item.hostname for change in due if isinstance(item := seen.items[waves.key_of(change)].resource, Certificate))
    return Renewed(hostnames=names, generation=next_generation(seen.latest))


def _due(seen: Look) -> tuple[Change, ...]:
    return tuple(change for change in seen.plan.changes if change.target == PLACE and change.action is Action.UPDATE)


def _secrets(seen: Look, due: Sequence[Change]) -> frozenset[str]:
    resources = (seen.items[waves.key_of(change)].resource for change in due)
    return frozenset(item.secret for item in resources if isinstance(item, Certificate))


def _follows(seen: Look, secrets: Collection[str]) -> tuple[Change, ...]:
    """The files that hold what was renewed, and the reload of who reads them."""
    files: dict[str, Change] = {}
    for change in seen.plan.changes:
        item = seen.items[waves.key_of(change)].resource
        if isinstance(item, File) and any(isinstance(part, SecretRef) and _of(part) in secrets for part in item.content):
            files[item.key] = change
    readers = []
    for change in seen.plan.changes:
        item = seen.items[waves.key_of(change)].resource
        if isinstance(item, Service) and item.reload is not None and not files.keys().isdisjoint(item.reload.on):
            if change.action is not Action.RELOAD:
                why = f"{item.id} on {item.place} waits for more than a reload: {change.reason}"
                raise Refused("the new certificate is kept, and not served yet", where=item.place, why=why, next="Run: cortops apply")
            readers.append(change)
    return (*files.values(), *readers)


def _of(part: SecretRef) -> str:
    return part.name.rpartition(":")[2] if part.is_public else part.name


async def _make(deployment: Deployment, seen: Look, changes: Sequence[Change], apply_id: str) -> None:
    """These changes of the plan, then the checks of the hostnames that they are about."""
    part = replace(seen.plan, changes=tuple(changes))
    site = deployment.site(seen.view)
    about = frozenset(seen.items[waves.key_of(change)].resource.entity for change in changes)
    obtains = any(change.target == PLACE for change in changes)
    checks = () if obtains else tuple(check for check in surfaces.checks(deployment.env, site) if check.entity in about)
    questions = surfaces.questions(deployment.env, site)

    async def gate(started: Sequence[Entity], last: bool) -> None:
        if last and checks:
            await wait_until_well(tuple(about), checks, questions, deployment.ask, deployment.clock, deadline_s=GATE_TIMEOUT_S)

    if changes:
        await waves.apply(_whole(part), seen.items, deployment.drivers(seen.view.for_apply()), gate, _untold, apply_id)


def _whole(part: Plan) -> Plan:
    """Its waves as they were, in order."""
    return replace(part, changes=tuple(sorted(part.changes, key=lambda change: change.wave)))


def _untold(event: WaveBegun | StepTold | WaveWell) -> None:
    """Nobody looks on; the log tells the end."""


def _manifest(deployment: Deployment, after: Look, due: Sequence[Change], apply_id: str, owner: Owner) -> Manifest:
    """What the newest one holds, with the files as they are now. It goes back to where that one does: nothing else has changed."""
    assert after.latest is not None
    moved = _follows(after, _secrets(after, due))
    fresh = {waves.key_of(change): after.items[waves.key_of(change)] for change in moved}
    return replace(
        after.latest,
        generation=next_generation(after.latest),
        apply=apply_id,
        at=deployment.clock.now(),
        by=owner.who,
        digest=after.plan.digest,
        tool_version=deployment.tool_version,
        resources=tuple(fresh.get(item.resource.key, item) for item in after.latest.resources),
        restores=content_of(after.latest),
    )
