"""What our two web sites, console and portal, have in common: listening, the files that pages load, templates that escape."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import uvicorn
from jinja2 import Environment as Templates
from jinja2 import FileSystemLoader, StrictUndefined
from starlette.types import ASGIApp

from cortops.words.errors import PortTaken

STOP_TIMEOUT_S = 2
BACKLOG = 64
HEADER_MAX_BYTES = 16 * 1024
STATIC_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


class Static:
    """The files that pages load, read once. Their address below `base` carries their hash, so that a browser never shows an old one."""

    def __init__(self, folder: Path, base: str) -> None:
        self._base = base
        self.files: Mapping[str, tuple[str, bytes]] = {
            path.name: (STATIC_TYPES[path.suffix], path.read_bytes()) for path in sorted(folder.iterdir()) if path.suffix in STATIC_TYPES
        }

    def href(self, name: str) -> str:
        """KeyError for a file that is not there."""
        return f"{self._base}/{name}?v={hashlib.sha256(self.files[name][1]).hexdigest()[:12]}"


def templates(folder: Path) -> Templates:
    """Jinja's, which escape every value and refuse a name that nobody gave."""
    return Templates(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )


@asynccontextmanager
async def serve(
    app: ASGIApp, ips: Sequence[str], port: int, *, connections_max: int, idle_s_max: int, closing: Callable[[], None] = lambda: None
) -> AsyncIterator[int]:
    """Serve plain HTTP on `port` of every one of `ips` while inside; yields the port (a free one for 0). Raises PortTaken.

    closing: called when left, to end streams that would never end; all other answers have 2 s.
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
            limit_concurrency=connections_max,
            timeout_keep_alive=idle_s_max,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
            h11_max_incomplete_event_size=HEADER_MAX_BYTES,
        )
        server = _Server(config)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve(sockets=listeners))
            try:
                yield port
            finally:  # also when cancelled: a server that is cut off leaves its socket with the loop
                closing()
                server.should_exit = True
                await asyncio.wait({serving}, timeout=2 * STOP_TIMEOUT_S)


class _Server(uvicorn.Server):
    """Signals belong to the process, not to one of its servers."""

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
