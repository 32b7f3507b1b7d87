"""`cortops down`: stop an environment, here and on its hosts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.common import Common, environment, new_apply_id
from cortops.cli.compose import here
from cortops.cli.output import show, show_json
from cortops.deploy.lock import this_process
from cortops.local.down import down as stop
from cortops.local.here import demand_writable


def down(
    file: Path | None = None,
    /,
    *,
    purge: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Stop the programs of an environment, here and on its hosts; their data stays.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    purge
        Remove its data too: chain, keys, usage, secrets, logs.
    """
    env = environment(file, common)

    async def run() -> int:
        async with here(env, common, only_asks=True) as place:
            if not place.root.exists() and not any(env.hosts[name].ssh for name in env.own_hosts):
                _tell(common, env.name, was_running=False, purged=False, text=f"Nothing to do: {env.name} is not on this machine.")
                return 0
            demand_writable(place.root)
            stopped = await stop(
                place.deployment,
                place.target,
                place.manager,
                targets=place.targets,
                owner=this_process(),
                apply_id=new_apply_id(),
                purge=purge,
            )
            did = "stopped" if stopped.was_running else "was not running"
            rest = "its data is removed" if stopped.purged else "its data stays (--purge removes it)"
            _tell(common, env.name, was_running=stopped.was_running, purged=stopped.purged, text=f"{env.name} {did}; {rest}.")
            return 0

    return asyncio.run(run())


def _tell(common: Common, name: str, *, was_running: bool, purged: bool, text: str) -> None:
    if common.json:
        show_json({"environment": name, "was_running": was_running, "purged": purged})
    else:
        show(text)
