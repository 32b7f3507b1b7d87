"""`cortops watch`: asks everything on a schedule, keeps states and their history, and shows them on the console. One process."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import random
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from cortops import surfaces
from cortops.cli import watch_renewals
from cortops.cli.common import Common, environment
from cortops.cli.compose import Here, here
from cortops.cli.status import endpoints
from cortops.cli.watched import Intentions, Watched
from cortops.console.app import console
from cortops.console.serving import serve
from cortops.contracts.network import Network
from cortops.contracts.rpc import RpcClient
from cortops.deploy.observing import WatchPlace
from cortops.deploy.redact import Redactor
from cortops.deploy.secrets_of import secrets_of
from cortops.environment.declared import Environment
from cortops.environment.graph import depends_on, entities
from cortops.environment.model import Monitor
from cortops.monitor.store import Limits, Store
from cortops.monitor.watch import Watch
from cortops.programs.common.logs import Log
from cortops.programs.common.process import run
from cortops.surfaces.chain.addresses import contract_addresses, rpc_url
from cortops.surfaces.monitoring.checks import HEALTH as OWN_HEALTH  # of ourselves: who asks a round knows how it is
from cortops.surfaces.monitoring.render import WATCH, history_file
from cortops.surfaces.site import Site
from cortops.words.clock import SystemClock
from cortops.words.errors import BadInput, CortopsError

LOOPBACK = "127.0.0.1"
PORT = 8500  # of an installed watch's console
DIGEST_MIN = 8

Redact = Callable[[bytes], bytes]


def watch(
    file: Path | None = None,
    /,
    *,
    install: str = "",
    uninstall: str = "",
    plan: str = "",
    yes: Annotated[bool, Parameter(negative="")] = False,
    may_act: Annotated[bool, Parameter(negative="")] = False,
    port: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=65535))] = PORT,
    on: Annotated[str, Parameter(show=False)] = "",
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Watch an environment and show it on the console, until SIGTERM or Ctrl-C; the log goes to standard output.

    With --install it runs on a host for good instead, and tells the channels of `cortops notify` when a node stops earning.
    Without --plan or --yes that only shows what it would do, and exits 3.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    install
        The host that it shall run on. It looks at the others by a key that can only look.
    uninstall
        The host from which it shall go, with all that it left on others.
    plan
        Of --install or --uninstall: do this plan, by its digest or at least 8 digits of it.
    yes
        Of --install or --uninstall: do it without showing the plan first.
    may_act
        Of --install: it gets a second key that may run anything on every host, for upgrades that are handed over to it.
    port
        Of --install: TCP port of its console, on loopback of that host.
    """
    env = environment(file, common)
    if install or uninstall:
        from cortops.cli import watch_install  # brings asyncssh

        if install and uninstall:
            raise BadInput("--install and --uninstall at once", next="Say one of the two.")
        if plan and len(plan) < DIGEST_MIN:
            raise BadInput(f"a digest has at least {DIGEST_MIN} digits, this one {len(plan)}")
        if install:
            return watch_install.install(env, install, port, common, plan=plan, yes=yes, may_act=may_act)
        return watch_install.uninstall(env, uninstall, common, plan=plan, yes=yes)
    gc.enable()
    if on:
        from cortops.cli.watch_installed import serve_installed

        place = WatchPlace(environment=env.name, host=on, port=port)
        return run(Monitor.NAME, lambda _path: env, partial(serve_installed, place), [env.file], sys.stdout.buffer, SystemClock())
    if env.monitor is None:
        raise BadInput(f"{env.file} declares no monitor", next="Add for example: monitor: {on: here, port: 8500}")
    return run(Monitor.NAME, lambda _path: env, partial(_serve, common), [env.file], sys.stdout.buffer, SystemClock())


async def _serve(common: Common, env: Environment, log: Log) -> None:
    """Console and watch until cancelled; the console answers from the start, so that it can say that nothing is known yet."""
    assert env.monitor is not None
    async with here(env, common, only_asks=True) as place:
        redact = _redact(place, log)
        store = Store(
            Path(history_file(place.deployment.hosts[env.monitor.on])),
            redact=redact,
            limits=dataclasses.replace(Limits(), raw_max_gib=env.monitor.raw_max_gib),
        )
        site = Site(hosts=place.deployment.hosts, public=place.deployment.secrets.publics(secrets_of(env)))
        eye = _watch(env, env.monitor, place, site, store, redact, log)
        network = Network(RpcClient(rpc_url(env), place.http), contract_addresses(env, site))
        shown = Watched(environment=env, endpoints=endpoints(place), watch=eye, network=network, site=site)
        app = console(shown, place.deployment.clock)
        try:
            async with serve(app, LOOPBACK, env.monitor.port) as port, asyncio.TaskGroup() as group:
                log.info("watching", console=f"{LOOPBACK}:{port}", every_s=env.monitor.every_s, file=env.file)
                gc.collect()
                gc.freeze()  # what lives as long as the process need not be looked at again
                group.create_task(eye.run())
                if watch_renewals.is_asked_for(env):
                    told = partial(_tell, log)
                    group.create_task(watch_renewals.keep_renewed(common, env, place, place.deployment.clock, told))
        finally:
            store.close()


def _watch(env: Environment, monitor: Monitor, place: Here, site: Site, store: Store, redact: Redact, log: Log) -> Watch:
    return Watch(
        ask=place.deployment.ask,
        questions=[question for question in surfaces.questions(env, site) if question.id != OWN_HEALTH],
        checks=[check for check in surfaces.checks(env, site) if OWN_HEALTH not in check.asks],
        entities=entities(env),
        depends_on=depends_on(env),
        store=store,
        clock=place.deployment.clock,
        every_s=monitor.every_s,
        environment=env.name,
        chance=random.random,
        redact=redact,
        intended=Intentions(place.deployment.journal, place.journals),
        tell=partial(_tell, log),
        own=WATCH,
    )


def _tell(log: Log, event: str, fields: Mapping[str, str]) -> None:
    log.info(event, **fields)


def _redact(place: Here, log: Log) -> Redact:
    """Of bodies: by value where we may read the secrets of this environment, by shape in any case."""
    try:
        redactor = place.deployment.secrets.redactor(secrets_of(place.deployment.env))
    except CortopsError as error:
        log.warning("secrets_unread", what=error.what)
        redactor = Redactor()
    return lambda body: redactor.redact(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
