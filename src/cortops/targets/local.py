"""This machine as a target: the bootstrap as `sh` in a session of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, SubprocessStreamProtocol
from collections.abc import AsyncGenerator, AsyncIterable

from cortops.targets.bootstrap import BOOTSTRAP, opening
from cortops.targets.conversation import LINES_MAX, LINES_WAITING_MAX, Pipes, TooManyLines, converse
from cortops.targets.target import Ending, Exited, Line, Lost, TimedOut

# What a login over SSH would have; the caller's other variables may hold secrets and must not reach services.
_ENV_KEPT = ("HOME", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER")


class LocalTarget:
    """Implements targets.target.Target for the machine that we run on."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def run(self, program: str, data: AsyncIterable[bytes], deadline_s: float) -> AsyncGenerator[Line | Ending, None]:
        """As targets.target.Target.run."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            transport, protocol = await loop.subprocess_exec(
                _Watched, "sh", "-c", BOOTSTRAP, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True, cwd="/", env=_environment()
            )
        except OSError as error:
            yield Lost(f"sh cannot be started here: {error}")
            return
        lines: asyncio.Queue[Line | None] = asyncio.Queue(LINES_WAITING_MAX)
        talk = asyncio.create_task(_talk(protocol, opening(program, deadline_s), data, lines, deadline_s))
        lost = ""
        try:
            while (line := await lines.get()) is not None:
                yield line
            lost = await talk
        finally:
            if transport.get_returncode() is None:
                _end_group(transport.get_pid())
            talk.cancel()
            await asyncio.wait([talk])
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


async def _talk(
    protocol: _Watched, opening: bytes, data: AsyncIterable[bytes], lines: asyncio.Queue[Line | None], deadline_s: float
) -> str:
    """Converse to the end, then put None; the text says why the outcome is unknown, if it is."""
    assert protocol.stdin is not None and protocol.stdout is not None and protocol.stderr is not None
    pipes = Pipes(stdin=protocol.stdin, stdout=protocol.stdout, stderr=protocol.stderr, exited=protocol.exited)
    try:
        await converse(pipes, opening, data, lines, deadline_s)
    except TimeoutError:
        return f"it did not end itself at its deadline of {deadline_s:g} s"
    except ExceptionGroup as group:
        if isinstance(group.exceptions[0], TooManyLines):
            return f"it wrote more than {LINES_MAX} lines"
        raise group.exceptions[0] from None
    finally:
        if not asyncio.current_task().cancelling():  # type: ignore[union-attr]  # inside a coroutine there is a task
            await lines.put(None)
    return ""


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
