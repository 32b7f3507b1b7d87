"""Another configuration while requests are under way: what is new holds for new ones, and a file that cannot be taken for none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gateway_rig import CHAT, MODEL, Rig, error_code, gateway

from cortops.programs.gateway.reload import changed
from cortops.protocol.gateway import GatewayConfig, Health, Limits, Listen, Pool
from cortops.testing.clock import turn_until
from cortops.testing.upstream import FakeRouter
from cortops.words.errors import BadInput

replace = msgspec.structs.replace


async def reloaded(rig: Rig, config: GatewayConfig | bytes) -> dict[str, Any]:
    """Write the file, ask for it, and tell what the log says of it."""
    (rig.folder / "gateway.json").write_bytes(config if isinstance(config, bytes) else config.to_json())
    before = len(rig.logged())
    rig.reload.ask()
    await turn_until(lambda: any(line["event"].startswith("reload") for line in rig.logged()[before:]))
    return next(line for line in rig.logged()[before:] if line["event"].startswith("reload"))


def with_members(config: GatewayConfig, *numbers: int, **pool: Any) -> GatewayConfig:
    """Only these of the pool's members, from 0."""
    before = config.pools["pool-1"]
    return replace(config, pools={"pool-1": replace(before, members=tuple(before.members[number] for number in numbers), **pool)})


def play(folder: Path, test: Callable[[Rig], Awaitable[None]], *, routers: int = 2, **options: Any) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            fakes = [await stack.enter_async_context(FakeRouter().listening()) for _ in range(routers)]
            async with gateway(folder, given=fakes, **{"health": Health(every_s=3600), **options}) as rig:
                await test(rig)

    asyncio.run(main())


