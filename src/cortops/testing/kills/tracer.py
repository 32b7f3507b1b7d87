"""A target whose programs stop before every simple command until they are let go on, and are killed at a chosen one.

bash's DEBUG trap runs before each command, in functions, subshells and substitutions too: there it says which one, and waits for a word.
So a point is exact, and nothing depends on time. Processes that left the program's session (services, nodes) live on, as they would.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cortops.targets.target import Ending, Line, Target

_TRAP = (
    "exec 7>{ask} 6<{go}; set -T; "
    'trap \'printf "%s %s %s\\n" "$$" "${{FUNCNAME[0]-}}" "${{BASH_COMMAND%%[!a-zA-Z_]*}}" >&7; read -r traced <&6\' DEBUG\n'
)
# The virtual clock: one that sleeps moves it by a second, and real time by little.
_SLEEP = 'sleep() { command sleep 0.004; read -r up idle </proc/uptime; echo "$((${up%.*} + 1)).00 0.00" >/proc/uptime; }\n'


class LaptopLost(BaseException):
    """Whoever applied is gone too: nothing of it goes on."""


@dataclass(slots=True)
class Trace:
    """One run. kill_at: before which command, counted from 0, -1 for never; laptop: whether who applies dies with it.

    inside_s: let that command begin, and kill so long after. commands: function and first word of each, as they came.
    """

    kill_at: int = -1
    laptop: bool = False
    inside_s: float = 0.0
    commands: list[str] = field(default_factory=list)
    killed: bool = False


class Tracer:
    """The two pipes between programs and us. Close it in the loop that made it."""

    def __init__(self, folder: Path) -> None:
        self._paths = (folder / "ask", folder / "go")
        for path in self._paths:
            os.mkfifo(path)
        self._ask, self._go = (os.open(path, os.O_RDWR | os.O_NONBLOCK) for path in self._paths)
        self._rest = b""
        self.trace = Trace()
        self.before_each: Callable[[], None] = lambda: None
        asyncio.get_running_loop().add_reader(self._ask, self._asked)

    @property
    def prelude(self) -> str:
        """What a traced program begins with."""
        return _TRAP.format(ask=self._paths[0], go=self._paths[1])

    def begin(self, trace: Trace) -> None:
        """From now on programs are counted in `trace`; what an earlier one left in the pipes is thrown away."""
        for pipe in (self._ask, self._go):
            with suppress(BlockingIOError):
                while os.read(pipe, 65_536):
                    pass
        self._rest, self.trace = b"", trace

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._ask)
        os.close(self._ask)
        os.close(self._go)

    def _asked(self) -> None:
        *lines, self._rest = (self._rest + os.read(self._ask, 65_536)).split(b"\n")
        for line in lines:
            self._one(line.decode("utf-8", "replace"))

    def _one(self, line: str) -> None:
        trace = self.trace
        pid, _, what = line.partition(" ")
        if trace.killed:
            _end(int(pid))  # begun before the kill: it would wait for our word until its deadline
            return
        self.before_each()
        at = len(trace.commands)
        trace.commands.append(what)
        if at == trace.kill_at:
            if trace.inside_s:
                os.write(self._go, b"\n")
                trace.kill_at = -1
                asyncio.get_running_loop().call_later(trace.inside_s, self._kill, trace, int(pid))
            else:
                self._kill(trace, int(pid))
            return
        os.write(self._go, b"\n")

    def _kill(self, trace: Trace, pid: int) -> None:
        if trace is not self.trace or trace.killed:
            return  # the run was over before
        trace.killed = True
        _end(pid)


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(os.getpgid(pid), signal.SIGKILL)


class TracedTarget:
    """Implements targets.target.Target: as `target`, by the virtual clock, every program traced. tracer: None where nothing is killed.

    After a kill with `laptop` it raises LaptopLost.
    """

    def __init__(self, target: Target, tracer: Tracer | None = None) -> None:
        self.name = target.name
        self._target = target
        self._tracer = tracer

    async def run(self, program: str, data: AsyncIterable[bytes], deadline_s: float) -> AsyncGenerator[Line | Ending, None]:
        trace = self._tracer.trace if self._tracer is not None else Trace()
        if trace.killed and trace.laptop:
            raise LaptopLost
        prelude = "" if self._tracer is None or trace.killed else self._tracer.prelude
        async with aclosing(self._target.run(_SLEEP + prelude + program, data, deadline_s)) as items:
            async for item in items:
                if trace.killed and trace.laptop:
                    raise LaptopLost
                yield item
        if trace.killed and trace.laptop:
            raise LaptopLost
