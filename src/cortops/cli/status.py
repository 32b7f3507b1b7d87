"""`cortops status`: every entity, as `watch` sees it, or asked now."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from cortops import surfaces
from cortops.cli.common import Common, environment
from cortops.cli.compose import Here, here
from cortops.cli.output import joined, show, show_json, table
from cortops.deploy.secrets_of import secrets_of
from cortops.environment.graph import depends_on, entities
from cortops.environment.model import Monitor
from cortops.protocol.http import HttpFailure
from cortops.surfaces.chain.addresses import rpc_url_on
from cortops.surfaces.judging import judge
from cortops.surfaces.proxy.render import ca_file
from cortops.surfaces.reach import from_here
from cortops.surfaces.services import facts
from cortops.surfaces.site import Site
from cortops.surfaces.states import evidence_of, states
from cortops.surfaces.status_page import EntityRow, StatusPage, blind, page
from cortops.words.question import Answer, Reply
from cortops.words.state import State

ATTENTION = 3
HTTP_OK = 200
WATCH_TIMEOUT_S = 2.0
WATCH_PAGE_MAX_MIB = 8
_MARKS = {State.OK: "●", State.DEGRADED: "▲", State.DOWN: "■", State.UNKNOWN: "◌", State.MAINTENANCE: "◇"}


def status(
    file: Path | None = None,
    /,
    *,
    now: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """How every entity is, as `watch` sees it; exit 3 when one of them is not ok.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    now
        Ask everything now, once, instead of reading what `watch` has seen.
    """
    env = environment(file, common)

    async def ask() -> tuple[StatusPage, float]:
        async with here(env, common, only_asks=True) as place:
            found = await (ask_now(place) if now else read_status(place))
            return found, place.deployment.clock.now()

    found, at = asyncio.run(ask())
    if common.json:
        show_json(msgspec.to_builtins(found))
    else:
        show(_as_text(found, at))
    return 0 if found.state is State.OK else ATTENTION


async def read_status(place: Here) -> StatusPage:
    """What `watch` says, where one is declared. When it keeps silent in a running environment nothing is known, and that is said."""
    monitor = place.deployment.env.monitor
    if monitor is None:
        return await ask_now(place)
    found = await _from_watch(place, monitor)
    if isinstance(found, StatusPage) and not found.is_stale(place.deployment.clock.now()):
        return found
    asked_now, replies = await _ask_all(place)
    if all(_no_manager(replies, name) for name in place.deployment.hosts):
        return asked_now  # nothing runs here, and nobody has to watch that
    return blind(asked_now, f"watch does not answer ({found})" if isinstance(found, str) else _overdue(found, asked_now.at))


def _overdue(found: StatusPage, now: float) -> str:
    return f"watch has asked nothing for {now - found.at:.0f} s" if found.at else "watch has ended no round of questions yet"


async def ask_now(place: Here) -> StatusPage:
    """One round of questions to everything, judged."""
    return (await _ask_all(place))[0]


async def _from_watch(place: Here, monitor: Monitor) -> StatusPage | str:
    """Its page, or why there is none."""
    url = f"http://{from_here(place.deployment.env, monitor.on)}:{monitor.port}/status.json"
    try:
        reply = await place.http.request("GET", url, timeout_s=WATCH_TIMEOUT_S, body_max_mib=WATCH_PAGE_MAX_MIB)
    except HttpFailure as error:
        return error.silence.value
    if reply.status != HTTP_OK:
        return f"status {reply.status}"
    try:
        found = msgspec.json.decode(reply.body, type=StatusPage)
    except msgspec.DecodeError:
        return "its page cannot be read"
    name = place.deployment.env.name
    return found if found.environment == name else f"port {monitor.port} belongs to the environment {found.environment}"


async def _ask_all(place: Here) -> tuple[StatusPage, dict[str, Reply]]:
    deployment = place.deployment
    site = Site(hosts=deployment.hosts, public=deployment.secrets.publics(secrets_of(deployment.env)))
    replies = dict(await deployment.ask(surfaces.questions(deployment.env, site)))
    at = deployment.clock.now()
    judged = judge(surfaces.checks(deployment.env, site), replies, at)
    found = states(entities(deployment.env), depends_on(deployment.env), judged)
    return page(deployment.env.name, found, evidence_of(judged, replies), endpoints(place), asked="now", at=at), replies


def _no_manager(replies: dict[str, Reply], host: str) -> bool:
    reply = replies.get(facts.question_id(host))
    return isinstance(reply, Answer) and reply.status == facts.NO_MANAGER


def endpoints(place: Here) -> dict[str, str]:
    """Name -> URL of what people may call, and where the authority's certificate lies."""
    env = place.deployment.env
    found = {"rpc": rpc_url_on(env, env.here)}
    for hostname, route in env.proxy.items():
        name = hostname if route.kind == "url" else route.kind
        found |= {_ENDPOINTS.get(name, name): f"https://{hostname}:{route.port}", "ca": _authority(place, route.on)}
    if env.monitor is not None and env.monitor.on == env.here:
        found["console"] = f"http://127.0.0.1:{env.monitor.port}"
    return found


def _authority(place: Here, host: str) -> str:
    """Where the certificate lies that clients trust, as `scp` writes it where that is another host."""
    path = ca_file(place.deployment.hosts[host])
    return path if host == place.deployment.env.here else f"{host}:{path}"


_ENDPOINTS = {"pool": "router", "rpc": "public_rpc"}


def _as_text(found: StatusPage, now: float) -> str:
    well = sum(row.state is State.OK for row in found.entities)
    rows = [(f"{_MARKS[row.state]} {row.state}", row.entity, row.reason + _more(row, now)) for row in found.entities]
    asked = "asked now" if found.asked == "now" else f"as watch saw it {max(0.0, now - found.at):.0f} s ago"
    known = f"{well} of {len(rows)} ok · {asked}" if not found.note else f"nothing is known: {found.note} · next: cortops status --now"
    return f"{found.environment} · {known}\n" + table(rows, "  ")


def _more(row: EntityRow, now: float) -> str:
    """Of what is not well: for how long, and who needs it."""
    if row.state is State.OK:
        return ""
    told = ([] if row.since is None else [f"for {_span(now - row.since)}"]) + (
        [f"needed by {joined(row.needed_by)}"] if row.needed_by else []
    )
    return f" ({'; '.join(told)})" if told else ""


def _span(seconds: float) -> str:
    """`12 s`, `4 min`, `3 h`, `2 d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