def test_a_member_that_goes_ends_its_stream_and_one_that_comes_is_asked(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        one, other, third = rig.routers
        await reloaded(rig, with_members(rig.config, 0, return_ramp_s=0.0))
        one.behave(text=("word ",) * 40, event_every_s=0.005)
        streaming = asyncio.ensure_future(rig.chat(stream=True))
        await turn_until(lambda: one.asked)
        asked = len(one.asked)
        assert (await reloaded(rig, with_members(rig.config, 1, 2, return_ramp_s=0.0)))["event"] == "reloaded"
        replies = await asyncio.gather(*(rig.chat() for _ in range(4)))
        assert {reply.status for reply in replies} == {200}
        assert len(one.asked) == asked and len(other.asked) == len(third.asked) == 2
        members = (await rig.health())["pools"]["pool-1"]["members"]
        assert [(member["name"], member["in_flight"], member["leaving"]) for member in members] == [
            ("router-2", 0, False),
            ("router-3", 0, False),
            ("router-1", 1, True),
        ]
        assert (await streaming).body.endswith(b"data: [DONE]\n\n")
        assert [member["name"] for member in (await rig.health())["pools"]["pool-1"]["members"]] == ["router-2", "router-3"]
        assert [row.status for row in await rig.rows()] == ["ok"] * 5

    play(tmp_path, test, routers=3, sessions=2)


def test_what_waits_gets_a_member_that_comes(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        one, other = rig.routers
        await reloaded(rig, with_members(rig.config, 0))
        one.behave(hold=True)
        held = asyncio.ensure_future(rig.chat())
        await turn_until(lambda: one.asked)
        waiting = asyncio.ensure_future(rig.chat())
        while (await rig.health())["pools"]["pool-1"]["queued"] != 1:
            pass
        await reloaded(rig, rig.config)
        assert (await waiting).status == 200 and len(other.asked) == 1
        held.cancel()

    play(tmp_path, test, sessions=1)


def test_models_limits_and_pools_change_for_new_requests(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        config = rig.config
        one, other = config.pools["pool-1"].members
        pools = {"pool-1": Pool(members=(one,)), "pool-2": Pool(members=(other,))}
        limits = Limits(body_max_mib=0.001)
        await reloaded(rig, replace(config, models={MODEL: "pool-2", "new": "pool-1"}, pools=pools, limits=limits))
        assert [(await rig.chat(model=model)).status for model in (MODEL, "new")] == [200, 200]
        assert [len(router.asked) for router in rig.routers] == [1, 1]
        assert error_code(await rig.chat(messages=[{"role": "user", "content": "x" * 2000}])) == (413, "body_too_large")
        models = msgspec.json.decode((await rig.ask("/v1/models")).body)["data"]
        assert {model["id"] for model in models} == {MODEL, "new"}
        await reloaded(rig, replace(config, models={"new": "pool-1"}, pools={"pool-1": Pool(members=(one,))}))
        assert error_code(await rig.chat()) == (404, "model_not_found")
        assert list((await rig.health())["pools"]) == ["pool-1"]

    play(tmp_path, test)


def test_a_stream_of_a_pool_that_goes_ends_well(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        config = rig.config
        _, other = config.pools["pool-1"].members
        rig.routers[0].behave(text=("word ",) * 40, event_every_s=0.005)
        streaming = asyncio.ensure_future(rig.chat(stream=True))
        await turn_until(lambda: rig.routers[0].asked)
        await reloaded(rig, replace(config, models={MODEL: "pool-2"}, pools={"pool-2": Pool(members=(other,))}))
        assert (await rig.chat()).status == 200 and len(rig.routers[1].asked) == 1
        assert (await streaming).body.endswith(b"data: [DONE]\n\n")
        assert (await reloaded(rig, config))["event"] == "reloaded"
        assert (await rig.chat()).status == 200
        assert [row.pool for row in await rig.rows()].count("pool-1") == 2

    play(tmp_path, test)


def test_probes_follow(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        await reloaded(rig, with_members(rig.config, 1, health=Health(every_s=0.01)))
        rig.routers[1].behave(well=False)
        await turn_until(lambda: any(line.get("state") == "down" for line in rig.logged()))
        assert error_code(await rig.chat()) == (503, "no_member")
        await reloaded(rig, with_members(rig.config, 0))
        assert (await rig.chat()).status == 200 and (await rig.health())["status"] == "ok"

    play(tmp_path, test)


BAD: dict[str, tuple[Callable[[GatewayConfig], GatewayConfig | bytes], str]] = {
    "no JSON": (lambda config: b"{", "is not JSON"),
    "empty": (lambda config: b"", "is not JSON"),
    "no pool": (lambda config: replace(config, models={"m": "nope"}), "there is no pool 'nope'"),
    "another port": (lambda config: replace(config, listen=Listen(port=1)), "listen cannot change while it runs"),
    "another place": (lambda config: replace(config, store=replace(config.store, keys_db="/k"), name="x"), "name, store cannot change"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_keeps_what_is_and_is_told(tmp_path: Path, name: str) -> None:
    make, what = BAD[name]

    async def test(rig: Rig) -> None:
        told = await reloaded(rig, make(rig.config))
        assert told["event"] == "reload_refused" and what in told["what"]
        page = await rig.health()
        assert page["own"] == ["the new configuration cannot be used; the log says why"] and page["status"] == "degraded"
        assert (await rig.chat()).status == 200
        await reloaded(rig, rig.config)
        assert (await rig.health())["own"] == []

    play(tmp_path, test)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        with pytest.raises(BadInput, match="cannot be read"):
            changed(tmp_path / "nope.json", rig.config)

    play(tmp_path, test)


def test_a_body_of_the_old_limit_that_is_under_way(tmp_path: Path) -> None:
    """A reload between a request's head and its body: the new limit holds for what is still to come, and nothing breaks."""

    async def test(rig: Rig) -> None:
        body = msgspec.json.encode({**CHAT, "user": "x" * 3000})
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {rig.key}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body[:100])
        await writer.drain()
        await reloaded(rig, replace(rig.config, limits=Limits(body_max_mib=0.001)))
        writer.write(body[100:])
        assert b" 413 " in await reader.readline()
        writer.close()
        await writer.wait_closed()

    play(tmp_path, test)
