"""Results on stdout, progress on stderr: live on a terminal, plain lines in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from cortops.words.errors import CortopsError


def show(text: str) -> None:
    """One result for people."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def show_json(value: object) -> None:
    """One result for programs."""
    show(json.dumps(value, indent=2))


def show_error(error: CortopsError, *, as_json: bool) -> None:
    """What, where, why, next; as `{"error": {...}}` on stdout for programs."""
    if as_json:
        show_json({"error": error.as_dict()})
        return
    lines = [f"error: {error.what}"]
    lines += [f"  {label + ':':7}{text}" for label, text in (("where", error.where), ("why", error.why), ("next", error.next)) if text]
    sys.stderr.write("\n".join(lines) + "\n")


def table(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Rows with their columns aligned; the last column is not padded."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = (indent + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


class Progress:
    """Lines about long work. On a terminal the line of what is under way is overwritten; elsewhere only finished lines appear."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._open = False

    def now(self, text: str) -> None:
        """What is under way; on a terminal only."""
        if self._live:
            self._stream.write(f"\r\x1b[K{text[:100]}")
            self._stream.flush()
            self._open = True

    def say(self, *lines: str) -> None:
        """Finished lines."""
        self._close()
        self._stream.write("".join(line + "\n" for line in lines))
        self._stream.flush()

    def _close(self) -> None:
        if self._open:
            self._stream.write("\r\x1b[K")
            self._open = False


def joined(names: Iterable[str], most: int = 4) -> str:
    """`a, b, c and 3 more`."""
    known = list(names)
    return ", ".join(known) if len(known) <= most else ", ".join(known[:most]) + f" and {len(known) - most} more"
