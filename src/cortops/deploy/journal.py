"""The journal of an environment or target: what was intended and what came of it, append-only, in the target's own time.

The driver's program writes `intent` before each step and `done` or `failed` after; whoever drives all waves writes `begun` and `finished`.
`judged` is how the gate of a changed node ended, which may be hours later: it belongs to no apply.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from cortops.targets.ask import ask
from cortops.targets.quoting import quote
from cortops.targets.target import Target
from cortops.words.errors import StoreUnavailable

JOURNAL_MAX_MIB = 8  # then it becomes journal.1.jsonl, in place of the one before
READ_LINES_MAX = 5_000  # from the end
JOURNAL_TIMEOUT_S = 15.0


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line. at: seconds, the target's clock; step: index in its batch; the rest as the event has it.

    Of `begun`: by, via: who and from where; tool_version; accepted: the flags by which people accepted the plan; to: the generation that it
    goes back to.
    """

    at: int
    apply: str
    event: Literal["begun", "intent", "done", "failed", "finished", "judged"]
    step: int = -1
    action: str = ""
    resource: str = ""
    text: str = ""
    by: str = ""
    via: str = ""
    digest: str = ""
    outcome: str = ""
    tool_version: str = ""
    accepted: tuple[str, ...] = ()
    to: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """A step that was begun; `unknown` means that it was cut off."""

    resource: str
    action: str
    outcome: Literal["done", "failed", "unknown"]
    at: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRecord:
    """One apply as the journal has it. finished: its outcome (`ok`, `failed`), or None when nobody wrote the end.

    to: the generation that it goes back to, None for what the file declares.
    """

    apply: str
    begun: int
    by: str
    digest: str
    steps: tuple[StepRecord, ...]
    finished: str | None
    to: int | None = None


class Journal:
    """journal.jsonl under `root` on `target`. Every method raises StoreUnavailable when the target gives no answer."""

    def __init__(self, target: Target, root: str) -> None:
        self._target = target
        self._root = root

    async def begin(
        self,
        apply_id: str,
        *,
        by: str,
        digest: str,
        via: str = "",
        tool_version: str = "",
        accepted: Sequence[str] = (),
        to: int | None = None,
    ) -> None:
        """Write `begun`, with the members of Entry; turns the journal over when it has grown past JOURNAL_MAX_MIB."""
        turn = (
            f'size=$(stat -c %s "$journal" 2>/dev/null) && [ "$size" -gt {JOURNAL_MAX_MIB << 20} ] && '
            'mv -f "$journal" "${journal%.jsonl}.1.jsonl"\n'
        )
        told = {"by": by, "via": via, "digest": digest, "tool_version": tool_version, "accepted": list(accepted), "to": to}
        await self._write("begun", apply_id, {name: value for name, value in told.items() if value not in ("", [], None)}, before=turn)

    async def finish(self, apply_id: str, outcome: Literal["ok", "failed"]) -> None:
        await self._write("finished", apply_id, {"outcome": outcome})

    async def judge(self, apply_id: str, *, resource: str, program: str, outcome: str, text: str, by: str) -> None:
        """Write how the gate of a changed node ended, or that it is `begun`. program: sha256 of what it was changed to."""
        await self._write("judged", apply_id, {"resource": resource, "digest": program, "outcome": outcome, "text": text, "by": by})

    async def read(self) -> tuple[Entry, ...]:
        """All that is kept, at most READ_LINES_MAX, the oldest first."""
        return tuple(entries(await self._lines()))

    async def judgements(self) -> tuple[Entry, ...]:
        """How gates ended, the oldest first."""
        return tuple(entry for entry in await self.read() if entry.event == "judged")

    async def last_apply(self) -> ApplyRecord | None:
        """The newest apply that the journal knows of."""
        return last_apply(await self.read())

    async def _lines(self) -> Sequence[str]:
        said = await ask(
            self._target,
            f'umask 077; journal={quote(self._path)}; set --; for old in "${{journal%.jsonl}}.1.jsonl" "$journal"; do '
            f'[ ! -e "$old" ] || set -- "$@" "$old"; done; [ $# = 0 ] || cat "$@" | tail -n {READ_LINES_MAX}',
            JOURNAL_TIMEOUT_S,
        )
        if not said.ok:
            raise StoreUnavailable(f"the journal on {self._target.name} cannot be read: {said.why}", where=self._target.name)
        return said.out

    @property
    def _path(self) -> str:
        return f"{self._root}/journal.jsonl"

    async def _write(self, event: str, apply_id: str, members: Mapping[str, object], before: str = "") -> None:
        rest = json.dumps({"apply": apply_id, "event": event} | dict(members))[1:]
        program = (
            f"umask 077; journal={quote(self._path)}; mkdir -p {quote(self._root)}\n{before}"
            f'printf \'{{"at":%s,%s\\n\' "$(date +%s)" {quote(rest)} | cat >>"$journal" && sync "$journal"'
        )
        said = await ask(self._target, program, JOURNAL_TIMEOUT_S)
        if not said.ok:
            raise StoreUnavailable(f"the journal on {self._target.name} cannot be written: {said.why}", where=self._target.name)


def entries(lines: Iterable[str]) -> list[Entry]:
    """Lines -> entries, oldest first. A line cut off by a kill or a full disk is left out."""
    found: list[Entry] = []
    for line in lines:
        try:
            found.append(msgspec.json.decode(line, type=Entry))
        except msgspec.DecodeError:
            continue
    return found


def last_apply(found: Iterable[Entry]) -> ApplyRecord | None:
    """Entries, oldest first -> the newest apply with what became of its steps."""
    known = [entry for entry in found if entry.event != "judged"]
    if not known:
        return None
    mine = [entry for entry in known if entry.apply == known[-1].apply]
    begun = next((entry for entry in mine if entry.event == "begun"), mine[0])
    steps: list[StepRecord] = []
    for entry in mine:
        if entry.event == "intent":
            steps.append(StepRecord(resource=entry.resource, action=entry.action, outcome="unknown", at=entry.at, text=""))
        elif entry.event in ("done", "failed") and steps and steps[-1].resource == entry.resource:
            outcome: Literal["done", "failed"] = "done" if entry.event == "done" else "failed"
            steps[-1] = StepRecord(resource=entry.resource, action=entry.action, outcome=outcome, at=entry.at, text=entry.text)
    end = next((entry.outcome for entry in reversed(mine) if entry.event == "finished"), None)
    return ApplyRecord(apply=begun.apply, begun=begun.at, by=begun.by, digest=begun.digest, steps=tuple(steps), finished=end, to=begun.to)
