"""`cortops hosts`: every host on a line: how it is reached, what it is, and what of ours is there. It only reads."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.common import Common
from cortops.cli.doctor import FAILED, subject_of, with_fleet
from cortops.cli.output import joined, show, show_json, table
from cortops.deploy.host_page import HostRow, Role, as_json, row
from cortops.deploy.ours import PLACES, OnHost, Ours, question, question_id, read, read_offset
from cortops.environment.declared import Environment
from cortops.local.here import data_root
from cortops.surfaces.fleet.adopted import adopted_hosts
from cortops.surfaces.fleet.doctor import examine
from cortops.surfaces.fleet.doctor.ailments import HostSeen
from cortops.surfaces.fleet.doctor.examined import Subject
from cortops.surfaces.fleet.found import discover
from cortops.surfaces.judging import Ask
from cortops.words.clock import Clock
from cortops.words.question import Answer, Reply

ATTENTION = 3
MIB_IN_GIB = 1024
_HEAD = ("", "HOST", "REACHED", "SYSTEM", "PYTHON", "CLOCK", "DISK FREE", "CPU", "MEMORY FREE", "NODES", "OURS")


def hosts(
    *words: str,
    sudo: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Every host on a line: how it is reached, system, Python, clock, disk, memory, nodes, and what of ours lies and runs there.

    What is off is told with the command that cures it. One round trip to each host; one that is silent hides no other. Exit 0 when nothing
    is off, 1 when no host answered, 3 when something is off or a host was silent. Nothing is changed anywhere.

    Parameters
    ----------
    words
        [HOST...] [FILE]: hosts of the environment file (default all), or USER@HOST without one; FILE ends in .yaml.
    sudo
        Become root there by `sudo -n`, so that all can be read.
    """
    subject, wanted = subject_of(words, common, sudo=sudo or common.ask_sudo)
    rows, now = asyncio.run(with_fleet(wanted, common, then=lambda ask, clock, say: look(subject, common, ask, clock)))
    show_json(as_json(rows)) if common.json else show(as_text(subject.name, rows, now))
    silent = sum(one.silent for one in rows.values())
    return FAILED if silent == len(rows) else ATTENTION if any(one.off for one in rows.values()) else 0


async def look(subject: Subject, common: Common, ask: Ask, clock: Clock) -> tuple[dict[str, HostRow], float]:
    """Ask every host once, and judge what it said. Also when that was, in seconds since 1970."""
    here = [str(data_root(os.environ, subject.env.name, common.port_base))] if subject.env is not None else []
    questions = [
        one
        for name, way in subject.ways.items()
        for one in (question(name, (*PLACES, *([] if way else here))), discover.question(name), examine.host_question(name))
    ]
    replies = await ask(questions)
    now = clock.now()
    return {name: _row(subject, name, replies, now) for name in subject.ways}, now


def _row(subject: Subject, name: str, replies: Mapping[str, Reply], now: float) -> HostRow:
    ours, found, looked = (replies.get(each) for each in (question_id(name), discover.question_id(name), examine.host_id(name)))
    why = next((reply.why for reply in (ours, found, looked) if reply is not None and not isinstance(reply, Answer)), "")
    seen = HostSeen(
        name=name,
        way=subject.ways[name],
        word=subject.asked_as[name],
        sudo=name in subject.sudo,
        found=discover.read(found.text, name, asked_at=found.at) if isinstance(found, Answer) else None,
        look=examine.read_host(looked.text) if isinstance(looked, Answer) else None,
        offset=read_offset(ours) if isinstance(ours, Answer) else None,
        why=why,
    )
    told = read(ours.text) if isinstance(ours, Answer) else None
    return row(seen, told, role_of(subject.env, name), now + (seen.offset.beyond_s if seen.offset is not None else 0.0))


