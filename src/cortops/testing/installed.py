"""Nodes as `discover` finds them, as values: well, unless told otherwise."""

from __future__ import annotations

from typing import Any

from cortops.surfaces.fleet.found.installed import Installed, Shape

RUNTIME = "0xa438cE917a5740267e0f7217f81cbbAA23E7e106"
ENV = {"CONTRACT_ADDRESS_RUNTIME": RUNTIME, "CHAINID": "421614", "HOST": "https://rpc.example#sha256:0123456789abcdef"}


def address(number: int) -> str:
    """The address of a node by its number."""
    return f"0xa0{number:038x}"


def installed(number: int = 1, **changes: Any) -> Installed:
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
