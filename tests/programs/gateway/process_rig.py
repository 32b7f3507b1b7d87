"""A process of the gateway, started the way a service manager starts it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cortops.protocol.gateway import GatewayConfig

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@dataclass
class Process:
    """One process of the gateway."""

    config: GatewayConfig
    folder: Path
    running: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.config.listen.port}"

    @property
    def path(self) -> Path:
        return self.folder / f"{self.config.name}.json"

    async def start(self) -> None:
        self.path.write_bytes(self.config.to_json())
        self.running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cortops.programs.gateway", str(self.path), stdout=asyncio.subprocess.PIPE
        )
        assert (await self.said("listening"))["process"] == self.config.name

    async def said(self, begins: str) -> dict[str, Any]:
        """The next line of its log about an event whose name begins so."""
        assert self.running is not None and self.running.stdout is not None
        while line := await self.running.stdout.readline():
            found: dict[str, Any] = json.loads(line)
            assert found["level"] != "error" or found["event"].startswith(begins), found
            if found["event"].startswith(begins):
                return found
        raise AssertionError(f"it ended before it said {begins}")

    async def reload(self, text: bytes) -> dict[str, Any]:
        """Another file, the signal, and what it says of it."""
        assert self.running is not None
        self.path.write_bytes(text)
        self.running.send_signal(signal.SIGHUP)
        return await self.said("reload")

    async def end(self, number: signal.Signals) -> None:
        if self.running is not None:
            self.running.send_signal(number)
            await self.running.communicate()
            assert self.running.returncode == (0 if number == signal.SIGTERM else -number)
            self.running = None
