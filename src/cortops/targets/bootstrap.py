"""What every target starts, whatever it is asked to do: a fixed sh text that takes the real program from its standard input.

The input is one line `BYTES DEADLINE_S`, then BYTES of program text, then data for the program. So program text appears in no argument
list, and the same bytes work for this machine and over SSH.

`exec timeout` makes the process that we started the leader of its process group and ends that whole group with SIGKILL at the deadline,
also when nobody is connected any more. `dd` reads exactly the bytes asked for (`head -c` may read ahead and swallow data).
A text cut short lacks the last line and is not run.
"""

from __future__ import annotations

_LAST_LINE = "#cortops-end"

BOOTSTRAP = (
    'read -r bytes deadline && exec timeout -s KILL "$deadline" sh -c \''
    'program=$(dd bs="$1" count=1 iflag=fullblock status=none); '
    f'case $program in *"{_LAST_LINE}") eval "$program" ;; *) echo "the program came incomplete" >&2; exit 125 ;; esac'
    '\' sh "$bytes"'
)


def opening(program: str, deadline_s: float) -> bytes:
    """The bytes before the data: the line with lengths, then the program."""
    text = f"{program}\n{_LAST_LINE}".encode()
    return f"{len(text)} {max(deadline_s, 0.001):.3f}\n".encode() + text
