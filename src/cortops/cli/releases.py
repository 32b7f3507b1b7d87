"""`cortops releases`: which build runs on every node, and which builds the environment file knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cortops.cli.common import Common, environment
from cortops.cli.doctor import counted, with_fleet
from cortops.cli.output import joined, show, show_json, table
from cortops.cli.release_added import add_
from cortops.deploy.binaries import is_list, look_at, look_into
from cortops.deploy.installer import history, is_clone
from cortops.environment.declared import Environment
from cortops.environment.model import Host
from cortops.surfaces.fleet.builds.binaries import Build, Known, Page, Remark, Standing, builds, known_builds, label, page_of
from cortops.surfaces.fleet.found.discover import question, question_id, read
from cortops.surfaces.judging import Ask
from cortops.targets.ssh_address import SshAddress
from cortops.words.clock import Clock
from cortops.words.errors import BadInput
from cortops.words.question import Answer, Reply

FAILED, ATTENTION = 1, 3
ALIKE_SHOWN = 3  # of remarks that differ only in whom they are about
NODES_SHOWN = 6  # in one row
_HEAD = ("", "BUILD", "NODES", "RELEASE", "FROM", "WHICH")
_MARKS = {Standing.BELOW: "■", Standing.GONE: "■", Standing.UNKNOWN: "◌", Standing.UNSEEN: "◌", Standing.STOPPED: " ", Standing.OK: " "}
_WITHOUT_BUILD = {Standing.UNSEEN: "not read", Standing.STOPPED: "stopped", Standing.GONE: "not there"}


def which(
    file: Path | None = None,
    /,
    *,
    known: Path | None = None,
    sudo: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Which build of cortensord runs on every node, by the hash of the running process, with its date where that is known.

    Exit 1 when no host answered, 3 when a host was silent, or a node is below the minimum, or runs another build than its file or its
    declared release.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    known
        More builds with dates: a clone of the installer, a folder of programs, or a list as sha256sum writes it.
    sudo
        Become root there by `sudo -n`, so that what runs can be read.
    """
    env = environment(file, common)
    if not env.installed:
        raise BadInput(
            f"{env.file} declares no node that runs cortensord", next="Write a file from your hosts: cortops discover USER@HOST ..."
        )
    more = known_in(known) if known is not None else ()
    hosts = {node.host: _host(env.hosts[node.host], sudo or common.ask_sudo) for node in env.installed.values()}
    replies, at = asyncio.run(with_fleet(hosts, common, then=lambda ask, clock, say: _ask(hosts, ask, clock, say)))
    page = page_from(env, replies, known_builds(env, more), at=at)
    if common.json:
        show_json(as_json(page))
    else:
        ways = {name: SshAddress.read(host.ssh).command if host.ssh else "" for name, host in hosts.items()}
        show(as_text(page, ways))
    if len(page.silent) == len(hosts):
        return FAILED
    return ATTENTION if page.wants_attention else 0


def _host(host: Host, sudo: bool) -> Host:
    return host.model_copy(update={"sudo": host.sudo or (sudo and not host.local)})


async def _ask(hosts: Mapping[str, Host], ask: Ask, clock: Clock, say: Callable[[str], None]) -> tuple[Mapping[str, Reply], float]:
    at = clock.now()
    say(f"asking {joined(hosts)} …")
    return await ask([question(name) for name in hosts]), at


def page_from(env: Environment, replies: Mapping[str, Reply], known: Mapping[str, Known], *, at: float) -> Page:
    """What the hosts said, read and judged."""
    hosts = dict.fromkeys(node.host for node in env.installed.values())
    told = {name: replies.get(question_id(name)) for name in hosts}
    found = {name: read(reply.text, name, asked_at=at) for name, reply in told.items() if isinstance(reply, Answer)}
    silent = {name: "it was not asked" if reply is None else reply.why for name, reply in told.items() if not isinstance(reply, Answer)}
    return page_of(env, found, silent, known, at=at)


def known_in(path: Path) -> tuple[Known, ...]:
    """The builds of a clone of the installer, of a folder, of a list of hashes, or the one that a file is. BadInput for anything else."""
    if path.is_dir() and is_clone(path):
        return history(path)
    taken = look_into(path, beside=path.parent) if path.is_dir() or is_list(path) else (look_at(path, beside=path.parent),)
    return tuple(Known(sha256=build.sha256, date=build.date, source=build.source) for build in taken)


