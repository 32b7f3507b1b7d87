"""The portal's configuration: one JSON file, rendered by a surface, read by the portal. It holds a secret: mode 0600."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from cortops.protocol.gateway import Listen, Name
from cortops.words.errors import BadInput

SESSION_MAX_H = 24 * 7


class PortalConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that the portal knows at its start.

    environment: its name, which is part of every key. hostnames: under which it may be called, beside the names of loopback.
    gateway_url: what people's programs ask, "" where no hostname leads to the gateway. keys, usage: where the gateway keeps them, as
    `store.open_database` takes it. own_authority: its certificate is of an authority that clients must be told of.
    owner: whom people ask. models, families: what a key may be limited to. session_secret: signs sessions and forms.
    """

    name: Name = "portal"
    environment: Annotated[str, Meta(min_length=1, max_length=64)]
    listen: Listen
    hostnames: tuple[str, ...] = ()
    gateway_url: Annotated[str, Meta(max_length=512)] = ""
    own_authority: bool = False
    owner: Annotated[str, Meta(max_length=128)] = ""
    keys: Annotated[str, Meta(min_length=1)]
    usage: Annotated[str, Meta(min_length=1)]
    models: tuple[Name, ...] = ()
    families: tuple[Name, ...] = ()
    session_secret: Annotated[str, Meta(min_length=16, max_length=512)]
    session_max_h: Annotated[float, Meta(gt=0, le=SESSION_MAX_H)] = 12.0

    def __repr__(self) -> str:
        return f"PortalConfig(name={self.name!r}, environment={self.environment!r})"

    def to_json(self) -> bytes:
        """The file's text, indented; equal configurations give equal bytes."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def from_json(cls, text: bytes | str, *, where: str = "portal configuration") -> PortalConfig:
        """Read the file's text. Raises BadInput."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{where}: {error}", where=where) from error
