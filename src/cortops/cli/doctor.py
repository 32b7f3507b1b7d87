"""`cortops doctor`: what is wrong with hosts and the nodes on them, on one page; it only reads."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

from cyclopts import Parameter

from cortops.cli.common import Common, environment
from cortops.cli.discover import OWN_FILE, wanted_hosts
from cortops.cli.fleet import fleet
from cortops.cli.output import Progress, show, show_json
from cortops.environment.declared import Environment
from cortops.environment.model import Host
from cortops.environment.networks import known_networks
from cortops.probes.examine import examine
from cortops.surfaces.fleet.doctor import examined
from cortops.surfaces.fleet.doctor.ailments import Finding, Group, MachineSeen, Seen, findings
from cortops.surfaces.fleet.doctor.examined import Subject
from cortops.surfaces.judging import Ask
from cortops.targets.ssh_address import SshAddress
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, UnknownName

FAILED, ATTENTION = 1, 3
KEYS_MAX = 50
ALIKE_SHOWN = 3  # of findings that differ only in whom they are about
_MARKS = {"bad": "■", "inconclusive": "◌", "ok": "●"}

T = TypeVar("T")


def doctor(
    *words: str,
    all: Annotated[bool, Parameter(negative="")] = False,
    sudo: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """What is wrong with hosts, nodes, binaries, logs and the way to the network; each red line ends with the command that cures it.

    Exit 0 when all is well, 1 when no host answered, 3 when something wants attention. Nothing is changed anywhere.

    Parameters
    ----------
    words
        [HOST...] [FILE]: hosts of the environment file (default all), or USER@HOST without one; FILE ends in .yaml.
    all
        Show what is well too, and every line of many alike.
    sudo
        Become root there by `sudo -n`, so that all can be read.
    """
    subject, hosts = subject_of(words, common, sudo=sudo or common.ask_sudo)
    seen, found = asyncio.run(_look(subject, hosts, common))
    if common.json:
        show_json(as_json(found))
    else:
        show(as_text(seen, found, every=all))
    return status_of(seen, found)


def subject_of(words: Sequence[str], common: Common, *, sudo: bool) -> tuple[Subject, dict[str, Host]]:
    """Whom to look at: hosts of the file, or hosts by SSH name. UnknownName for a host that the named file has not, BadInput for none."""
    file, names = split(words)
    if not words and not OWN_FILE.exists():
        raise BadInput("no host given, and there is no ./cortops.yaml", next="Name hosts or a file: cortops doctor USER@HOST ...")
    env = environment(file, common) if file is not None or OWN_FILE.exists() or not names else None
    if file is not None and env is not None and (strays := [name for name in names if not _is_host(env, name)]):
        raise UnknownName(f"{strays[0]} is no host of {env.file}", next=f"It has: {', '.join(list(env.hosts)[:8])}")
    hosts = wanted_hosts(names, env, sudo=sudo)
    inside = env is not None and set(hosts) <= set(env.hosts)
    subject = Subject(
        name=env.name if env and inside else "hosts",
        ways={name: SshAddress.read(host.ssh).command if host.ssh else "" for name, host in hosts.items()},
        asked_as={name: host.ssh or "local" for name, host in hosts.items()},
        sudo=frozenset(name for name, host in hosts.items() if host.sudo),
        env=env if inside else None,
        machine=machine_here(env.file if env and inside else "", sum(host.ssh is not None for host in hosts.values())),
        records=known_networks(),
    )
    return subject, hosts


def split(words: Sequence[str]) -> tuple[Path | None, tuple[str, ...]]:
    """`[HOST...] [FILE]` -> the file, known by its ending, and the hosts."""
    files = [word for word in words if word.endswith((".yaml", ".yml"))]
    return (Path(files[-1]) if files else None), tuple(word for word in words if word not in files)


def _is_host(env: Environment, name: str) -> bool:
    return name in env.hosts or any(host.ssh == name for host in env.hosts.values())


def machine_here(file: str, ssh_hosts: int) -> MachineSeen:
    """This machine as the checks see it: of a private key only its permissions are looked at."""
    folder = Path(os.environ.get("HOME", "/")) / ".ssh"
    paths = [path for path in sorted(folder.glob("id_*"))[:KEYS_MAX] if path.suffix != ".pub"]
    keys = {str(path): path.stat().st_mode & 0o777 for path in paths if path.is_file()}
    return MachineSeen(file=file, keys=keys, agent=bool(os.environ.get("SSH_AUTH_SOCK")), ssh_hosts=ssh_hosts)


async def _look(subject: Subject, hosts: Mapping[str, Host], common: Common) -> tuple[Seen, tuple[Finding, ...]]:
    progress = Progress(sys.stderr)
    async with fleet(hosts, common) as place:
        seen, found = await look(subject, place.ask, place.clock, progress.now)
        if any(node.release is not None for node in subject.declared.values()):
            from cortops.cli.doctor_adopted import as_recorded  # the deploy engine, which others do without

            found = (*found, *await as_recorded(subject, place.targets, place.clock))
    progress.say()
    return seen, found


async def look(subject: Subject, ask: Ask, clock: Clock, say: Callable[[str], None]) -> tuple[Seen, tuple[Finding, ...]]:
    """Ask everything and judge it."""
    seen, replies = await examine(subject, ask, clock, say)
    return seen, findings(examined.ailments(seen), replies, clock.now())


async def with_fleet(hosts: Mapping[str, Host], common: Common, then: Callable[[Ask, Clock, Callable[[str], None]], Awaitable[T]]) -> T:
    """`then` with hosts that can be asked."""
    progress = Progress(sys.stderr)
    async with fleet(hosts, common) as place:
        done = await then(place.ask, place.clock, progress.now)
    progress.say()
    return done


def status_of(seen: Seen, found: Sequence[Finding]) -> int:
    """Exit status: 1 when our own eyes failed, 3 when something is bad or a host kept silent, else 0."""
    silent = [host for host in seen.hosts if host.found is None and host.look is None]
    if silent and len(silent) == len(seen.hosts):
        return FAILED
    return ATTENTION if silent or any(finding.outcome == "bad" for finding in found) else 0


def as_json(found: Sequence[Finding]) -> list[dict[str, object]]:
    """The shape of `doctor --json`."""
    return [
        {
            "entity": str(finding.entity),
            "check": finding.check,
            "outcome": finding.outcome,
            "text": finding.text,
            "cure": finding.cure,
            "evidence": list(finding.evidence),
        }
        for finding in found
    ]


def as_text(seen: Seen, found: Sequence[Finding], *, every: bool = False) -> str:
    """For people: by group, what is bad first, then what could not be seen; what is well is counted."""
    counts = {outcome: sum(finding.outcome == outcome for finding in found) for outcome in _MARKS}
    asked = datetime.fromtimestamp(seen.now, UTC)
    lines = [
        f"{seen.name} · {counted(len(seen.nodes), 'node')} on {counted(len(seen.hosts), 'host')} · asked {asked:%H:%M:%S} UTC (now) · "
        f"{counts['bad']} bad, {counts['inconclusive']} not known, {counts['ok']} well"
    ]
    wide = [_width(found, lambda finding: str(finding.entity)), _width(found, lambda finding: finding.check)]
    for group in Group:
        mine = [finding for finding in found if finding.group is group]
        well = sum(finding.outcome == "ok" for finding in mine)
        if mine:
            lines.append(f"{group}" + (f"    {well} of {len(mine)} well" if not every else ""))
            lines += _rows(mine, wide, every=every)
    return "\n".join([*lines, _last(seen, found)])


def _rows(mine: Sequence[Finding], wide: Sequence[int], *, every: bool) -> Iterator[str]:
    alike: dict[tuple[str, str], int] = {}
    for outcome in _MARKS:
        for finding in mine:
            if finding.outcome != outcome or (outcome == "ok" and not every):
                continue
            kind = (finding.check, outcome)
            alike[kind] = alike.get(kind, 0) + 1
            if every or alike[kind] <= ALIKE_SHOWN:
                next_step = f"    next: {finding.cure}" if finding.cure else ""
                yield f"{_MARKS[outcome]} {finding.entity!s:{wide[0]}}  {finding.check:{wide[1]}}  {finding.text}{next_step}"
    for (check, outcome), count in alike.items():
        if count > ALIKE_SHOWN and not every:
            yield f"{_MARKS[outcome]} {counted(count - ALIKE_SHOWN, 'more')} {check}: see --all"


def _width(found: Sequence[Finding], text: Callable[[Finding], str]) -> int:
    return max((len(text(finding)) for finding in found if finding.outcome != "ok"), default=0)


def counted(count: int, what: str) -> str:
    """`1 node`, `2 nodes`, `3 more`."""
    return f"{count} {what}" + ("s" if count != 1 and what != "more" else "")


def _last(seen: Seen, found: Sequence[Finding]) -> str:
    silent = [host for host in seen.hosts if host.found is None and host.look is None]
    if silent and len(silent) == len(seen.hosts):
        return "No host answered: nothing is known of the nodes. That says nothing against them."
    if any(finding.outcome == "bad" for finding in found):
        return "0 files written. After a cure run it again; a restart waits best until the node is not selected: cortops nodes"
    return "All that could be seen is well. 0 files written.    next: cortops nodes"
