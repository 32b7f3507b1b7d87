"""Does a hostname answer through its proxy, with a certificate that holds?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cortops.environment.declared import Environment
from cortops.surfaces.nodes.render import LOOPBACK
from cortops.surfaces.proxy.render import SERVICE, ca_file
from cortops.surfaces.readings import bad, json_of, ok, reply_of
from cortops.surfaces.services.checks import running
from cortops.surfaces.site import Site
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Http, Question, Reply, Tls

CERTIFICATE_DAYS_MIN = 14


def questions(env: Environment, site: Site) -> Iterator[Question]:
    for hostname, route in env.proxy.items():
        trusted = ca_file(site.hosts[route.on])
        yield Tls(id=f"tls:{hostname}", host=LOOPBACK, port=route.port, server_name=hostname, ca_file=trusted, timeout_s=3)
        yield Http(
            id=f"route:{hostname}",
            url=f"https://{hostname}:{route.port}/v1/models",
            connect_to=(LOOPBACK, route.port),
            ca_file=trusted,
            timeout_s=3,
        )


def checks(env: Environment, site: Site) -> Iterator[Check]:
    for hostname, route in env.proxy.items():
        entity = Entity("proxy", hostname)
        owner = env.owner_of(entity)
        yield running(entity, SERVICE, route.on, owner)
        yield Check(entity=entity, name="certificate", asks=(f"tls:{hostname}",), judge=_certificate(f"tls:{hostname}"), owner=owner)
        yield Check(
            entity=entity, name="route", asks=(f"route:{hostname}",), judge=_route(f"route:{hostname}"), owner=owner, runbook="router"
        )


def _certificate(asked: str) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, asked)
        if isinstance(answer, Verdict):
            return answer
        not_after = json_of(answer).get("not_after")
        assert isinstance(not_after, int | float)
        days = int((not_after - now) // 86_400)
        return (ok if days >= CERTIFICATE_DAYS_MIN else bad)(f"valid for {days} more days")

    return judge


def _route(asked: str) -> Judge:
    """Without a key the gateway's own refusal, 401, is the proof that the way is open."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, asked)
        if isinstance(answer, Verdict):
            return answer
        if answer.status == 401:
            return ok("reaches the gateway, which asks for a key")
        return bad(f"/v1/models without a key answers {answer.status}, not the gateway's 401")

    return judge
