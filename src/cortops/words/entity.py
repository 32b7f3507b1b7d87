"""Entity: one thing that can be well or ill."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """A kind and a name, written `kind/name`, for example `router/router-1`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Entity:
        """`kind/name` -> Entity; ValueError when there is no slash or a side is empty."""
        kind, slash, name = text.partition("/")
        if not (slash and kind and name):
            raise ValueError(f"{text!r} is not of the form kind/name")
        return cls(kind, name)
