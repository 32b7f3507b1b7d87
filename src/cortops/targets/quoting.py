"""The one way in which text becomes a word of an sh program."""

from __future__ import annotations

import shlex

from cortops.words.errors import BadInput


def quote(text: str) -> str:
    """`text` -> one sh word that stands for exactly these characters. BadInput for a zero byte, which no sh word can hold."""
    if "\0" in text:
        raise BadInput(f"{text[:40]!r} holds a zero byte, which no program argument can")
    return shlex.quote(text)


def command(*words: str | int) -> str:
    """Words -> one sh command line, each quoted."""
    return " ".join(quote(str(word)) for word in words)
