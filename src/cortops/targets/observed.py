"""A host whose key may only look: the program that its forced command starts, what is on its list, and how such a host is asked.

The program speaks as the bootstrap does, so that an SshTarget needs to know nothing of it. It takes a program text from its standard input
and runs it only where its sha256 is on a list that root keeps beside it. So whoever holds the key chooses among whole texts that were
installed, with every path and name in them, and can put nothing into them. Each question is such a text, and is asked alone.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cortops.targets.bootstrap import opening
from cortops.targets.shell import ask_shell, program
from cortops.targets.target import Target
from cortops.words.clock import Clock
from cortops.words.question import Reply, Shell


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How a host is reached: what another one must know to come in there. host_key: as in known_hosts, without a name."""

    address: str
    port: int
    user: str
    host_key: str


TEXT_MAX_KIB = 512
READ_TIMEOUT_S = 30  # for the text to arrive
WHOLE_TIMEOUT_S = 660  # of one session, whatever it says its deadline is

OBSERVE = f"""#!/bin/sh
# Runs what comes in only where its sha256 is on the list beside this file. Made by cortops; the forced command of a watch's key.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
export PATH LANG
[ "$1" = begun ] || exec timeout -s KILL {WHOLE_TIMEOUT_S} /bin/sh "$0" begun
cd /; umask 077
unset LC_ALL LC_CTYPE LC_COLLATE LC_MESSAGES LC_NUMERIC LC_TIME LANGUAGE ENV BASH_ENV
echo "#cortops-start 0"; echo "#cortops-start 0" >&2
refuse() {{ echo "this key may not do that: $1" >&2; exit 126; }}
read -r bytes deadline rest || refuse "nothing was asked"
case $bytes in "" | *[!0-9]* | ???????*) refuse "no length" ;; esac
[ "$bytes" -ge 1 ] && [ "$bytes" -le {TEXT_MAX_KIB << 10} ] || refuse "the text is too long"
case $deadline in "" | *[!0-9.]* | ????????*) refuse "no deadline" ;; esac
text=$(timeout -s KILL {READ_TIMEOUT_S} dd bs="$bytes" count=1 iflag=fullblock status=none)
sum=$(printf %s "$text" | sha256sum) || refuse "its sha256 cannot be made"
sum=${{sum%% *}}
grep -qxF "$sum" "${{0%/*}}/list" || refuse "the text $sum is not on its list (cortops watch --install brings the list up to date)"
printf %s "$text" | timeout -s KILL "$deadline" /bin/sh -c 'text=$(cat) && eval "$text"'
"""


def sum_of(question: Shell) -> str:
    """The sha256 of the text that is sent when a question is asked alone."""
    _, _, text = opening(program([question]), 1.0).partition(b"\n")
    return hashlib.sha256(text).hexdigest()


def list_of(questions: Sequence[Shell]) -> str:
    """The text of the list: one sum a line."""
    return "".join(f"{one}\n" for one in sorted({sum_of(question) for question in questions}))


async def ask_alone(target: Target, questions: Sequence[Shell], clock: Clock) -> dict[str, Reply]:
    """As ask_shell, each question in a run of its own, all at once."""
    replies: Mapping[str, Reply] = {}
    for told in await asyncio.gather(*(ask_shell(target, [question], clock) for question in questions)):
        replies = {**replies, **told}
    return dict(replies)
