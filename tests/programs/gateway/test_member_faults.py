"""Members that misbehave: what the client hears, that nothing is left behind, and that such a member is soon asked no more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gateway_rig import CHAT, Rig, gateway

from cortops.protocol.gateway import Health
from cortops.protocol.http import HttpReply
from cortops.testing.clock import turn_until
from cortops.testing.upstream import FakeRouter
from cortops.words.clock import SystemClock

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nX-Cortensor-Task: 10/1\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
EVENT = b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
FLOOD = PLAIN + b"Content-Length: 18000000\r\n\r\n" + b"x" * 18_000_000


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


# How it behaves -> what the client of a whole answer hears, and that of a stream. `broke off` in a stream of which something came is its
# last event. suspect: it speaks against the member. asked: how often it is asked for one request.
FAULTS: dict[str, tuple[dict[str, Any], str, str, bool, int]] = {
    "slow": ({"delay_s": 0.02, "event_every_s": 0.01}, "ok", "ok", False, 1),
    "silent": ({"hold": True}, "timeout", "timeout", False, 1),
    "silent after the head": ({"head_only": True}, "ok", "timeout", False, 1),
    "lies about the length": ({"raw": PLAIN + b"Content-Length: 500\r\n\r\n{}"}, "member_broke_off", "member_broke_off", True, 3),
    "lies about a chunk": ({"raw": HEAD + b"ffff\r\n" + EVENT}, "member_broke_off", "member_broke_off", True, 0),
    "resets before the head": ({"reset_after": 0}, "member_broke_off", "member_broke_off", True, 3),
    "resets in the middle": ({"reset_after": 2}, "ok", "member_broke_off", True, 1),
    "ends without an end": ({"no_done": True}, "ok", "member_broke_off", True, 1),
    "an error that is called an answer": ({"error_body": True, "code": "inner"}, "inner", "inner", True, 1),
    "an error in the stream": ({"error_event": True, "code": "late", "text": ()}, "ok", "late", False, 1),
    "no JSON": ({"raw": PLAIN + b"Content-Length: 2\r\n\r\nno"}, "member_failed", "member_failed", True, 1),
    "no HTTP": ({"raw": b"SSH-2.0-OpenSSH\r\n"}, "member_broke_off", "member_broke_off", True, 3),
    "floods the head": ({"raw": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200_000}, "member_broke_off", "member_broke_off", True, 3),
    "floods an answer": ({"raw": FLOOD}, "member_broke_off", "member_broke_off", True, 1),
    "floods an event": ({"raw": HEAD + chunk(b"data: " + b"x" * 2**21)}, "member_broke_off", "member_broke_off", True, 0),
}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cortops.programs.gateway.request.RETURN_EVERY_S", 0.005)


def play(folder: Path, test: Callable[[Rig], Awaitable[None]], **options: Any) -> None:
    """Two members, the first of which is asked first; their status pages are looked at once."""

    async def main() -> None:
        async with AsyncExitStack() as stack:
            fakes = [await stack.enter_async_context(FakeRouter(clock=SystemClock()).listening()) for _ in range(2)]
            async with gateway(folder, given=fakes, **{"health": Health(every_s=3600), "sessions": 1, **options}) as rig:
                await test(rig)

    asyncio.run(main())


def outcome(reply: HttpReply) -> str:
    """`ok`, or the code of the error, which in a stream that has begun is the last event's."""
    if reply.header("content-type").startswith("text/event-stream"):
        *_, last = [part[6:] for part in reply.body.split(b"\n\n") if part]
        return "ok" if last == b"[DONE]" else str(msgspec.json.decode(last)["error"]["code"])
    found = msgspec.json.decode(reply.body)
    return "ok" if reply.status == 200 else str(found["error"]["code"])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", FAULTS)
