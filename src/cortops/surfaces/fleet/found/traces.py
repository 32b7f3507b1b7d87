"""Records of one host -> the traces of each node, joined: a process, its unit, its container and its env file are one node. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cortops.surfaces.fleet.found.records import Record, Said

Key = tuple[str, str]  # (container or "", env file), which is what makes a node one

# A command that starts with one of these is the node itself; any other first word (sudo, timeout …) hands on to a process of its own.
_INTERPRETER = re.compile(r"(.*/)?(python[0-9.]*|(ba|da|k|z)?sh|busybox|perl|ld-[a-z0-9.-]+)")


@dataclass(slots=True, eq=False)
class Traces:
    """What was seen of one node, filled while records are joined."""

    units: list[Record] = field(default_factory=list)
    processes: list[Record] = field(default_factory=list)
    container: Record | None = None
    home: Record | None = None

    @property
    def leaders(self) -> list[Record]:
        """Its processes whose parent is not one of its own; more than one of them means that it was started twice."""
        own = {process.name for process in self.processes}
        return [process for process in self.processes if process.text("parent") not in own]


@dataclass(frozen=True, slots=True)
class Lookup:
    """The records of one answer by what they are looked up by."""

    env: Mapping[Key, Record]
    binaries: Mapping[Key, Record]
    running: Mapping[str, Record]
    states: Mapping[str, Record]
    boot: int | None
    ticks_per_s: int
    blind: bool  # processes of others are hidden

    @classmethod
    def of(cls, said: Said) -> Lookup:
        """From all records of an answer."""
        host = next(iter(said.of("host")), None)
        return cls(
            env={(record.text("place"), record.name): record for record in said.of("env")},
            binaries={(record.text("place"), record.name): record for record in said.of("bin")},
            running={record.name: record for record in said.of("exe")},
            states={record.name: record for record in said.of("state")},
            boot=host.number("boot") if host else None,
            ticks_per_s=(host.number("hz") if host else None) or 100,
            blind=host is not None and host.text("blind") != "",
        )


def join(said: Said, lookup: Lookup) -> Mapping[Key, Traces]:
    """Env file -> all traces of the node that it belongs to. Some of them may be no node: an env file that nothing starts."""
    joining = _Joining(said, lookup)
    joining.units()
    joining.containers()
    joining.processes()
    joining.homes()
    return joining.traces


def unit_of(process: Record, units: Mapping[str, Record]) -> Record | None:
    """The unit of a node in whose control group a process is. A login or cron is a unit too, and none of these."""
    group = process.text("group")
    if "/user.slice/" in group:
        return None
    return next((units[part] for part in reversed(group.split("/")) if part in units), None)


class _Joining:
    def __init__(self, said: Said, lookup: Lookup) -> None:
        self.traces: dict[Key, Traces] = {}
        self._said = said
        self._lookup = lookup
        self._by_id: dict[tuple[str, str], Key] = {}
        self._units = {unit.name: unit for unit in said.of("unit")}
        self._containers = {container.name: container for container in said.of("container")}

    def units(self) -> None:
        for unit in self._units.values():
            if unit.text("role") and unit.text("env_file"):
                self._at("", unit.text("env_file")).units.append(unit)

    def containers(self) -> None:
        for container in self._containers.values():
            self._at(container.name, container.text("env_file")).container = container

    def processes(self) -> None:
        accepted = [process for process in self._said.of("process") if _is_node(process)]
        keys: dict[str, Key] = {}
        for process in sorted(accepted, key=lambda process: int(process.name) if process.name.isdigit() else 0):
            key = self._key_of(process, keys)
            keys[process.name] = key
            traces = self._at(*key)
            traces.processes.append(process)
            unit = unit_of(process, self._units)
            if unit is not None and unit not in traces.units:
                traces.units.append(unit)

    def homes(self) -> None:
        for home in self._said.of("home"):
            traces = self._at("", home.text("env_file") or home.name)
            traces.home = traces.home or home

    def _key_of(self, process: Record, keys: Mapping[str, Key]) -> Key:
        container, env_file = process.text("place"), process.text("env_file")
        known = self._containers.get(container)
        if known is not None and known.text("env_file") and env_file in ("", known.text("env_file")):
            return (container, known.text("env_file"))
        if env_file:
            if known is not None:  # its image did not tell the env file, the process does
                self._move((container, ""), (container, env_file))
            return (container, env_file)
        if process.text("parent") in keys:
            return keys[process.text("parent")]
        if container:
            return (container, "")
        unit = unit_of(process, self._units)
        if unit is not None and unit.text("env_file"):
            return ("", unit.text("env_file"))
        for home in self._said.of("home"):
            if home.text("user") == process.text("user") and home.name.endswith(f"/{process.text('env_word')}"):
                return ("", home.text("env_file") or home.name)
        return ("", f"?{process.text('user')}/{process.text('env_word')}")

    def _move(self, old: Key, new: Key) -> None:
        traces = self.traces.pop(old, None)
        if traces is not None:
            self.traces.setdefault(new, Traces()).container = traces.container

    def _at(self, container: str, env_file: str) -> Traces:
        """The traces of an env file, known by what it is on the disk where that could be seen, so that a link to it is no second one."""
        key = (container, env_file)
        record = self._lookup.env.get(key)
        if record is not None and record.text("id"):
            key = self._by_id.setdefault((container, record.text("id")), key)
        return self.traces.setdefault(key, Traces())


def _is_node(process: Record) -> bool:
    number = process.number("number") or 0
    return number == 1 or (number == 2 and _INTERPRETER.fullmatch(process.text("first")) is not None)


def each_node(traces: Mapping[Key, Traces]) -> Iterator[tuple[Key, Traces]]:
    """In a stable order."""
    return iter(sorted(traces.items()))
