"""`python -m cortops.programs.leash [--pid-file FILE] PROGRAM ARG...` asks for a parent-death signal and becomes PROGRAM.

For programs that do not ask themselves (nginx, anvil): when the supervisor is killed, the kernel sends them SIGTERM.
The request survives execve(2), except into set-user-ID programs (prctl(2)). Few imports: this is only a moment.

--pid-file: where PROGRAM, which has children, keeps its pid. When it was killed they live on and hold its ports: what is left of that
process group is ended first. A service manager starts each program as the leader of a group of its own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def main(argv: list[str]) -> int:
    """Never returns when PROGRAM can be run. Else 2 without a PROGRAM, 126 not executable, 127 not found, as shells do."""
    pid_file = ""
    if argv[:1] == ["--pid-file"]:
        pid_file, argv = "".join(argv[1:2]), argv[2:]
    if not argv:
        sys.stderr.write("usage: python -m cortops.programs.leash [--pid-file FILE] PROGRAM ARG...\n")
        return 2
    if pid_file:
        end_orphans(pid_file)
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked
        return 1
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.stderr.write(f"{argv[0]} cannot be run: {error.strerror}\n")
        return 127 if isinstance(error, FileNotFoundError) else 126


def end_orphans(pid_file: str) -> None:
    """SIGKILL to the group whose leader stands in the file, if the leader itself is gone; a pid in use is somebody else's."""
    try:
        with open(pid_file) as file:  # noqa: PTH123
            leader = int(file.read(20))
        if leader > 1 and not os.path.exists(f"/proc/{leader}"):  # noqa: PTH110
            os.killpg(leader, signal.SIGKILL)
    except (OSError, ValueError, OverflowError):  # no file, nothing in it, nobody left
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
