"""`serve(app, ips, port)`: plain HTTP for nginx while inside."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from cortops.words.errors import PortTaken

STOP_TIMEOUT_S = 2
CONNECTIONS_MAX = 128
IDLE_S_MAX = 75  # longer than nginx keeps its own idle connections, so it never sends into a closing one
BACKLOG = 64
HEADER_MAX_BYTES = 16 * 1024


@asynccontextmanager
async def serve(app: ASGIApp, ips: Sequence[str], port: int) -> AsyncIterator[int]:
    """Serve on `port` of every one of `ips` while inside; yields the port (a free one for 0). Raises PortTaken.

    When left, answers under way have 2 s to end.
    """
    with ExitStack() as stack:
        listeners: list[socket.socket] = []
        for ip in ips:
            listeners.append(stack.enter_context(contextlib.closing(_listening(ip, port))))
            port = int(listeners[0].getsockname()[1])
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
            serving = group.create_task(server.serve(sockets=listeners))
            try:
                yield port
            finally:  # also when cancelled: a server that is cut off leaves its socket with the loop
                server.should_exit = True
                await asyncio.wait({serving}, timeout=2 * STOP_TIMEOUT_S)


class _Server(uvicorn.Server):
    """Signals belong to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listening(ip: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        return socket.create_server((ip, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"port {port} on {ip} is taken by another program", where=f"{ip}:{port}") from error
        raise
