"""Writes the reference pages that come from the code: `make docs`. A test compares them, so none goes stale."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cortops.cli import build
from cortops.environment import reference
from cortops.words import errors
from cortops.words.errors import CortopsError

FOLDER = Path(__file__).resolve().parent / "reference"
NOTE = "Written from the code by `make docs`: do not edit it here.\n"
EXITS = """Results go to standard output, progress to standard error.
Exit: 0 done or nothing to do, 1 failed, 2 bad input, 3 changes pending or attention needed, 130 interrupted.
"""


def pages() -> dict[str, str]:
    """File name in docs/reference -> its text."""
    return {"command-line.md": command_line(), "environment-file.md": reference.page(), "errors.md": error_page()}


def command_line() -> str:
    """Every verb with its arguments, as `--help` shows them."""
    with _called("cortops"):
        told = build().generate_docs(output_format="markdown")
    title, _, rest = told.partition("\n")
    return f"{title}\n\n{NOTE}\n{EXITS}{rest.rstrip()}\n"


@contextmanager
def _called(name: str) -> Iterator[None]:
    """A group that is loaded when it is called takes the program's name from the command line."""
    kept, sys.argv = sys.argv, [name]
    try:
        yield
    finally:
        sys.argv = kept


def error_page() -> str:
    """Every error: its code, the exit status, and the cure."""
    kinds = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, CortopsError)]
    rows = [f"| `{kind.code}` | {kind.exit_status} | {(kind.__doc__ or '').strip()} |" for kind in kinds]
    shape = 'With `--json`: `{"code", "what", "where", "why", "next"}`; `next` is a better cure than the one here when there is one.\n'
    head = f"# Errors\n\n{NOTE}\nWhat went wrong, where, why, and what to do next.\n{shape}"
    return "\n".join([head, "| Code | Exit | What to do |", "|---|---|---|", *rows, ""])


def main() -> None:
    """Write each page that differs, and say which."""
    for name, text in pages().items():
        path = FOLDER / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"written: docs/reference/{name}")


if __name__ == "__main__":
    main()
