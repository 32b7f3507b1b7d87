"""Stop an environment on this machine; purge removes all that it left."""

from __future__ import annotations

from dataclasses import dataclass

from cortops.deploy.deployment import Deployment
from cortops.deploy.lock import Owner
from cortops.targets.ask import ask
from cortops.targets.quoting import quote
from cortops.targets.supervisord import Supervisord
from cortops.targets.target import Target
from cortops.words.errors import StepFailed

DOWN_TIMEOUT_S = 90.0
NOT_RUNNING = 3

_PURGE = """
[ -d "$root" ] || exit 0
[ -e "$root/journal.jsonl" ] || [ -d "$root/secrets" ] || { echo "$root does not look like an environment of cortops" >&2; exit 1; }
rm -rf "$root"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """was_running: whether there was anything to stop. purged: whether its folder was removed."""

    was_running: bool
    purged: bool


async def down(deployment: Deployment, target: Target, manager: Supervisord, *, owner: Owner, apply_id: str, purge: bool) -> Stopped:
    """Stop every service, the service manager last; data stays unless `purge`. Raises LockHeld while an apply is under way."""
    async with deployment.lock.held(owner, apply_id):
        program = f'{manager.prelude}\nsupervisor_client "$supervisor_run/supervisor.sock" shutdown'
        said = await ask(target, program, DOWN_TIMEOUT_S)
        was_running = said.ok
        if not said.ok and said.why != f"exit status {NOT_RUNNING}":
            raise StepFailed(f"{target.name} did not stop: {said.out[-1] if said.out else said.why}", where=manager.root)
    if purge:
        said = await ask(target, f"root={quote(manager.root)}\n{_PURGE}", DOWN_TIMEOUT_S)
        if not said.ok:
            raise StepFailed(f"{manager.root} could not be removed: {said.why}", where=manager.root)
    return Stopped(was_running=was_running, purged=purge)
