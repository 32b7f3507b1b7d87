"""`cortops pools`: the gateway's pools with their members, and taking a member out for a while."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from cortops.cli.common import Common, environment
from cortops.cli.compose import Here, here
from cortops.cli.drains import read, when
from cortops.cli.output import Progress, joined, show, show_json, table
from cortops.cli.places import gateway_store
from cortops.cli.records import ask_records
from cortops.deploy.lock import this_process
from cortops.environment.declared import Environment
from cortops.programs.gateway.drain_records import BeginDrain, EndDrain
from cortops.protocol.drains import Drain
from cortops.surfaces.gateway import checks as gateway_checks
from cortops.surfaces.pools.page import MemberRow, PoolRow, PoolsPage, page, without
from cortops.surfaces.site import Site
from cortops.words.errors import Refused, StoreUnavailable, UnknownName
from cortops.words.state import State

ATTENTION, FAILED = 3, 1
WAIT_EVERY_S = 0.5
WAIT_GRACE_S = 30.0  # past the longest time of one request
_MARKS = {State.OK: "●", State.DEGRADED: "▲", State.DOWN: "■", State.UNKNOWN: "◌", State.MAINTENANCE: "◇"}
_HEAD = ("", "MEMBER", "STATE", "IN FLIGHT", "SLOTS", "SESSIONS", "UPSTREAM", "WHY")


def show_(*words: str, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Every pool with its members: names, addresses, sessions, slots, what is in flight, who waits, who is well and why not.

    As the file declares it, and as every process of the gateway sees it now. Exit 3 when a member is down or nobody knows.

    Parameters
    ----------
    words
        [NAME] [FILE]: one pool of the environment file; FILE ends in .yaml.
    """
    env, names = _read(words, common)
    for name in names:
        if name not in env.pools:
            raise UnknownName(f"there is no pool {name!r} in {env.file}", next=f"There are: {', '.join(env.pools)}")
    found = _now(env, common)
    if names:
        found = msgspec.structs.replace(found, pools=tuple(pool for pool in found.pools if pool.name in names))
    show_json(msgspec.to_builtins(found)) if common.json else show(as_text(found))
    fine = all(pool.state in (State.OK, State.MAINTENANCE) for pool in found.pools)
    return 0 if fine and not found.silent else ATTENTION


