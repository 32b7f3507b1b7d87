"""Routers that go away with requests in flight: what was certainly not submitted goes elsewhere, all else waits for the same router."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from gateway_rig import Rig, gateway

from cortops.protocol.gateway import Health
from cortops.testing.clock import turn_until
from cortops.testing.upstream import FakeRouter


class Mortal:
    """A router that can die and come back on its port."""

    def __init__(self) -> None:
        self.router = FakeRouter()
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        await self._stack.enter_async_context(self.router.listening(self.router.port))

    async def die(self) -> None:
        """The kernel resets what it had and refuses what comes."""
        await self._stack.aclose()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cortops.programs.gateway.request.RETURN_EVERY_S", 0.01)


@asynccontextmanager
async def two_routers(folder: Path, **options: object) -> AsyncIterator[tuple[Rig, Mortal, Mortal]]:
    one, other = Mortal(), Mortal()
    await one.start()
    await other.start()
    # the probes know nothing yet: what is learned is learned by requests
    options = {"health": Health(every_s=3600), "sessions": 1, **options}
    try:
        async with gateway(folder, given=[one.router, other.router], **options) as rig:
            yield rig, one, other
    finally:
        await one.die()
        await other.die()


def play(folder: Path, test: Callable[[Rig, Mortal, Mortal], Awaitable[None]], **options: object) -> None:
    async def main() -> None:
        async with two_routers(folder, **options) as (rig, one, other):
            await test(rig, one, other)

    asyncio.run(main())


def _words(body: bytes) -> str:
    if not body.startswith(b"data:"):
        return msgspec.json.decode(body)["choices"][0]["message"]["content"]
    events = [msgspec.json.decode(part[6:]) for part in body.split(b"\n\n") if part and part != b"data: [DONE]"]
    return "".join(choice["delta"].get("content", "") for event in events for choice in event.get("choices", []))


@pytest.mark.parametrize("stream", [False, True])
def test_a_router_that_refuses_is_replaced_at_once(tmp_path: Path, stream: bool) -> None:
    async def test(rig: Rig, one: Mortal, other: Mortal) -> None:
        await one.die()
        replies = [await rig.chat(stream=stream) for _ in range(6)]
        assert [reply.status for reply in replies] == [200] * 6
        assert len(other.router.asked) == 6 and not one.router.asked
        turned = [line for line in rig.logged() if line["event"] == "member_turned" and line["state"] == "down"]
        assert [line["member"] for line in turned] == ["router-1"], "after three refusals it is not tried any more"
        assert {(row.status, row.member) for row in await rig.rows()} == {("ok", "router-2")}

    play(tmp_path, test)


@pytest.mark.parametrize("stream", [False, True])
def test_a_router_that_dies_with_a_request_is_waited_for_and_adopts_it(tmp_path: Path, stream: bool) -> None:
    async def test(rig: Rig, one: Mortal, other: Mortal) -> None:
        one.router.behave(hold=True)
        waiting = asyncio.ensure_future(rig.chat(stream=stream))
        await turn_until(lambda: one.router.asked)
        await one.die()
        others = await rig.chat(stream=stream)
        assert others.status == 200, "the other router serves meanwhile"
        await turn_until(lambda: any(line["event"] == "member_turned" and line["state"] == "down" for line in rig.logged()))
        page = msgspec.json.decode((await rig.ask("/health", key="")).body)
        assert [member["in_flight"] for member in page["pools"]["pool-1"]["members"]] == [1, 0], "its session is still ours"
        one.router.behave(status=503, task=False, code="starting")
        await one.start()
        await turn_until(lambda: len(one.router.asked) > 2)
        one.router.behave()
        reply = await waiting
        assert reply.status == 200 and _words(reply.body) == "Hello, world"
        assert len({asked.headers["x-request-id"] for asked in one.router.asked}) == 1
        assert {asked.session for asked in one.router.asked} == {10}
        rows = await rig.rows()
        assert sorted((row.member, row.status) for row in rows) == [("router-1", "ok"), ("router-2", "ok")]

    play(tmp_path, test)


def test_a_stream_of_which_the_client_has_nothing_is_adopted_too(tmp_path: Path) -> None:
    async def test(rig: Rig, one: Mortal, other: Mortal) -> None:
        one.router.behave(head_only=True)
        waiting = asyncio.ensure_future(rig.chat(stream=True))
        await turn_until(lambda: one.router.asked)
        await one.die()
        one.router.behave()
        await one.start()
        assert _words((await waiting).body) == "Hello, world"
        assert not other.router.asked

    play(tmp_path, test)


def test_a_router_that_does_not_come_back(tmp_path: Path) -> None:
    async def test(rig: Rig, one: Mortal, other: Mortal) -> None:
        one.router.behave(hold=True)
        waiting = asyncio.ensure_future(rig.chat())
        await turn_until(lambda: one.router.asked)
        await one.die()
        reply = await waiting
        assert (reply.status, msgspec.json.decode(reply.body)["error"]["code"]) == (502, "member_broke_off")
        assert not other.router.asked, "it may have been submitted"
        (row,) = await rig.rows()
        assert (row.status, row.error, row.member) == ("failed", "member_broke_off", "router-1")

    play(tmp_path, test, return_wait_s=0.1)


def test_a_router_that_always_breaks_off_is_asked_three_times(tmp_path: Path) -> None:
    async def test(rig: Rig, one: Mortal, other: Mortal) -> None:
        one.router.behave(reset_after=0)
        reply = await rig.chat()
        assert (reply.status, msgspec.json.decode(reply.body)["error"]["code"]) == (502, "member_broke_off")
        assert len(one.router.asked) == 3 and not other.router.asked

    play(tmp_path, test)


def test_a_router_that_stops_in_order_hands_its_requests_to_itself(tmp_path: Path) -> None:
    async def test(rig: Rig, one: Mortal, other: Mortal) -> None:
        one.router.behave(status=503, code="router_stopping", task=False)
        waiting = asyncio.ensure_future(rig.chat())
        await turn_until(lambda: one.router.asked)
        one.router.behave()
        assert (await waiting).status == 200
        assert not other.router.asked

    play(tmp_path, test)


def test_a_client_that_leaves_while_its_router_is_away_frees_the_session(tmp_path: Path) -> None:
    async def test(rig: Rig, one: Mortal, other: Mortal) -> None:
        one.router.behave(hold=True)
        waiting = asyncio.ensure_future(rig.chat())
        await turn_until(lambda: one.router.asked)
        await one.die()
        await turn_until(lambda: any(line["event"] == "member_turned" and line["state"] == "down" for line in rig.logged()))
        waiting.cancel()

        async def in_flight() -> int:
            return int(msgspec.json.decode((await rig.ask("/health", key="")).body)["pools"]["pool-1"]["in_flight"])

        while await in_flight():
            pass
        (row,) = await rig.rows()
        assert row.status == "client_gone"

    play(tmp_path, test)
