"""The traces of one node -> Installed, or why they are none. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cortops.surfaces.fleet.adopted import BASE
from cortops.surfaces.fleet.found.installed import BinaryKind, Installed, Shape
from cortops.surfaces.fleet.found.public_keys import ADDRESS, form_of
from cortops.surfaces.fleet.found.records import EnvValue, Record
from cortops.surfaces.fleet.found.traces import Key, Lookup, Traces, unit_of

ROLES: Final[Mapping[str, str]] = {
    "router": "router",
    "miner": "miner",
    "oracle": "oracle",
    "validator": "validator",
    "pool": "pool-oracle",
    "quality": "quality-oracle",
}
ROOT = "root"
BINARY = "/usr/local/bin/cortensord"  # where the installers put it, for a node whose command does not tell
TIME_MAX_S = 1e10  # a later time is no time
UNREADABLE = "its env file cannot be read without sudo"
UNNAMED = "the name of its container cannot be read without sudo"

_HASH = re.compile(r"[0-9a-f]{64}")
_RUNS = re.compile(r"([a-z]+?)(v[0-9]{1,2})?")
_ANSIBLE = re.compile(r"cortensor-[A-Za-z0-9_-]+")
_AFTER_NAME = re.compile(r"(?:cortensord?(?:[-_.]|$))?(.*)")
_NUMBERED = re.compile(r"\.env-([A-Za-z0-9_-]{1,31})")
_INSTANCE = re.compile(r"[A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The traces, with the one unit and the one process that count."""

    key: Key
    traces: Traces
    lookup: Lookup
    env: Mapping[str, EnvValue]
    unit: Record | None
    leader: Record | None
    shape: Shape

    @property
    def container(self) -> Record | None:
        return self.traces.container

    @property
    def state(self) -> Record | None:
        """What systemd says of the unit."""
        return self.lookup.states.get(self.unit.name) if self.unit else None

    @property
    def command(self) -> Record | None:
        """Where the command that starts it was read, the surest first."""
        home = self.traces.home
        was_started = home if home and (home.text("pid") or home.text("log")) else None
        return next((record for record in (self.leader, self.unit, self.container, was_started) if record and record.text("role")), None)


def describe(host: str, key: Key, traces: Traces, lookup: Lookup) -> Installed | str:
    """One node, or a note about what may be one and is started by nothing that we can read."""
    seen = _see(key, traces, lookup)
    runs = _runs(seen)
    role = ROLES.get(_RUNS.fullmatch(runs)[1], "") if _RUNS.fullmatch(runs) else ""  # type: ignore[index]
    if not role:
        return _why_none(seen, runs)
    file = lookup.binaries.get((key[0], _own_program(seen) or _binary(seen)))
    env_record = lookup.env.get(key)
    return Installed(
        host=host,
        shape=seen.shape,
        instance=_instance(seen),
        role=role,
        runs=runs,
        user=_user(seen),
        unit=_unit_name(seen),
        env_file=_env_file(seen),
        log=_log(seen),
        binary=_binary(seen) or BINARY,
        address=address_of(seen.env),
        pid=_pid(seen),
        running=_runs_now(seen),
        enabled=_enabled(seen),
        started_at=_started_at(seen),
        restarts=_restarts(seen),
        binary_sha256=_hash(file),
        binary_kind=_kind(file),
        lfs_oid=_hash(file, "lfs_oid"),
        running_sha256=_running_hash(seen),
        unit_sha256=_hash(seen.unit) if seen.unit and seen.shape in (Shape.SYSTEMD, Shape.ANSIBLE, Shape.SALT) else "",
        env_sha256=_hash(env_record),
        env={name: value.value for name, value in seen.env.items() if form_of(name) != "kept"},
        notes=tuple(_notes(seen)),
        kept={name: value.value for name, value in seen.env.items() if form_of(name) == "kept"},
        quoted=frozenset(name for name, value in seen.env.items() if value.quote != "bare"),
        env_mode=env_record.text("mode") if env_record else "",
    )


def address_of(env: Mapping[str, EnvValue]) -> str:
    """The node's public address as its env file, or its container, has it; "" for the zeros of the example."""
    for name in ("NODE_PUBLIC_KEY", "PUBLIC_KEY"):
        value = env[name].value if name in env else ""
        if ADDRESS.fullmatch(value) and set(value[-40:]) != {"0"}:
            return "0x" + value[-40:]
    return ""


