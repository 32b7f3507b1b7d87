"""`cortops logs NAME`: the log of one service."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.common import Common, environment
from cortops.cli.places import host_of
from cortops.environment.declared import Environment
from cortops.surfaces.proxy.render import SERVICE
from cortops.words.errors import UnknownName


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
    path = host_of(env, common, _host(env, name)).log_file(name)
    if not Path(path).exists():
        raise UnknownName(f"{name} has written no log yet", where=path, next="cortops up")
    argv = ["tail", "-n", str(lines), *(["-F"] if follow else []), path]
    environ = {"PATH": os.environ.get("PATH", os.defpath)}
    if follow:
        os.execvpe(argv[0], argv, environ)  # becomes it, so that nothing follows on when this process is killed
    return subprocess.run(argv, check=False, env=environ).returncode


def _host(env: Environment, name: str) -> str:
    hosts = {node: spec.host for node, spec in env.nodes.items()}
    if env.gateway is not None:
        hosts |= dict.fromkeys(env.gateway.ports(), env.gateway.on)
    if env.monitor is not None:
        hosts[env.monitor.NAME] = env.monitor.on
    if env.proxy:
        hosts[SERVICE] = next(iter(env.proxy.values())).on
    if name not in hosts:
        raise UnknownName(f"there is no service {name}", next=f"known here: {', '.join(hosts)}")
    return hosts[name]
