"""`cortops leave`: take what is ours off a host. Its nodes keep running, with the programs that were found there."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

import cortops
from cortops.cli.common import Common, environment, new_apply_id
from cortops.cli.fleet import fleet
from cortops.cli.output import joined, show, show_json, table
from cortops.deploy.host_state import host_state
from cortops.deploy.leave import Leaving, left_to_write, look_leaving
from cortops.deploy.leave import leave as remove
from cortops.deploy.lock import this_process
from cortops.environment.declared import Environment
from cortops.words.errors import UnknownName
from cortops.words.resource import Blob

PENDING = 3


def leave(
    host: str,
    file: Path | None = None,
    /,
    *,
    yes: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Remove our own folder from a host: copies, programs that were sent, journal and generations. Nodes there keep their pids.

    Without --yes it only shows what would go, and exits 3. Refused while a node there runs a program of ours.

    Parameters
    ----------
    host
        The host's name in the environment file.
    file
        The environment file; default ./cortops.yaml.
    yes
        Do it.
    """
    env = environment(file, common)
    if host not in env.hosts:
        raise UnknownName(f"{host} is no host of {env.file}", next=f"It has: {joined(env.hosts, 8)}")
    seen = asyncio.run(_run(env, host, common, do=yes))
    if common.json:
        show_json({**asdict(seen), "done": yes or not seen.files})
    else:
        show(as_text(env, seen, done=yes))
    return PENDING if seen.files and not yes else 0


async def _run(env: Environment, host: str, common: Common, *, do: bool) -> Leaving:
    async with fleet({host: env.hosts[host]}, common) as place:
        state = host_state(place.targets[host], env.name, place.clock, _never_sent, env.rules.apply.by)
        seen = await look_leaving(state, cortops.__version__)
        return await remove(state, this_process(), new_apply_id(), cortops.__version__) if do and seen.files else seen


def _never_sent(blob: Blob) -> Path:
    raise AssertionError(f"{blob.path} is not sent to a host that is left")


def as_text(env: Environment, seen: Leaving, *, done: bool) -> str:
    """What goes or went, what stays, and what is left to do in the file."""
    if not seen.files:
        return f"Nothing to do: {seen.host} holds nothing of ours."
    lines = [f"{seen.root} on {seen.host}: {seen.files} files, {seen.mib} MiB{', removed' if done else ''}"]
    lines.append(table([(name, f"runs on with {program[:6]}, pid {pid}") for name, program, pid in seen.nodes], "  "))
    if not done:
        lines.append(f"No node is restarted. There is no way back from this.    next: cortops leave {seen.host} {env.file} --yes")
        return "\n".join(lines)
    named = [name for name, node in env.installed.items() if node.host == seen.host and node.release is not None]
    lines.append(f"next: {left_to_write(named, env.file)}" if named else "Nothing of ours is left there.")
    return "\n".join(lines)
