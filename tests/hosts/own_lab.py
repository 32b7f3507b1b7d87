"""Our own programs on test hosts: an operator with an environment file whose programs stand on hosts that SSH reaches."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.hosts.operator import ROOT, Operator, operator

from cortops.deploy.fetch import cache_root
from cortops.protocol.http import HttpClient, HttpReply
from cortops.testing.engine import scripted_engine
from cortops.testing.hosts import Fleet
from cortops.words.clock import SystemClock

FILE = "own.yaml"
HOSTNAME, PORT = "api.own.example", 8443
BASE = "/var/lib/cortops-programs"
MODEL = "scripted"
STARTED_WITHIN_S = 10.0

CHAIN = "  chain-1: {role: chain, host: %s, port: 8545, health_port: 8546, release: anvil}\n"
HEAD = """format: 1
environment: own
owners: {default: ops@own.example}
hosts:
%(hosts)s
%(anvil)s
network:
  chain_id: 31338
  development: true
  rpc: chain-1
  contracts: {runtime: deploy}
"""
REST = """  sessions:
    1: {name: a, model: scripted, nodes: [miner-1], routers: [router-1]}
nodes:
  chain-1: {role: chain, host: h1, port: 8545, health_port: 8546, release: anvil}
  oracle-1: {role: oracle, host: h1, port: 5201, ack_timeout_s: 5}
  router-1: {role: router, host: h2, port: 5010, ws_port: 9001, sessions: {scripted: [1]}}
  miner-1: {role: miner, host: h3, port: 5101, engine: {url: "%(engine)s", model: scripted}, routers: [router-1]}
pools:
  main: {members: [router-1], health: {every_s: 1}}
gateway: {on: h2, port: 8400, models: {scripted: {pool: main}}, request_timeout_s: 480}
proxy:
  api.own.example: {on: h2, port: 8443, to: gateway, tls: local-ca}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLab:
    """me: the operator; he runs a copy of our package, so that a change of the working tree is no change of his environment."""

    fleet: Fleet
    me: Operator

    def edit(self, old: str, new: str) -> None:
        """One place of the file, written anew."""
        path = self.me.home / FILE
        text = path.read_text()
        assert text.count(old) == 1, old
        path.write_text(text.replace(old, new))

    def ask(self, key: str, host: str) -> HttpReply:
        """One completion through nginx on `host`, by its public name and trusting the environment's authority."""
        authority = self.fleet[host].do(f"cat {BASE}/own/etc/tls/ca.pem")
        body = b'{"model":"scripted","messages":[{"role":"user","content":"Why is the sky blue?"}]}'
        headers = (("authorization", f"Bearer {key}"), ("content-type", "application/json"))

        async def one() -> HttpReply:
            client = HttpClient(clock=SystemClock())
            try:
                return await client.request(
                    "POST",
                    f"https://{HOSTNAME}:{PORT}/v1/chat/completions",
                    headers=headers,
                    body=body,
                    timeout_s=60,
                    connect_to=(self.fleet[host].address, PORT),
                    tls=ssl.create_default_context(cadata=authority),
                )
            finally:
                await client.close()

        return asyncio.run(one())

    def pids(self) -> dict[str, str]:
        """`HOST SERVICE` -> pid of what runs there."""
        script = "for u in $(systemctl list-units --plain --no-legend 'cortops-own.*.service' | cut -d' ' -f1); do "
        script += "echo $u $(systemctl show --value --property=MainPID $u); done"
        found = {}
        for host in self.fleet:
            for line in host.do(script).splitlines():
                unit, pid = line.split()
                found[f"{host.name} {unit.removeprefix('cortops-own.').removesuffix('.service')}"] = pid
        return found

    def logs(self) -> str:
        """The last lines of every service, for who asks why a test failed."""
        return "\n".join(f"{host.name}: {host.run(f'tail -n 12 {BASE}/own/log/*.log').stdout}" for host in self.fleet)

    def left(self) -> set[str]:
        """What of ours is on any host."""
        script = f"find {BASE} /etc/systemd/system -path '{BASE}*' -o -name 'cortops*' 2>/dev/null || :"
        return {f"{host.name}:{line}" for host in self.fleet for line in host.do(script).splitlines()}


def anvil() -> str:
    """The release as the bundled environment has it."""
    text = (ROOT / "examples" / "local.yaml").read_text()
    return text[text.index("releases:") : text.index("    aarch64:")]


def lab_of(fleet: Fleet, home: Path, rest: str, *, addresses: bool = True) -> OwnLab:
    """An operator with the file; own hosts have root by sudo."""
    package = home / "package"
    shutil.copytree(ROOT / "src" / "cortops", package / "cortops", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "examples", package / "cortops" / "examples", dirs_exist_ok=True)
    python = home / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={package} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (home / "cache").symlink_to(cache_root(os.environ))
    rows = [f"  {host.name}: {{ssh: {host.name}, sudo: true, address: {host.address}}}" for host in fleet]
    text = HEAD % {"hosts": "\n".join(rows if addresses else [row.partition(", address")[0] + "}" for row in rows]), "anvil": anvil()}
    (home / FILE).write_text(text + rest)
    me = operator(fleet, home)
    return OwnLab(fleet=fleet, me=replace(me, python=str(python)))


@contextmanager
def engine(ip: str) -> Iterator[str]:
    """The URL of a scripted engine that hosts of a fleet reach; it answers in a thread of its own."""
    loop, found, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    urls: list[str] = []

    async def serve() -> None:
        async with scripted_engine(ip=ip) as made:
            urls.append(made.url)
            found.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert found.wait(STARTED_WITHIN_S)
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
