"""The target seam: one method. What passes here passes tests/targets/test_conformance.py on every target."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Line:
    """One line that the program wrote, without its line break; longer ones are cut at `conversation.LINE_MAX_KIB`."""

    stream: Literal["out", "err"]
    text: str


@dataclass(frozen=True, slots=True)
class Exited:
    """The program ended by itself, with this exit status."""

    status: int


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The remote side ended itself at the deadline."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Lost:
    """The outcome is unknown: only the next observe can tell."""

    why: str


Ending = Exited | TimedOut | Lost


class Target(Protocol):
    """A machine where programs can run."""

    @property
    def name(self) -> str: ...

    def run(self, program: str, data: AsyncIterable[bytes], deadline_s: float) -> AsyncGenerator[Line | Ending, None]:
        """Run the sh text `program` with `data` on its standard input; yield lines, then exactly one ending.

        Program text holds no secret and appears in no argument list; `data` may hold secrets.
        Closing the iterator early ends the program and all that it started in its process group.
        """
