"""Kill points: the real sh programs of adopt, upgrade, rollback and leave, killed at every command, on a host of one process tree.

`place` is that host: namespaces of its own, files in memory, stand-ins for systemd and Docker (`units`, `containers`, asked through
`tools`), and a virtual clock that `sleep` moves. `tracer` stops bash before each simple command and kills there. `scenarios` are what
is killed, `judge` says what was left, and `worker` runs a share of all points.
"""

from __future__ import annotations

import os
import shutil
import subprocess

_PROGRAMS = ("bash", "cc", "unshare", "runuser")


def why_not() -> str:
    """Why no kill point can be tried on this machine; "" when it can."""
    if os.geteuid() != 0:
        return "kill points need root: they are tried in namespaces of their own"
    if missing := [program for program in _PROGRAMS if not shutil.which(program)]:
        return f"kill points need {', '.join(missing)}: apt-get install bash gcc libc6-dev util-linux"
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, check=False).returncode != 0:
        return "kill points need namespaces, which this container does not let root make"
    return ""