def _see(key: Key, traces: Traces, lookup: Lookup) -> _Seen:
    record = lookup.env.get(key)
    env = dict(traces.container.env) if traces.container else {}
    env |= dict(record.env) if record else {}
    leaders = sorted(traces.leaders, key=lambda process: process.number("number") or 0)
    leader = leaders[0] if leaders else None
    unit = _main_unit(traces, leader, lookup)
    if traces.container is not None or key[0]:
        shape = Shape.DOCKER
    elif unit is None:
        shape = Shape.NOHUP
    elif "@" in unit.name:
        shape = Shape.SALT
    else:
        shape = Shape.ANSIBLE if _ANSIBLE.fullmatch(unit.name.removesuffix(".service")) else Shape.SYSTEMD
    return _Seen(key=key, traces=traces, lookup=lookup, env=env, unit=unit, leader=leader, shape=shape)


def _main_unit(traces: Traces, leader: Record | None, lookup: Lookup) -> Record | None:
    """The unit that runs the node; else, where it runs without one, none; else the one that would run it."""
    units = {unit.name: unit for unit in traces.units}
    if leader is not None:
        within = unit_of(leader, units)
        return within or next((unit for unit in traces.units if _state_says(lookup, unit, "MainPID", leader.name)), None)
    ranked = sorted(traces.units, key=lambda unit: (not _is_enabled(unit, lookup.states.get(unit.name)), unit.name))
    return ranked[0] if ranked else None


def _state_says(lookup: Lookup, unit: Record, key: str, value: str) -> bool:
    state = lookup.states.get(unit.name)
    return state is not None and state.text(key) == value


def _runs(seen: _Seen) -> str:
    """The role as on the command line; a variable of the unit is looked up where systemd would."""
    command = seen.command
    said = command.text("role") if command else ""
    if not said.startswith("$"):
        return said
    own = seen.unit.text("agent_role") if seen.unit else ""
    return seen.env["AGENT_ROLE"].value if "AGENT_ROLE" in seen.env else own


def _why_none(seen: _Seen, runs: str) -> str:
    container, env_file = seen.container, seen.key[1]
    if container is not None:
        return f"container {container.text('name')} has the name or image of a node, and no command in it that starts one was seen"
    if runs:
        return f"{env_file} is started as {runs}, which is no role that is known here"
    if seen.unit is not None:
        return f"{seen.unit.name} starts a node, and its role cannot be read"
    return f"{env_file} belongs to no unit, process or container"


def _instance(seen: _Seen) -> str:
    """Which of several: what its unit or container is called after the common name, else the number of its env file."""
    name = ""
    if seen.shape is Shape.DOCKER:
        name = _after_name(seen.container.text("name") if seen.container else seen.key[0][:12])
    elif seen.unit is not None:
        name = seen.unit.text("instance") or _after_name(seen.unit.name.removesuffix(".service"))
    numbered = _NUMBERED.fullmatch(seen.key[1].rpartition("/")[2])
    if not name and numbered:
        name = numbered[1]
    return name if _INSTANCE.fullmatch(name) else re.sub(r"[^A-Za-z0-9_-]", "-", name)[:31]


def _after_name(name: str) -> str:
    match = _AFTER_NAME.fullmatch(name)
    return match[1] if match else name


def _unit_name(seen: _Seen) -> str:
    if seen.shape is Shape.DOCKER:
        return seen.container.text("name") if seen.container else seen.key[0][:12]
    return seen.unit.name if seen.unit else ""


def _user(seen: _Seen) -> str:
    for record in (seen.leader, seen.unit, seen.traces.home):
        if record and record.text("user"):
            return record.text("user")
    return ROOT


def _env_file(seen: _Seen) -> str:
    env_file = seen.key[1]
    if env_file.startswith("/"):
        return env_file
    word = env_file.rpartition("/")[2] or ".env"  # what could not be resolved is where the installer puts it
    if seen.shape is Shape.DOCKER:
        return f"/home/deploy/.cortensor/{word}"
    home = _user(seen) if _user(seen) == ROOT else f"home/{_user(seen)}"
    return f"/{home}/.cortensor/{word}"


def _binary(seen: _Seen) -> str:
    """The operator's own file, also where the node was adopted and runs another one."""
    places = (seen.leader, seen.unit, seen.container, seen.traces.home)
    paths = [record.path("binary") for record in places if record and record.path("binary")]
    return next((path for path in paths if not path.startswith(f"{BASE}/")), paths[0] if paths else "")


def _own_program(seen: _Seen) -> str:
    """Where a program lies that we gave to an adopted node, while that runs."""
    path = seen.leader.path("binary") if seen.leader else ""
    return path if path.startswith(f"{BASE}/") else ""


