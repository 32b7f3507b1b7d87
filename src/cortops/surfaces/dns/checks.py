"""Does each hostname lead to the host that is declared for it?"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from cortops.environment.declared import Environment
from cortops.surfaces.readings import answered_by, bad, inconclusive, json_of, ok
from cortops.surfaces.site import Site
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Dns, Question, Reply

BY_RULE = "rfc6761"  # what an answer says where the resolver did not know the name (words.question.Dns)
ADDRESSES_TOLD_MAX = 4


def questions(env: Environment, site: Site) -> Iterator[Question]:
    yield from (Dns(id=f"dns:{hostname}", name=hostname, timeout_s=3) for hostname in env.proxy)


def checks(env: Environment, site: Site) -> Iterator[Check]:
    for hostname, route in env.proxy.items():
        entity, asked = Entity("dns", hostname), f"dns:{hostname}"
        loopback = env.hosts[route.on].local
        yield Check(entity=entity, name="resolves", asks=(asked,), judge=_resolves(asked, route.on, loopback), owner=env.owner_of(entity))


def _resolves(asked: str, host: str, loopback: bool) -> Judge:
    """To loopback where the host is this machine; else anywhere else, since the address that clients use may be another one than ours.
    A resolver that fails says nothing of the name.
    """

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = answered_by(replies, asked, "the resolver")
        if isinstance(answer, Verdict):
            return answer
        read = json_of(answer)
        addresses, by = read.get("addresses"), read.get("by")
        if not isinstance(addresses, list) or not all(isinstance(address, str) for address in addresses):
            return inconclusive(f"the answer could not be read: {answer.text[:80]}")
        if not addresses:
            return bad("does not resolve")
        told = ", ".join(addresses[:ADDRESSES_TOLD_MAX]) + (", ..." if len(addresses) > ADDRESSES_TOLD_MAX else "")
        if loopback and not all(_is_loopback(address) for address in addresses):
            return bad(f"resolves to {told[:200]}, and {host} is this machine (127.0.0.1)")
        if not loopback and any(_is_loopback(address) for address in addresses):
            return bad(f"resolves to {told[:200]}, and {host} is another machine")
        return ok(f"{told}, loopback by RFC 6761" if by == BY_RULE else told)

    return judge


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
