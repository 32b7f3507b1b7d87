"""A certificate by ACME from nothing to a renewed one: our own authority (testing.acme), a real nginx that answers it, a real handshake."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.surfaces.proxy.nginx_rig import free_port, nginx_program

from cortops.deploy import authority
from cortops.deploy.acme.account import AcmeAccount
from cortops.deploy.acme.driver import AcmeDriver, ByHttp
from cortops.deploy.acme.plan import CERTIFICATE_WELL
from cortops.deploy.observed import Absent, Desired, Observed, Present, Progress, Step
from cortops.deploy.secrets import SecretStore
from cortops.deploy.wanted import Kind, SecretView, Wanted
from cortops.environment.certificates import STAND_IN
from cortops.probes.tls import ask_tls
from cortops.protocol.http import HttpClient
from cortops.surfaces.proxy.nginx import Challenge, NginxSite, ServerName, Upstream, render
from cortops.targets.local import LocalTarget
from cortops.testing.acme import AcmeServer, Manner, acme_server
from cortops.testing.clock import VirtualClock
from cortops.words.change import Action
from cortops.words.clock import Clock, SystemClock
from cortops.words.entity import Entity
from cortops.words.question import Answer, NoAnswer, Reply, Tls
from cortops.words.resource import Certificate

HOSTNAME = "api.lab.example"
ACCOUNT = Wanted(name="acme/account", kind=Kind.TOKEN)
WANTED = Wanted(name=f"tls/{HOSTNAME}", kind=Kind.CERTIFICATE, hosts=(HOSTNAME,), acme=True)
CERTIFICATE = Certificate(
    place="acme", entity=Entity("proxy", HOSTNAME), because="lab.yaml:9", hostname=HOSTNAME, secret=WANTED.name, host="here"
)
ITEM = Desired(resource=CERTIFICATE, attributes=CERTIFICATE_WELL)
DAY_S = 86_400


def chance() -> Iterator[bytes]:
    """Bytes of no randomness that are never the same twice: keys of this test alone."""
    for number in itertools.count():
        yield hashlib.shake_256(f"of this test {number}".encode()).digest(64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A store, a running nginx that serves the hostname, and the authority that may give it a certificate."""

    folder: Path
    store: SecretStore
    server: AcmeServer
    port: int
    nginx: asyncio.subprocess.Process

    def view(self) -> SecretView:
        return self.store.view([ACCOUNT, WANTED])

    def driver(self, clock: Clock, *, folder: Path | None = None) -> AcmeDriver:
        """As the composition root makes it, for one view of the secrets."""
        view, root = self.view(), self.folder / "root.pem"
        account = partial(AcmeAccount, self.server.directory, view.value(ACCOUNT.name), ("ops@lab.example",), trust=root, agent="test")
        shows = ByHttp({"here": LocalTarget("here")}, {"here": str(folder or self.folder / "acme")})
        return AcmeDriver(view.entries, account, shows, self.store.obtained, clock)

    async def look(self, clock: Clock) -> Observed:
        return (await self.driver(clock).observe([ITEM]))[CERTIFICATE.key]

    async def apply(self, clock: Clock, action: Action = Action.CREATE, *, folder: Path | None = None) -> list[Progress]:
        async with aclosing(self.driver(clock, folder=folder).apply([Step(action=action, desired=ITEM)], "a1")) as told:
            return [progress async for progress in told]

    async def serve(self) -> None:
        """What the rest of an apply does: the files, then a reload; the worker that answers next has read them."""
        write_files(self.folder, self.view())
        self.nginx.send_signal(signal.SIGHUP)

    async def shaken(self, clock: Clock) -> Reply:
        asked = Tls(id="q", host="127.0.0.1", port=self.port, server_name=HOSTNAME, ca_file=str(self.folder / "root.pem"))
        client = HttpClient(clock=clock)
        try:
            return await ask_tls(asked, client, clock)
        finally:
            await client.close()

    async def until_trusted(self, clock: Clock) -> Answer:
        for _ in range(200):
            reply = await self.shaken(clock)
            if isinstance(reply, Answer):
                return reply
            await asyncio.sleep(0.02)
        raise AssertionError(f"nginx serves no certificate that holds: {reply}")


def write_files(folder: Path, view: SecretView) -> None:
    (folder / "own.pem").write_text(view.public(WANTED.name))
    (folder / "own.key").write_text(view.value(WANTED.name))


