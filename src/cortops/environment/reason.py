"""Path, Finding, Reason and Position: where something stands in the file, and what is wrong there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cortops.words.errors import EnvironmentInvalid

Step = str | int
Path = tuple[Step, ...]  # ("nodes", "miner-1", "routers", 0)

REASONS_MAX = 100  # printed; the rest is counted
REASONS_PER_PLACE_MAX = 3  # one wrong line in a range of 500 nodes is one mistake
_PATH_COLUMN_MAX = 40
_QUOTED_MAX = 60
_COMPARED_MAX = 200  # words looked at for one "Did you mean"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in an environment file; line and column count from 1. Its text is `file:line`, as plans and errors cite it."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at a path, and what to write instead. `at` (line, column) only where no path tells: a second key of one name."""

    path: Path
    what: str
    instead: str
    at: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """A finding with its place in the file."""

    line: int
    column: int
    path: str
    what: str
    instead: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """Why a text is no environment: every reason that could be found, in the order of the file."""

    file: str
    reasons: tuple[Reason, ...]

    @property
    def text(self) -> str:
        """`file:line:column  path  what is wrong. What to write instead.`, one line a reason, then the count and the next command."""
        shown = self.reasons[:REASONS_MAX]
        places = [f"{self.file}:{reason.line}:{reason.column}" for reason in shown]
        place_width = max(map(len, places), default=0)
        path_width = min(max((len(reason.path) for reason in shown), default=0), _PATH_COLUMN_MAX)
        lines = [
            f"{place:<{place_width}}  {reason.path:<{path_width}}  {reason.what}. {reason.instead}"
            for place, reason in zip(places, shown, strict=True)
        ]
        if len(self.reasons) > len(shown):
            lines.append(f"… and {len(self.reasons) - len(shown)} more")
        count = len(self.reasons)
        lines.append(f"{count} error{'s' if count != 1 else ''} in {self.file}. Nothing was changed.")
        return "\n".join(lines)

    def error(self) -> EnvironmentInvalid:
        """The same as an exception, for callers that stop here."""
        first = self.reasons[0]
        return EnvironmentInvalid(
            self.text, where=f"{self.file}:{first.line}:{first.column}", next=f"correct the file, then run: cortops validate {self.file}"
        )


def path_text(path: Iterable[Step]) -> str:
    """("pools", "a", "members", 1) -> `pools.a.members[1]`, safe to print."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{printable(step)}" if text else printable(step)
    return text


def printable(text: str) -> str:
    """`text` without control characters, at most 60 characters long."""
    safe = "".join(char if char.isprintable() else "�" for char in text[: _QUOTED_MAX + 1])
    return safe if len(safe) <= _QUOTED_MAX else safe[: _QUOTED_MAX - 1] + "…"


def quoted(value: object) -> str:
    """A value as an error shows it: short, printable, and never something that could be a private key."""
    if isinstance(value, str):
        digits = value.removeprefix("0x")
        if len(digits) >= 64 and all(char in "0123456789abcdefABCDEF" for char in digits[:64]):
            return "(64 hex digits, not shown)"
        return f"'{printable(value)}'"
    if isinstance(value, dict):
        return "a block"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else f"'{value}'"


def list_of(words: Iterable[str], *, limit: int = 12) -> str:
    """Words as `a, b, c`, cut after `limit` of them."""
    known = [printable(word) for word in words]
    return ", ".join(known[:limit]) + (f" and {len(known) - limit} more" if len(known) > limit else "")


def nearest(wrong: str, known: Sequence[str]) -> str:
    """The known word that looks most like a wrong one, "" where none does."""
    import difflib

    near = difflib.get_close_matches(wrong[:_QUOTED_MAX], known[:_COMPARED_MAX], n=1, cutoff=0.6)
    return near[0] if near else ""


def did_you_mean(wrong: str, known: Sequence[str], *, otherwise: str) -> str:
    """The cure for an unknown word: the one that looks like it, else `otherwise`."""
    near = nearest(wrong, known)
    return f"Did you mean {printable(near)}?" if near else otherwise