def test_what_the_client_hears_and_what_is_left_behind(tmp_path: Path, name: str, stream: bool) -> None:
    manner, whole, streamed, _, asked = FAULTS[name]

    async def test(rig: Rig) -> None:
        bad, good = rig.routers
        bad.behave(**manner)
        reply = await rig.ask(body={**CHAT, "stream": stream}, x_request_timeout="0.2" if "silent" in name else "10")
        expected = streamed if stream else whole
        assert outcome(reply) == expected, reply.body[:300]
        assert not good.asked, "it may have been submitted"
        assert len(bad.asked) == (asked if expected != "ok" and asked else len(bad.asked))
        members = (await rig.health())["pools"]["pool-1"]["members"]
        assert [member["in_flight"] for member in members] == [0, 0]
        bad.behave()
        assert [outcome(await rig.chat(stream=stream)) for _ in range(2)] == ["ok", "ok"]
        rows = await rig.rows()
        assert [row.status for row in rows] == ["ok" if expected == "ok" else "failed", "ok", "ok"]
        assert rows[0].error == ("" if expected == "ok" else expected)

    play(tmp_path, test)


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault[3]])
def test_who_always_fails_is_soon_asked_no_more_though_its_page_is_well(tmp_path: Path, name: str) -> None:
    manner, whole, _, _, _ = FAULTS[name]
    stream = whole == "ok"

    async def test(rig: Rig) -> None:
        bad, good = rig.routers
        bad.behave(**manner)
        while (await rig.health())["pools"]["pool-1"]["state"] == "ok":
            await rig.chat(stream=stream)
        asked = len(bad.asked)
        assert asked <= 9, "three requests, each three times"
        assert [outcome(await rig.chat(stream=stream)) for _ in range(4)] == ["ok"] * 4
        assert len(bad.asked) == asked
        (member, _) = (await rig.health())["pools"]["pool-1"]["members"]
        assert member["state"] == "down" and "requests in a row failed" in member["why"] and "127.0.0.1" not in member["why"]
        assert good.asked

    play(tmp_path, test)


class Held(SystemClock):
    """Whoever sleeps does so until `go`."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self.go.wait()


async def _streamed(rig: Rig, begun: list[int]) -> str:
    """One client's outcome; `begun` gets an item with its first bytes."""
    body, headers = msgspec.json.encode({**CHAT, "stream": True}), [("Authorization", f"Bearer {rig.key}")]
    url, parts = rig.url + "/v1/chat/completions", list[bytes]()
    async with rig.http.stream("POST", url, headers=headers, body=body, timeout_s=20, idle_timeout_s=20) as found:
        while part := await found.read():
            begun += [] if parts else [1]
            parts.append(part)
        return outcome(HttpReply(status=found.status, headers=found.headers, body=b"".join(parts)))


def test_a_router_killed_under_50_streams_fails_none_that_had_nothing_yet(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            killed, other = FakeRouter(clock=Held()), FakeRouter(clock=Held())
            await stack.enter_async_context(other.listening())
            life = AsyncExitStack()
            await life.enter_async_context(killed.listening())
            options: dict[str, Any] = {"health": Health(every_s=3600), "sessions": 1, "in_flight_per_session": 25}
            rig = await stack.enter_async_context(gateway(tmp_path, given=[killed, other], **options))
            begun = list[int]()
            for router in (killed, other):
                router.behave(event_every_s=1.0)
            with_a_part = [asyncio.ensure_future(_streamed(rig, begun)) for _ in range(24)]
            await turn_until(lambda: len(begun) == 24)
            for router in (killed, other):
                router.behave(delay_s=1.0)
            with_nothing = [asyncio.ensure_future(_streamed(rig, begun)) for _ in range(26)]
            await turn_until(lambda: len(killed.asked) == len(other.asked) == 25)

            await life.aclose()  # as a kill -9: the kernel resets what it had and refuses what comes
            killed.behave()
            await stack.enter_async_context(killed.listening(killed.port))
            await turn_until(lambda: len(killed.asked) == 25 + 13)
            other._clock.go.set()  # type: ignore[attr-defined]
            assert await asyncio.gather(*with_nothing) == ["ok"] * 26
            assert sorted(await asyncio.gather(*with_a_part)) == ["member_broke_off"] * 12 + ["ok"] * 12
            ids = [asked.headers["x-request-id"] for asked in killed.asked]
            assert sorted(ids[25:]) == sorted(ids[12:25]), "each was asked for again under its own id, of the same router"
            assert len(other.asked) == 25
            statuses = [row.status for row in await rig.rows()]
            assert (statuses.count("ok"), statuses.count("failed")) == (38, 12)

    asyncio.run(main())
