"""This machine as a target: the bootstrap as `sh` in a session of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, SubprocessStreamProtocol
from collections.abc import AsyncGenerator, AsyncIterable, Sequence

from cortops.targets.bootstrap import BOOTSTRAP, opening
from cortops.targets.conversation import LINES_WAITING_MAX, Pipes, talk
from cortops.targets.target import Ending, Exited, Line, Lost, TimedOut

# What a login over SSH would have; the caller's other variables may hold secrets and must not reach services.
_ENV_KEPT = ("HOME", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER")


class LocalTarget:
    """Implements targets.target.Target for the machine that we run on."""

    def __init__(self, name: str, within: Sequence[str] = ()) -> None:
        """within: words before `sh`, of a program that runs it elsewhere on this machine, as `nsenter --mount ...`."""
        self.name = name
        self._within = tuple(within)

    async def run(self, program: str, data: AsyncIterable[bytes], deadline_s: float) -> AsyncGenerator[Line | Ending, None]:
        """As targets.target.Target.run."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            transport, protocol = await loop.subprocess_exec(
                _Watched,
                *self._within,
                "sh",
                "-c",
                BOOTSTRAP,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                start_new_session=True,
                cwd="/",
                env=_environment(),
            )
        except OSError as error:
            yield Lost(f"sh cannot be started here: {error}")
            return
        lines: asyncio.Queue[Line | None] = asyncio.Queue(LINES_WAITING_MAX)
        assert protocol.stdin is not None and protocol.stdout is not None and protocol.stderr is not None
        pipes = Pipes(stdin=protocol.stdin, stdout=protocol.stdout, stderr=protocol.stderr, exited=protocol.exited)
        talking = asyncio.create_task(talk(pipes, opening(program, deadline_s), data, lines, deadline_s))
        lost = ""
        try:
            while (line := await lines.get()) is not None:
                yield line
            lost = await talking
        finally:
            if transport.get_returncode() is None:
                _end_group(transport.get_pid())
            talking.cancel()
            await asyncio.wait([talking])
            await protocol.exited.wait()
            transport.close()
        yield _ending(transport.get_returncode(), lost, loop.time() - started, deadline_s)


class _Watched(SubprocessStreamProtocol):
    """The usual streams, and an event for the process's end that does not wait for its pipes."""

    def __init__(self) -> None:
        super().__init__(limit=65_536, loop=asyncio.get_running_loop())
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.exited.set()


def _ending(status: int | None, lost: str, elapsed_s: float, deadline_s: float) -> Ending:
    if lost:
        return Lost(lost)
    if status is None or status < 0:
        # The bootstrap ends its group, itself included, by signal; our clock started before its own.
        if elapsed_s >= deadline_s:
            return TimedOut(deadline_s)
        return Lost(f"the program was ended by signal {-(status or 0)}")
    return Exited(status)


def _end_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _ENV_KEPT if name in os.environ} | {"LANG": "C.UTF-8"}