def drain_(
    member: str,
    file: Path | None = None,
    /,
    *,
    why: str = "",
    wait: Annotated[bool, Parameter(negative="")] = False,
    force: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Give a member no new request, in every process of the gateway within 2 s; what is in flight ends. It stays so until undrain.

    Parameters
    ----------
    member
        The router's name.
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    why
        For those who will ask: kept with who and when.
    wait
        Return when nothing is in flight there any more.
    force
        Also the last one of a pool that takes requests; its clients then get 503.
    """
    env = environment(file, common)
    _demand_member(env, member)
    if not force and (alone := without(env, _now(env, common), member)):
        raise Refused(
            f"{member} is the last one of pool {', '.join(alone)} that takes requests",
            next=f"Bring another one back first (cortops pools {alone[0]}), or accept 503 for its clients: --force",
        )
    request = BeginDrain(keys_db=gateway_store(env, common).keys_db, member=member, by=this_process().who, why=why)
    drain = ask_records(env, common, request, Drain)
    left = _wait(env, common, member) if wait else None
    if common.json:
        show_json({**msgspec.to_builtins(drain), "in_flight": left})
    else:
        show(_told(drain, left, wait, env.file))
    return FAILED if wait and left != 0 else 0


def undrain_(member: str, file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Give a member requests again: few at first, its whole share after return_ramp_s.

    Parameters
    ----------
    member
        The router's name.
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    """
    env = environment(file, common)
    request = EndDrain(keys_db=gateway_store(env, common).keys_db, member=member, by=this_process().who)
    drain = ask_records(env, common, request, Drain)
    if common.json:
        show_json(msgspec.to_builtins(drain))
    else:
        show(f"{member} takes requests again, drained since {when(drain.since)} by {drain.by}. Its share grows: cortops pools")
    return 0


def _read(words: Sequence[str], common: Common) -> tuple[Environment, tuple[str, ...]]:
    files = [word for word in words if word.endswith((".yaml", ".yml"))]
    return environment(Path(files[0]) if files else None, common), tuple(word for word in words if word not in files)


def _demand_member(env: Environment, member: str) -> None:
    members = dict.fromkeys(name for pool in env.pools.values() for name in pool.members)
    if member not in members:
        raise UnknownName(f"{member!r} is in no pool of {env.file}", next=f"Members are: {joined(members, 20)}")


def _now(env: Environment, common: Common) -> PoolsPage:
    """Ask the store and every process, once."""
    drains, note = _drains(env, common)

    async def ask() -> PoolsPage:
        async with here(env, common, only_asks=True) as place:
            return await _look(place, drains, note)

    return asyncio.run(ask())


def _drains(env: Environment, common: Common) -> tuple[list[Drain], str]:
    """Those that go on, and why they are not known."""
    try:
        return read(env, common), ""
    except StoreUnavailable as error:
        return [], f"drains are not known: {error.what}"


async def _look(place: Here, drains: Sequence[Drain], note: str) -> PoolsPage:
    deployment = place.deployment
    replies = await deployment.ask(tuple(gateway_checks.questions(deployment.env, Site(hosts=deployment.hosts, public={}))))
    return page(deployment.env, replies, drains, at=deployment.clock.now(), note=note)


def _wait(env: Environment, common: Common, member: str) -> int | None:
    """Until no process has a request there: how many are left when the longest request should be over, None if that is not known."""
    assert env.gateway is not None
    limit_s = env.gateway.request_timeout_s + WAIT_GRACE_S
    progress = Progress(sys.stderr)

    async def wait() -> int | None:
        async with here(env, common, only_asks=True) as place:
            clock = place.deployment.clock
            ends_at = clock.monotonic() + limit_s
            before = None
            while True:
                found = await _look(place, (), "")
                left = found.in_flight(member)
                known = not found.silent and found.has_drained(member)
                if known and left == 0:
                    return 0
                if clock.monotonic() > ends_at:
                    return left if known else None
                now = f"{left} in flight" if known else f"not known yet: {joined(found.silent) or 'the gateway'} has not told"
                (progress.say if now != before else progress.now)(f"{member}: {now}")
                before = now
                await clock.sleep(WAIT_EVERY_S)

    return asyncio.run(wait())


def as_text(found: PoolsPage) -> str:
    """For people: each pool with its members, then what to do next."""
    asked = datetime.fromtimestamp(found.at, UTC)
    heard = [name for name, why in found.processes.items() if not why]
    count = f"{len(found.pools)} pool{'' if len(found.pools) == 1 else 's'}"
    lines = [f"{found.environment} · {count} · {joined(heard) or 'nobody'} asked {asked:%H:%M:%S} UTC (now)"]
    lines += [why for why in found.processes.values() if why]
    lines += [found.note] if found.note else []
    for pool in found.pools:
        lines += ["", _head(pool), table([_HEAD, *(_cells(row) for row in pool.members)], "  ")]
    return "\n".join([*lines, *_next(found)])


def _head(pool: PoolRow) -> str:
    capacity = sum(row.slots for row in pool.members)
    slots = ", ".join(f"{model} {count}" for model, count in pool.capacity.items())
    queue = f"{_count(pool.queued)} of {pool.queue_max} wait, at most {pool.queue_wait_s:g} s"
    use = f"{_count(pool.in_flight)} of {capacity} in use"
    return f"{_MARKS[pool.state]} {pool.name} · {pool.naming} · slots: {slots or 'none'} · {use} · {queue}"


def _cells(row: MemberRow) -> tuple[str, ...]:
    sessions = "; ".join(f"{model}: {joined(map(str, ids), 8)}" for model, ids in row.sessions.items())
    usable = str(row.slots) if row.usable in (row.slots, 0) else f"{row.usable} of {row.slots}"
    state = "drained" if row.drain is not None else "leaves" if not row.declared else row.state
    return (_MARKS[row.state], row.name, state, _count(row.in_flight), usable, sessions, row.upstream, row.why)


def _count(told: int | None) -> str:
    return "?" if told is None else str(told)


def _next(found: PoolsPage) -> list[str]:
    rows = {row.name: row for pool in found.pools for row in pool.members}
    ill = [name for name, row in rows.items() if row.state in (State.DOWN, State.DEGRADED)]
    if ill:
        return ["", f"next: cortops logs {ill[0]}"]
    drained = [row for row in rows.values() if row.drain is not None]
    if drained:
        return ["", f"next: cortops pools undrain {drained[0].name}    when it may have requests again"]
    if any(not row.declared for row in rows.values()):
        return ["", "next: cortops plan"]
    return []


def _told(drain: Drain, left: int | None, waited: bool, file: str) -> str:
    lines = [f"{drain.member} gets no new request, since {when(drain.since)} by {drain.by}" + (f": {drain.why}" if drain.why else "")]
    if not waited:
        lines.append("Every process of the gateway knows within 2 s; what is in flight ends.    next: cortops pools")
    elif left == 0:
        lines.append(f"Nothing is in flight there any more.    next: cortops pools undrain {drain.member}    when it is back")
    else:
        some = "Whether requests are in flight there is not known" if left is None else f"{left} requests are still in flight there"
        lines.append(f"{some}.    next: cortops pools {file}")
    return "\n".join(lines)
