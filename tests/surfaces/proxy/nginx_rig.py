"""A real nginx on free ports, and servers behind it that answer, hold or break off as told."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from cortops.deploy import authority
from cortops.environment.declared import Environment
from cortops.local.here import host_here
from cortops.protocol.http import HttpClient, HttpReply
from cortops.surfaces.proxy.nginx import NginxSite, ServerName, render
from cortops.surfaces.proxy.ways import way
from cortops.targets.supervisord import Supervisord
from cortops.testing.clock import turn_until
from cortops.words.clock import SystemClock

TIMEOUT_S = 10.0


def seed(count: int) -> bytes:
    return bytes(range(1, count + 1))


def nginx_program(folder: Path) -> str:
    return host_here("here", folder, Supervisord(str(folder), sys.executable)).nginx


def free_port() -> int:
    """A port where nobody listens just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Behind:
    """Answers with what it was asked: {"name", "method", "target", "headers", "body"}. Change `manner` at any time.

    manner: `answer`; `reset` after the whole request has come; `close` after the answer; `hold` the answer until `go` is set;
    `stream` two events, the second when `go` is set.
    """

    def __init__(self, name: str, manner: str = "answer") -> None:
        self.name, self.manner, self.port = name, manner, free_port()
        self.asked: list[str] = []
        self.go = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return len(self._writers)

    async def __aenter__(self) -> Behind:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        """As after kill -9: the port refuses, what was open is cut."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            cast("asyncio.Transport", writer.transport).abort()
        await turn_until(lambda: not self._writers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self._writers.discard(writer)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.asked.append(f"{method} {target}")
        if self.manner == "reset":
            cast("asyncio.Transport", writer.transport).abort()
            return False
        if self.manner == "stream":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
            await self.go.wait()
            writer.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")
            return True
        if self.manner == "hold":
            await self.go.wait()
        told = {"name": self.name, "method": method, "target": target, "headers": headers, "body": body.decode()}
        answer = json.dumps(told).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer))
        await writer.drain()
        return self.manner != "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The nginx under test, and a client that trusts it."""

    port: int
    ca_file: Path
    client: HttpClient
    tls: ssl.SSLContext

    async def ask(self, hostname: str, path: str, method: str = "GET", body: bytes = b"") -> HttpReply:
        """One request, over a connection to nginx's address."""
        url = f"https://{hostname}:{self.port}{path}"
        return await self.client.request(method, url, body=body, timeout_s=TIMEOUT_S, connect_to=("127.0.0.1", self.port), tls=self.tls)

    async def tells(self, hostname: str, path: str, method: str = "GET", body: bytes = b"") -> dict[str, Any]:
        """What the server behind says that it was asked."""
        reply = await self.ask(hostname, path, method, body)
        assert reply.status == 200, reply.body
        return dict(json.loads(reply.body))


def server_of(env: Environment, hostname: str) -> ServerName:
    """As the render of the proxy makes it, but for addresses and certificates, which `front` fills in."""
    leads, route = way(env, hostname), env.proxy[hostname]
    return ServerName(
        hostname=hostname,
        listen=(),
        certificate="",
        certificate_key="",
        who=leads.who,
        upstreams=leads.upstreams,
        locations=leads.locations,
        methods=leads.methods,
        believes=route.trusted_proxies,
        body_max_kib=math.ceil(route.body_max_mib * 1024),
        read_timeout_s=route.read_timeout_s,
    )


@asynccontextmanager
async def front(folder: Path, *servers: ServerName) -> AsyncIterator[Front]:
    """A running nginx that serves `servers` on one free port, with certificates of an authority made for it."""
    clock = SystemClock()
    made = authority.make_authority("test", clock.now(), seed)
    ca_file = folder / "ca.pem"
    ca_file.write_text(made.certificate)
    port, placed = free_port(), []
    for server in servers:
        issued = authority.issue(made, [server.hostname, "127.0.0.1"], clock.now(), seed)
        pem, key = folder / f"{server.hostname}.pem", folder / f"{server.hostname}.key"
        pem.write_text(issued.certificate)
        key.write_text(issued.key)
        placed.append(replace(server, listen=(f"127.0.0.1:{port}",), certificate=str(pem), certificate_key=str(key)))
    conf = folder / "nginx.conf"
    conf.write_text(render(NginxSite(run_folder=str(folder), user="", servers=tuple(placed))))
    process = await asyncio.create_subprocess_exec(
        nginx_program(folder), "-p", folder, "-e", "stderr", "-c", conf, stderr=asyncio.subprocess.DEVNULL
    )
    client = HttpClient(clock=clock)
    try:
        await _until_listening(port)
        yield Front(port=port, ca_file=ca_file, client=client, tls=ssl.create_default_context(cafile=str(ca_file)))
    finally:
        await client.close()
        process.terminate()
        await process.wait()


async def _until_listening(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise AssertionError(f"nginx does not listen on {port}")
