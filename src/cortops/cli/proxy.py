"""`cortops proxy test`: what each public hostname lets through and holds back, measured as a client sees it, beside what is declared."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import count, islice
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.common import Common, environment
from cortops.cli.compose import Here, here
from cortops.cli.output import Progress, joined, show, show_json, table
from cortops.deploy.deployment import look
from cortops.deploy.secrets_of import secrets_of
from cortops.environment.declared import Environment
from cortops.probes.front import Front
from cortops.probes.http import trust
from cortops.surfaces.proxy.asks import EXPECT, FORGED, Push, asks, pushes
from cortops.surfaces.proxy.checks import questions
from cortops.surfaces.proxy.measured import OFF, OK, SHUT, UNSEEN, Pushed, Row, most_let, rows, slow_rows
from cortops.surfaces.proxy.render import SERVICE
from cortops.surfaces.proxy.ways import who
from cortops.surfaces.readings import json_of
from cortops.surfaces.site import Site
from cortops.words.errors import BadInput, CortopsError, UnknownName
from cortops.words.question import Answer, Tls

ATTENTION, TOO_MANY = 3, 429
KEY_MAX_BYTES = 512
DAY_S = 86_400
_MARKS = {OK: " ", OFF: "!", UNSEEN: "?"}
_FILE_ENDINGS = (".yaml", ".yml")


def test_(
    *words: str,
    key_file: Annotated[Path | None, Parameter(name="--key-file")] = None,
    slow: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Measure what each public hostname lets through and holds back; exit 3 when something is not as declared.

    Parameters
    ----------
    words
        A hostname, for that one only, and the environment file; default ./cortops.yaml, else the bundled local.yaml.
    key_file
        A file with a client's key: then a short stream is asked for, which counts as that client's. - is standard input.
    slow
        Measure too how long slow clients are waited for; half a minute a hostname.
    """
    files = [word for word in words if word.endswith(_FILE_ENDINGS)]
    hostnames = [word for word in words if word not in files]
    if len(files) > 1 or len(hostnames) > 1:
        raise BadInput("one hostname and one file are taken", next="cortops proxy test [HOSTNAME] [FILE]")
    env = environment(Path(files[0]) if files else None, common)
    names = _names(env, hostnames)
    key = _key(key_file)

    async def run() -> tuple[Row, ...]:
        async with here(env, common) as place:
            return await _all(place, names, key, slow=slow)

    found = asyncio.run(run())
    if common.json:
        show_json({"environment": env.name, "rows": [asdict(row) for row in found]})
    else:
        show(as_text(env, found))
    return ATTENTION if any(row.state == OFF for row in found) else 0


def as_text(env: Environment, found: Sequence[Row]) -> str:
    """A block for each hostname; then the causes of what is off, each with the next command."""
    lines: list[str] = []
    for hostname in dict.fromkeys(row.hostname for row in found):
        route, own = env.proxy[hostname], [row for row in found if row.hostname == hostname]
        lines.append(f"{hostname}:{route.port}, to {who(route)} ({env.file.rsplit('/', 1)[-1]}:{env.position(('proxy', hostname)).line})")
        heading = ("", "", "DECLARED", "MEASURED")
        lines.append(table([heading, *((_MARKS[row.state], row.what, row.declared, _told(row)) for row in folded(own))], "  "))
        for row in own:
            if row.state == OFF:
                lines += [f"  {row.what}: {row.cause}", f"    next: {row.next}"]
        lines.append("")
    off, unseen = (sum(row.state == state for row in found) for state in (OFF, UNSEEN))
    aside = f", {unseen} not measured" if unseen else ""
    well = f"{len(found) - off - unseen} of {len(found)} as declared{aside}"
    return "\n".join([*lines, f"{well}." if not off else f"{off} not as declared; {well}."])


def folded(found: Sequence[Row]) -> tuple[Row, ...]:
    """The same rows, with all families that are shut as they should be on one."""
    shut = [row for row in found if row.state == OK and row.declared == SHUT]
    if len(shut) < 2:
        return tuple(found)
    names, paths = [row.what for row in shut], sum(int(row.measured.split(" ")[2]) for row in shut)
    one = replace(shut[0], what=f"{len(shut)} families", measured=f"404 at {paths} paths: {joined(names, len(names))}")
    return tuple(one if row is shut[0] else row for row in found if row is shut[0] or row not in shut)


def _told(row: Row) -> str:
    return f"{row.measured}: {row.cause}" if row.state == UNSEEN else row.measured


def _names(env: Environment, given: Sequence[str]) -> tuple[str, ...]:
    if not env.proxy:
        raise BadInput(f"{env.name} declares no hostname", where=env.file, next="Add the section proxy.")
    for name in given:
        if name not in env.proxy:
            raise UnknownName(f"no hostname {name} in {env.file} (declared: {', '.join(env.proxy)})")
    return tuple(given) or tuple(env.proxy)


def _key(path: Path | None) -> str:
    """A client's key, never from the command line."""
    if path is None:
        return ""
    try:
        text = sys.stdin.read(KEY_MAX_BYTES) if str(path) == "-" else path.read_text()[:KEY_MAX_BYTES]
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", where=str(path)) from None
    return text.strip()


