"""Stop an environment, here and on the hosts that SSH reaches; purge removes all that it left."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from cortops.deploy.deployment import Deployment
from cortops.deploy.lock import Owner
from cortops.targets.ask import ask
from cortops.targets.quoting import quote
from cortops.targets.supervisord import Supervisord
from cortops.targets.systemd import Systemd
from cortops.targets.target import Target
from cortops.words.errors import StepFailed

DOWN_TIMEOUT_S = 90.0
NOT_RUNNING = 3

_PURGE = """
[ -d "$root" ] || exit 0
[ -e "$root/journal.jsonl" ] || [ -d "$root/secrets" ] || [ -e "$root/drills.jsonl" ] || {
  echo "$root does not look like an environment of cortops" >&2; exit 1; }
rm -rf "$root"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """was_running: whether there was anything to stop. purged: whether its folder was removed."""

    was_running: bool
    purged: bool


async def down(
    deployment: Deployment,
    target: Target,
    manager: Supervisord,
    *,
    targets: Mapping[str, Target],
    owner: Owner,
    apply_id: str,
    purge: bool,
) -> Stopped:
    """Stop every service, here the service manager last; data stays unless `purge`. Raises LockHeld while an apply is under way.

    targets: by name; those of hosts by SSH that run our programs are stopped too, all at once, before this machine.
    """
    units = {name: one for name, one in deployment.managers.items() if isinstance(one, Systemd)}
    async with deployment.lock.held(owner, apply_id):
        ran = await asyncio.gather(*(_stop_units(targets[name], one) for name, one in units.items()))
        was_running = await _stop_here(target, manager) or any(ran)
    if purge:
        await asyncio.gather(*(_told(targets[name], one.purge_program, f"{one.root} could not be removed") for name, one in units.items()))
        await _told(target, f"root={quote(manager.root)}\n{_PURGE}", f"{manager.root} could not be removed")
    return Stopped(was_running=was_running, purged=purge)


async def _stop_here(target: Target, manager: Supervisord) -> bool:
    """Whether there was anything to stop."""
    said = await ask(target, f'{manager.prelude}\nsupervisor_client "$supervisor_run/supervisor.sock" shutdown', DOWN_TIMEOUT_S)
    if not said.ok and said.why != f"exit status {NOT_RUNNING}":
        raise StepFailed(f"{target.name} did not stop: {said.out[-1] if said.out else said.why}", where=manager.root)
    return said.ok


async def _stop_units(target: Target, manager: Systemd) -> bool:
    return "stopped" in await _told(target, manager.stop_program, f"{target.name} did not stop")


async def _told(target: Target, program: str, failed: str) -> tuple[str, ...]:
    """What the program printed. StepFailed, in these words, when it did not succeed."""
    said = await ask(target, program, DOWN_TIMEOUT_S)
    if not said.ok:
        raise StepFailed(f"{failed}: {said.why}", where=target.name)
    return said.out
