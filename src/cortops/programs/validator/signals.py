"""What can be told of an answer by its letters alone, beside its meaning. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from itertools import pairwise

SENTENCES_MAX = 32  # of one answer; of a longer one the first half and the last half of that number
SENTENCE_CHARS_MIN = 12  # a shorter piece ("1.", "Dr.") belongs to what follows it
PHRASE_WORDS = 4
SAME_WORDS_MIN = 0.7  # from this share of common words on, their order tells something

SHOWN_CHARS_MAX = 160

_BORDER = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def says_nothing(text: str) -> bool:
    """Nothing but blanks, line breaks and characters that cannot be seen."""
    return all(character.isspace() or unicodedata.category(character)[0] in "CZ" for character in text)


def sentences(text: str) -> tuple[str, ...]:
    """Its sentences, at most SENTENCES_MAX and in order; none of a text that says nothing."""
    found: list[str] = []
    before = ""
    for piece in _BORDER.split(text):
        piece = f"{before} {piece.strip()}".strip()
        before = piece if len(piece) < SENTENCE_CHARS_MIN else ""
        if piece and not before:
            found.append(piece)
    if before:  # what is left is the end of the last one
        found = [*found[:-1], f"{found[-1]} {before}"] if found else [before]
    half = SENTENCES_MAX // 2
    return tuple(found if len(found) <= SENTENCES_MAX else found[:half] + found[-half:])


def words(text: str) -> list[str]:
    """In lower case, without marks."""
    return _WORD.findall(text.lower())


def numbers(text: str) -> Counter[str]:
    """The numbers in it and how often each stands there; 1,000 and 1000 are one, and so are 7 and 7.0."""
    return Counter(_plain(found) for found in _NUMBER.findall(text))


def _plain(number: str) -> str:
    whole, _, part = number.replace(",", "").partition(".")
    part = part.rstrip("0")
    return f"{whole.lstrip('0') or '0'}.{part}" if part else whole.lstrip("0") or "0"


def echo_share(text: str, prompt: str) -> float:
    """Which share of its words stands in the prompt, 0..1."""
    said, asked = words(text), set(words(prompt))
    return sum(word in asked for word in said) / len(said) if said else 0.0


def repeated_share(text: str) -> float:
    """Which share of its phrases of PHRASE_WORDS words stood there before, 0..1; 0 of a text that is shorter than two of them."""
    said = words(text)
    phrases = [tuple(said[at : at + PHRASE_WORDS]) for at in range(len(said) - PHRASE_WORDS + 1)]
    return 1 - len(set(phrases)) / len(phrases) if len(said) >= 2 * PHRASE_WORDS else 0.0


def order_share(text: str, other: str) -> float:
    """Of a text that is made of the other's words: which share of its neighbouring words are neighbours there too, 0..1; else 1."""
    mine, its = words(text), words(other)
    pairs, there = list(pairwise(mine)), set(pairwise(its))
    vocabulary = set(its)
    if len(pairs) < PHRASE_WORDS or sum(word in vocabulary for word in mine) < SAME_WORDS_MIN * len(mine):
        return 1.0
    return sum(pair in there for pair in pairs) / len(pairs)


def length_ratio(one: str, other: str) -> float:
    """The words of the shorter over those of the longer, 0..1."""
    shorter, longer = sorted((len(words(one)), len(words(other))))
    return shorter / longer if longer else 1.0


def printable(text: str) -> str:
    """What a stranger wrote, for a note on chain: visible ASCII on one line, at most SHOWN_CHARS_MAX."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in " ".join(text.split()))[:SHOWN_CHARS_MAX]