def role_of(env: Environment | None, name: str) -> Role:
    """What a host is there for by the file; nothing is known without one."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Role() if env is None else Role(own=name in env.own_hosts, adopted=name in adopted_hosts(env), python=python)


def as_text(name: str, rows: Mapping[str, HostRow], now: float) -> str:
    """For people: a line a host, then what is off, each with its cure."""
    answers, off = [one for one in rows.values() if not one.silent], [one for one in rows.values() if one.off]
    asked = datetime.fromtimestamp(now, UTC)
    lines = [f"{name} · {len(answers)} of {len(rows)} hosts answer · asked {asked:%H:%M:%S} UTC (now) · 0 files written"]
    lines.append(table([_HEAD, *(_cells(one) for one in rows.values())]))
    if not off:
        return "\n".join([*lines, "Nothing is off.    next: cortops doctor    looks deeper"])
    rest = [(one.name, each.what, f"next: {each.cure}") for one in off for each in one.off]
    return "\n".join([*lines, table(rest)])


def _cells(one: HostRow) -> tuple[str, ...]:
    mark = "◌" if one.silent else "▲" if one.off else "●"
    found, look, ours = one.seen.found, one.seen.look, one.ours
    if one.silent:
        return (mark, one.name, one.seen.word, "no answer", *[""] * (len(_HEAD) - 4))
    memory = look.memory if look is not None else {}
    nodes = f"{sum(node.running for node in found.nodes)} of {len(found.nodes)} run" if found and found.nodes else "none"
    return (
        mark,
        one.name,
        _reached(one),
        f"{found.system} {found.machine}{'' if found.systemd else ', no systemd'}" if found else "?",
        (found.python if found else "?") or "none",
        _clock(one),
        _gib(found.disk_free_mib if found else None),
        f"{ours.cpus} at {ours.load:.1f}" if ours and ours.cpus is not None and ours.load is not None else "?",
        _gib(memory.get("MemAvailable")),
        nodes,
        _ours(ours),
    )


def _reached(one: HostRow) -> str:
    """`me@h1 as root`, or `me@h1 as me, sudo asks`."""
    found, sudo = one.seen.found, one.ours.sudo if one.ours is not None else ""
    who = f" as {found.user}" if found else ""
    return f"{one.seen.word}{who}{f', sudo {sudo}' if sudo not in ('root', '') else ''}"


def _clock(one: HostRow) -> str:
    if one.seen.offset is None:
        return "?"
    off_s = one.seen.offset.beyond_s
    return "agrees" if off_s == 0 else f"{off_s:+.0f} s" if abs(off_s) >= 1 else "agrees"


def _gib(mib: int | None) -> str:
    return "?" if mib is None else f"{mib / MIB_IN_GIB:.0f} GiB" if mib >= 10 * MIB_IN_GIB else f"{mib} MiB"


def _ours(ours: Ours | None) -> str:
    if ours is None:
        return "?"
    services = (
        [f"{sum(state == 'active' for state in ours.services.values())} of {len(ours.services)} services run"] if ours.services else []
    )
    return "; ".join([*(_place(place) for place in ours.places), *services]) or "nothing"


def _place(place: OnHost) -> str:
    """`lab: generation 3 by me@laptop 27 Nov 10:00 UTC, 254 MiB`."""
    if place.unreadable:
        return f"{place.environment}: not readable"
    parts: Sequence[str] = [f"generation {place.generation}" if place.generation is not None else "no generation"]
    last, told = place.last, ""
    if last is not None:
        at = datetime.fromtimestamp(last.begun, UTC)
        ending = {"ok": "", "failed": ", failed", None: ", not ended"}.get(last.finished, "")
        told = f" by {last.by} {at.day} {at:%b %H:%M} UTC{ending}"
    held = [f"{word} {holder.who}" for word, holder in (("locked by", place.holder), ("upgraded by", place.upgrade)) if holder is not None]
    return f"{place.environment}: " + joined([f"{parts[0]}{told}", f"{place.mib or 0} MiB", *held], 8)