async def _all(place: Here, names: Sequence[str], key: str, *, slow: bool) -> tuple[Row, ...]:
    deployment = place.deployment
    pending = await _pending(place)
    public = await asyncio.to_thread(deployment.secrets.publics, secrets_of(deployment.env))
    site, progress, found = Site(hosts=deployment.hosts, public=public), Progress(sys.stderr), list[Row]()
    for name in names:
        progress.now(f"asking {name}")
        front, days = await _front(place, site, name)
        known = pending if isinstance(pending, str) else pending[deployment.env.proxy[name].on]
        found += await measure(deployment.env, front, key, days, known)
        found += await measure_slow(deployment.env, front) if slow else ()
    progress.say()
    return tuple(found)


async def _pending(place: Here) -> Mapping[str, tuple[str, ...]] | str:
    """Host -> what an apply would change of its nginx; or why that cannot be known."""
    try:
        seen = await look(place.deployment)
    except CortopsError as error:
        return f"the running configuration cannot be looked at: {error.what}"
    unseen = {one.target: one.why for one in seen.plan.unknown}
    hosts = {route.on for route in place.deployment.env.proxy.values()}
    if blind := hosts & unseen.keys():
        return f"the running configuration cannot be looked at: {unseen[min(blind)]}"
    ours = [change for change in seen.plan.changes if change.resource == f"service:{SERVICE}" or change.resource.endswith("/nginx.conf")]
    return {host: tuple(f"{change.resource}: {change.reason}" for change in ours if change.target == host) for host in hosts}


async def _front(place: Here, site: Site, hostname: str) -> tuple[Front, float | str]:
    """Where and how a hostname is asked, and how many days its certificate has left, or why none was read."""
    env, deployment = place.deployment.env, place.deployment
    (asked,) = (one for one in questions(env, site) if isinstance(one, Tls) and one.server_name == hostname)
    reply = (await deployment.ask([asked]))[asked.id]
    read = json_of(reply).get("not_after") if isinstance(reply, Answer) else None
    days = (read - deployment.clock.now()) / DAY_S if isinstance(read, int | float) else getattr(reply, "why", "it cannot be read")
    trusted = trust(asked.ca_file, asked.ca_pem)
    if isinstance(trusted, str):
        raise BadInput(trusted, where=f"proxy.{hostname}.tls")
    address = env.hosts[env.proxy[hostname].on].address
    front = Front(
        hostname=hostname,
        host=address if address is not None and env.proxy[hostname].on != env.here else asked.host,
        port=asked.port,
        tls=trusted,
        client=place.http,
        clock=deployment.clock,
    )
    return front, days


async def measure(env: Environment, front: Front, key: str, days: float | str, pending: Sequence[str] | str) -> tuple[Row, ...]:
    """Ask all there is to ask of one hostname. key, days, pending: as of surfaces.proxy.asks and measured."""
    every, pushing = asks(env, front.hostname, key), pushes(env, front.hostname)
    pushed = [await _pushed(front, one) for one in pushing if one.part == "held"]
    heard = []
    for one, forged in zip(every, _forged(), strict=False):
        claims = one.claims if one.claims >= 0 else len(one.body)
        head = front.head(one.method, one.path, (*one.headers, *_length(claims), forged))
        heard.append((one, await front.ask(head, one.body, whole=one.part == "stream")))
    pushed += [await _pushed(front, one) for one in pushing if one.part == "rate"]
    return rows(env, front.hostname, heard, pushed, days, pending)


async def measure_slow(env: Environment, front: Front) -> tuple[Row, ...]:
    """Half a head, and a head whose body never comes, at the same time."""
    one = next(one for one in asks(env, front.hostname) if one.part == "over")
    whole = front.head(one.method, one.path, _length(1))
    half, silent = await asyncio.gather(front.outwait(whole[:-2]), front.outwait(whole))
    return slow_rows(env, front.hostname, half, silent)


async def _pushed(front: Front, push: Push) -> Pushed:
    """Each request claims another client's address."""
    begun = front.clock.monotonic()
    own = (*_length(1), EXPECT) if push.part == "held" else ()
    heads = [front.head(push.method, push.path, (*own, forged)) for forged in islice(_forged(), push.size)]
    if not heads:
        return Pushed(push=push, refused_at=0, heard=None, took_s=0)
    if push.part == "held":
        number, last = await front.hold(heads)
    else:
        number, last = await front.flood(heads, TOO_MANY, lambda number, took_s: number > most_let(push, took_s))
    return Pushed(push=push, refused_at=number if last.status == TOO_MANY else 0, heard=last, took_s=front.clock.monotonic() - begun)


def _length(claims: int) -> tuple[tuple[str, str], ...]:
    return (("Content-Length", str(claims)),) if claims > 0 else ()


def _forged() -> Iterator[tuple[str, str]]:
    return (("X-Forwarded-For", FORGED.format(number=1 + number % 254)) for number in count())
