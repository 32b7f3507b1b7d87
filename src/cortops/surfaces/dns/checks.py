"""Does each hostname lead to the host that is declared for it?"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from cortops.environment.declared import Environment
from cortops.environment.dns import NamedRecord, records_of, server_place, zone_of
from cortops.surfaces.readings import answered_by, bad, inconclusive, json_of, ok
from cortops.surfaces.site import Site
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Dns, JSONValue, Question, Reply

BY_RULE = "rfc6761"  # what an answer says where the resolver did not know the name (words.question.Dns)
ADDRESSES_TOLD_MAX = 4


def questions(env: Environment, site: Site) -> Iterator[Question]:
    """This machine's resolver; of names whose records are declared the declared servers instead, each."""
    for hostname in env.proxy:
        for asked, server in _asks(env, hostname):
            yield Dns(id=asked, name=hostname, server=server_place(server) if server else None, timeout_s=3)


def checks(env: Environment, site: Site) -> Iterator[Check]:
    """One a hostname and server."""
    for hostname, route in env.proxy.items():
        entity = Entity("dns", hostname)
        records = _records(env, hostname)
        for asked, server in _asks(env, hostname):
            judge = _leads(asked, records, server) if records else _resolves(asked, route.on, env.hosts[route.on].local)
            name = f"resolves at {server}" if server else "resolves"
            yield Check(entity=entity, name=name, asks=(asked,), judge=judge, owner=env.owner_of(entity))


def _records(env: Environment, hostname: str) -> tuple[NamedRecord, ...]:
    """Those of ours; a name in no zone of ours (`gateway.localhost`) has none."""
    if env.dns is None or not zone_of(env.dns, hostname):
        return ()
    return records_of(env.dns, hostname, env.proxy[hostname].on)


def _asks(env: Environment, hostname: str) -> tuple[tuple[str, str], ...]:
    """Id of each question about a name, and the server that is asked, "" for this machine's resolver."""
    if env.dns is None or not env.dns.servers or not _records(env, hostname):
        return ((f"dns:{hostname}", ""),)
    return tuple((f"dns:{hostname}@{server}", server) for server in env.dns.servers)


def _leads(asked: str, records: tuple[NamedRecord, ...], server: str) -> Judge:
    """Just to what is declared; of a CNAME to that name, whatever its addresses are."""
    alias = next((record.values[0] for record in records if record.type == "CNAME"), "")
    declared = {value for record in records if record.type != "CNAME" for value in record.values}

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = answered_by(replies, asked, server or "the resolver")
        if isinstance(answer, Verdict):
            return answer
        read = json_of(answer)
        addresses, aliases, ttl_s = _texts(read.get("addresses")), _texts(read.get("aliases", [])), read.get("ttl_s")
        if addresses is None or aliases is None:
            return inconclusive(f"the answer could not be read: {answer.text[:80]}")
        if not addresses and not aliases:
            return bad(f"does not resolve{f' at {server}' if server else ''}; declared is {alias or _told(sorted(declared))}")
        kept = f", for {ttl_s} s" if isinstance(ttl_s, int) and ttl_s else ""
        if alias and server:
            told = f"leads to {aliases[0]}" if aliases else f"resolves to {_told(addresses)}"
            return ok(f"{told}{kept}") if alias in aliases else bad(f"{told}, declared is {alias}")
        if alias or {_plain(address) for address in addresses} == declared:
            return ok(f"{_told(addresses)}{kept}")
        return bad(f"resolves to {_told(addresses)}, declared is {_told(sorted(declared))}")

    return judge


def _resolves(asked: str, host: str, loopback: bool) -> Judge:
    """To loopback where the host is this machine; else anywhere else, since the address that clients use may be another one than ours.
    A resolver that fails says nothing of the name.
    """

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = answered_by(replies, asked, "the resolver")
        if isinstance(answer, Verdict):
            return answer
        read = json_of(answer)
        addresses, by = _texts(read.get("addresses")), read.get("by")
        if addresses is None:
            return inconclusive(f"the answer could not be read: {answer.text[:80]}")
        if not addresses:
            return bad("does not resolve")
        told = _told(addresses)
        if loopback and not all(_is_loopback(address) for address in addresses):
            return bad(f"resolves to {told}, and {host} is this machine (127.0.0.1)")
        if not loopback and any(_is_loopback(address) for address in addresses):
            return bad(f"resolves to {told}, and {host} is another machine")
        return ok(f"{told}, loopback by RFC 6761" if by == BY_RULE else told)

    return judge


def _texts(value: JSONValue) -> list[str] | None:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return None
    return [str(item) for item in value]


def _told(addresses: list[str]) -> str:
    return (", ".join(addresses[:ADDRESSES_TOLD_MAX]) + (", ..." if len(addresses) > ADDRESSES_TOLD_MAX else ""))[:200]


def _plain(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return address


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
