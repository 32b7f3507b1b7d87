"""Which build runs on every node: by which name and date it is known, and whether it is the one that should run. Pure.

The only public proof of a version is the hash of the binary (facts I), so a build is known by its sha256, and is older or newer by
the date of its commit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cortops.environment.cortensord import CORTENSORD, CortensordNode
from cortops.environment.declared import Environment
from cortops.surfaces.fleet.found.discover import HostFound
from cortops.surfaces.fleet.found.installed import Installed
from cortops.surfaces.fleet.found.match import Missing, match

SHA_CHARS = 6
PULL = "in the installer's folder: git lfs pull, then copy dist/cortensord again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A build that somebody has named. name: of its release in the environment file, "" where it has none there.

    date: `YYYY-MM-DD`, "" where nobody knows it. source: where that is known from, as `from` in the file.
    """

    sha256: str
    date: str = ""
    name: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The oldest build that nodes may run: its day, and the release that the file names for it, "" where it names the day."""

    date: str
    name: str = ""

    @property
    def text(self) -> str:
        return f"{self.name} ({self.date})" if self.name and self.name != self.date else self.date


class Standing(StrEnum):
    """How a node stands by what it runs; the worst first."""

    BELOW = "below"  # older than the minimum
    UNKNOWN = "unknown"  # of a build that nobody has named; or of one without a date, where there is a minimum
    UNSEEN = "unseen"  # nobody could read what runs
    STOPPED = "stopped"
    GONE = "gone"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Remark:
    """What is not as it should be with one node, and the next command.

    kind: one word for programs: `below`, `unknown`, `not-declared`, `lfs-pointer`, `missing`, `differs` (from its file) or `gone`.
    """

    kind: str
    text: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBinary:
    """One declared node. running, on_disk: sha256 of what runs and of its file, "" where unreadable. wants: its declared release."""

    node: str
    host: str
    standing: Standing
    running: str = ""
    on_disk: str = ""
    wants: str = ""
    remarks: tuple[Remark, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether the file is another build than what runs."""
        return bool(self.running and self.on_disk and self.running != self.on_disk)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All of it. at: when asked, seconds since 1970. silent: host -> why it gave no answer. strays: host -> how many the file has not."""

    environment: str
    file: str
    at: float
    nodes: tuple[NodeBinary, ...]
    known: Mapping[str, Known]
    floor: Floor | None
    silent: Mapping[str, str]
    strays: Mapping[str, int]

    @property
    def wants_attention(self) -> bool:
        return bool(self.silent) or any(node.remarks for node in self.nodes)

    @property
    def outside(self) -> tuple[str, ...]:
        """The nodes that run something older than the minimum, or a build whose age nobody knows."""
        return tuple(node.node for node in self.nodes if node.standing in (Standing.BELOW, Standing.UNKNOWN)) if self.floor else ()


def known_builds(env: Environment | None, more: Iterable[Known] = ()) -> dict[str, Known]:
    """sha256 -> build: those of the file, and others by hash and date. What the file says wins; a date that it lacks is taken over."""
    known: dict[str, Known] = {}
    for build in more:
        before = known.get(build.sha256)
        if before is None or (build.date and (not before.date or build.date < before.date)):
            known[build.sha256] = build  # of several days the first
    for name, program in (env.programs if env else {}).items():
        if program.program == CORTENSORD:
            other = known.get(program.sha256, Known(sha256=program.sha256))
            known[program.sha256] = Known(
                sha256=program.sha256, date=program.date or other.date, name=name, source=program.source or other.source
            )
    return known


def dates(env: Environment) -> dict[str, str]:
    """sha256 -> `YYYY-MM-DD` of the builds that the file gives a date."""
    return {sha256: build.date for sha256, build in known_builds(env).items() if build.date}


def floor_of(env: Environment) -> Floor | None:
    """The declared minimum of cortensord, None where none is declared."""
    if env.minimum is None:
        return None
    program = env.programs.get(env.minimum.cortensord)
    if program is not None and program.program == CORTENSORD and program.date:
        return Floor(date=program.date, name=env.minimum.cortensord)
    return Floor(date=env.minimum.cortensord)


def why_refused(env: Environment, release: str) -> str:
    """Why no upgrade may lead to this release of the file: it is older than the minimum, or nobody can tell. "" where it may."""
    floor, program = floor_of(env), env.programs[release]
    if floor is None:
        return ""
    if not program.date:
        return f"{release} has no date, so whether it is older than the minimum, {floor.text}, is not known"
    return f"{release} ({program.date}) is older than the minimum, {floor.text}" if program.date < floor.date else ""


def label(sha256: str, known: Mapping[str, Known]) -> str:
    """`3f2a1b (2026-04-22)`; without the date where nobody knows it."""
    build = known.get(sha256)
    return sha256[:SHA_CHARS] + (f" ({build.date})" if build and build.date else "")


def page_of(env: Environment, found: Mapping[str, HostFound], silent: Mapping[str, str], known: Mapping[str, Known], *, at: float) -> Page:
    """found: host -> what it told; silent: host -> why it told nothing. Nodes of hosts that were not asked are left out."""
    floor = floor_of(env)
    matched = {
        name: (node, match(node, found[node.host]) if node.host in found else Missing("unseen", silent[node.host]))
        for name, node in env.installed.items()
        if node.host in found or node.host in silent
    }
    nodes = tuple(_judged(env, name, node, seen, known, floor) for name, (node, seen) in matched.items())
    ours = {host: [seen for _, seen in matched.values() if isinstance(seen, Installed) and seen.host == host] for host in found}
    strays = {host: count for host, told in found.items() if (count := sum(node not in ours[host] for node in told.nodes))}
    return Page(
        environment=env.name,
        file=env.file,
        at=at,
        nodes=tuple(sorted(nodes, key=lambda node: (_natural(node.host), _natural(node.node)))),
        known=known,
        floor=floor,
        silent=silent,
        strays=strays,
    )


def _judged(
    env: Environment, name: str, node: CortensordNode, seen: Installed | Missing, known: Mapping[str, Known], floor: Floor | None
) -> NodeBinary:
    wants = node.release or ""
    if isinstance(seen, Missing):
        if seen.state == "unseen":
            return NodeBinary(node=name, host=node.host, standing=Standing.UNSEEN, wants=wants)
        gone = Remark("gone", f"{name} is not on {node.host}", f"cortops discover --write {env.file}")
        return NodeBinary(node=name, host=node.host, standing=Standing.GONE, wants=wants, remarks=(gone,))
    running = seen.running_sha256 if seen.running else ""
    on_disk = seen.binary_sha256 if seen.binary_kind == "program" else ""
    standing = _standing(seen, running, known, floor)
    remarks = (
        *_age(env, name, standing, running, known, floor),
        *_declared(env, name, wants, running, known),
        *(() if wants and running in ("", env.programs[wants].sha256) else _file(name, seen, running, on_disk, known)),
    )
    return NodeBinary(node=name, host=node.host, standing=standing, running=running, on_disk=on_disk, wants=wants, remarks=remarks)


def _standing(seen: Installed, running: str, known: Mapping[str, Known], floor: Floor | None) -> Standing:
    if not seen.running:
        return Standing.STOPPED
    if not running:
        return Standing.UNSEEN
    build = known.get(running)
    if build is None or (floor is not None and not build.date):
        return Standing.UNKNOWN
    return Standing.BELOW if floor is not None and build.date < floor.date else Standing.OK


def _age(
    env: Environment, name: str, standing: Standing, running: str, known: Mapping[str, Known], floor: Floor | None
) -> Iterator[Remark]:
    if floor is None:
        return
    if standing is Standing.BELOW:
        yield Remark("below", f"{name} runs {label(running, known)}, older than the minimum, {floor.text}", _newer(env, name, known, floor))
    elif standing is Standing.UNKNOWN:
        build = known.get(running)
        why = f"{build.name or 'a build'} without a date" if build else "which nobody has named"
        text = f"{name} runs {label(running, known)}, {why}: whether it is older than the minimum, {floor.text}, is not known"
        cure = f"give releases.{build.name}.date" if build and build.name else f"cortops releases {env.file} --known FOLDER"
        yield Remark("unknown", text, cure)


def _newer(env: Environment, name: str, known: Mapping[str, Known], floor: Floor) -> str:
    """The command that takes a node to the newest build of the file."""
    dated = [(build.date, build.name) for build in known.values() if build.name and build.date >= floor.date]
    release = max(dated)[1] if dated else "NAME"
    steps = [
        *([] if dated else ["cortops releases add NAME ./cortensord"]),
        *([] if env.installed[name].release else [f"cortops adopt {env.installed[name].host}"]),
        f"cortops upgrade {release} {name}",
    ]
    return ", then: ".join(steps)


def _declared(env: Environment, name: str, wants: str, running: str, known: Mapping[str, Known]) -> Iterator[Remark]:
    program = env.programs.get(wants)
    if program is not None and running and running != program.sha256:
        text = f"{name} runs {label(running, known)}, and {wants}, {label(program.sha256, known)}, is declared"
        yield Remark("not-declared", text, f"cortops plan {env.file}")


def _file(name: str, seen: Installed, running: str, on_disk: str, known: Mapping[str, Known]) -> Iterator[Remark]:
    """What its next start would run. Of an adopted node a plan tells that: the operator's own file may rest unused beside ours."""
    where = f"{seen.binary} on {seen.host}"
    if seen.binary_kind == "lfs-pointer":
        yield Remark("lfs-pointer", f"{name}: {where} is a Git LFS pointer to {label(seen.lfs_oid, known)}: it cannot start again", PULL)
    elif seen.binary_kind == "missing" and seen.running:
        yield Remark("missing", f"{name}: {seen.binary or 'its binary'} is not there any more: it cannot start again", PULL)
    elif running and on_disk and running != on_disk:
        text = f"{name} runs {label(running, known)}, and its file {where} is {label(on_disk, known)}: its next start runs that"
        yield Remark("differs", text, "restart it when it is not selected (cortops nodes), or put the other file back")


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """All nodes that run one build, or of which that is not known: sha256 is "" then."""

    sha256: str
    standing: Standing
    nodes: tuple[NodeBinary, ...]


def builds(nodes: Sequence[NodeBinary], known: Mapping[str, Known]) -> tuple[Build, ...]:
    """The nodes by what they run: what wants attention first, then the newest."""
    groups: dict[tuple[str, Standing], list[NodeBinary]] = {}
    for node in nodes:
        groups.setdefault((node.running, node.standing), []).append(node)
    found = [Build(sha256=sha256, standing=standing, nodes=tuple(group)) for (sha256, standing), group in groups.items()]
    newest = sorted(found, key=lambda build: known[build.sha256].date if build.sha256 in known else "", reverse=True)
    order = list(Standing)
    return tuple(sorted(newest, key=lambda build: order.index(build.standing)))


def _natural(name: str) -> tuple[tuple[str, int], ...]:
    return tuple((text, int(part or 0)) for text, part in re.findall(r"([^0-9]*)([0-9]{0,18})", name))
