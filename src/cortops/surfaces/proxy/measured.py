"""What was seen of a hostname beside what is declared: rows of `cortops proxy test`. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cortops.environment.declared import Environment
from cortops.environment.families import FAMILIES
from cortops.surfaces.proxy.asks import HELD_MAX, WHOLE, Ask, Push, body_max, elsewhere, opened, read_timeout_s
from cortops.surfaces.proxy.checks import CERTIFICATE_DAYS_DEGRADED
from cortops.surfaces.proxy.nginx import BODY_WAIT_S, HEADER_WAIT_S, NO_ROUTE
from cortops.surfaces.proxy.ways import who

OK, OFF, UNSEEN = "ok", "off", "not measured"
SHUT = "404"  # what is declared of a family that is not let through
SLOW_TOLERANCE_S = 3
_TOLD_MAX = 3


class Heard(Protocol):
    """As of probes.front.Heard."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...
    @property
    def after_s(self) -> float: ...
    @property
    def parts(self) -> int: ...
    @property
    def first_s(self) -> float: ...
    @property
    def last_s(self) -> float: ...
    @property
    def why(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing about a hostname. state: `ok`, `off` with cause and next command, or `not measured` with why in `cause`."""

    hostname: str
    what: str
    declared: str
    measured: str
    state: str = OK
    cause: str = ""
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """One push: the number of the request that was refused, 0 for none; its answer; how long all took."""

    push: Push
    refused_at: int
    heard: Heard | None
    took_s: float


def rows(
    env: Environment,
    hostname: str,
    heard: Sequence[tuple[Ask, Heard]],
    pushed: Sequence[Pushed],
    days: float | str,
    pending: Sequence[str] | str,
) -> tuple[Row, ...]:
    """All about one hostname. days: left of its certificate, or why none was read. pending: what an apply would change of its nginx, or
    why nobody knows.
    """
    return (
        _certificate(env, hostname, days),
        *_families(env, hostname, heard),
        _elsewhere(hostname, heard),
        _request_id(hostname, heard),
        *_bodies(env, hostname, heard),
        *_timeouts(env, hostname, pending),
        _streaming(env, hostname, heard),
        *(_limit(env, hostname, one) for one in pushed),
        _client_address(env, hostname, pushed),
    )


def slow_rows(env: Environment, hostname: str, head: Heard, body: Heard) -> tuple[Row, ...]:
    """How long clients are waited for that send half of a head, or nothing of a body."""
    return (_slow(env, hostname, "slow head", HEADER_WAIT_S, head), _slow(env, hostname, "slow body", BODY_WAIT_S, body))


def _slow(env: Environment, hostname: str, what: str, wait_s: int, heard: Heard) -> Row:
    row = Row(hostname=hostname, what=what, declared=f"waited for {wait_s} s", measured="")
    told = f"closed after {heard.after_s:.1f} s"
    if wait_s - 1 <= heard.after_s <= wait_s + SLOW_TOLERANCE_S:
        return _as(row, told)
    return _off(row, told, "the running configuration waits for another time", f"cortops plan {env.file}")


def _certificate(env: Environment, hostname: str, days: float | str) -> Row:
    row = Row(hostname=hostname, what="certificate", declared=f"{CERTIFICATE_DAYS_DEGRADED} days and more", measured="")
    if isinstance(days, str):
        return _off(row, "none that holds", days, f"cortops status {env.file}")
    told = f"{days:.0f} days left"
    return _as(row, told) if days >= CERTIFICATE_DAYS_DEGRADED else _off(row, told, "an apply makes it anew", f"cortops apply {env.file}")


def _families(env: Environment, hostname: str, heard: Sequence[tuple[Ask, Heard]]) -> Iterator[Row]:
    through = opened(env, hostname)
    for family in (*([WHOLE] if WHOLE in through else []), *FAMILIES):
        about = [(ask, one) for ask, one in heard if ask.family == family and ask.part in ("open", "closed")]
        if family in through:
            yield _through(env, hostname, family, about)
        elif about:
            row = Row(hostname=hostname, what=family, declared=SHUT, measured="")
            leaks = [f"{ask.path} answers {_status(one)}" for ask, one in about if not _is_no_route(one)]
            yield (
                _off(row, f"{len(leaks)} of {len(about)} paths answer", _first(leaks), f"cortops plan {env.file}")
                if leaks
                else _as(row, f"404 at {len(about)} paths")
            )


def _through(env: Environment, hostname: str, family: str, about: Sequence[tuple[Ask, Heard]]) -> Row:
    row = Row(hostname=hostname, what=family, declared="let through", measured="")
    shut = [ask.path for ask, one in about if _is_no_route(one)]
    silent = [f"{ask.path}: {one.why}" for ask, one in about if not one.status]
    nobody = [f"{ask.path} answers {one.status}" for ask, one in about if one.status in (502, 504)]
    passed = len(about) - len(shut) - len(silent) - len(nobody)
    told = f"{passed} of {len(about)} paths"
    if shut:
        return _off(row, told, f"404 at {_first(shut)}", f"cortops plan {env.file}")
    if silent:
        return _off(row, told, _first(silent), f"cortops status {env.file}")
    if nobody:
        behind = elsewhere(env, hostname, family) or who(env.proxy[hostname])
        return _off(row, told, f"{_first(nobody)}: {behind} does not answer", f"cortops status {env.file}")
    return _as(row, told)


def _elsewhere(hostname: str, heard: Sequence[tuple[Ask, Heard]]) -> Row:
    row = Row(hostname=hostname, what="all else", declared="404 in our shape", measured="")
    (one,) = (one for ask, one in heard if ask.part == "closed" and not ask.family)
    if _is_no_route(one):
        return _as(row, "404 in our shape")
    return (
        Row(hostname=hostname, what="all else", declared="let through", measured=_status(one))
        if one.status
        else _off(row, "no answer", one.why, "cortops status")
    )


def _request_id(hostname: str, heard: Sequence[tuple[Ask, Heard]]) -> Row:
    """Ours comes back as we sent it, on answers of every kind."""
    row = Row(hostname=hostname, what="request id", declared="ours comes back", measured="")
    answers = [(ask, one) for ask, one in heard if one.status >= 200]
    lost = [
        f"{ask.path} ({one.status})" for ask, one in answers if one.headers.get("x-request-id") != dict(ask.headers).get("X-Request-ID")
    ]
    told = f"{len(answers) - len(lost)} of {len(answers)} answers"
    return _off(row, told, f"not at {_first(lost)}", "cortops plan") if lost else _as(row, told)


def _bodies(env: Environment, hostname: str, heard: Sequence[tuple[Ask, Heard]]) -> Iterator[Row]:
    by_family = {ask.family: one for ask, one in heard if ask.part == "over"}
    fits = {ask.family: one for ask, one in heard if ask.part == "fits"}
    for family, over in by_family.items():
        limit = body_max(env, hostname, family)
        row = Row(hostname=hostname, what=f"body of {family}" if len(by_family) > 1 else "body", declared=_size(limit), measured="")
        taken = fits[family]
        told = f"one byte more: {_status(over)}; that much: {'taken' if taken.status == 100 else _status(taken)}"
        if (over.status, taken.status) == (413, 100):
            yield _as(row, told)
        elif 429 in (over.status, taken.status):
            yield _unseen(row, "the limit of one client came first; try again in a minute")
        else:
            yield _off(row, told, "the running configuration has another limit", f"cortops plan {env.file}")


def _timeouts(env: Environment, hostname: str, pending: Sequence[str] | str) -> Iterator[Row]:
    """Of the running configuration: nobody can make who stands behind keep silent for so long."""
    waits = {family: read_timeout_s(env, hostname, family) for family in opened(env, hostname)}
    for wait in dict.fromkeys(waits.values()):
        of = [family for family, own in waits.items() if own == wait]
        what = f"timeout of {', '.join(of)}" if len(set(waits.values())) > 1 else "timeout"
        row = Row(hostname=hostname, what=what, declared=f"{wait} s", measured="")
        if isinstance(pending, str):
            yield _unseen(row, pending)
        elif pending:
            yield _off(row, "another configuration runs", _first(list(pending)), f"cortops apply {env.file}")
        else:
            yield _as(row, f"{wait} s in the running configuration")


def _streaming(env: Environment, hostname: str, heard: Sequence[tuple[Ask, Heard]]) -> Row:
    row = Row(hostname=hostname, what="streaming", declared="unbuffered", measured="")
    found = [one for ask, one in heard if ask.part == "stream"]
    if not found:
        is_gateway = env.proxy[hostname].kind == "gateway"
        return _unseen(
            row, "no key was given: --key-file FILE asks for a short stream" if is_gateway else "nothing here streams without a key"
        )
    (one,) = found
    if one.status != 200:
        return _off(row, _status(one), one.why or f"the stream was refused: {_code(one)}", f"cortops status {env.file}")
    told = f"first bytes after {one.first_s:.2f} s, the last after {one.last_s:.2f} s, in {one.parts} parts"
    if one.parts > 1 and one.first_s < one.last_s:
        return _as(row, told)
    return _off(row, told, "the answer came at once, as from a buffer", f"cortops plan {env.file}")


def _limit(env: Environment, hostname: str, one: Pushed) -> Row:
    limit = one.push.limit
    family = limit.name.removeprefix(hostname).removeprefix("_")
    of = f" of {family}" if family else ""
    if one.push.part == "held":
        row = Row(hostname=hostname, what=f"at once{of}", declared=f"{limit.at_once} of one client", measured="")
        if not one.push.size:
            return _unseen(row, f"more than {HELD_MAX} would have to be held open, or the rate comes first")
        right = one.refused_at == limit.at_once + 1
    else:
        row = Row(hostname=hostname, what=f"rate{of}", declared=f"{limit.per_min} a minute, {limit.burst} more at once", measured="")
        if not one.push.size:
            return _unseen(row, "it is higher than what is asked from here")
        right = 0 < one.refused_at <= most_let(one.push, one.took_s)
    if one.heard is None or not one.refused_at:
        return _off(row, "never refused", "another limit runs, or the addresses that we forged are believed", f"cortops plan {env.file}")
    again = one.heard.headers.get("retry-after", "")
    told = f"429 at request {one.refused_at}, come again after {again or '?'} s"
    return (
        _as(row, told)
        if right and again
        else _off(row, told, "not where it is declared, or without Retry-After", f"cortops plan {env.file}")
    )


def most_let(push: Push, took_s: float) -> int:
    """The number of the first request that a rate must refuse, if it came so late; those before it used some of what was allowed."""
    return push.limit.burst + 2 + math.ceil(push.limit.per_min * took_s / 60)


def _client_address(env: Environment, hostname: str, pushed: Sequence[Pushed]) -> Row:
    """Each request of a push claimed another address: a proxy that believed that would have counted many clients, and refused none."""
    believed = env.proxy[hostname].trusted_proxies
    declared = f"believed from {', '.join(believed)}" if believed else "X-Forwarded-For is never believed"
    row = Row(hostname=hostname, what="client address", declared=declared, measured="")
    tried = [one for one in pushed if one.heard is not None]
    if not tried:
        return _unseen(row, "it shows by a limit of one client, and none is declared")
    if any(one.refused_at for one in tried):
        return _as(row, "forged addresses were counted as one client")
    return _unseen(row, "no limit was reached, by which it would show")


def _is_no_route(one: Heard) -> bool:
    """nginx's own 404, in our shape; who stands behind has other words."""
    return one.status == 404 and _error(one).get("message") == NO_ROUTE


def _error(one: Heard) -> Mapping[str, object]:
    try:
        found = json.loads(one.body)["error"]
    except (ValueError, LookupError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _code(one: Heard) -> str:
    return str(_error(one).get("code") or one.status)


def _status(one: Heard) -> str:
    return str(one.status) if one.status else one.why or "no answer"


def _size(limit: int) -> str:
    return f"{limit / 2**20:g} MiB" if limit >= 2**20 else f"{limit // 1024} KiB"


def _first(texts: Sequence[str]) -> str:
    more = len(texts) - _TOLD_MAX
    return ", ".join(texts[:_TOLD_MAX]) + (f" and {more} more" if more > 0 else "")


def _as(row: Row, measured: str) -> Row:
    return Row(hostname=row.hostname, what=row.what, declared=row.declared, measured=measured)


def _off(row: Row, measured: str, cause: str, next: str) -> Row:
    return Row(hostname=row.hostname, what=row.what, declared=row.declared, measured=measured, state=OFF, cause=cause, next=next)


def _unseen(row: Row, why: str) -> Row:
    return Row(hostname=row.hostname, what=row.what, declared=row.declared, measured="not measured", state=UNSEEN, cause=why)
