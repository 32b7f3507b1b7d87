"""Nodes and hosts as they are found, made short for tests."""

from __future__ import annotations

from typing import Any

from cortops.surfaces.fleet.found.discover import HostFound
from cortops.surfaces.fleet.found.installed import Installed
from cortops.testing.installed import ENV, RUNTIME, address
from cortops.testing.installed import installed as node

__all__ = ["ENV", "RUNTIME", "address", "host", "node"]


def host(*nodes: Installed, **changes: Any) -> HostFound:
    """A host on which all could be read."""
    told: dict[str, Any] = {
        "host": nodes[0].host if nodes else "h1",
        "hostname": "h1",
        "machine": "x86_64",
        "system": "Debian GNU/Linux 12 (bookworm)",
        "user": "root",
        "root": True,
        "systemd": True,
        "docker": "none",
        "python": "3.11.2",
        "disk_free_mib": 9000,
        "clock_offset_s": 0.2,
        "complete": True,
        "unseen": (),
        "blind": False,
        "timers": (),
        "nodes": nodes,
    }
    return HostFound(**(told | changes))
