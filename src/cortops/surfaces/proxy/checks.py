"""Does a hostname answer through its proxy, with a certificate that holds, and does it lead to whom it should?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from cortops.environment.certificates import STAND_IN
from cortops.environment.crosscheck_secrets import AUTHORITY, certificate_secret
from cortops.environment.declared import Environment
from cortops.environment.traffic import Route
from cortops.surfaces.proxy.certificates import trust_file
from cortops.surfaces.proxy.nginx import NO_ROUTE
from cortops.surfaces.proxy.render import SERVICE, ca_file
from cortops.surfaces.proxy.ways import family_ways, sample, who
from cortops.surfaces.reach import from_here
from cortops.surfaces.readings import bad, inconclusive, json_of, number_of, ok, reply_of
from cortops.surfaces.services.checks import running
from cortops.surfaces.site import Site
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Answer, Http, Question, Reply, Tls

CERTIFICATE_DAYS_DEGRADED, CERTIFICATE_DAYS_BAD = 21, 7  # left of its life
HTTP_OK, UNAUTHORIZED, NOT_FOUND, BAD_GATEWAY, UNAVAILABLE, GATEWAY_TIMEOUT = 200, 401, 404, 502, 503, 504
CHAIN_ID_CALL = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}, separators=(",", ":")).encode()

# What is asked without a key, of whom a hostname leads to, and answered in a way that only they answer.
_PATHS = {"gateway": "/v1/models", "pool": "/api/v1/ping", "rpc": "/", "console": "/health", "portal": "/portal/api-keys"}

Reading = Callable[[Answer], Verdict]


def questions(env: Environment, site: Site) -> Iterator[Question]:
    for hostname, route in env.proxy.items():
        reached = from_here(env, route.on)
        trusted, pem = _trust(env, site, hostname, route)
        yield Tls(id=f"tls:{hostname}", host=reached, port=route.port, server_name=hostname, ca_file=trusted, ca_pem=pem, timeout_s=3)
        yield Http(
            id=f"route:{hostname}",
            url=f"https://{hostname}:{route.port}{_path(env, hostname)}",
            method="POST" if route.to == "rpc" else "GET",
            headers=(("content-type", "application/json"),) if route.to == "rpc" else (),
            body=CHAIN_ID_CALL if route.to == "rpc" else b"",
            connect_to=(reached, route.port),
            ca_file=trusted,
            ca_pem=pem,
            timeout_s=3,
        )


def checks(env: Environment, site: Site) -> Iterator[Check]:
    for hostname, route in env.proxy.items():
        entity = Entity("proxy", hostname)
        owner = env.owner_of(entity)
        route_judge = _route(f"route:{hostname}", who(route), _reading(env, route))
        yield running(entity, SERVICE, route.on, owner)
        asks, stands_in = (f"tls:{hostname}",), site.public[certificate_secret(hostname)].startswith(STAND_IN)
        cure = _cure(env, route)
        yield Check(entity=entity, name="certificate", asks=asks, judge=_certificate(*asks, stands_in, cure), owner=owner)
        yield Check(entity=entity, name="renewal", asks=asks, judge=_renewal(*asks, cure), owner=owner, makes="degraded")
        yield Check(entity=entity, name="route", asks=(f"route:{hostname}",), judge=route_judge, owner=owner, runbook="router")


def _path(env: Environment, hostname: str) -> str:
    """One that is let through; of routers their ping, where that is."""
    route = env.proxy[hostname]
    through = route.lets_through(env.gateway)
    if route.kind in ("pool", "url") and (route.kind == "url" or "info" not in through):
        return sample(family_ways(env, hostname, through[0])[0])
    return _PATHS[route.kind]


def _trust(env: Environment, site: Site, hostname: str, route: Route) -> tuple[str, str]:
    """The file of authorities that this hostname is trusted by, or their PEM; both empty: those that every machine trusts."""
    if route.tls.by == "local-ca":
        return (ca_file(site.hosts[route.on]), "") if route.on == env.here else ("", site.public[AUTHORITY])
    public = site.public[certificate_secret(hostname)]
    if public.startswith(STAND_IN):  # by itself, so that the way can be asked before there is one
        return "", public
    return trust_file(env, route), ""


def _cure(env: Environment, route: Route) -> str:
    """What renews a certificate that should have been renewed by now."""
    if (given := route.tls.certificate) is not None:
        return f"put a new one {f'at {given}' if isinstance(given, str) else f'into the secret {given.secret}'}, then: cortops apply"
    if route.tls.by == "acme" and env.acme is not None and env.acme.renew == "watch":
        return "cortops logs watch says why (renewal_failed); at once: cortops apply"
    return "cortops apply"


def _certificate(asked: str, stands_in: bool, cure: str) -> Judge:
    """Down below a week: whoever renews it has failed for two weeks by then."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        days = _days_left(replies, asked, now)
        if isinstance(days, Verdict):
            return days
        if stands_in:
            return bad("no certificate has been obtained yet: what is served stands in, and nobody trusts it")
        if days >= CERTIFICATE_DAYS_BAD:
            return ok(f"valid for {days} more days")
        return bad(f"valid for {days} more days only: {cure}")

    return judge


