"""Nodes and hosts as they are found, made short for tests."""

from __future__ import annotations

from typing import Any

from cortops.surfaces.fleet.discover import HostFound
from cortops.surfaces.fleet.installed import Installed, Shape

RUNTIME = "0xa438cE917a5740267e0f7217f81cbbAA23E7e106"
ENV = {"CONTRACT_ADDRESS_RUNTIME": RUNTIME, "CHAINID": "421614", "HOST": "https://rpc.example#sha256:0123456789abcdef"}


def address(number: int) -> str:
    return f"0xa0{number:038x}"


def node(number: int = 1, **changes: Any) -> Installed:
    """A well miner of the Ansible roles; its number is in all that is its own."""
    told: dict[str, Any] = {
        "host": "h1",
        "shape": Shape.ANSIBLE,
        "instance": str(number),
        "role": "miner",
        "runs": "minerv4",
        "user": "cortensor",
        "unit": f"cortensor-{number}.service",
        "env_file": f"/home/deploy/.cortensor/.env-{number}",
        "log": f"/var/log/cortensord-{number}.log",
        "binary": "/usr/local/bin/cortensord",
        "address": address(number),
        "pid": 100 + number,
        "running": True,
        "enabled": True,
        "started_at": 1_700_000_000.0,
        "restarts": 0,
        "binary_sha256": "9a" * 32,
        "binary_kind": "program",
        "lfs_oid": "",
        "running_sha256": "9a" * 32,
        "unit_sha256": "01" * 32,
        "env_sha256": "02" * 32,
        "env": {**ENV, "HOST": f"https://rpc.example#sha256:{number:016x}"},
        "notes": (),
        "kept": {"NODE_PRIVATE_KEY": "set"},
        "quoted": frozenset({"CONTRACT_ADDRESS_RUNTIME"}),
        "env_mode": "600",
    }
    return Installed(**(told | changes))


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
