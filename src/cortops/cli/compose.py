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
from cortops.cli.compose_names import names_drivers
from cortops.contracts.rpc import RpcClient
from cortops.deploy.chain_driver import ChainDriver
from cortops.deploy.deployment import Deployment
from cortops.deploy.fetch import cache_root
from cortops.deploy.fleet_driver import FleetDriver
from cortops.deploy.host_state import host_state
from cortops.deploy.journal import Journal
from cortops.deploy.lock import Lock
from cortops.deploy.manifest import Manifests
from cortops.deploy.moved_manifests import MovedManifests
from cortops.deploy.observed import Driver
from cortops.deploy.secrets import store_of
from cortops.deploy.target_driver import TargetDriver
from cortops.deploy.wanted import SecretView
from cortops.environment.declared import Environment
from cortops.local.here import data_root, host_here
from cortops.local.units import systemd_there
from cortops.probes.ask import ask
from cortops.probes.memory import ChainMemory
from cortops.protocol.http import HttpClient
from cortops.protocol.request_text import BEHIND
from cortops.surfaces.chain.addresses import rpc_url
from cortops.surfaces.chain.orbit_addresses import parent_url
from cortops.surfaces.chain.orbit_render import PLACE as PARENT
from cortops.surfaces.chain.orbit_render import deploys
from cortops.surfaces.chain.render import PLACE as CHAIN
from cortops.surfaces.fleet.adopted import adopted_hosts
from cortops.surfaces.judging import Ask
from cortops.surfaces.site import HostSite
from cortops.targets.local import LocalTarget
from cortops.targets.shell import ask_shell
from cortops.targets.supervisord import Supervisord
from cortops.targets.systemd import Systemd
from cortops.targets.target import Target
from cortops.targets.way import way_to
from cortops.words.clock import Clock, SystemClock
from cortops.words.errors import BadInput
from cortops.words.question import Question, Reply, Shell
from cortops.words.resource import Blob

