"""The name of a private payload on chain, and where its object lies. Ours (facts J.3).

    urn:cortops:payload:1:ENVIRONMENT:SESSION:DIRECTION:SCOPE:vVERSION:DIGEST

The digest is of the sealed object, so whoever may read the storage can see that it is the object that was named, without any key.
One object has one name: no capitals, no leading zeros, nothing optional.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from cortops.words.errors import BadInput

PREFIX = "urn:cortops:payload:1:"
VERSION_MAX = 999_999
SESSION_MAX = 10**18 - 1
URN_CHARS_MAX = 256
ENVIRONMENT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_URN = re.compile(
    rf"{re.escape(PREFIX)}(?P<environment>{ENVIRONMENT.pattern}):(?P<session>0|[1-9][0-9]{{0,17}}):(?P<direction>prompt|result|canary)"
    r":(?P<scope>session|task):v(?P<version>[1-9][0-9]{0,5}):(?P<digest>[0-9a-f]{64})"
)


class Direction(StrEnum):
    """Which way a payload goes; a canary is written and read by the router alone."""

    PROMPT = "prompt"
    RESULT = "result"
    CANARY = "canary"


class Scope(StrEnum):
    """What one key opens: every payload of its session, or those of one task."""

    SESSION = "session"
    TASK = "task"


@dataclass(frozen=True, slots=True, kw_only=True)
class Urn:
    """version: of the seed, from 1. digest: sha256 of the sealed object, hex. Raises BadInput for a part outside the grammar."""

    environment: str
    session: int
    direction: Direction
    scope: Scope
    version: int
    digest: str

    def __post_init__(self) -> None:
        if _URN.fullmatch(str(self)) is None:
            raise BadInput("a part of a payload's name is outside its grammar", where=str(self)[:URN_CHARS_MAX])

    def __str__(self) -> str:
        return f"{PREFIX}{self.environment}:{self.session}:{self.direction}:{self.scope}:v{self.version}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of str(). Raises BadInput for anything else."""
        found = _URN.fullmatch(text) if len(text) <= URN_CHARS_MAX else None
        if found is None:
            raise BadInput(f"this is not of the form {PREFIX}ENVIRONMENT:SESSION:DIRECTION:SCOPE:vVERSION:DIGEST")
        return cls(
            environment=found["environment"],
            session=int(found["session"]),
            direction=Direction(found["direction"]),
            scope=Scope(found["scope"]),
            version=int(found["version"]),
            digest=found["digest"],
        )

    @property
    def place(self) -> str:
        """Where its object lies in a storage: ENVIRONMENT/SESSION/DIRECTION/DIGEST."""
        return f"{self.environment}/{self.session}/{self.direction}/{self.digest}"


def is_urn(text: str) -> bool:
    """Whether a task's or a result's text on chain is the name of a private payload."""
    return len(text) <= URN_CHARS_MAX and _URN.fullmatch(text) is not None
