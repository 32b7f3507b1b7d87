"""The process of an installed watch: it looks at hosts by a key that may only look, at its own host as root, and tells the channels."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cortops import surfaces
from cortops.cli.told import teller_of
from cortops.cli.watched import Watched
from cortops.console.app import console
from cortops.console.serving import serve
from cortops.contracts.network import Network
from cortops.contracts.rpc import RpcClient
from cortops.deploy.observing import SINCE_S, WatchPlace, demand_only_installed
from cortops.deploy.redact import Redactor
from cortops.environment.declared import Environment
from cortops.environment.graph import depends_on, entities
from cortops.monitor.store import Limits, Store
from cortops.monitor.watch import Watch
from cortops.probes.ask import ask
from cortops.probes.nodes import observe
from cortops.programs.common.logs import Log
from cortops.protocol.http import HttpClient
from cortops.surfaces.chain.addresses import contract_addresses, rpc_url
from cortops.surfaces.fleet.builds.binaries import dates
from cortops.surfaces.judging import Ask
from cortops.surfaces.monitoring import earnings
from cortops.surfaces.monitoring.render import WATCH
from cortops.surfaces.nodes.assemble import page_of
from cortops.surfaces.nodes.page import NodesPage
from cortops.surfaces.site import Site
from cortops.targets.local import LocalTarget
from cortops.targets.observed import ask_alone
from cortops.targets.shell import ask_shell
from cortops.targets.ssh import SshTarget
from cortops.targets.ssh_address import SshAddress
from cortops.targets.ssh_connection import SshDialer, SshSettings
from cortops.targets.ssh_hostkeys import HostKeys
from cortops.words.clock import Clock, SystemClock
from cortops.words.errors import CortopsError
from cortops.words.question import NoAnswer, Question, Reply, Shell, Silence

LOOPBACK = "127.0.0.1"
EVERY_S = 10.0  # where the environment file has no monitor.every_s
EARNINGS_EVERY_S = 300.0
EARNINGS_FIRST_S = 5.0  # then the hosts have been connected to
ROUND_SITE = Site(hosts={}, public={})


@dataclass(slots=True)
class Earnings:
    """The newest page of earnings; None before the first."""

    page: NodesPage | None = None

    def document(self) -> dict[str, object]:
        """For /nodes.json."""
        return earnings.document(self.page)


async def serve_installed(place: WatchPlace, env: Environment, log: Log) -> None:
    """Everything, until cancelled. env: as the file says it; a monitor that it declares is another one."""
    demand_only_installed(env)
    clock = SystemClock()
    every_s, raw_max_gib = (env.monitor.every_s, env.monitor.raw_max_gib) if env.monitor else (EVERY_S, Limits().raw_max_gib)
    env = replace(env, monitor=None, stands_on=place.host)
    redactor = Redactor()
    async with _eyes(place, env, clock) as (asks, hosts, http), (teller := teller_of(place, http, redactor, log)).sending():
        store = Store(
            Path(place.data) / "history.db",
            redact=lambda body: _redacted(redactor, body),
            limits=replace(Limits(), raw_max_gib=raw_max_gib),
        )
        held = Earnings()
        eye = _watch(env, place, asks, hosts, store, clock, every_s, redactor, log)
        shown = Watched(
            environment=env,
            endpoints={"rpc": rpc_url(env), "console": f"http://{LOOPBACK}:{place.port}"},
            watch=eye,
            network=Network(RpcClient(rpc_url(env), http), contract_addresses(env, ROUND_SITE)),
            site=ROUND_SITE,
        )
        try:
            app = console(shown, clock, nodes=held.document)
            async with serve(app, LOOPBACK, place.port) as port, asyncio.TaskGroup() as group:
                log.info("watching", console=f"{LOOPBACK}:{port}", every_s=every_s, hosts=len(hosts), channels=teller.count)
                gc.collect()
                gc.freeze()
                group.create_task(eye.run())
                group.create_task(_look_at_earnings(held, env, asks, http, clock, log))
                group.create_task(teller.follow(eye.pictures()))
        finally:
            store.close()


@asynccontextmanager
async def _eyes(place: WatchPlace, env: Environment, clock: Clock) -> AsyncIterator[tuple[Ask, frozenset[str], HttpClient]]:
    """One `ask`, the hosts that it reaches, and what asks over HTTP. Hosts that the install did not reach are not among them."""
    async with AsyncExitStack() as stack:
        http = HttpClient(clock=clock)
        stack.push_async_callback(http.close)
        here = LocalTarget(place.host)
        config = Path(place.ssh_config)
        known = {line.removeprefix("Host ") for line in config.read_text("utf-8").splitlines() if line.startswith("Host ")}
        dialer = SshDialer(HostKeys(Path(place.known_hosts), others=(), confirm=None))
        stack.push_async_callback(dialer.close)
        observed: dict[str, SshTarget] = {}
        for name, host in env.hosts.items():
            address = SshAddress.read(host.ssh) if host.ssh and name != place.host else None
            if address is not None and address.host in known:
                settings = SshSettings(address=address, configs=(config,), identities=(Path(place.key),), agent=False)
                observed[name] = SshTarget(name, settings, dialer, clock)
                stack.push_async_callback(observed[name].close)

        async def ask_host(name: str, questions: Sequence[Shell]) -> Mapping[str, Reply]:
            if name == place.host:
                return await ask_shell(here, questions, clock)
            if name in observed:
                return await ask_alone(observed[name], questions, clock)
            why = f"{name} was not reached when the watch was installed"
            return {one.id: NoAnswer(question=one.id, at=clock.now(), elapsed_s=0.0, silence=Silence.LOST, why=why) for one in questions}

        async def ask_all(questions: Sequence[Question]) -> Mapping[str, Reply]:
            return await ask(questions, http, ask_host, clock)

        yield ask_all, frozenset({place.host, *observed}), http


def _watch(
    env: Environment,
    place: WatchPlace,
    asks: Ask,
    hosts: frozenset[str],
    store: Store,
    clock: Clock,
    every_s: float,
    redactor: Redactor,
    log: Log,
) -> Watch:
    questions = [*surfaces.questions(env, ROUND_SITE), *earnings.questions(env, place.port)]

    def tell(event: str, fields: Mapping[str, str]) -> None:
        log.info(event, **fields)

    return Watch(
        ask=asks,
        questions=questions,
        checks=[*surfaces.checks(env, ROUND_SITE), *earnings.checks(env)],
        entities=entities(env),
        depends_on=depends_on(env),
        store=store,
        clock=clock,
        every_s=every_s,
        environment=env.name,
        chance=random.random,
        redact=lambda body: _redacted(redactor, body),
        tell=tell,
        own=WATCH,
    )


async def _look_at_earnings(held: Earnings, env: Environment, asks: Ask, http: HttpClient, clock: Clock, log: Log) -> None:
    """A new page every EARNINGS_EVERY_S, for ever; one that cannot be made leaves the last, which grows old."""
    await clock.sleep(EARNINGS_FIRST_S)
    while True:
        try:
            seen = await observe(env, asks, http, clock, since_s=SINCE_S)
            held.page = page_of(env, seen.chain, seen.hosts, seen.found, at=seen.at, since_s=SINCE_S, released=dates(env))
        except CortopsError as error:
            log.warning("earnings_unknown", what=error.what)
        await clock.sleep(EARNINGS_EVERY_S)


def _redacted(redactor: Redactor, body: bytes) -> bytes:
    return redactor.redact(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
