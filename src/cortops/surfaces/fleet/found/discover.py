"""What a host is asked to find its nodes, and the pure reading of what it says. Five install shapes: operators 2.2."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from cortops.surfaces.fleet.found import public_keys, records
from cortops.surfaces.fleet.found.describe import ROLES, ROOT, describe
from cortops.surfaces.fleet.found.installed import Installed
from cortops.surfaces.fleet.found.records import Record, Said
from cortops.surfaces.fleet.found.traces import Lookup, each_node, join
from cortops.words.question import Shell

TIMEOUT_S = 120.0  # a host that hashes a file of 127 MB on a busy disk, and waits for docker
NODES_MAX = 500  # of one host
NOTES_MAX = 50

_HERE = "cortops.surfaces.fleet.found"
_AWK = {"find_command": "command.awk", "read_env": "envfile.awk", "read_unit": "unit.awk"}
_PATTERN = f"({'|'.join(ROLES)})v[0-9]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """What restarts nodes by the clock. `name`: a timer unit, or a file of cron. `missing`: units that it names and that are not there."""

    name: str
    schedule: str
    enabled: bool
    restarts: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFound:
    """One host as it was found.

    docker: `ok`, `none`, or `silent` where it does not answer us. clock_offset_s: the host's clock less ours, None when that was not asked.
    complete: the answer came whole. unseen: homes that we may not look into, root's not counted: what runs from there is seen all the same.
    blind: processes of other users are hidden from us.
    """

    host: str
    hostname: str
    machine: str
    system: str
    user: str
    root: bool
    systemd: bool
    docker: str
    python: str
    disk_free_mib: int | None
    clock_offset_s: float | None
    complete: bool
    unseen: tuple[str, ...]
    blind: bool
    timers: tuple[Timer, ...]
    nodes: tuple[Installed, ...]
    notes: tuple[str, ...] = field(default=())


def question_id(host: str) -> str:
    return f"discover:{host}"


def question(host: str, *, root: str = "") -> Shell:
    """One read-only question for all nodes of a host. `root`, in tests, is a folder that stands for the host's file tree."""
    return Shell(id=question_id(host), target=host, script=script(root), timeout_s=TIMEOUT_S)


def script(root: str = "") -> str:
    """The whole sh text that a host runs."""
    values = {"cortops_root": root, "cortops_public": public_keys.as_words(), "cortops_roles": _PATTERN}
    values |= {name: _file(file) for name, file in _AWK.items()}
    return "\n".join([*(f"{name}={shlex.quote(value)}" for name, value in values.items()), _file("discover.sh")])


@cache
def _file(name: str) -> str:
    return (resources.files(_HERE) / name).read_text()


def read(text: str, host: str, *, asked_at: float | None = None) -> HostFound:
    """What a host said -> what was found there. Any text gives a HostFound; one that is cut off says so by `complete`.

    asked_at: seconds since 1970 by our clock, when the host was asked.
    """
    said = records.parse(text)
    head = next(iter(said.of("host")), Record("host", "", (), ()))
    lookup = Lookup.of(said)
    found = [describe(host, key, traces, lookup) for key, traces in each_node(join(said, lookup))]
    epoch = head.number("epoch")
    notes = [note for note in found if isinstance(note, str)]
    within = len(said.of("within"))
    if within:
        notes.append(f"{within} processes of nodes run in machines within this one (LXC, nspawn); name those as hosts to see them")
    notes += [f"only the first {limit.text('max')} {limit.name} were looked at" for limit in said.of("limit")]
    return HostFound(
        host=host,
        hostname=head.name,
        machine=head.text("machine"),
        system=head.text("system"),
        user=head.text("user"),
        root=head.text("uid") == "0",
        systemd=head.text("systemd") == "1",
        docker=head.text("docker") or "none",
        python=head.text("python"),
        disk_free_mib=head.number("disk_free_mib"),
        clock_offset_s=None if epoch is None or asked_at is None else epoch - asked_at,
        complete=said.complete,
        unseen=tuple(record.name for record in said.of("unseen") if record.name != f"/{ROOT}")[:NOTES_MAX],
        blind=head.text("blind") != "",
        timers=_timers(said),
        nodes=tuple(node for node in found if isinstance(node, Installed))[:NODES_MAX],
        notes=tuple(notes[:NOTES_MAX]),
    )


def _timers(said: Said) -> tuple[Timer, ...]:
    timers = []
    for record in said.of("timer"):
        named = [entry.partition(" ") for entry in record.all("restarts")]
        timers.append(
            Timer(
                name=record.name,
                schedule=record.text("schedule"),
                enabled=record.text("wanted") == "1",
                restarts=tuple(dict.fromkeys(unit for unit, _, _ in named)),
                missing=tuple(dict.fromkeys(unit for unit, _, there in named if there == "missing")),
            )
        )
    return tuple(timers[:NOTES_MAX])
