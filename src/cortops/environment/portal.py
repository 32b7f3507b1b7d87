"""The section `portal`: where the people of the gateway's customers look after their keys and see their usage."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from cortops.environment.section import Name, Owned, Port, Secret


class Portal(Owned):
    """The page and API of the gateway's customers: keys and usage of their own organisation. It reads and writes the gateway's store."""

    NAME: ClassVar[str] = "portal"

    on: Name = Field(description="The host that it runs on; that of the gateway where the store is a file.", examples=["here"])
    port: Port = Field(description="TCP port, in plain HTTP: people come by a hostname of `proxy` with `to: portal`.", examples=["8700"])
    session_max_h: float = Field(default=12, gt=0, le=168, description="Longest time until a person signs in again, in hours.")
    session_key: Secret = Field(
        default=Secret(secret="portal/session-key"), description="Signs sessions; with another one everybody signs in again."
    )