def as_json(page: Page) -> dict[str, object]:
    """The shape of `releases --json`."""
    return {
        "environment": page.environment,
        "asked_at": page.at,
        "minimum": {"date": page.floor.date, "release": page.floor.name or None} if page.floor else None,
        "outside": list(page.outside),
        "builds": [
            {
                "sha256": build.sha256 or None,
                "standing": build.standing.value,
                **_known_json(page.known.get(build.sha256)),
                "nodes": [node.node for node in build.nodes],
            }
            for build in builds(page.nodes, page.known)
        ],
        "nodes": [
            {
                "node": node.node,
                "host": node.host,
                "standing": node.standing.value,
                "running": node.running or None,
                "file": node.on_disk or None,
                "differs": node.differs,
                "declared": node.wants or None,
                "remarks": [{"kind": one.kind, "text": one.text, "next": one.next} for one in node.remarks],
            }
            for node in page.nodes
        ],
        "silent": [{"host": host, "why": why} for host, why in page.silent.items()],
        "not_in_the_file": dict(page.strays),
    }


def _known_json(known: Known | None) -> dict[str, object]:
    return {"date": (known and known.date) or None, "release": (known and known.name) or None, "source": (known and known.source) or None}


def as_text(page: Page, ways: Mapping[str, str]) -> str:
    """For people: a line a build, what wants attention first; then what is not as it should be, and the next command."""
    asked = datetime.fromtimestamp(page.at, UTC)
    minimum = f"minimum {page.floor.text}" if page.floor else "no minimum is declared"
    hosts = {node.host for node in page.nodes}
    lines = [
        f"{counted(len(page.nodes), 'node')} on {counted(len(hosts), 'host')} · {page.environment} · "
        f"asked {asked:%H:%M:%S} UTC (now) · {minimum}",
        table([_HEAD, *(_cells(build, page) for build in builds(page.nodes, page.known))]),
        *_remarks(page),
    ]
    for host, why in page.silent.items():
        lines += [f"!  {host} gave no answer: {why}", *([f"   next: {ways[host]}"] if ways.get(host) else [])]
    for host, count in page.strays.items():
        lines += [
            f"   {host} has {counted(count, 'node')} that {page.file} does not name",
            f"   next: cortops discover --write {page.file}",
        ]
    return "\n".join([*lines, *_last(page)])


def _cells(build: Build, page: Page) -> tuple[str, ...]:
    known = page.known.get(build.sha256)
    return (
        _MARKS[build.standing],
        label(build.sha256, page.known) if build.sha256 else _WITHOUT_BUILD[build.standing],
        str(len(build.nodes)),
        (known.name if known else "unknown" if build.sha256 else "") or "-",
        (known.source if known else "") or "-",
        joined((node.node for node in build.nodes), NODES_SHOWN) + (", below the minimum" if build.standing is Standing.BELOW else ""),
    )


def _remarks(page: Page) -> Iterator[str]:
    alike: dict[str, list[Remark]] = {}
    for node in page.nodes:
        for one in node.remarks:
            alike.setdefault(one.kind, []).append(one)
    for kind, remarks in alike.items():
        for one in remarks[:ALIKE_SHOWN]:
            yield f"!  {one.text}"
            yield f"   next: {one.next}"
        if len(remarks) > ALIKE_SHOWN:
            yield f"!  {len(remarks) - ALIKE_SHOWN} more such ({kind}): cortops releases {page.file} --json names each"


def _last(page: Page) -> Iterator[str]:
    """One sentence when all is well, else what would tell more."""
    standings = {node.standing for node in page.nodes}
    if standings & {Standing.UNKNOWN} and page.floor is None:
        yield f"next: cortops releases {page.file} --known FOLDER   (a clone of the installer, or SHA256SUMS: builds get their dates)"
    elif standings == {Standing.OK} and not page.wants_attention:
        yield f"Every node runs a known build{f', none older than the minimum, {page.floor.text}' if page.floor else ''}."
    if Standing.UNSEEN in standings and len(page.silent) == 0:
        yield f"next: cortops releases {page.file} --sudo   (what runs as another user can be read by root only)"


releases = App(name="releases", help_format="plaintext")
releases.default(which)
releases.command(add_, name="add", help="Name a build in the environment file, and keep its file for an apply.")
