"""Ports on loopback of an SSH host, each as a socket here that only we may open: a folder of our own, gone when the connection is."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field

import asyncssh

LOOPBACK = "127.0.0.1"
OPEN_TIMEOUT_S = 5.0


@dataclass(slots=True)
class SshWays:
    """The ways of one target; close them before its connection."""

    _folder: tempfile.TemporaryDirectory[str] | None = None
    _open: dict[int, tuple[asyncssh.SSHClientConnection, asyncssh.SSHListener, str]] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def to(self, connection: asyncssh.SSHClientConnection, port: int) -> str:
        """The path of the socket that leads to `port` through this connection, opened once. Raises OSError."""
        async with self._lock:
            before = self._open.get(port)
            if before is not None and before[0] is connection:
                return before[2]
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="cortops-ways-")
            number = 0 if before is None else int(before[2].rpartition("-")[2]) + 1  # of a connection that is gone: its socket may linger
            path = f"{self._folder.name}/{port}-{number}"
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                listener = await connection.forward_local_path_to_port(path, LOOPBACK, port)
            self._open[port] = connection, listener, path
            return path

    def close(self) -> None:
        """Nobody connects any more; connections that are open end with the SSH connection."""
        for _, listener, _ in self._open.values():
            listener.close()
        self._open.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
