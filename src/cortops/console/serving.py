"""`serve(app, ip, port)`: listens on loopback while inside."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import uvicorn
from starlette.applications import Starlette

from cortops.console.board import STREAMS_MAX
from cortops.words.errors import BadInput, PortTaken, Refused

STOP_TIMEOUT_S = 2
CONNECTIONS_MAX = 4 * STREAMS_MAX
IDLE_S_MAX = 5
BACKLOG = 64
HEADER_MAX_BYTES = 16 * 1024


@asynccontextmanager
async def serve(app: Starlette, ip: str, port: int) -> AsyncIterator[int]:
    """Serve the console on `ip`:`port` while inside; yields the port (a free one for 0).

    Raises PortTaken, BadInput for what is no address, and Refused for an address that others can reach: that needs TLS and a login.
    When left, open streams end at once, other answers within 2 s.
    """
    with contextlib.closing(_listening(ip, port)) as listener:
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=IDLE_S_MAX,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
            h11_max_incomplete_event_size=HEADER_MAX_BYTES,
        )
        server = _Server(config)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve(sockets=[listener]))
            try:
                yield int(listener.getsockname()[1])
            finally:  # also when cancelled: a server that is cut off leaves its socket with the loop
                app.state.board.closing.set()
                server.should_exit = True
                await asyncio.wait({serving}, timeout=2 * STOP_TIMEOUT_S)


class _Server(uvicorn.Server):
    """Signals belong to the process, not to one of its servers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listening(ip: str, port: int) -> socket.socket:
    try:
        address = ip_address(ip)
    except ValueError as error:
        raise BadInput(f"{ip!r} is no IP address", next="use 127.0.0.1") from error
    if not address.is_loopback:
        why = "without TLS and a login everyone on that network could read it"
        raise Refused(
            f"the console does not listen on {ip}", where=f"{ip}:{port}", why=why, next="use 127.0.0.1, and ssh -L from elsewhere"
        )
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        return socket.create_server((ip, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"port {port} on {ip} is taken by another program", where=f"{ip}:{port}") from error
        raise
