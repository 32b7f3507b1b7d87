"""A node that was started by hand on this machine, for the conformance of its kind: it lies and logs outside of our folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress

import pytest

from cortops.testing import cortensord
from cortops.testing.host import Host
from cortops.words.entity import Entity
from cortops.words.resource import NodeProgram

_ENV = "STANDIN_ROUND_EVERY_S=60\nSTANDIN_POLL_MS=1000\n"


def node_program(host: Host) -> NodeProgram:
    """Starts the stand-in; what should exist is that it runs on as it does. Skips where that cannot be."""
    why = cortensord.why_not() or ("" if os.geteuid() == 0 else "only root adopts nodes")
    if why:
        pytest.skip(why)
    folder = host.root.parent / "operator"
    folder.mkdir()
    program, env_file, log = folder / "cortensord", folder / ".env", folder / "log"
    shutil.copy(cortensord.compiled(cortensord.GOOD, host.cache), program)
    env_file.write_text(f"NODE_PUBLIC_KEY=0x{'ab' * 20}\n{_ENV}")
    start = 'cd "$1" && { setsid nohup "$1/cortensord" "$1/.env" minerv2 1 docker >>"$1/log" 2>&1 </dev/null & }'
    subprocess.run(["sh", "-c", start, "sh", str(folder)], check=True)
    (host.root / "blobs").mkdir()
    sha256 = cortensord.sha256(program)
    return NodeProgram(
        place=host.name,
        entity=Entity("miner", "m1"),
        because="t:5",
        name="m1",
        shape="nohup",
        unit="",
        env_file=str(env_file),
        log=str(log),
        binary=str(program),
        runs="minerv2",
        address="",
        program=sha256,
        release="found",
        blob=f"{host.root}/blobs/cortensord-{sha256[:16]}",
        saved=f"{host.root}/adopted/m1",
        settle_s=1,
    )


def end_node(host: Host) -> None:
    """As a crash would."""
    told = subprocess.run(["pgrep", "-f", f"{host.root.parent}/operator/cortensord "], capture_output=True, text=True, check=False)
    for pid in told.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def end_node_and_copies(host: Host) -> None:
    """What stays when its resource is deleted: it runs on, and programs are for other generations."""
    end_node(host)
    for folder in ("blobs", "adopted", "run/hashed"):
        shutil.rmtree(host.root / folder)
