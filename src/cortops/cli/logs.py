"""`cortops logs NAME`: the log of one service."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.common import Common, environment
from cortops.cli.output import show
from cortops.cli.places import root_of
from cortops.environment.declared import Environment
from cortops.surfaces.proxy.render import SERVICE
from cortops.surfaces.site import log_file
from cortops.targets.ask import once
from cortops.targets.quoting import command, quote
from cortops.targets.target import Exited, Line, Lost, TimedOut
from cortops.words.errors import StepFailed, UnknownName

FOLLOW_S = 86_400.0  # then the host ends it by itself
NO_LOG = 9


def logs(
    name: str,
    file: Path | None = None,
    /,
    *,
    lines: Annotated[int, Parameter(alias="-n")] = 100,
    follow: Annotated[bool, Parameter(alias="-f", negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Print the log of one service.

    Parameters
    ----------
    name
        The node, `gateway-1`, `proxy` or `watch`.
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    lines
        How many lines from the end.
    follow
        Go on as lines come.
    """
    env = environment(file, common)
    host = _host(env, name)
    path = log_file(root_of(env, common, host), name)
    if env.hosts[host].ssh:
        return asyncio.run(_there(env, common, host, name, ("tail", "-n", str(lines), *(["-F"] if follow else []), path)))
    if not Path(path).exists():
        raise UnknownName(f"{name} has written no log yet", where=path, next="cortops up")
    argv = ["tail", "-n", str(lines), *(["-F"] if follow else []), path]
    environ = {"PATH": os.environ.get("PATH", os.defpath)}
    if follow:
        os.execvpe(argv[0], argv, environ)  # becomes it, so that nothing follows on when this process is killed
    return subprocess.run(argv, check=False, env=environ).returncode


async def _there(env: Environment, common: Common, host: str, name: str, argv: tuple[str, ...]) -> int:
    """The same on a host by SSH, line by line."""
    from cortops.cli.fleet import fleet

    path = argv[-1]
    program = f"[ -e {quote(path)} ] || exit {NO_LOG}; exec {command(*argv)}"
    async with fleet({host: env.hosts[host]}, common) as hosts, aclosing(hosts.targets[host].run(program, once(b""), FOLLOW_S)) as said:
        async for item in said:
            match item:
                case Line(text=text):
                    show(text)
                    sys.stdout.flush()
                case Exited(status) if status == NO_LOG:
                    raise UnknownName(f"{name} has written no log yet", where=f"{host}:{path}", next=f"cortops apply {env.file}")
                case Exited(status):
                    return status
                case TimedOut(after_s):
                    raise StepFailed(f"followed for {after_s / 3600:.0f} h, which is the longest", where=host, next="Run it again.")
                case Lost(why):
                    raise StepFailed(f"{host} does not answer any more: {why}", where=host)
    return 0


def _host(env: Environment, name: str) -> str:
    hosts = {node: spec.host for node, spec in env.nodes.items()}
    if env.gateway is not None:
        hosts |= {each.name: each.host for each in env.gateway.instances()}
    if env.portal is not None:
        hosts[env.portal.NAME] = env.portal.on
    if env.monitor is not None:
        hosts[env.monitor.NAME] = env.monitor.on
    if env.proxy:
        hosts[SERVICE] = next(iter(env.proxy.values())).on
    if name not in hosts:
        raise UnknownName(f"there is no service {name}", next=f"known here: {', '.join(hosts)}")
    return hosts[name]
