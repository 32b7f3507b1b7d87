"""`python -m cortops.programs.leash PROGRAM ARG...` asks for a parent-death signal and becomes PROGRAM.

For programs that do not ask themselves (nginx, anvil): when the supervisor is killed, the kernel sends them SIGTERM.
The request survives execve(2), except into set-user-ID programs (prctl(2)). Few imports: this is only a moment.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def main(argv: list[str]) -> int:
    """Never returns when PROGRAM can be run. Else 2 without a PROGRAM, 126 not executable, 127 not found, as shells do."""
    if not argv:
        sys.stderr.write("usage: python -m cortops.programs.leash PROGRAM ARG...\n")
        return 2
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
