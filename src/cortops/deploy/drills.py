"""Drills that were held: an append-only file in the environment's state, one line a drill. `cortops drill` lists them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from cortops.targets.ask import ask
from cortops.targets.quoting import quote
from cortops.targets.target import Target
from cortops.words.errors import StoreUnavailable

DRILLS_MAX_MIB = 8  # then it becomes drills.1.jsonl, in place of the one before
READ_LINES_MAX = 2_000  # from the end
STORE_TIMEOUT_S = 15.0
FORMAT = 1

DrillKind = Literal["deploy", "bad-release", "rollback"]
KINDS: tuple[DrillKind, ...] = ("deploy", "bad-release", "rollback")
Outcome = Literal["ok", "failed"]


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """One program that took part. release: its name in the environment file, or of one that was made for the drill."""

    release: str
    sha256: str


class DrillStep(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was to be shown. text: what was seen, or what went wrong."""

    step: str
    outcome: Outcome
    took_s: float
    text: str = ""


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """One drill. id: that of an apply; at: when it began, seconds since 1970; by: user@host; on: what it was played on.

    left: what took no part, and why. The shape stays; fields may be added.
    """

    id: str
    kind: DrillKind
    environment: str
    at: float
    took_s: float
    by: str
    outcome: Outcome
    on: str
    releases: tuple[Released, ...] = ()
    steps: tuple[DrillStep, ...] = ()
    left: tuple[str, ...] = ()
    tool_version: str = ""
    format: int = FORMAT


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a drill has shown. on: what it was played on; left: what took no part, and why."""

    on: str
    releases: tuple[Released, ...]
    steps: tuple[DrillStep, ...]
    left: tuple[str, ...] = ()


class Drills:
    """drills.jsonl under `root` on `target`. Every method raises StoreUnavailable when the target gives no answer."""

    def __init__(self, target: Target, root: str) -> None:
        self._target = target
        self._root = root

    async def add(self, drill: Drill) -> None:
        """Keep it, whatever its outcome."""
        line = msgspec.json.encode(drill).decode()
        said = await ask(
            self._target,
            f"umask 077; file={quote(self._path)}; mkdir -p {quote(self._root)} || exit\n"
            'size=$(stat -c %s "$file" 2>/dev/null)\n'
            f'[ "${{size:-0}}" -le {DRILLS_MAX_MIB << 20} ] || mv -f "$file" "${{file%.jsonl}}.1.jsonl"\n'
            f'printf \'%s\\n\' {quote(line)} >>"$file" && sync "$file"',
            STORE_TIMEOUT_S,
        )
        if not said.ok:
            raise StoreUnavailable(f"the drill could not be written down on {self._target.name}: {said.why}", where=self._target.name)

    async def all(self) -> tuple[Drill, ...]:
        """The oldest first."""
        said = await ask(
            self._target,
            f'file={quote(self._path)}; for one in "${{file%.jsonl}}.1.jsonl" "$file"; do [ ! -e "$one" ] || cat "$one" || exit; done | '
            f"tail -n {READ_LINES_MAX}",
            STORE_TIMEOUT_S,
        )
        if not said.ok:
            raise StoreUnavailable(f"the drills on {self._target.name} cannot be read: {said.why}", where=self._target.name)
        return drills(said.out)

    @property
    def _path(self) -> str:
        return f"{self._root}/drills.jsonl"


def drills(lines: Iterable[str]) -> tuple[Drill, ...]:
    """Lines -> drills; one that a kill or a full disk cut off is left out."""
    found: list[Drill] = []
    for line in lines:
        try:
            found.append(msgspec.json.decode(line, type=Drill))
        except msgspec.DecodeError:
            continue
    return tuple(found)


def latest(found: Sequence[Drill], kind: DrillKind) -> Drill | None:
    """The newest of a kind, whatever its outcome: what the checklist asks for."""
    return next((drill for drill in reversed(found) if drill.kind == kind), None)
