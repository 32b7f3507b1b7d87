"""`cortops report --share`: what doctor sees, as one block that may be pasted into a public chat."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from cortops import __version__
from cortops.cli.common import Common
from cortops.cli.doctor import look, status_of, subject_of, with_fleet
from cortops.cli.notify import secret_store
from cortops.cli.output import show, show_json
from cortops.deploy.redact import Redactor
from cortops.deploy.secrets_of import secrets_of
from cortops.surfaces.fleet.doctor.examined import Subject
from cortops.surfaces.fleet.doctor.share import as_block, share
from cortops.words.errors import BadInput


def report(
    *words: str,
    share_: Annotated[bool, Parameter(name="--share", negative="")] = False,
    sudo: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """One block about hosts, nodes and what is wrong with them, without a name, address, path or key of yours. Exit as doctor's.

    Hosts are h1, h2 ..., nodes their role and a short wallet (0x12ab..9f). Read it before you paste it.

    Parameters
    ----------
    words
        [HOST...] [FILE], as for doctor.
    share_
        Say that the block is for others; nothing is sent anywhere.
    sudo
        Become root on the hosts by `sudo -n`, so that all can be read.
    """
    if not share_:
        raise BadInput("a report is made to be shared", next="cortops report --share   (for your own eyes: cortops doctor --all)")
    subject, hosts = subject_of(words, common, sudo=sudo or common.ask_sudo)
    seen, found = asyncio.run(with_fleet(hosts, common, then=lambda ask, clock, say: look(subject, ask, clock, say)))
    shared = share(seen, found, version=__version__, networks=subject.records, redact=_redactor(subject, common).redact)
    if common.json:
        show_json(asdict(shared))
    else:
        show(as_block(shared))
    return status_of(seen, found)


def _redactor(subject: Subject, common: Common) -> Redactor:
    """Knows the environment's secrets, where it has any; what looks like one is taken out anyway."""
    if subject.env is None:
        return Redactor()
    return secret_store(subject.env, common).redactor(secrets_of(subject.env))
