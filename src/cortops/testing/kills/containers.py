"""A stand-in for Docker's engine: containers with a root and a process tree of their own. Only what our programs ask of it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import signal
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RESTART_AFTER_S = 0.02
STOP_GRACE_S = 1.0
LOOK_EVERY_S = 0.002

Answer = tuple[int, bytes]  # exit status, what is printed


@dataclass(slots=True)
class Container:
    """One container. root: its files; argv: of its first process; pid: that one's, 0 while it does not run."""

    name: str
    root: Path
    argv: tuple[str, ...]
    log: Path
    pid: int = 0
    restarts: int = 0
    wanted: bool = False
    running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once its first process runs."""
        if self.pid:
            return
        self.wanted = True
        begun = asyncio.Event()
        self.running = asyncio.create_task(self._run(begun))
        await begun.wait()

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """End it for good: by the signal, which a first process without a handler does not get, and after the grace by SIGKILL."""
        self.wanted = False
        if self.running is None:
            return
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
        done, _ = await asyncio.wait([self.running], timeout=STOP_GRACE_S)
        if not done:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            await self.running

    async def _run(self, begun: asyncio.Event) -> None:
        self.restarts = 0
        while True:
            await self._once(begun)
            if not self.wanted:
                return
            await asyncio.sleep(RESTART_AFTER_S)
            self.restarts += 1

    async def _once(self, begun: asyncio.Event) -> None:
        folder = str(Path(self.argv[1]).parent)
        inside = ["unshare", "--pid", "--fork", "--kill-child", "/usr/sbin/chroot", str(self.root), *self.argv]
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *inside, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env={"HOME": folder}
            )
        while process.returncode is None and not (pid := self._first(process.pid)):  # noqa: ASYNC110 — nobody is told when a process becomes another program
            await asyncio.sleep(LOOK_EVERY_S)
        if process.returncode is None:
            self.pid = pid
        begun.set()
        await process.wait()
        self.pid = 0

    def _first(self, parent: int) -> int:
        """The host's pid of PID 1 inside, once it is what was asked for; 0 before."""
        try:
            pid = int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, IndexError):
            return 0
        return pid if words[0].decode() == self.argv[0] else 0


class Docker:
    """All containers."""

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        self._jobs = asyncio.Lock()

    async def idle(self) -> None:
        """Return when no job is under way."""
        async with self._jobs:
            return

    async def end(self) -> None:
        """Kill all, and forget them."""
        for container in self.containers.values():
            await container.stop(signal.SIGKILL)
        self.containers.clear()

    async def answer(self, words: Sequence[str]) -> Answer:
        """The words after `docker` -> exit status and output."""
        verb, *rest = words
        names = [word for word in rest if word in self.containers]
        if verb == "inspect":
            return self._inspect(rest)
        if verb == "cp":
            return self._copy(rest)
        if not names:
            return 1, b"Error: No such container\n"
        container = self.containers[names[0]]
        if verb == "logs":
            return 0, b"\n".join(container.log.read_bytes().splitlines()[-1:]) + b"\n"
        async with self._jobs:  # goes on to its end, whatever becomes of who asked
            if verb == "start":
                await container.start()
            elif verb == "stop":
                await container.stop()
            else:
                return 1, b"docker: not a command of this stand-in\n"
        return 0, f"{container.name}\n".encode()

    def _inspect(self, words: Sequence[str]) -> Answer:
        container = self.containers.get(words[-1])
        if container is None:
            return 1, b"Error: No such container\n"
        text = words[words.index("-f") + 1]
        values = {
            ".State.Pid": str(container.pid),
            ".State.Running": "true" if container.pid else "false",
            ".RestartCount": str(container.restarts),
            "json .Path": json.dumps(container.argv[0]),
            "json .Args": json.dumps(container.argv[1:]),
            "json .Image": json.dumps(f"sha256:{container.name}"),
            "json .Config.Env": "[]",
            "json .Config.WorkingDir": '""',
            "json .HostConfig.RestartPolicy": json.dumps({"Name": "unless-stopped"}),
        }
        for key, value in values.items():
            text = text.replace(f"{{{{{key}}}}}", value)
        return 0, f"{text}\n".encode()

    def _copy(self, words: Sequence[str]) -> Answer:
        source, target = [word for word in words if word not in ("-L", "-a")]
        if target == "-":
            name, _, path = source.partition(":")
            data = (self.containers[name].root / path.lstrip("/")).read_bytes()
            packed = io.BytesIO()
            with tarfile.TarFile(fileobj=packed, mode="w") as archive:
                info = tarfile.TarInfo(Path(path).name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            return 0, packed.getvalue()
        name, _, path = target.partition(":")
        to = self.containers[name].root / path.lstrip("/")
        part = to.parent / f"{to.name}.arriving"
        shutil.copy(source, part)
        part.rename(to)
        return 0, b""