THIS_MACHINE = "this machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """A deployment, with what `down` and `logs` need besides.

    root, target, manager: of this machine. targets: by name, every declared host. journals: of hosts with our programs beside the one that
    holds the state.
    """

    deployment: Deployment
    root: Path
    target: LocalTarget
    targets: Mapping[str, Target]
    manager: Supervisord
    http: HttpClient
    journals: Sequence[Journal]


@asynccontextmanager
async def here(env: Environment, common: Common, *, only_asks: bool = False) -> AsyncIterator[Here]:
    """Everything wired for an environment. Hosts by SSH are connected when they are asked; one that gives no answer hides no other.

    only_asks: for verbs that plan nothing; then our programs are not packed for other hosts, which takes seconds.
    """
    away = [name for name in env.own_hosts if env.hosts[name].ssh]
    if common.port_base and away:
        raise BadInput(f"--port-base moves ports of this machine only, and {env.name} has programs on {', '.join(away)}")
    clock = SystemClock()
    root = data_root(os.environ, env.name, common.port_base)
    target = LocalTarget(this_machine(env))
    manager = Supervisord(str(root), host_here_python())
    cache = cache_root(os.environ)
    async with AsyncExitStack() as stack:
        targets: dict[str, Target] = {target.name: target}
        http = HttpClient(clock=clock, way=partial(_way, targets))
        ask_all = _asking(targets, http, clock)
        if by_ssh := {name: host for name, host in env.hosts.items() if host.ssh and name != env.stands_on}:
            from cortops.cli.fleet import asking, fleet  # brings asyncssh, which an environment on one machine does without

            targets |= (await stack.enter_async_context(fleet(by_ssh, common))).targets
            ask_all = asking(targets, http, clock)
        stack.push_async_callback(http.close)
        sites, managers = own_places(env, root, manager, cache, only_asked=only_asks)
        roots = {target.name: str(root), **dict.fromkeys(by_ssh, systemd_there(env.name).root)} if env.own_hosts else {}
        state = state_host(env)
        state_target, state_root = targets[state], sites[state].root if state in sites else str(root)
        elsewhere = [Manifests(targets[name], one) for name, one in roots.items() if name != state]

        def drivers(view: SecretView) -> dict[str, Driver]:
            # Of a host that has lost its last program too: what is recorded there is taken away.
            places = {target.name: manager, **dict.fromkeys(by_ssh, systemd_there(env.name)), **managers}
            own = {name: TargetDriver(targets[name], one, partial(_cached, cache)) for name, one in places.items()}
            names = names_drivers(env, view, deployment.secrets, targets, sites, clock)
            return {**_chains(env, http, view, clock), **host_drivers(env, own, ask_all), **names}

        deployment = Deployment(
            env=env,
            hosts=sites,
            managers=managers,
            secrets=store_of(env, root / "secrets", os.environ, clock, secrets.token_bytes),
            drivers=drivers,
            lock=Lock(state_target, state_root, clock, env.rules.apply.by),
            journal=Journal(state_target, state_root),
            manifests=MovedManifests(state_target, state_root, elsewhere),
            cache=cache,
            ask=ask_all,
            clock=clock,
            tool_version=cortops.__version__,
            states={
                name: host_state(targets[name], env.name, clock, partial(_cached, cache), env.rules.apply.by) for name in adopted_hosts(env)
            },
        )
        stack.enter_context(deployment.secrets.hidden_in_errors())
        others = tuple(Journal(targets[name], one.root) for name, one in managers.items() if name != state)
        yield Here(deployment=deployment, root=root, target=target, targets=targets, manager=manager, http=http, journals=others)


def _chains(env: Environment, http: HttpClient, view: SecretView, clock: Clock) -> dict[str, Driver]:
    """The chain, and its parent where contracts on that are ours to make."""

    def secret(name: str) -> str:
        return view.value(name, for_apply=True)

    def driver(place: str, url: str, chain_id: int) -> Driver:
        return ChainDriver(place, RpcClient(url, http, timeout_s=5), chain_id, secret, clock, development=env.network.development)

    chains = {CHAIN: driver(CHAIN, rpc_url(env), env.network.chain_id)}
    if deploys(env) and env.network.parent is not None and env.network.parent.chain_id is not None:
        chains[PARENT] = driver(PARENT, parent_url(env), env.network.parent.chain_id)
    return chains


def _asking(targets: Mapping[str, Target], http: HttpClient, clock: Clock) -> Ask:
    async def ask_target(name: str, questions: Sequence[Shell]) -> Mapping[str, Reply]:
        return await ask_shell(targets[name], questions, clock)

    memory = ChainMemory()

    async def ask_all(questions: Sequence[Question]) -> Mapping[str, Reply]:
        return await ask(questions, http, ask_target, clock, memory)

    return ask_all


def this_machine(env: Environment) -> str:
    """The name of the host that is this machine, whether or not the file declares one."""
    return env.here or THIS_MACHINE


def state_host(env: Environment) -> str:
    """Where lock, journal and manifests of our programs lie: the first host by SSH that runs one, so that every operator sees the same;
    this machine where all run here.
    """
    return next((name for name in env.own_hosts if env.hosts[name].ssh), this_machine(env))


def own_places(
    env: Environment, root: Path, manager: Supervisord, cache: Path, *, only_asked: bool
) -> tuple[dict[str, HostSite], dict[str, Supervisord | Systemd]]:
    """Of every host that runs our programs, how renders see it, and its service manager: supervisord here, systemd by SSH."""
    sites: dict[str, HostSite] = {}
    managers: dict[str, Supervisord | Systemd] = {}
    if any(env.hosts[name].ssh for name in env.own_hosts):
        from cortops.local.there import hosts_there  # brings tarfile and packaging

        sites = hosts_there(env, cache, only_asked=only_asked)
        managers |= dict.fromkeys(sites, systemd_there(env.name))
    for name in env.own_hosts:
        if name not in sites:
            sites[name], managers[name] = host_here(name, root, manager), manager
    return sites, managers


async def _way(targets: Mapping[str, Target], host: str, port: int) -> tuple[str, int]:
    """Loopback of a host by SSH is reached through its connection; everything else as it is."""
    target = targets.get(host.removesuffix(BEHIND)) if host.endswith(BEHIND) else None
    return (host, port) if target is None else await way_to(target, port)


def host_drivers(env: Environment, own: Mapping[str, TargetDriver], ask_all: Ask) -> dict[str, Driver]:
    """Place -> driver: `own` of hosts that run our programs, and of every host with installed nodes one that looks at them."""
    drivers: dict[str, Driver] = dict(own)
    for name in dict.fromkeys(node.host for node in env.installed.values()):
        from cortops.surfaces.fleet.found.discover import question, read

        drivers[name] = FleetDriver(question(name), partial(read, host=name), ask_all, beside=drivers.get(name))
    return drivers


def host_here_python() -> str:
    """The interpreter that runs us, and our programs too: always by the same of its names, or every service would look changed."""
    return f"{sys.prefix}/bin/python"


def _cached(cache: Path, blob: Blob) -> Path:
    return cache / "artifacts" / blob.sha256