def _log(seen: _Seen) -> str:
    """Where its lines go: told by its unit, else by what it writes to, else the file that cortensord itself keeps beside its env file."""
    if seen.shape is Shape.DOCKER:
        return f"docker:{_unit_name(seen)}"
    places = ((seen.unit, "log"), (seen.leader, "out"), (seen.traces.home, "log"))
    for path in (record.path(key) for record, key in places if record):
        if path and not path.startswith(("/dev/", "/proc/")) and not path.endswith(" (deleted)"):
            return path
    own = seen.env["LOG_FILE_NAME"].value if "LOG_FILE_NAME" in seen.env else ""
    folder = _env_file(seen).rpartition("/")[0]
    return own if own.startswith("/") else f"{folder}/{own if own not in ('', '?') else 'agent_miner.log'}"


def _runs_now(seen: _Seen) -> bool:
    hidden = seen.lookup.blind and seen.container is not None and seen.container.text("running") == "true"
    return seen.leader is not None or _pid(seen) is not None or hidden


def _pid(seen: _Seen) -> int | None:
    if seen.leader is not None:
        return seen.leader.number("name") or (int(seen.leader.name) if seen.leader.name.isdigit() else None)
    state = seen.state
    if seen.shape is not Shape.DOCKER and state is not None and state.text("ActiveState") == "active":
        return state.number("MainPID") or None  # the process itself is hidden from us
    return None


def _enabled(seen: _Seen) -> bool | None:
    if seen.shape is Shape.DOCKER:
        policy = seen.container.text("policy") if seen.container else ""
        return policy not in ("", "no") if seen.container else None
    return _is_enabled(seen.unit, seen.state) if seen.unit else None


def _is_enabled(unit: Record, state: Record | None) -> bool:
    told = state.text("UnitFileState") if state else ""
    return told.startswith("enabled") or unit.text("wanted") == "1"


def _started_at(seen: _Seen) -> float | None:
    ticks = seen.leader.number("ticks") if seen.leader else None
    if ticks and seen.lookup.boot is not None:
        started_at = seen.lookup.boot + ticks / seen.lookup.ticks_per_s
        return started_at if started_at < TIME_MAX_S else None
    started = seen.container.text("started")[:19] if seen.container and seen.container.text("running") == "true" else ""
    try:
        return datetime.fromisoformat(f"{started}+00:00").timestamp() if started else None
    except ValueError:
        return None


def _restarts(seen: _Seen) -> int | None:
    if seen.shape is Shape.DOCKER:
        return seen.container.number("restarts") if seen.container else None
    return seen.state.number("NRestarts") if seen.state else None


def _hash(record: Record | None, key: str = "sha256") -> str:
    value = record.text(key) if record else ""
    return value if _HASH.fullmatch(value) else ""


def _kind(file: Record | None) -> BinaryKind:
    if file is None or file.text("state") == "missing":
        return "missing"
    if file.text("state") != "ok":
        return "unreadable"
    return "lfs-pointer" if _hash(file, "lfs_oid") else "program"


def _running_hash(seen: _Seen) -> str:
    """The hash of what runs; "" where that is an interpreter, whose hash says nothing of the node."""
    if seen.leader is None or seen.leader.number("number") != 1:
        return ""
    return _hash(seen.lookup.running.get(seen.leader.name))


def _notes(seen: _Seen) -> Iterator[str]:
    record = seen.lookup.env.get(seen.key)
    if not seen.key[1].startswith("/") or record is None or record.text("state") == "unreadable":
        yield UNREADABLE
    elif record.text("state") == "missing":
        yield "its env file is missing"
    if seen.shape is Shape.DOCKER and seen.container is None:
        yield UNNAMED
    value = seen.env.get("NODE_PUBLIC_KEY")
    if value is not None and value.value == "?":
        yield "NODE_PUBLIC_KEY is not an address; its value stayed there"
    if len(seen.traces.leaders) > 1:
        yield f"runs {len(seen.traces.leaders)} times: pids {', '.join(process.name for process in seen.traces.leaders[:5])}"
    for unit in seen.traces.units:
        if seen.unit is None:
            yield f"{unit.name} would start it a second time: it runs without that unit"
        elif unit is not seen.unit:
            yield f"{unit.name} names the same env file"
    if seen.container is not None and seen.container.text("running") == "true" and not _runs_now(seen):
        yield "its container runs, and no cortensord was seen in it"
    state = seen.state
    if state is not None and state.text("NeedDaemonReload") == "yes":
        yield f"{state.name} was changed since systemd read it: systemctl daemon-reload"
    if seen.unit is not None and seen.unit.text("lifetime"):
        yield f"{seen.unit.name} ends it after RuntimeMaxSec={seen.unit.text('lifetime')}"
