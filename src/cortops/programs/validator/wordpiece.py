"""Text -> token numbers as BERT's uncased tokenizer gives them, pure.

Our own, because the public library brings a dozen packages with it. One difference is meant: a special token written inside a text
("[SEP]") is plain text here, so that an answer cannot steer the model. Source: Devlin et al. 2018; tokenizer.json of all-MiniLM-L6-v2.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from cortops.words.errors import BadInput

WORD_CHARACTERS_MAX = 100  # a longer word is one unknown token
INSIDE = "##"  # before a piece that is not the first of its word
CLS, SEP, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"

_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs"})  # control, format, private and surrogate characters are dropped; unassigned ones are words

# First and last character of each block that BERT takes apart, character by character.
_HAN = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPiece:
    """Made of {piece: number}; `cls`, `sep` are the numbers of the two marks around a sequence, which `numbers` does not add."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        missing = [mark for mark in (CLS, SEP, UNKNOWN) if mark not in vocabulary]
        if missing:
            raise BadInput(f"the vocabulary has no {', '.join(missing)}")
        self._vocabulary = vocabulary
        self.cls = vocabulary[CLS]
        self.sep = vocabulary[SEP]
        self._unknown = vocabulary[UNKNOWN]

    def numbers(self, text: str) -> list[int]:
        """The token numbers of a text of any length, without marks and not cut."""
        return [number for word in _words(text) for number in self._pieces(word)]

    def _pieces(self, word: str) -> list[int]:
        """The longest known piece first, again and again; a word with an unknown rest is unknown as a whole."""
        if len(word) > WORD_CHARACTERS_MAX:
            return [self._unknown]
        found: list[int] = []
        at = 0
        while at < len(word):
            prefix = INSIDE if at else ""
            ends = (end for end in range(len(word), at, -1) if prefix + word[at:end] in self._vocabulary)
            end = next(ends, None)
            if end is None:
                return [self._unknown]
            found.append(self._vocabulary[prefix + word[at:end]])
            at = end
        return found


def read(data: bytes) -> WordPiece:
    """The bytes of a tokenizer.json -> its tokenizer; BadInput when it is another kind of tokenizer than this module knows."""
    try:
        found = msgspec.json.decode(data, type=dict[str, Any])
        model, normalizer = found["model"], found["normalizer"]
        vocabulary = msgspec.convert(model["vocab"], dict[str, int])
        known = (model["type"], model["continuing_subword_prefix"], normalizer["type"], normalizer["lowercase"])
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise BadInput(f"the tokenizer file is not a tokenizer.json: {error}") from error
    if known != ("WordPiece", INSIDE, "BertNormalizer", True):
        raise BadInput(f"the tokenizer file is of kind {known}, this program knows uncased BERT WordPiece")
    return WordPiece(vocabulary)


def _words(text: str) -> Iterator[str]:
    """Words and single punctuation marks, in lower case and without accents."""
    spaced = "".join(_clean(character) for character in text)
    bare = "".join(character for character in unicodedata.normalize("NFD", spaced) if unicodedata.category(character) != "Mn")
    # Character by character: the lower case of a whole word may differ (the Greek final sigma).
    lower = "".join(character.lower() for character in bare)
    for word in lower.split():
        yield from _split(word)


def _clean(character: str) -> str:
    if character in "\t\n\r":
        return " "
    if character == "\ufffd" or unicodedata.category(character) in _UNSEEN:
        return ""
    code = ord(character)
    return f" {character} " if any(first <= code <= last for first, last in _HAN) else character


def _split(word: str) -> Iterator[str]:
    start = 0
    for at, character in enumerate(word):
        if _is_mark(character):
            if start < at:
                yield word[start:at]
            yield character
            start = at + 1
    if start < len(word):
        yield word[start:]


def _is_mark(character: str) -> bool:
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    return unicodedata.category(character).startswith("P")
