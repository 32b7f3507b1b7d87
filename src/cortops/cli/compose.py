"""The composition root of every verb: from an environment file to a Deployment, on this machine and on the hosts that SSH reaches."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cortops
from cortops.cli.common import Common
from cortops.contracts.rpc import RpcClient
from cortops.deploy.chain_driver import ChainDriver
from cortops.deploy.deployment import Deployment
from cortops.deploy.fetch import cache_root
from cortops.deploy.fleet_driver import FleetDriver
from cortops.deploy.host_state import host_state
from cortops.deploy.journal import Journal
from cortops.deploy.lock import Lock
from cortops.deploy.manifest import Manifests
from cortops.deploy.observed import Driver
from cortops.deploy.secrets import SecretStore
from cortops.deploy.target_driver import TargetDriver
from cortops.deploy.wanted import SecretView
from cortops.environment.declared import Environment
from cortops.local.here import data_root, host_here
from cortops.probes.ask import ask
from cortops.protocol.http import HttpClient
from cortops.surfaces.chain.addresses import rpc_url
from cortops.surfaces.chain.render import PLACE as CHAIN
from cortops.surfaces.fleet.adopted import adopted_hosts
from cortops.surfaces.judging import Ask
from cortops.targets.local import LocalTarget
from cortops.targets.shell import ask_shell
from cortops.targets.supervisord import Supervisord
from cortops.targets.target import Target
from cortops.words.clock import Clock, SystemClock
from cortops.words.question import Question, Reply, Shell
from cortops.words.resource import Blob

THIS_MACHINE = "this machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """A deployment whose own programs run on this machine, with what `down` and `logs` need besides.

    root, target, manager: of this machine. targets: by name, every declared host.
    """

    deployment: Deployment
    root: Path
    target: LocalTarget
    targets: Mapping[str, Target]
    manager: Supervisord
    http: HttpClient


@asynccontextmanager
async def here(env: Environment, common: Common) -> AsyncIterator[Here]:
    """Everything wired for an environment. Hosts by SSH are connected when they are asked; one that gives no answer hides no other."""
    clock = SystemClock()
    root = data_root(os.environ, env.name, common.port_base)
    target = LocalTarget(this_machine(env))
    manager = Supervisord(str(root), host_here_python())
    cache = cache_root(os.environ)
    async with AsyncExitStack() as stack:
        http = HttpClient(clock=clock)
        stack.push_async_callback(http.close)
        targets: dict[str, Target] = {target.name: target}
        ask_all = _asking(targets, http, clock)
        if by_ssh := {name: host for name, host in env.hosts.items() if host.ssh}:
            from cortops.cli.fleet import asking, fleet  # brings asyncssh, which an environment on one machine does without

            targets |= (await stack.enter_async_context(fleet(by_ssh, common))).targets
            ask_all = asking(targets, http, clock)

        def drivers(view: SecretView) -> dict[str, Driver]:
            def secret(name: str) -> str:
                return view.value(name, for_apply=True)

            rpc = RpcClient(rpc_url(env), http, timeout_s=5)
            chain = ChainDriver(CHAIN, rpc, env.network.chain_id, secret, clock, development=env.network.development)
            return {CHAIN: chain, **host_drivers(env, TargetDriver(target, manager, lambda blob: _cached(cache, blob)), ask_all)}

        deployment = Deployment(
            env=env,
            hosts={name: host_here(name, root, manager) for name in env.own_hosts},
            managers=dict.fromkeys(env.own_hosts, manager),
            secrets=SecretStore(root / "secrets", clock, secrets.token_bytes, environment=env.name),
            drivers=drivers,
            lock=Lock(target, str(root), clock),
            journal=Journal(target, str(root)),
            manifests=Manifests(target, str(root)),
            cache=cache,
            ask=ask_all,
            clock=clock,
            tool_version=cortops.__version__,
            states={name: host_state(targets[name], env.name, clock, lambda blob: _cached(cache, blob)) for name in adopted_hosts(env)},
        )
        yield Here(deployment=deployment, root=root, target=target, targets=targets, manager=manager, http=http)


def _asking(targets: Mapping[str, Target], http: HttpClient, clock: Clock) -> Ask:
    async def ask_target(name: str, questions: Sequence[Shell]) -> Mapping[str, Reply]:
        return await ask_shell(targets[name], questions, clock)

    async def ask_all(questions: Sequence[Question]) -> Mapping[str, Reply]:
        return await ask(questions, http, ask_target, clock)

    return ask_all


def this_machine(env: Environment) -> str:
    """The name of the host that is this machine; where the file declares none, its lock and journal lie here all the same."""
    return next((name for name, host in env.hosts.items() if host.local), THIS_MACHINE)


def host_drivers(env: Environment, own: TargetDriver, ask_all: Ask) -> dict[str, Driver]:
    """Place -> driver: `own` of this machine, and of every host with installed nodes one that looks at them."""
    drivers: dict[str, Driver] = {own.place: own}
    for name in dict.fromkeys(node.host for node in env.installed.values()):
        from cortops.surfaces.fleet.discover import question, read

        drivers[name] = FleetDriver(question(name), partial(read, host=name), ask_all, beside=drivers.get(name))
    return drivers


def host_here_python() -> str:
    """The interpreter that runs us, and our programs too: always by the same of its names, or every service would look changed."""
    return f"{sys.prefix}/bin/python"


def _cached(cache: Path, blob: Blob) -> Path:
    return cache / "artifacts" / blob.sha256