def site(folder: Path, port: int, http_port: int) -> NginxSite:
    served: dict[str, Any] = {
        "hostname": HOSTNAME,
        "listen": (f"127.0.0.1:{port}",),
        "certificate": str(folder / "own.pem"),
        "certificate_key": str(folder / "own.key"),
        "who": "nobody",
        "upstreams": (Upstream(name="nobody", servers=("127.0.0.1:9",)),),
        "locations": (),
        "body_max_kib": 1,
        "read_timeout_s": 5,
    }
    challenge = Challenge(hostnames=(HOSTNAME,), listen=(f"127.0.0.1:{http_port}",), folder=str(folder / "acme"))
    return NginxSite(run_folder=str(folder), user="root" if os.geteuid() == 0 else "", servers=(ServerName(**served),), challenge=challenge)


@asynccontextmanager
async def lab(folder: Path, clock: Clock) -> AsyncIterator[Lab]:
    source, port, http_port = chance(), free_port(), free_port()
    store = SecretStore(folder / "secrets", clock, lambda count: next(source)[:count], environment="lab")
    store.ensure([ACCOUNT, WANTED])
    (folder / "acme").mkdir()
    write_files(folder, store.view([ACCOUNT, WANTED]))
    (folder / "nginx.conf").write_text(render(site(folder, port, http_port)))
    words = ("-p", folder, "-e", "stderr", "-c", folder / "nginx.conf")
    nginx = await asyncio.create_subprocess_exec(nginx_program(folder), *words, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with acme_server(clock, lambda count: next(source)[:count], http_port=http_port) as server:
            (folder / "root.pem").write_text(server.root.certificate)
            await _until_listening(http_port)
            yield Lab(folder=folder, store=store, server=server, port=port, nginx=nginx)
    finally:
        nginx.terminate()
        await nginx.wait()


async def _until_listening(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(ConnectionRefusedError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"nginx does not listen on {port}")


@pytest.mark.real
def test_from_a_stand_in_to_a_certificate_that_holds_and_is_renewed_without_a_restart(tmp_path: Path) -> None:
    asyncio.run(_from_nothing(tmp_path))


async def _from_nothing(folder: Path) -> None:
    clock = SystemClock()
    async with lab(folder, clock) as here:
        assert here.view().public(WANTED.name).startswith(STAND_IN)
        assert isinstance(before := await here.shaken(clock), NoAnswer) and before.silence == "untrusted"
        assert await here.look(clock) == Absent()

        told = await here.apply(clock)
        assert [item.event for item in told] == ["begun", "done"], told
        assert here.server.signed == [(HOSTNAME,)]
        assert here.server.fetched[0].startswith(f"http://{HOSTNAME}/.well-known/acme-challenge/")
        assert list((folder / "acme").iterdir()) == []  # no token is left
        assert await here.look(clock) == Present({"days_left": "enough"})
        assert here.view().missing == ()  # what an authority gave is never made anew here
        assert here.view().public(WANTED.name).count("BEGIN CERTIFICATE") == 2  # with its chain
        assert not [name for name in here.store.names() if "@" in name]

        pid = here.nginx.pid
        await here.serve()
        first = await here.until_trusted(clock)
        assert HOSTNAME in first.text and (pid, here.nginx.returncode) == (here.nginx.pid, None)

        later = VirtualClock(start=clock.now() + 61 * DAY_S)
        assert await here.look(later) == Present({"days_left": "29 of 90"})
        key = here.view().value(WANTED.name)
        assert [item.event for item in await here.apply(clock, Action.UPDATE)] == ["begun", "done"]
        assert here.view().value(WANTED.name) != key
        assert (len(here.server.signed), len(here.server.accounts)) == (2, 1)  # the same account


@pytest.mark.real
def test_what_the_authority_says_no_to_is_told_and_changes_nothing(tmp_path: Path) -> None:
    asyncio.run(_refused(tmp_path))


async def _refused(folder: Path) -> None:
    clock = SystemClock()
    async with lab(folder, clock) as here:
        kept = here.view().public(WANTED.name)
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        unproven = await here.apply(clock, folder=elsewhere)
        assert unproven[-1].event == "failed"
        assert f"http-01: {HOSTNAME} answers 404, not the proof" in unproven[-1].text
        assert list(elsewhere.iterdir()) == []

        here.server.manner = Manner(refuses="rateLimited")
        limited = await here.apply(clock)
        assert limited[-1].text == f"no certificate for {HOSTNAME}: rateLimited: too many orders for this name"
        assert here.view().public(WANTED.name) == kept and here.server.signed == []
        (folder / "root.pem").write_text(authority.make_authority("another", clock.now(), lambda count: b"\1" * count).certificate)
        assert "gives no answer (SSLError)" in (await here.apply(clock))[-1].text
