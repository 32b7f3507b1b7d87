"""One short program, its whole answer: for whoever has no use for lines as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from cortops.targets.target import Ending, Exited, Line, Lost, Target, TimedOut


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a program wrote and how it ended."""

    ending: Ending
    out: tuple[str, ...]
    err: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return self.ending == Exited(0)

    @property
    def why(self) -> str:
        """Why it is not ok, in one line."""
        match self.ending:
            case Exited(status):
                return self.err[-1] if self.err else f"exit status {status}"
            case TimedOut(after_s):
                return f"no answer within {after_s:g} s"
            case Lost(why):
                return why


async def ask(target: Target, program: str, deadline_s: float, data: bytes = b"") -> Said:
    """Run `program` with `data` on its standard input and collect all it writes."""
    out: list[str] = []
    err: list[str] = []
    ending: Ending = Lost("it gave no ending")
    async with aclosing(target.run(program, once(data), deadline_s)) as items:
        async for item in items:
            if isinstance(item, Line):
                (out if item.stream == "out" else err).append(item.text)
            else:
                ending = item
    return Said(ending=ending, out=tuple(out), err=tuple(err))


async def once(data: bytes) -> AsyncIterator[bytes]:
    """`data` as a stream of one chunk, or of none when it is empty."""
    if data:
        yield data
