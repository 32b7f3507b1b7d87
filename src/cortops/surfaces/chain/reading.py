"""Several calls' answers read into numbers and addresses, with the first reason why that cannot be. Pure.

Only a revert, or no contract at all, is the contract's own word; a node that refuses or keeps silent says nothing of what it was asked
about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from cortops.surfaces.readings import answered_by, bad, inconclusive, number_of
from cortops.words.evidence import Verdict
from cortops.words.question import REFUSED, REVERTED, Answer, Reply

WORD_DIGITS = 64
WORDS_MAX = 4_096
WHY_MAX_CHARS = 120


@dataclass(slots=True, kw_only=True)
class Reading:
    """Read with `word` and its like, which give 0 or nothing where they cannot; then look at `verdict`.

    who: is asked, for example "the parent". unsure: why it cannot be told; ill: what the contract itself says.
    """

    replies: Mapping[str, Reply]
    who: str = "the chain"
    unsure: str = ""
    ill: str = ""

    @property
    def verdict(self) -> Verdict | None:
        """What already follows from the reading: None where everything could be read."""
        if self.ill:
            return bad(self.ill)
        return inconclusive(self.unsure) if self.unsure else None

    def answer(self, asked: str) -> Answer | None:
        """The answer to a question; a revert is one, a refusal is none."""
        found = answered_by(self.replies, asked, self.who)
        if isinstance(found, Verdict):
            self.unsure = self.unsure or found.text
            return None
        if found.status == REFUSED:
            self.unsure = self.unsure or f"{self.who} refused to say: {found.text[:WHY_MAX_CHARS]}"
            return None
        return found

    def reverts(self, asked: str) -> bool:
        """Whether the contract itself refuses this call, which is no fault here."""
        found = self.replies.get(asked)
        return isinstance(found, Answer) and (found.status == REVERTED or found.text.strip('"') == "0x")

    def data(self, asked: str, what: str) -> str:
        """What a call returned, as hexadecimal digits without 0x."""
        found = self.answer(asked)
        if found is None:
            return ""
        text = found.text.strip('"')
        if found.status == REVERTED:
            self.ill = self.ill or f"the contract refuses to tell {what}: {text[:WHY_MAX_CHARS]}"
            return ""
        if text == "0x":
            self.ill = self.ill or f"no contract tells {what} at its address"
            return ""
        digits = text.removeprefix("0x")
        if len(digits) % WORD_DIGITS or len(digits) > WORD_DIGITS * WORDS_MAX or number_of(text) is None:
            self.unsure = self.unsure or f"{what} could not be read: {text[:WHY_MAX_CHARS]}"
            return ""
        return digits

    def words(self, asked: str, what: str, count: int = 1) -> list[int]:
        """At least `count` words as numbers."""
        digits = self.data(asked, what)
        found = [int(digits[at : at + WORD_DIGITS], 16) for at in range(0, len(digits), WORD_DIGITS)]
        if len(found) < count:
            self.unsure = self.unsure or ("" if self.ill else f"{what} could not be read: too short")
            return [0] * count
        return found

    def word(self, asked: str, what: str) -> int:
        return self.words(asked, what)[0]

    def addresses(self, asked: str, what: str) -> tuple[str, ...]:
        """A list of addresses, in lower case."""
        words = self.words(asked, what, 2)
        count = words[1]
        if self.verdict is not None or words[0] != 32 or count > len(words) - 2:
            self.unsure = self.unsure or ("" if self.ill else f"{what} could not be read: no list")
            return ()
        return tuple(address_of(word) for word in words[2 : 2 + count])

    def quantity(self, asked: str, what: str) -> int:
        """The result of a call of the node itself, as eth_chainId."""
        found = self.answer(asked)
        value = number_of(found.text.strip('"')) if found is not None else None
        if found is not None and value is None:
            self.unsure = self.unsure or f"{what} could not be read: {found.text[:WHY_MAX_CHARS]}"
        return value or 0

    def body(self, asked: str, what: str) -> dict[str, Any]:
        """The JSON object that a question of several calls gave; {} where there is none."""
        found = self.answer(asked)
        if found is None:
            return {}
        try:
            body = msgspec.json.decode(found.body)
        except msgspec.DecodeError:
            body = None
        if not isinstance(body, dict):
            self.unsure = self.unsure or f"{what} could not be read"
            return {}
        return body


def address_of(word: int) -> str:
    """The last 20 bytes of a word, in lower case."""
    return f"0x{word & ((1 << 160) - 1):040x}"
