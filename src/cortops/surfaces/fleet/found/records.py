"""What a host's program says, as records: lines KEY TAB VALUE below a line @KIND TAB NAME. What is no such line is dropped, and counted."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cortops.surfaces.fleet.found.public_keys import fits

LINES_MAX = 60_000
VALUE_MAX = 400
KINDS = frozenset(
    ("host", "limit", "process", "unit", "container", "home", "unseen", "within", "timer", "state", "env", "bin", "exe", "end"),
)

_KEY = re.compile(r"[a-zA-Z][a-zA-Z_0-9]{0,31}")
_QUOTES = ("bare", "single", "double")


@dataclass(frozen=True, slots=True)
class EnvValue:
    """The public value of one key of an env file, and how it was quoted there: `bare`, `single` or `double`."""

    value: str
    quote: str


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that was seen. `pairs` in the order of the answer; `env`: only of env files and containers."""

    kind: str
    name: str
    pairs: tuple[tuple[str, str], ...]
    env: tuple[tuple[str, EnvValue], ...]

    def text(self, key: str) -> str:
        """The first value of a key, "" without one; "-" and "?", which stand for nothing and for what no line can hold, are "" too."""
        value = next((value for name, value in self.pairs if name == key), "")
        return "" if value in ("-", "?") else value

    def number(self, key: str) -> int | None:
        """A value of up to 18 digits as a number, else None."""
        value = self.text(key)
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else None

    def path(self, key: str) -> str:
        """A value that is an absolute path, else ""."""
        value = self.text(key)
        return value if value.startswith("/") else ""

    def all(self, key: str) -> tuple[str, ...]:
        return tuple(value for name, value in self.pairs if name == key)


@dataclass(frozen=True, slots=True)
class Said:
    """All records of one answer. `strays`: lines that were none."""

    records: tuple[Record, ...]
    strays: int

    def of(self, kind: str) -> tuple[Record, ...]:
        return tuple(record for record in self.records if record.kind == kind)

    @property
    def complete(self) -> bool:
        return any(record.kind == "end" for record in self.records)


def parse(text: str) -> Said:
    """Any text -> its records. Values of env keys that are not public, or not of their form, are dropped here a second time."""
    records: list[Record] = []
    strays = 0
    kind = name = ""
    pairs: list[tuple[str, str]] = []
    env: dict[str, EnvValue] = {}

    def close() -> None:
        if kind:
            records.append(Record(kind, name, tuple(pairs), tuple(env.items())))

    for line in text.split("\n", LINES_MAX)[:LINES_MAX]:
        key, tab, value = line.partition("\t")
        if not tab or len(value) > VALUE_MAX or not value.isprintable():
            strays += bool(line)
        elif key.startswith("@") and key[1:] in KINDS:
            close()
            kind, name, pairs, env = key[1:], value, [], {}
        elif kind and key.startswith("env."):
            quote, _, public = value.partition(" ")
            if quote in _QUOTES and fits(key[4:], public):
                env[key[4:]] = EnvValue(public, quote)
            else:
                strays += 1
        elif kind and _KEY.fullmatch(key):
            pairs.append((key, value))
        else:
            strays += 1
    close()
    return Said(tuple(records), strays)
