"""How our programs are called on a host by SSH: folder and units."""

from __future__ import annotations

from cortops.targets.systemd import Systemd

BASE = "/var/lib/cortops-programs"  # beside what adopted nodes have: `leave` takes that away, and never a program of ours


def systemd_there(environment: str) -> Systemd:
    """The units of an environment on any host: `cortops-ENVIRONMENT.NAME.service`. No name has a dot, so no two environments meet."""
    return Systemd(f"{BASE}/{environment}", prefix=f"cortops-{environment}.")