def _renewal(asked: str, cure: str) -> Judge:
    """Degraded below three weeks: it should have been renewed. What the certificate is like else is another check's matter."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        days = _days_left(replies, asked, now)
        if isinstance(days, Verdict):
            return inconclusive(days.text)
        if days >= CERTIFICATE_DAYS_DEGRADED:
            return ok(f"valid for {days} more days")
        return bad(f"valid for {days} more days only, and not renewed: {cure}")

    return judge


def _days_left(replies: Mapping[str, Reply], asked: str, now: float) -> int | Verdict:
    answer = reply_of(replies, asked)
    if isinstance(answer, Verdict):
        return answer
    not_after = json_of(answer).get("not_after")
    assert isinstance(not_after, int | float)
    return int((not_after - now) // 86_400)


def _route(asked: str, who: str, reading: Reading) -> Judge:
    """nginx's own 502 and 504 speak of who stands behind; nginx's silence speaks of nginx."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, asked)
        if isinstance(answer, Verdict):
            return answer
        if answer.status in (BAD_GATEWAY, GATEWAY_TIMEOUT):
            return bad(f"nginx answers {answer.status}: {who} does not answer")
        return reading(answer)

    return judge


def _reading(env: Environment, route: Route) -> Reading:
    """Of an answer that came through."""
    if route.kind == "url" or (route.pool is not None and "info" not in route.lets_through(env.gateway)):
        return _passes(who(route))
    if route.pool is not None:
        return _router(route.pool)
    if route.to == "rpc":
        return _chain(env.network.chain_id)
    if route.to == "portal":
        return _portal
    return _gateway if route.to == "gateway" else _console


def _gateway(answer: Answer) -> Verdict:
    """Without a key the gateway's own refusal, 401, is the proof that the way is open."""
    if answer.status == UNAUTHORIZED:
        return ok("reaches the gateway, which asks for a key")
    return bad(f"/v1/models without a key answers {answer.status}, not the gateway's 401")


def _portal(answer: Answer) -> Verdict:
    """Without a key its own refusal, 401, is the proof that the way is open."""
    if answer.status == UNAUTHORIZED:
        return ok("reaches the portal, which asks for a key")
    return bad(f"/portal/api-keys without a key answers {answer.status}, not the portal's 401")


def _router(pool: str) -> Reading:
    def reading(answer: Answer) -> Verdict:
        if answer.status == HTTP_OK:
            return ok(f"reaches a router of pool {pool}")
        return bad(f"/api/v1/ping answers {answer.status}, not a router's 200")

    return reading


def _passes(who: str) -> Reading:
    """Whatever a router says without a key, it is no 404 of nginx's own."""

    def reading(answer: Answer) -> Verdict:
        if answer.status == NOT_FOUND and NO_ROUTE in answer.text:
            return bad("nginx answers 404: another configuration runs")
        return ok(f"reaches {who}, which answers {answer.status}")

    return reading


def _chain(declared: int) -> Reading:
    def reading(answer: Answer) -> Verdict:
        found = number_of(json_of(answer).get("result"))
        if answer.status != HTTP_OK or found is None:
            return bad(f"eth_chainId answers {answer.status}, without an id")
        return ok(f"reaches chain {declared}") if found == declared else bad(f"leads to chain {found}, declared is {declared}")

    return reading


def _console(answer: Answer) -> Verdict:
    """Its page on itself, whatever it says: how the watching eye is, is its own matter."""
    if answer.status in (HTTP_OK, UNAVAILABLE) and isinstance(json_of(answer).get("status"), str):
        return ok("reaches the console")
    return bad(f"/health answers {answer.status}, and it is no health page")
