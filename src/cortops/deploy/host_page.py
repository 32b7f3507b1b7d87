"""Every host on one line: how it is reached, what it is, what of ours is there, and what is off, each with its cure. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cortops.deploy.ours import OnHost, Ours
from cortops.surfaces.fleet.doctor.ailments import HostSeen

CLOCK_OFFSET_MAX_S = 2.0
DISK_FREE_MIN_MIB = 2_048
MEMORY_FREE_MIN_MIB = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a host is there for by the environment file. own: programs of ours run there; adopted: nodes whose programs we change.

    python: the minor version that our programs need there, as `3.11`.
    """

    own: bool = False
    adopted: bool = False
    python: str = ""


@dataclass(frozen=True, slots=True)
class Off:
    """One thing that is off, and the command that cures it."""

    what: str
    cure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRow:
    """One host. seen.found and ours are None where it gave no answer; then `off` says why."""

    seen: HostSeen
    ours: Ours | None
    off: tuple[Off, ...] = ()
    role: Role = field(default=Role())

    @property
    def name(self) -> str:
        return self.seen.name

    @property
    def silent(self) -> bool:
        return self.seen.found is None and self.ours is None


def row(seen: HostSeen, ours: Ours | None, role: Role, now: float) -> HostRow:
    """now: seconds since 1970 by the host's own clock, as far as that is known."""
    if seen.found is None and ours is None:
        again = seen.way or "cortops doctor"
        return HostRow(seen=seen, ours=None, off=(Off(f"did not answer: {seen.why or 'nothing came back'}", again),), role=role)
    return HostRow(seen=seen, ours=ours, off=tuple(_off(seen, ours, role, now)), role=role)


def _off(seen: HostSeen, ours: Ours | None, role: Role, now: float) -> Iterator[Off]:
    if seen.offset is not None and abs(beyond := seen.offset.beyond_s) > CLOCK_OFFSET_MAX_S:
        side = "ahead of" if beyond > 0 else "behind"
        yield Off(f"its clock is {abs(beyond):.0f} s {side} this machine's", seen.there("timedatectl set-ntp true"))
    if seen.found is not None and seen.found.disk_free_mib is not None and seen.found.disk_free_mib < DISK_FREE_MIN_MIB:
        yield Off(f"{seen.found.disk_free_mib} MiB of its disk are free", seen.there('sh -c "du -xm -d 3 / | sort -n | tail"'))
    free = seen.look.memory.get("MemAvailable") if seen.look is not None else None
    if free is not None and free < MEMORY_FREE_MIN_MIB:
        yield Off(f"{free} MiB of its memory are free", seen.there("ps -eo rss,pid,args --sort=-rss | head", root=False))
    yield from _rights(seen, ours, role)
    yield from _own(seen, ours, role)
    for place in ours.places if ours is not None else ():
        yield from _left(seen, place, now)


def _rights(seen: HostSeen, ours: Ours | None, role: Role) -> Iterator[Off]:
    if not (role.adopted or (role.own and seen.way)) or ours is None or ours.sudo == "root":
        return
    how = {
        "free": "set sudo: true for it in the environment file",
        "asks": seen.there("visudo", root=True),
        "missing": "reach it as root: ssh: root@… in the environment file",
    }
    yield Off("we are not root there, and what cortops changes there needs it", how.get(ours.sudo, "set sudo: true for it"))


def _own(seen: HostSeen, ours: Ours | None, role: Role) -> Iterator[Off]:
    """Of hosts that run our own programs."""
    if not role.own or not seen.way:
        return
    if seen.found is not None and _minor(seen.found.python) != role.python:
        what = f"has Python {seen.found.python}" if seen.found.python else "has no Python"
        yield Off(f"{what}, and our programs need {role.python}", seen.there(f"apt-get install -y python{role.python}"))
    if seen.found is not None and not seen.found.systemd:
        yield Off("has no systemd, under which our programs run there", "give them another host in the environment file")
    failed = [unit for unit, state in ours.services.items() if state == "failed"] if ours is not None else []
    if failed:
        yield Off(f"{failed[0]} failed", seen.there(f"journalctl -u {failed[0]} -n 30"))


def _left(seen: HostSeen, place: OnHost, now: float) -> Iterator[Off]:
    """What an apply left in a folder of ours: cut off, or under a lock whose lease is over."""
    holder = place.holder
    if holder is not None and now > holder.lease_until:
        yield Off(f"{place.environment}: the lock of {holder.who} is {now - holder.lease_until:.0f} s over its lease", "cortops apply")
    elif holder is None and place.last is not None and place.last.finished is None:
        yield Off(f"{place.environment}: the apply {place.last.apply} by {place.last.by} was cut off", "cortops plan")
    if place.unreadable:
        yield Off(f"{place.path} may not be read by us", "set sudo: true for it in the environment file")


def _minor(version: str) -> str:
    """`3.11.2` -> `3.11`."""
    return ".".join(version.split(".")[:2])


def as_json(rows: Mapping[str, HostRow]) -> list[dict[str, object]]:
    """The shape of `hosts --json`."""
    return [_row_json(one) for one in rows.values()]


def _row_json(one: HostRow) -> dict[str, object]:
    found, look, ours, offset = one.seen.found, one.seen.look, one.ours, one.seen.offset
    memory = look.memory if look is not None else {}
    return {
        "host": one.name,
        "reached": one.seen.word,
        "answers": not one.silent,
        "user": found.user if found else "",
        "root": found.root if found else None,
        "sudo": ours.sudo if ours else "",
        "system": found.system if found else "",
        "machine": found.machine if found else "",
        "python": found.python if found else "",
        "systemd": found.systemd if found else None,
        "docker": found.docker if found else "",
        "clock_offset_s": None if offset is None else {"least": round(offset.least_s, 3), "most": round(offset.most_s, 3)},
        "disk_free_mib": found.disk_free_mib if found else None,
        "cpus": ours.cpus if ours else None,
        "load": ours.load if ours else None,
        "memory_mib": {"total": memory.get("MemTotal"), "free": memory.get("MemAvailable")},
        "nodes": {"found": len(found.nodes), "running": sum(node.running for node in found.nodes)} if found else None,
        "services": dict(ours.services) if ours else {},
        "ours": [_place_json(place) for place in ours.places] if ours else [],
        "off": [{"what": off.what, "cure": off.cure} for off in one.off],
    }


def _place_json(place: OnHost) -> dict[str, object]:
    last = place.last
    told = {"apply": last.apply, "at": last.begun, "by": last.by, "outcome": last.finished} if last is not None else None
    holders = {
        name: {"who": holder.who, "since": holder.since, "lease_until": holder.lease_until} if holder is not None else None
        for name, holder in (("lock", place.holder), ("upgrade", place.upgrade))
    }
    return {
        "environment": place.environment,
        "path": place.path,
        "mib": place.mib,
        "generation": place.generation,
        "last_apply": told,
        **holders,
        "readable": not place.unreadable,
    }
