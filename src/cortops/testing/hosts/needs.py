"""What the test hosts need of the machine, as one sentence where it is not there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

# program -> the Debian package that brings it; CI installs them.
PROGRAMS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "unshare": "util-linux",
}
CGROUPS = Path("/sys/fs/cgroup")


def why_not() -> str:
    """Why no test host can boot on this machine; "" when one can."""
    if os.geteuid() != 0:
        return "test hosts need root: they boot in namespaces and control groups of their own"
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if missing:
        return f"test hosts need Debian's packages: apt-get install {' '.join(missing)}"
    if cgroup_trees() is None:
        return "test hosts need control groups of version 2, alone or beside version 1"
    if subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False).returncode != 0:
        return "test hosts need namespaces, which this container does not let root make"
    return ""


def here_for_ci() -> bool:
    """Whether this is the machine of `.ci/run`, where no test may be left out: CI, as root, on Debian."""
    return bool(os.environ.get("CI")) and os.geteuid() == 0 and Path("/etc/debian_version").exists()


def cgroup_trees() -> tuple[Path, ...] | None:
    """The trees that a host's processes must stand in, the one that can end them all (version 2) first; None where there is none."""
    if (CGROUPS / "cgroup.controllers").exists():
        return (CGROUPS,)
    if (CGROUPS / "unified" / "cgroup.procs").exists() and (CGROUPS / "systemd" / "cgroup.procs").exists():
        return (CGROUPS / "unified", CGROUPS / "systemd")
    return None
