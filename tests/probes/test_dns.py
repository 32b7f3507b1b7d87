"""What a resolver may do with a name, and what we make of it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from cortops.probes.ask import ask
from cortops.probes.dns import ask_dns, is_loopback_name
from cortops.protocol.http import HttpClient
from cortops.testing.dns_server import DnsServer, dns_server
from cortops.words.clock import SystemClock
from cortops.words.question import Answer, Dns, NoAnswer, Reply, Shell, Silence

NOT_OURS = "api.lab.example"
OURS = "gateway.localhost"


def row(address: str) -> tuple[Any, ...]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.SOCK_STREAM, 6, "", (address, 0)


def asked(name: str, said: Sequence[str] | BaseException | None, timeout_s: float = 5) -> Reply:
    """The reply where the resolver gives these addresses, fails like this, or (None) never answers."""

    async def resolve(given: str) -> Sequence[Any]:
        assert given == name
        if isinstance(said, BaseException):
            raise said
        if said is None:
            await asyncio.Event().wait()
        return [row(address) for address in said or ()]

    return asyncio.run(ask_dns(Dns(id="q", name=name, timeout_s=timeout_s), SystemClock(), resolve))


def read(reply: Reply) -> tuple[list[str], str]:
    assert isinstance(reply, Answer) and reply.question == "q" and reply.status == 0
    body = json.loads(reply.body)
    assert set(body) == {"addresses", "by"}
    return body["addresses"], body["by"]


def failure(code: int) -> socket.gaierror:
    return socket.gaierror(code, "as the resolver puts it")


@pytest.mark.parametrize("name", [OURS, NOT_OURS])
def test_what_the_resolver_knows_is_told_each_address_once(name: str) -> None:
    assert read(asked(name, ["203.0.113.7", "::1", "203.0.113.7"])) == (["203.0.113.7", "::1"], "resolver")


@pytest.mark.parametrize("code", [socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)])
def test_a_name_that_does_not_exist_is_an_answer(code: int) -> None:
    assert read(asked(NOT_OURS, failure(code))) == ([], "resolver")


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".example"])
def test_what_is_no_name_resolves_to_nothing(name: str) -> None:
    assert read(asked(name, UnicodeError("label empty or too long"))) == ([], "resolver")


@pytest.mark.parametrize(
    ("said", "silence", "why"),
    [
        (failure(socket.EAI_AGAIN), Silence.UNRESOLVED, "the resolver failed on api.lab.example: as the resolver puts it"),
        (failure(socket.EAI_FAIL), Silence.UNRESOLVED, "the resolver failed"),
        (OSError(24, "Too many open files"), Silence.LOST, "the resolver could not be asked: Too many open files"),
        (None, Silence.TIMEOUT, "said nothing of api.lab.example within 0.02 s"),
    ],
)
def test_a_resolver_that_fails_is_silence(said: BaseException | None, silence: Silence, why: str) -> None:
    found = asked(NOT_OURS, said, timeout_s=0.02)
    assert isinstance(found, NoAnswer) and found.silence is silence and why in found.why


@pytest.mark.parametrize("said", [failure(socket.EAI_NONAME), failure(socket.EAI_AGAIN), OSError(24, "x"), None])
def test_a_name_under_localhost_is_loopback_whatever_the_resolver_does_not_know(said: BaseException | None) -> None:
    assert read(asked(OURS, said, timeout_s=0.02)) == (["127.0.0.1"], "rfc6761")


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("localhost", True),
        ("localhost.", True),
        ("A.B.LocalHost", True),
        ("gateway.localhost.", True),
        ("notlocalhost", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_which_names_are_loopback_by_rule(name: str, ours: bool) -> None:
    assert is_loopback_name(name) is ours


def test_it_is_asked_with_the_others_of_the_systems_own_resolver() -> None:
    async def no_shell(_target: str, _questions: Sequence[Shell]) -> Mapping[str, Reply]:
        return {}

    async def run() -> dict[str, Reply]:
        clock = SystemClock()
        client = HttpClient(clock=clock)
        try:
            return await ask([Dns(id="q", name="localhost"), Dns(id="p", name="a" * 64)], client, no_shell, clock)
        finally:
            await client.close()

    found = asyncio.run(run())
    addresses, by = read(found["q"])
    assert set(addresses) <= {"127.0.0.1", "::1"} and addresses and by in ("resolver", "rfc6761")
    assert isinstance(found["p"], Answer) and json.loads(found["p"].body)["addresses"] == []


def by_server(behave: Callable[[DnsServer], None], name: str = "api.lab.example", timeout_s: float = 5.0) -> Reply:
    """What one server of ours says of a name, A and AAAA, over real sockets."""
    records = {
        ("api.lab.example", "A"): ["203.0.113.7", "203.0.113.8"],
        ("api.lab.example", "AAAA"): ["2001:db8::7"],
        ("www.lab.example", "CNAME"): ["api.lab.example."],
        ("far.lab.example", "CNAME"): ["edge.provider.example."],
        ("many.lab.example", "A"): [f"203.0.113.{last}" for last in range(100)],
    }

    async def run() -> Reply:
        async with dns_server(lambda: records) as server:
            behave(server)
            return await ask_dns(Dns(id="q", name=name, server=server.place, timeout_s=timeout_s), SystemClock())

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "addresses", "aliases", "ttl_s"),
    [
        ("api.lab.example", ["203.0.113.7", "203.0.113.8", "2001:db8::7"], [], 300),
        ("www.lab.example", ["203.0.113.7", "203.0.113.8", "2001:db8::7"], ["api.lab.example"], 300),
        ("far.lab.example", [], ["edge.provider.example"], 300),
        ("none.lab.example", [], [], 0),
        ("many.lab.example", sorted(f"203.0.113.{last}" for last in range(100)), [], 300),  # does not fit UDP: asked again by TCP
    ],
)
def test_a_server_is_asked_for_both_kinds_of_address(name: str, addresses: list[str], aliases: list[str], ttl_s: int) -> None:
    reply = by_server(lambda server: None, name)
    assert isinstance(reply, Answer)
    assert json.loads(reply.body) == {"addresses": addresses, "by": "server", "ttl_s": ttl_s, "aliases": aliases}


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED"])
def test_a_server_that_does_not_tell_is_no_answer(rcode: str) -> None:
    reply = by_server(lambda server: setattr(server, "rcode", rcode))
    assert isinstance(reply, NoAnswer)
    assert (reply.silence, rcode in reply.why) == (Silence.UNRESOLVED, True)


def test_a_server_that_keeps_silent_is_waited_for_no_longer_than_asked() -> None:
    reply = by_server(lambda server: setattr(server, "hold", True), timeout_s=0.1)
    assert isinstance(reply, NoAnswer)
    assert (reply.silence, "within 0.1 s" in reply.why) == (Silence.TIMEOUT, True)
