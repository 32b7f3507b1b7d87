"""A box: a place on this machine with processes and a /var/lib/cortops of its own, which ends with whoever opened it, killed or not.

Inside one acts as root and sees no process of this machine, so what is rehearsed there reaches no node that runs here. Its network is
this machine's. It is made of Linux namespaces by util-linux; who is not root here needs a kernel that lets users have them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cortops.surfaces.fleet.adopted import BASE
from cortops.targets.local import LocalTarget
from cortops.targets.target import Ending, Line
from cortops.words.errors import Refused

OPEN_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S, KILLED_TIMEOUT_S = 15.0, 2.0
PREFIX = "cortops-rehearsal-"

# The outer sh outlives us, whatever ends us: it takes the folder away when the box is empty. `cat` ends when our end of the pipe is closed,
# then the first process inside, and with that one all others; until then its `wait` also buries those that nobody else does.
_KEEPER = 'trap "" HUP INT TERM; folder=$1; shift; "$@"; status=$?; rm -rf -- "$folder"; exit $status'
_FIRST = """
read -r pid rest </proc/self/stat
mount -t proc proc /proc || exit
[ -d "$2" ] || { mount -t tmpfs tmpfs "${2%/*}" && mkdir "$2"; } || exit
mount --bind "$1" "$2" || exit
for socket in /run/docker.sock /var/run/docker.sock; do [ ! -S "$socket" ] || mount --bind /dev/null "$socket"; done
echo "$pid"
exec 3<&0 >/dev/null
cat <&3 &
wait $!
"""

# Inside there is one user. Starting as that user by runuser would ask PAM, which a box without users of its own cannot answer.
_AS_USER = 'runuser() { env -i HOME="$HOME" PATH="$PATH" LANG=C.UTF-8 /bin/sh -c "$6"; }\n'


@dataclass(frozen=True, slots=True)
class Box:
    """An open box. target: runs programs inside. folder: what is /var/lib/cortops inside, as seen from here."""

    target: BoxTarget
    folder: Path


class BoxTarget:
    """Implements targets.target.Target for the inside of a box.

    What is ended early (closed iterator) ends at its own deadline, or with the box.
    """

    def __init__(self, name: str, pid: int) -> None:
        """pid: of the first process inside, as seen from here."""
        self.name = name
        self._here = LocalTarget(
            name, within=("nsenter", f"--target={pid}", *_user("--user", "--preserve-credentials"), "--mount", "--pid")
        )

    def run(self, program: str, data: AsyncIterable[bytes], deadline_s: float) -> AsyncGenerator[Line | Ending, None]:
        """As targets.target.Target.run."""
        return self._here.run(_AS_USER + program, data, deadline_s)


@asynccontextmanager
async def box(name: str, beside: Path | None = None) -> AsyncIterator[Box]:
    """A new box, gone when the block ends: its processes first, then its folder. beside: where the folder is made; default $TMPDIR.

    Refused where this machine allows no box.
    """
    if missing := [tool for tool in ("unshare", "nsenter", "mount") if shutil.which(tool) is None]:
        raise _refusal(f"it has no {missing[0]}")
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=beside))
    keeper: Process | None = None
    try:
        keeper, pid = await _open(folder)
        yield Box(target=BoxTarget(name, pid), folder=folder)
    finally:
        if keeper is not None:
            await asyncio.shield(_close(keeper))
        shutil.rmtree(folder, ignore_errors=True)


async def _open(folder: Path) -> tuple[Process, int]:
    unshare = ["unshare", *_user("--user", "--map-root-user"), "--mount", "--pid", "--fork", "--kill-child"]
    words = ["sh", "-c", _KEEPER, "sh", str(folder), *unshare, "sh", "-c", _FIRST, "sh", str(folder), BASE]
    keeper = await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True, cwd="/")
    assert keeper.stdout is not None and keeper.stderr is not None
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            if said := (await keeper.stdout.readline()).strip():
                return keeper, int(said)
            why = (await keeper.stderr.read()).decode("utf-8", "replace").strip()
    except TimeoutError:
        why = f"it did not open within {OPEN_TIMEOUT_S:g} s"
    except BaseException:
        await asyncio.shield(_close(keeper))
        raise
    await _close(keeper)
    raise _refusal(why.splitlines()[-1][:200] if why else "unshare gave no reason")


async def _close(keeper: Process) -> None:
    """Its first process reads the end of our pipe and ends, and the kernel ends all others with it.

    Bounded: under a first process of this machine that buries nobody, as some containers have, that end may never come.
    """
    assert keeper.stdin is not None
    keeper.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await keeper.communicate()
            return
    with contextlib.suppress(ProcessLookupError, TimeoutError):
        os.killpg(keeper.pid, signal.SIGKILL)
        async with asyncio.timeout(KILLED_TIMEOUT_S):
            await keeper.wait()


def _user(*words: str) -> tuple[str, ...]:
    """Words that only one who is not root here needs."""
    return words if os.geteuid() != 0 else ()


def _refusal(why: str) -> Refused:
    return Refused(
        f"this machine gives no place to rehearse in: {why}",
        where="this machine",
        why="copies run in namespaces of their own, so that they reach no node that runs here",
        next="Run it by sudo, or on a Linux machine with util-linux where users may have namespaces "
        "(sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns).",
    )
