"""The composition root of every verb: from an environment file to a Deployment on this machine."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

import cortops
from cortops.contracts.rpc import RpcClient
from cortops.deploy.chain_driver import ChainDriver
from cortops.deploy.deployment import Deployment
from cortops.deploy.fetch import cache_root
from cortops.deploy.journal import Journal
from cortops.deploy.lock import Lock
from cortops.deploy.manifest import Manifests
from cortops.deploy.observed import Driver
from cortops.deploy.secrets import SecretStore
from cortops.deploy.target_driver import TargetDriver
from cortops.deploy.wanted import SecretView
from cortops.environment.declared import Environment, shift_ports
from cortops.environment.load import load_file
from cortops.environment.reason import Invalid
from cortops.local.here import data_root, host_here
from cortops.probes.ask import ask
from cortops.protocol.http import HttpClient
from cortops.surfaces.chain.addresses import rpc_url
from cortops.surfaces.chain.render import PLACE as CHAIN
from cortops.targets.local import LocalTarget
from cortops.targets.shell import ask_shell
from cortops.targets.supervisord import Supervisord
from cortops.words.clock import SystemClock
from cortops.words.errors import BadInput
from cortops.words.question import Question, Reply, Shell
from cortops.words.resource import Blob

DEFAULT_FILE = "local.yaml"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What every verb takes.

    Parameters
    ----------
    port_base
        Shift every local port by this, so that two environments run side by side.
    json
        The result as JSON on standard output.
    debug
        Show the traceback of an error.
    """

    port_base: Annotated[int, Parameter(env_var="CORTOPS_PORT_BASE")] = 0
    json: Annotated[bool, Parameter(negative="")] = False
    debug: Annotated[bool, Parameter(negative="")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """A deployment whose only host is this machine, with what `down` and `logs` need besides."""

    deployment: Deployment
    root: Path
    target: LocalTarget
    manager: Supervisord
    http: HttpClient


def environment(file: Path | None, common: Common) -> Environment:
    """The file given, else ./cortops.yaml, else the bundled local.yaml; BadInput with every reason when it is not valid."""
    loaded = load_file(find_file(file))
    if isinstance(loaded, Invalid):
        raise loaded.error()
    return shift_ports(loaded, common.port_base) if common.port_base else loaded


def find_file(file: Path | None) -> Path:
    """Where the environment file is."""
    if file is not None:
        return file
    own = Path("cortops.yaml")
    if own.exists():
        return own
    package = Path(cortops.__file__).parent
    for folder in (package / "examples", package.parent.parent / "examples"):
        if (folder / DEFAULT_FILE).exists():
            return folder / DEFAULT_FILE
    raise BadInput("no environment file given, and none is bundled here", next="Name one: cortops up FILE")


@asynccontextmanager
async def here(env: Environment, common: Common) -> AsyncIterator[Here]:
    """Everything wired for an environment on this machine."""
    name, *others = env.hosts
    if others:
        raise BadInput(f"{env.file} declares {len(env.hosts)} hosts; this version deploys to one, this machine", where=env.file)
    clock = SystemClock()
    root = data_root(os.environ, env.name, common.port_base)
    target = LocalTarget(name)
    manager = Supervisord(str(root), host_here_python())
    cache = cache_root(os.environ)
    http = HttpClient(clock=clock)

    async def ask_targets(_target: str, questions: Sequence[Shell]) -> Mapping[str, Reply]:
        return await ask_shell(target, questions, clock)

    async def ask_all(questions: Sequence[Question]) -> Mapping[str, Reply]:
        return await ask(questions, http, ask_targets, clock)

    def drivers(view: SecretView) -> dict[str, Driver]:
        def secret(name: str) -> str:
            return view.value(name, for_apply=True)

        rpc = RpcClient(rpc_url(env), http, timeout_s=5)
        return {
            name: TargetDriver(target, manager, lambda blob: _cached(cache, blob)),
            CHAIN: ChainDriver(CHAIN, rpc, env.network.chain_id, secret, clock, development=env.network.development),
        }

    deployment = Deployment(
        env=env,
        hosts={name: host_here(name, root, manager)},
        managers={name: manager},
        secrets=SecretStore(root / "secrets", clock, secrets.token_bytes, environment=env.name),
        drivers=drivers,
        lock=Lock(target, str(root), clock),
        journal=Journal(target, str(root)),
        manifests=Manifests(target, str(root)),
        cache=cache,
        ask=ask_all,
        clock=clock,
        tool_version=cortops.__version__,
    )
    try:
        yield Here(deployment=deployment, root=root, target=target, manager=manager, http=http)
    finally:
        await http.close()


def host_here_python() -> str:
    """The interpreter that runs us, and our programs too: always by the same of its names, or every service would look changed."""
    return f"{sys.prefix}/bin/python"


def _cached(cache: Path, blob: Blob) -> Path:
    return cache / "artifacts" / blob.sha256


def new_apply_id() -> str:
    """Sorts by time: `20261124T201500-3f2a`."""
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(2)
