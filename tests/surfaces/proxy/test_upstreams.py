"""What a real nginx does with our text when one of those behind it is gone, breaks off, is busy or comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.surfaces.proxy.nginx_rig import Behind, Front, front

from cortops.surfaces.proxy.nginx import Open, ServerName, Upstream
from cortops.testing.clock import turn_until

pytestmark = pytest.mark.real

HOSTNAME = "api.localhost"
PATH = "/v1/chat/completions"
TRIES = 20
BACK_TRIES_MAX, BACK_EVERY_S = 100, 0.1  # nginx leaves a server out for a second, and counts in whole ones


def named(*behind: Behind, hostname: str = HOSTNAME, match: str = "/") -> ServerName:
    return ServerName(
        hostname=hostname,
        listen=(),
        certificate="",
        certificate_key="",
        who="the gateway",
        upstreams=(Upstream(name=f"to_{hostname}", servers=tuple(one.address for one in behind)),),
        locations=(Open(match=match, upstream=f"to_{hostname}"),),
        body_max_kib=64,
        read_timeout_s=30,
    )


def with_front(folder: Path, one: Behind, two: Behind, work: Callable[[Front], Awaitable[None]]) -> None:
    async def run() -> None:
        async with front(folder, named(one, two)) as nginx:
            await work(nginx)

    asyncio.run(run())


async def post(nginx: Front) -> str:
    return str((await nginx.tells(HOSTNAME, PATH, "POST", b"{}"))["name"])


def test_where_one_refuses_the_other_answers_and_no_client_notices(tmp_path: Path) -> None:
    gone, there = Behind("gone"), Behind("there")

    async def work(nginx: Front) -> None:
        async with there:
            assert {await post(nginx) for _ in range(TRIES)} == {"there"}
            assert set(await asyncio.gather(*(post(nginx) for _ in range(TRIES)))) == {"there"}

    with_front(tmp_path, gone, there, work)


def test_a_post_that_was_sent_is_never_sent_again(tmp_path: Path) -> None:
    one, two = Behind("one", "reset"), Behind("two", "reset")

    async def work(nginx: Front) -> None:
        async with one, two:
            reply = await nginx.ask(HOSTNAME, PATH, "POST", b"{}")
            assert len(one.asked + two.asked) == 1, "sent, so somebody may be working on it"
            assert reply.status == 502
            error = json.loads(reply.body)["error"]
            assert (error["code"], error["message"]) == ("upstream_unavailable", "the gateway does not answer; try again")
            assert reply.header("x-request-id")

    with_front(tmp_path, one, two, work)


def test_a_get_may_be_asked_again(tmp_path: Path) -> None:
    one, two = Behind("one", "reset"), Behind("two")

    async def work(nginx: Front) -> None:
        async with one, two:
            assert {(await nginx.tells(HOSTNAME, "/v1/models"))["name"] for _ in range(4)} == {"two"}
            assert one.asked

    with_front(tmp_path, one, two, work)


def test_the_one_with_less_to_do_is_asked(tmp_path: Path) -> None:
    one, two = Behind("one", "hold"), Behind("two", "hold")

    async def work(nginx: Front) -> None:
        async with one, two:
            long = asyncio.create_task(post(nginx))
            await turn_until(lambda: one.asked or two.asked)
            busy, idle = (one, two) if one.asked else (two, one)
            idle.manner = "answer"
            assert {await post(nginx) for _ in range(4)} == {idle.name}
            busy.go.set()
            assert await long == busy.name

    with_front(tmp_path, one, two, work)


def test_a_killed_process_is_asked_again_when_it_is_back(tmp_path: Path) -> None:
    one, two = Behind("one"), Behind("two")

    async def work(nginx: Front) -> None:
        async with two:
            async with one:
                assert {await post(nginx) for _ in range(4)} == {"one", "two"}
            assert {await post(nginx) for _ in range(TRIES)} == {"two"}, "killed with connections kept open"
            async with one:
                for _ in range(BACK_TRIES_MAX):
                    if await post(nginx) == "one":
                        return
                    await asyncio.sleep(BACK_EVERY_S)
                raise AssertionError("it is back, and is not asked")

    with_front(tmp_path, one, two, work)


def test_when_all_are_gone_the_refusal_says_who_and_ends_when_one_is_back(tmp_path: Path) -> None:
    one, two = Behind("one"), Behind("two")

    async def work(nginx: Front) -> None:
        for _ in range(3):
            reply = await nginx.ask(HOSTNAME, PATH, "POST", b"{}")
            assert reply.status == 502 and "the gateway does not answer" in json.loads(reply.body)["error"]["message"]
        async with one:
            for _ in range(BACK_TRIES_MAX):
                if (await nginx.ask(HOSTNAME, PATH, "POST", b"{}")).status == 200:
                    return
                await asyncio.sleep(BACK_EVERY_S)
            raise AssertionError("it is back, and is not asked")

    with_front(tmp_path, one, two, work)


def test_connections_are_kept_and_one_that_was_closed_behind_costs_nothing(tmp_path: Path) -> None:
    kept, closing = Behind("kept"), Behind("closing", "close")

    async def run() -> None:
        async with front(tmp_path, named(kept), named(closing, hostname="b.localhost")) as nginx, kept, closing:
            for _ in range(3):
                await post(nginx)
            assert kept.connections == 1
            for _ in range(3):
                await nginx.tells("b.localhost", PATH, "POST", b"{}")
                await turn_until(lambda: not closing.connections)

    asyncio.run(run())


def test_a_stream_passes_event_by_event(tmp_path: Path) -> None:
    one = Behind("one", "stream")

    async def run() -> None:
        async with front(tmp_path, named(one)) as nginx, one:
            url = f"https://{HOSTNAME}:{nginx.port}/events"
            asked = nginx.client.stream("GET", url, timeout_s=10, idle_timeout_s=10, connect_to=("127.0.0.1", nginx.port), tls=nginx.tls)
            async with asked as stream:
                assert await stream.read() == b"data: 1\n\n", "before the second was even made"
                one.go.set()
                assert b"".join([chunk async for chunk in stream.chunks()]) == b"data: 2\n\n"

    asyncio.run(run())


def test_who_stands_behind_learns_which_name_was_asked_and_by_whom(tmp_path: Path) -> None:
    one = Behind("one")

    async def run() -> None:
        async with front(tmp_path, named(one)) as nginx, one:
            headers = (await nginx.tells(HOSTNAME, "/a?b=c"))["headers"]
            assert headers["host"] == f"{HOSTNAME}:{nginx.port}"
            assert headers["x-forwarded-for"] == "127.0.0.1"
            assert "connection" not in headers, "kept open"
            assert one.asked == ["GET /a?b=c"]

    asyncio.run(run())
