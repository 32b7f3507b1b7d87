"""Resolve a name as programs on this machine do, hosts file included; or ask one server, as resolvers would."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cortops.words.clock import Clock
from cortops.words.question import Answer, Dns, NoAnswer, Reply, Silence

Resolve = Callable[[str], Awaitable[Sequence[Any]]]  # name -> rows as getaddrinfo gives them

LOOPBACK_NAME = "localhost"
LOOPBACK = "127.0.0.1"
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}  # nor an address of it


async def system_resolver(name: str) -> Sequence[Any]:
    """getaddrinfo in a thread. Raises socket.gaierror, and UnicodeError for what is no name."""
    return await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)


async def ask_dns(question: Dns, clock: Clock, resolve: Resolve = system_resolver) -> Reply:
    """Dns -> Answer with addresses in the resolver's order, or NoAnswer when it cannot tell.

    A name under .localhost is loopback whatever the resolver says of not knowing it (RFC 6761 section 6.3), as in curl and browsers.
    """
    if question.server is not None:
        return await ask_server(question, question.server, clock)
    at, begun = clock.now(), clock.monotonic()

    def answer(addresses: Sequence[str], by: str) -> Answer:
        body = json.dumps({"addresses": list(addresses), "by": by}).encode()
        return Answer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, status=0, body=body)

    def silent(silence: Silence, why: str) -> Reply:
        if is_loopback_name(question.name):
            return answer((LOOPBACK,), "rfc6761")
        return NoAnswer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, silence=silence, why=why)

    try:
        async with asyncio.timeout(question.timeout_s):
            rows = await resolve(question.name)
    except TimeoutError:
        return silent(Silence.TIMEOUT, f"the resolver said nothing of {question.name} within {question.timeout_s:g} s")
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME and not is_loopback_name(question.name):
            return answer((), "resolver")
        return silent(Silence.UNRESOLVED, f"the resolver failed on {question.name}: {error.strerror or error}")
    except OSError as error:
        return silent(Silence.LOST, f"the resolver could not be asked: {error.strerror or error}")
    except UnicodeError:  # an empty label or one of more than 63 characters: nobody can have such a name
        return answer((), "resolver")
    return answer(tuple(dict.fromkeys(str(row[4][0]) for row in rows)), "resolver")


async def ask_server(question: Dns, server: tuple[str, int], clock: Clock) -> Reply:
    """One server's answers for A and AAAA; NoAnswer where it gives one of them only, or says that it cannot tell."""
    at, begun = clock.now(), clock.monotonic()
    place = f"{server[0]}:{server[1]}" if ":" not in server[0] else f"[{server[0]}]:{server[1]}"

    def silent(silence: Silence, why: str) -> NoAnswer:
        return NoAnswer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, silence=silence, why=why)

    try:
        async with asyncio.timeout(question.timeout_s):
            found = await asyncio.gather(*(query(server, question.name, kind, question.timeout_s) for kind in ("A", "AAAA")))
    except TimeoutError:
        return silent(Silence.TIMEOUT, f"{place} said nothing of {question.name} within {question.timeout_s:g} s")
    except DnsRefusal as error:
        return silent(Silence.UNRESOLVED, f"{place} answers {error} for {question.name}")
    except OSError as error:
        return silent(Silence.LOST, f"{place} could not be asked: {error.strerror or error}")
    body = {
        "addresses": [value for one in found for value in one.values],
        "by": "server",
        "ttl_s": min((one.ttl_s for one in found if one.values or one.aliases), default=0),
        "aliases": list(dict.fromkeys(name for one in found for name in one.aliases)),
    }
    return Answer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, status=0, body=json.dumps(body).encode())


class DnsRefusal(Exception):
    """A server that does not tell: its answer's code, SERVFAIL or REFUSED, or that it was no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One server's answer: the values, the least TTL in seconds, and the names (without final dot) that CNAMEs led over."""

    values: tuple[str, ...]
    ttl_s: int
    aliases: tuple[str, ...]


async def query(server: tuple[str, int], name: str, kind: str, timeout_s: float) -> Found:
    """Ask one server for records of one kind, over UDP, over TCP where the answer is cut. No such name is an answer without values.

    Raises DnsRefusal, TimeoutError, OSError.
    """
    import dns.asyncquery  # most environments ask no server of their own
    import dns.exception
    import dns.rcode

    try:
        message = dns.message.make_query(name, kind)
        answer, _ = await dns.asyncquery.udp_with_fallback(message, server[0], timeout=timeout_s, port=server[1])
    except dns.exception.Timeout as error:
        raise TimeoutError from error
    except (dns.exception.DNSException, UnicodeError) as error:
        raise DnsRefusal(f"with no answer that can be read ({type(error).__name__})") from error
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise DnsRefusal(dns.rcode.to_text(answer.rcode()))
    sets = [rrset for rrset in answer.answer if dns.rdatatype.to_text(rrset.rdtype) in (kind, "CNAME")]
    return Found(
        values=tuple(sorted(item.to_text() for rrset in sets for item in rrset if dns.rdatatype.to_text(rrset.rdtype) == kind)),
        ttl_s=min((rrset.ttl for rrset in sets), default=0),
        aliases=tuple(item.to_text().removesuffix(".").lower() for rrset in sets for item in rrset if rrset.rdtype == dns.rdatatype.CNAME),
    )


def is_loopback_name(name: str) -> bool:
    """`localhost`, or a name under it, with or without the final dot."""
    plain = name.lower().removesuffix(".")
    return plain == LOOPBACK_NAME or plain.endswith(f".{LOOPBACK_NAME}")
