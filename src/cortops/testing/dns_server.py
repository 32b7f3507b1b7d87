"""A DNS server of ours on loopback, made with dnspython's messages: UDP and TCP, one zone's records from a function. It stands in for
the servers of others: label it so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

LOOPBACK = "127.0.0.1"
UDP_MAX_BYTES = 512  # what a client without EDNS takes. Source: RFC 1035 2.3.4
TTL_S = 300
ALIASES_MAX = 8

Records = Mapping[tuple[str, str], Sequence[str]]  # (name without final dot, type) -> values


@dataclass(slots=True, kw_only=True)
class DnsServer:
    """One that runs. records: asked at every query. rcode: what every query is answered with instead; hold: none is answered at all."""

    records: Callable[[], Records]
    rcode: str = ""
    hold: bool = False
    ttl_s: int = TTL_S
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def place(self) -> tuple[str, int]:
        return LOOPBACK, self.port

    def answer(self, wire: bytes) -> dns.message.Message | None:
        """The answer to one message; None for what is none, and while held."""
        try:
            message = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        question = message.question[0]
        kind, name = dns.rdatatype.to_text(question.rdtype), question.name.to_text(omit_final_dot=True).lower()
        self.asked.append(f"{name} {kind}")
        if self.hold:
            return None
        answer = dns.message.make_response(message)
        answer.flags |= dns.flags.AA
        if self.rcode:
            answer.set_rcode(dns.rcode.from_text(self.rcode))
            return answer
        records = self.records()
        for _ in range(ALIASES_MAX):
            found = "CNAME" if (name, "CNAME") in records else kind
            if values := records.get((name, found)):
                answer.answer.append(dns.rrset.from_text_list(f"{name}.", self.ttl_s, "IN", found, list(values)))
            if found != "CNAME" or kind == "CNAME":
                break
            name = records[name, "CNAME"][0].removesuffix(".").lower()
        if not answer.answer and not any(at == name for at, _ in records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer


@asynccontextmanager
async def dns_server(records: Callable[[], Records]) -> AsyncIterator[DnsServer]:
    """One that runs on a free port, the same for UDP and TCP."""
    server = DnsServer(records=records)
    loop = asyncio.get_running_loop()
    tcp = await asyncio.start_server(_by_tcp(server), LOOPBACK, 0)
    server.port = tcp.sockets[0].getsockname()[1]
    transport, _ = await loop.create_datagram_endpoint(lambda: _ByUdp(server), (LOOPBACK, server.port))
    try:
        yield server
    finally:
        transport.close()
        tcp.close()


class _ByUdp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.answer(data)
        if answer is None or self._transport is None:
            return
        wire = answer.to_wire(max_size=65_535)
        if len(wire) > UDP_MAX_BYTES:  # cut: the client comes again by TCP
            answer.flags |= dns.flags.TC
            answer.answer.clear()
            wire = answer.to_wire()
        self._transport.sendto(wire, addr)


def _by_tcp(server: DnsServer) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            size = int.from_bytes(await reader.readexactly(2))
            answer = server.answer(await reader.readexactly(size))
            if answer is not None:
                wire = answer.to_wire(max_size=65_535)
                writer.write(len(wire).to_bytes(2) + wire)
                await writer.drain()
        writer.close()

    return serve
