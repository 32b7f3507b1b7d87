"""Who may have a key of a private session: the list in an env file. Source: facts F (`ENCRYPTION_ALLOWED_LIST`).

    LIST  = ENTRY *( ";" ENTRY )          ENTRY = SESSION [ "-" TASK ] ":" ADDRESS *( "," ADDRESS )

An entry without a task is for every task of its session; one with a task is for that task too. Addresses are compared without case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from cortops.words.errors import BadInput

ENTRIES_MAX = 10_000
_WHERE = re.compile(r"(0|[1-9][0-9]{0,17})(?:-(0|[1-9][0-9]{0,17}))?")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_DUMMY = re.compile(r"0x(?:([0-9a-f])\1{39}|0{30}[0-9a-f]{10}|1234567890.*|deadbeef.*)")

Entry = tuple[int, int | None]  # session, task


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowlist:
    """{(session, task or None): addresses in small letters}."""

    entries: Mapping[Entry, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """An empty text is an empty list. Blanks around parts are left out. Raises BadInput naming the first entry that does not fit."""
        entries: dict[Entry, frozenset[str]] = {}
        parts = [part.strip() for part in text.split(";") if part.strip()]
        if len(parts) > ENTRIES_MAX:
            raise BadInput(f"the list of allowed addresses has {len(parts)} entries, at most {ENTRIES_MAX} are read")
        for part in parts:
            where, _, names = part.partition(":")
            found, addresses = _WHERE.fullmatch(where.strip()), [name.strip() for name in names.split(",")]
            if found is None or not all(_ADDRESS.fullmatch(address) for address in addresses):
                raise BadInput(f"{part[:80]!r} is not of the form SESSION:ADDRESS,ADDRESS or SESSION-TASK:ADDRESS")
            entry = int(found[1]), int(found[2]) if found[2] is not None else None
            entries[entry] = entries.get(entry, frozenset()) | {address.lower() for address in addresses}
        return cls(entries=entries)

    def __str__(self) -> str:
        """The inverse of `parse`, in one order."""
        ordered = sorted(self.entries.items(), key=lambda item: (item[0][0], -1 if item[0][1] is None else item[0][1]))
        return ";".join(f"{_named(entry)}:{','.join(sorted(addresses))}" for entry, addresses in ordered if addresses)

    def allows(self, address: str, session: int, task: int | None = None) -> bool:
        """May the address have the key of this session, or of this task of it?"""
        everywhere = self.entries.get((session, None), frozenset())
        here = self.entries.get((session, task), frozenset()) if task is not None else frozenset()
        return address.lower() in everywhere | here

    @property
    def sessions(self) -> frozenset[int]:
        return frozenset(session for session, _ in self.entries)

    @property
    def dummies(self) -> tuple[str, ...]:
        """Addresses that nobody can hold the key of, as shipped examples have them."""
        return tuple(sorted(address for address in frozenset().union(*self.entries.values()) if _DUMMY.fullmatch(address)))


def _named(entry: Entry) -> str:
    session, task = entry
    return str(session) if task is None else f"{session}-{task}"
