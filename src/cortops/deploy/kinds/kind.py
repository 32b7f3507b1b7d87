"""What a kind of resource must be able to say: what is compared, and the sh that looks, makes and removes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from cortops.deploy.observed import Step
from cortops.targets.supervision import Supervisor
from cortops.words.resource import Blob

R_contra = TypeVar("R_contra", contravariant=True)

Words = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Making:
    """The words of one sh command, and what it reads from standard input: exactly these bytes, or a blob from where it asks to begin."""

    words: Words
    sends: bytes | Blob = field(default=b"", repr=False)


class Kind(Protocol[R_contra]):
    """One kind of resource. Everything here is pure text; the driver runs it.

    `prelude` defines the sh functions that the words call. A look function gets the resource's index first and prints one line,
    by `present`, `absent` or `unseen`. A make or remove function prints a note when it succeeds, the reason when it returns non-zero.
    """

    @property
    def prelude(self) -> str: ...

    def attributes(self, resource: R_contra, payload: bytes, manager: Supervisor) -> Mapping[str, str]:
        """What will be compared with what is observed."""

    def look(self, resource: R_contra, manager: Supervisor) -> Words: ...

    def make(self, resource: R_contra, step: Step, manager: Supervisor) -> Making: ...

    def remove(self, resource: R_contra, manager: Supervisor) -> Words: ...
