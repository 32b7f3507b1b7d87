"""The way to a port on loopback of a target."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from cortops.targets.target import Target


@runtime_checkable
class Way(Protocol):
    """A target whose loopback is not ours."""

    async def way(self, port: int) -> tuple[str, int]:
        """Where to connect here in order to reach `port` there. Raises OSError where there is no way."""


async def way_to(target: Target, port: int) -> tuple[str, int]:
    """As Way.way; of this machine it is the port itself."""
    return await target.way(port) if isinstance(target, Way) else ("127.0.0.1", port)
