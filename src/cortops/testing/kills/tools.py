"""`systemctl` and `docker` on the small host: clients of four lines, and the one server that answers them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from cortops.testing.kills.containers import Docker
from cortops.testing.kills.units import Systemd

_CLIENT = """#!/bin/bash
exec 3<>/dev/tcp/127.0.0.1/{port} || exit 1
printf '%s\\n' {tool} $# >&3
[ $# = 0 ] || printf '%s\\0' "$@" >&3
read -r status <&3
cat <&3
exit "$status"
"""
TOOLS = ("systemctl", "docker", "journalctl")


class Managers:
    """The server, in our own process, and the two stand-ins behind it."""

    def __init__(self) -> None:
        self.systemd = Systemd()
        self.docker = Docker()
        self._server: asyncio.Server | None = None
        self._asked: set[asyncio.Task[None]] = set()

    async def serve(self, folder: Path) -> None:
        """Listen on loopback, and write the clients into `folder`."""
        self._server = await asyncio.start_server(self._one, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        for tool in TOOLS:
            client = folder / tool
            client.write_text(_CLIENT.format(port=port, tool=tool))
            client.chmod(0o755)

    async def idle(self) -> None:
        """Return when nothing that was asked is under way any more, also what was asked by somebody who has died."""
        while self._asked:
            await asyncio.wait(self._asked)
        await self.systemd.idle()
        await self.docker.idle()

    async def end(self) -> None:
        """End every process of both."""
        await self.systemd.end()
        await self.docker.end()

    async def close(self) -> None:
        await self.end()
        if self._server is not None:
            self._server.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._asked.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, ValueError):  # the client died while it asked
                tool = (await reader.readline()).decode().strip()
                count = int(await reader.readline())
                words = [(await reader.readuntil(b"\0"))[:-1].decode() for _ in range(count)]
                if tool == "docker":
                    status, out = await self.docker.answer(words)
                elif tool == "systemctl":
                    status, text = await self.systemd.answer(words)
                    out = f"{text}\n".encode() if text else b""
                else:
                    status, out = 0, b""
                writer.write(f"{status}\n".encode() + out)
                await writer.drain()
        finally:
            writer.close()
            self._asked.discard(task)
