"""The command line: one file per verb, which parses, calls and prints. This file names them all and loads none."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cortops import __version__
from cortops.words.errors import CortopsError

if TYPE_CHECKING:
    from cyclopts import App

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

_VERBS = (
    ("discover", "Find every cortensord node of some hosts, and what is wrong with them; nothing is changed there."),
    ("nodes", "Which of the nodes that you already run earn, and why the others do not: you, your RPC, or the network."),
    ("up", "Bring an environment up on this machine, and show how it is until Ctrl-C."),
    ("down", "Stop an environment on this machine; --purge removes its data too."),
    ("status", "How every entity is: state, reason, evidence; --now asks instead of reading what watch saw."),
    ("watch", "Ask everything on a schedule, keep states and history, show the console."),
    ("logs", "Print the log of one service; -f follows it."),
    ("validate", "Check an environment file; every mistake at once."),
    ("chain", "The chain, its RPCs, and what it leaves on its parent: part by part, or why a part is not in this environment."),
    ("doctor", "What is wrong with hosts and nodes; each red line ends with its cure."),
    ("report", "The same as one block for a public chat: --share; nothing of yours is in it."),
    ("hosts", "Every host on a line: how it is reached, what it is, what of ours is there, and what is off."),
    ("schema", "Print the JSON Schema of the environment file."),
    ("releases", "Which build runs on every node; `add` names one in the environment file."),
    ("usage", "What the gateway counted: requests and tokens by key, organisation, model, member or day; or every row."),
    ("plan", "Show what an apply would change, and why."),
    ("apply", "Make those changes."),
    ("upgrade", "Another program for adopted nodes: one first, then waves; each must earn with it before the next begins."),
    ("rollback", "Back to what ran before: nodes with unit and env file, or our own programs, each as a whole."),
    ("drill", "Deploy, take a bad release back, roll back: on copies on this machine. Lists the drills that were held."),
    ("generations", "What was applied, when, by whom and from where: our own programs, and the nodes of each host."),
    ("adopt", "Copy what nodes run today on their hosts, so that the first change can be undone; nothing is restarted."),
    ("leave", "Remove our own files from a host; its nodes keep running."),
)
_GROUPS = (
    ("task", "Tasks on chain.", (("show", "The path of one task: blocks, hashes, times."),)),
    (
        "keys",
        "Keys of the gateway's customers.",
        (
            ("issue", "Make a key; it is shown this once."),
            ("list", "Every key, without its value."),
            ("revoke", "Take a key back."),
            ("rotate", "Make the key that follows another; both are valid for a while."),
            ("expire", "Say when a key ends."),
            ("limit", "Change what a key may take: requests, tokens, streams, a monthly quota."),
            ("organisation", "Make an organisation, or change what its keys together may take."),
            ("organisations", "Every organisation: its limits, and what of its quota is used."),
        ),
    ),
    (
        "pools",
        "Pools of the gateway, their members, and taking one out for a while.",
        (
            ("show", "Every pool, or NAME: members, addresses, sessions, slots, in flight, who is well; `show` may be left out."),
            ("drain", "Give a member no new request; what is in flight ends."),
            ("undrain", "Give it requests again, few at first."),
        ),
    ),
    (
        "contracts",
        "The contracts of an environment.",
        (
            ("deploy", "Make the contracts alone, as an apply would; exit 3 where the plan must be accepted."),
            ("verify", "Is the code on chain what was built: exact, the same with other metadata, or another one."),
            ("matrix", "Every module: address, code hash, version, who may change it."),
        ),
    ),
    ("proxy", "The public hostnames.", (("test", "What each lets through and holds back, measured, beside what is declared."),)),
    (
        "notify",
        "Whom messages reach when something is ill.",
        (
            ("add", "Add a channel: telegram, discord, email, webhook or pagerduty; a test message is sent."),
            ("list", "Every channel, without its secret."),
            ("test", "Send a test message through each."),
            ("remove", "Forget a channel."),
        ),
    ),
    (
        "secrets",
        "Secrets of an environment.",
        (
            ("list", "Name, kind, source and fingerprint of each; never a value."),
            ("set", "Keep a value, read from standard input."),
            ("rotate", "Make one anew; what follows is shown first."),
            ("check", "Is each there, whole and ours alone, and does its value stand nowhere else: here and on every host."),
            ("seal", "Write the age file anew, where and for whom rules.secrets says."),
            ("identity", "Print your own line for rules.secrets.recipients."),
            ("remove", "Forget an old value, NAME@TIME."),
        ),
    ),
)


def build() -> App:
    """The whole command tree; a verb's module is loaded when it is called."""
    from cyclopts import App

    app = App(name="cortops", help=f"cortops {__version__}: {_HELP}", version=__version__, help_format="plaintext")
    for verb, told in _VERBS:
        app.command(f"cortops.cli.{verb}:{verb}", name=verb, help=told)
    for group, told, verbs in _GROUPS:
        inner = App(name=group, help=told, help_format="plaintext")
        for verb, verb_told in verbs:
            inner.command(f"cortops.cli.{group}:{verb}_", name=verb, help=verb_told)
        app.command(inner)
    return app


_HELP = "one file declares an environment; one tool deploys it, routes traffic through it, watches it and recovers it."


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb and exit: 0 done or nothing to do, 1 failed, 2 bad input, 3 changes pending or attention needed."""
    gc.disable()  # most verbs end before a collection would pay (5 % of `status`); `up`, which stays, turns it on again
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # a scan of all installed packages (15 ms) for plugins that we do not use
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        status = _run(words)
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        status = 1
    sys.exit(status)


def _whole(words: Sequence[str]) -> list[str]:
    """`pools` is `pools show`, where no verb of the group follows."""
    group, *rest = words or [""]
    if group != "pools" or (rest and rest[0] in ("show", "drain", "undrain", "--help", "-h")):
        return list(words)
    return [group, "show", *rest]


def _run(words: Sequence[str]) -> int:
    from cyclopts import CycloptsError  # within reach of Ctrl-C: it takes a while to load

    try:
        status = build()(_whole(words), exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return EXIT_BAD_INPUT
    except CortopsError as error:
        if "--debug" in words:
            raise
        from cortops.cli.output import show_error

        show_error(error, as_json="--json" in words)
        return error.exit_status
    return status if isinstance(status, int) else 0
