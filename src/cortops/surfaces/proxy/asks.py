"""What `cortops proxy test` asks of a hostname, so that its limits show without harm and without waiting. Pure.

A path is asked by GET without a key: who stands behind refuses it, or says that it is there; nothing is inferred, created or paid for.
A body limit shows by the length that a request claims before it sends any (`Expect: 100-continue`): one that fits is bidden to go on, upon
which we leave; one byte more is refused. What one client may hold open shows by requests that are bidden so, and wait. All of them claim
other addresses (X-Forwarded-For): a proxy that believes us would never refuse us.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from cortops.environment.declared import Environment
from cortops.environment.families import FAMILIES, FamilyRules
from cortops.environment.traffic import Route
from cortops.surfaces.proxy.nginx import ClientLimit, Open
from cortops.surfaces.proxy.paths import GATEWAY, ROUTER
from cortops.surfaces.proxy.ways import Way, family_ways, path_of, sample, way

NOWHERE = "/cortops-proxy-test"
WHOLE = "all"  # the family of a hostname that leads to one program as a whole
CLOSED_ASKED_MAX = 4  # paths of a family that is not let through
FLOOD_MAX = 2_000  # requests to reach a rate limit; a higher one is not tried
RATE_MAX = 6_000  # a minute: about what is asked from here, one after the other, so a higher limit is never reached
HELD_MAX = 256  # requests held open to reach a limit of them
FORGED = "192.0.2.{number}"  # documentation addresses (RFC 5737), one for each request
STREAMED_TOKENS = 16
EXPECT = ("Expect", "100-continue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request over a connection of its own. claims: the Content-Length it says, while no body is sent; -1 for none.

    part: what it is asked for: `open`, `closed`, `over`, `fits`, `stream`. family: of the paths.
    """

    part: str
    family: str
    path: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    claims: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Requests of one path up to its limit, by `rate` or by how many are `held` open. most: so many are tried."""

    part: str
    limit: ClientLimit
    path: str
    method: str
    most: int

    @property
    def size(self) -> int:
        """How many requests are made at most; 0 where it cannot be reached from here."""
        if self.part == "held":
            rate_first = self.limit.per_min and self.limit.burst < self.most
            return self.most if self.most <= HELD_MAX and not rate_first else 0
        return FLOOD_MAX if self.most <= FLOOD_MAX else 0


def asks(env: Environment, hostname: str, key: str = "") -> tuple[Ask, ...]:
    """In the order in which they are made. key: a client's, for one short stream; without it none is asked for."""
    route, found = env.proxy[hostname], way(env, hostname)
    every = (
        *_bodies(env, hostname, found),
        *_open(env, hostname, found),
        *_closed(env, route, found),
        Ask(part="closed", family="", path=NOWHERE),
        *_stream(env, route, key),
    )
    return tuple(
        replace(ask, headers=(*ask.headers, ("X-Request-ID", f"cortops-proxy-test-{number}"))) for number, ask in enumerate(every, 1)
    )


def pushes(env: Environment, hostname: str) -> tuple[Push, ...]:
    """For each limit of one client; held first, and before all else, since what was asked before counts towards a rate."""
    found = way(env, hostname)
    method = next((name for name in found.methods if name != "HEAD"), "POST")
    first = {one.limit: sample(one) for one in reversed(found.locations) if isinstance(one, Open) and one.limit is not None}
    held = [
        Push(part="held", limit=limit, path=path, method=method, most=limit.at_once + 1) for limit, path in first.items() if limit.at_once
    ]
    rates = [
        Push(part="rate", limit=limit, path=path, method=method, most=limit.burst + 2 if limit.per_min <= RATE_MAX else FLOOD_MAX + 1)
        for limit, path in first.items()
        if limit.per_min
    ]
    return (*held, *rates)


def opened(env: Environment, hostname: str) -> dict[str, tuple[Open, ...]]:
    """Family -> its places; `all` for a hostname that leads to one program as a whole."""
    route = env.proxy[hostname]
    families = route.lets_through(env.gateway)
    if not families:
        return {WHOLE: tuple(one for one in way(env, hostname).locations if isinstance(one, Open))}
    return {family: family_ways(env, hostname, family) for family in families}


def _open(env: Environment, hostname: str, found: Way) -> Iterator[Ask]:
    for family, places in opened(env, hostname).items():
        for one in places:
            if found.methods == ("POST",):
                body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()
                headers = (("Content-Type", "application/json"),)
                yield Ask(part="open", family=family, path=sample(one), method="POST", body=body, headers=headers)
            else:
                yield Ask(part="open", family=family, path=sample(one))


def _closed(env: Environment, route: Route, found: Way) -> Iterator[Ask]:
    """Some paths of every family that is not let through; none where one program has all paths."""
    matches = [one.match for one in found.locations]
    for family in FAMILIES if "/" not in matches else ():
        if family not in route.lets_through(env.gateway):
            known = [path_of(match) for match, _ in (*ROUTER.get(family, ()), *GATEWAY.get(family, ()))]
            shut = [path for path in known if not _lets(matches, path)]
            yield from (Ask(part="closed", family=family, path=path) for path in shut[:CLOSED_ASKED_MAX])


def _bodies(env: Environment, hostname: str, found: Way) -> Iterator[Ask]:
    """Once for each limit: the hostname's, and those of families that have their own."""
    method = next((name for name in found.methods if name != "HEAD"), "POST")
    seen: set[int] = set()
    for family, places in opened(env, hostname).items():
        one = places[0]
        limit = body_max(env, hostname, family)
        if limit not in seen:
            seen.add(limit)
            for part, claims in (("over", limit + 1), ("fits", limit)):
                yield Ask(part=part, family=family, path=sample(one), method=method, claims=claims, headers=(EXPECT,))


def body_max(env: Environment, hostname: str, family: str) -> int:
    """The largest body of a family, in bytes, as nginx gets it: whole KiB."""
    own = _rules(env, hostname, family).body_max_mib
    return math.ceil((env.proxy[hostname].body_max_mib if own is None else own) * 1024) * 1024


def read_timeout_s(env: Environment, hostname: str, family: str) -> int:
    """The longest silence of a family's other side."""
    return _rules(env, hostname, family).read_timeout_s or env.proxy[hostname].read_timeout_s


def elsewhere(env: Environment, hostname: str, family: str) -> str:
    """The program of others that answers a family, if one is named for it."""
    return _rules(env, hostname, family).to or ""


def _rules(env: Environment, hostname: str, family: str) -> FamilyRules:
    return next((rules for name, rules in env.proxy[hostname].per_family.items() if name == family), FamilyRules())


def _stream(env: Environment, route: Route, key: str) -> Iterator[Ask]:
    """A short answer of the first model, as it comes."""
    if route.kind != "gateway" or env.gateway is None or not key or "completion" not in route.lets_through(env.gateway):
        return
    question = {
        "model": next(iter(env.gateway.models)),
        "messages": [{"role": "user", "content": "Count to ten."}],
        "max_tokens": STREAMED_TOKENS,
        "stream": True,
    }
    headers = (("Authorization", f"Bearer {key}"), ("Content-Type", "application/json"))
    body = json.dumps(question).encode()
    yield Ask(part="stream", family="completion", path="/v1/chat/completions", method="POST", body=body, headers=headers)


def _lets(matches: list[str], path: str) -> bool:
    return any(f"= {path}" == match or (not match.startswith("= ") and path.startswith(match)) for match in matches)
