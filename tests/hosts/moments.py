"""A host stops at a chosen moment in the middle of what cortops does there, and stays so until the test has done its worst.

A program of that name stands before the real one in the path that sudo gives to root; what it does not know it passes on.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from cortops.testing.cortensord.network import wait_until
from cortops.testing.hosts import SystemHost

REACHED = "/run/moment"
WITHIN_S = 120.0
TAKEN_BYTES = 3_000_000  # of an upload, before it stands still

_STANDS_BEFORE = """#!/bin/sh
case "$*" in
  {words})
    [ -e {reached} ] || {{
      {first}
      : >{reached}
      {then}
    }} ;;
esac
exec /usr/bin/{program} "$@"
"""

# Whatever holds the lock of an apply there: what stands still would go on, at a time when nobody expects it any more.
_END = """
for fd in /proc/[0-9]*/fd/9; do
  case $(readlink $fd) in */run/apply.flock) pid=${fd%/fd/9} && kill -KILL ${pid#/proc/} 2>/dev/null ;; esac
done; :"""


@contextmanager
def moment(host: SystemHost, program: str, words: str, *, first: str = ":", then: str = "exec sleep 600") -> Iterator[None]:
    """Once, when `program` is called with words like these (a pattern of sh): do `first`, note it, and stand still, or do `then`."""
    text = _STANDS_BEFORE.format(words=words, reached=REACHED, first=first, then=then, program=program)
    host.do(f"rm -f {REACHED}")
    host.put(f"/usr/local/bin/{program}", text.encode(), mode=0o755)
    try:
        yield
    finally:
        host.do(f"rm -f /usr/local/bin/{program} {REACHED}; {_END}")


def reached(host: SystemHost, run: subprocess.Popen[str]) -> None:
    """Wait for it; AssertionError with what the run said when it ended before, or when the moment does not come."""
    wait_until(lambda: run.poll() is not None or host.run(f"[ -e {REACHED} ]").returncode == 0, WITHIN_S)
    if host.run(f"[ -e {REACHED} ]").returncode != 0:
        run.kill()
        raise AssertionError(f"{host.name} came to no such moment: {run.communicate()}")


def before_a_restart(host: SystemHost, unit: str) -> AbstractContextManager[None]:
    """Its files say another program already, and it still runs the old one."""
    return moment(host, "systemctl", f"*restart*{unit}*")


def in_an_upload(host: SystemHost, *, then: str = "exec sleep 600") -> AbstractContextManager[None]:
    """TAKEN_BYTES have arrived, and no more are taken until `then` is over."""
    some = f"/usr/bin/dd bs=65536 count={TAKEN_BYTES} iflag=fullblock,count_bytes status=none; sync"
    return moment(host, "dd", "*count=[0-9][0-9][0-9][0-9][0-9][0-9][0-9]*", first=some, then=then)


def goes_on_taking(after_s: int) -> str:
    """For `then`: stand still for so long, and then take the rest of what was asked for."""
    count = f'all="$*" all=${{all#*count=}} all=${{all%% *}}; count=$((all - {TAKEN_BYTES}))'
    return f"sleep {after_s}; {count}; exec /usr/bin/dd bs=65536 count=$count iflag=fullblock,count_bytes status=none"
