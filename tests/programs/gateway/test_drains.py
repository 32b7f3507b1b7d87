"""A drain in the store holds in every process; without the store what was known holds on."""

from __future__ import annotations

import asyncio
import io
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from gateway_rig import Rig, error_code, issue_key, make_config, with_gateway

from cortops.programs.common.logs import make_log
from cortops.programs.gateway.drains import REFRESH_EVERY_S, DrainWatch
from cortops.programs.gateway.pools import Pools
from cortops.protocol import drains
from cortops.protocol.deadlines import Deadlines
from cortops.testing.clock import VirtualClock
from cortops.testing.upstream import FakeRouter


def drain(folder: Path, member: str, *, ends: bool = False) -> None:
    with closing(drains.open_drains(folder / "keys.db")) as database:
        if ends:
            drains.end(database, member=member, by="ops@h1", now=2.0)
        else:
            drains.begin(database, member=member, by="ops@h1", why="a new kernel", now=1.0)


def drained(pools: Pools) -> list[str]:
    return [view.name for view in pools.views()["pool-1"] if view.drained]


def test_every_process_follows_within_two_seconds(tmp_path: Path) -> None:
    assert REFRESH_EVERY_S <= 1
    clock, out = VirtualClock(), io.BytesIO()
    issue_key(tmp_path)
    config = make_config(tmp_path, [FakeRouter(), FakeRouter()])

    async def main() -> None:
        processes = [Pools(config, clock, Deadlines(clock)) for _ in range(2)]
        watches = [DrainWatch(tmp_path / "keys.db", pools, clock, make_log("gateway", out, clock)) for pools in processes]

        async def seen() -> list[list[str]]:
            for watch in watches:
                await watch.refresh()
            return [drained(pools) for pools in processes]

        assert await seen() == [[], []]
        drain(tmp_path, "router-2")
        assert await seen() == [["router-2"]] * 2
        (tmp_path / "keys.db").rename(tmp_path / "away.db")
        assert await seen() == [["router-2"]] * 2, "out of reach, it holds"
        (tmp_path / "away.db").rename(tmp_path / "keys.db")
        drain(tmp_path, "router-2", ends=True)
        assert await seen() == [[], []]
        for watch in watches:
            watch.close()

    asyncio.run(main())
    lines = [msgspec.json.decode(line) for line in out.getvalue().splitlines()]
    told = [(line["event"], line["member"], line.get("by"), line.get("why")) for line in lines]
    assert told == [("member_drained", "router-2", "ops@h1", "a new kernel")] * 2 + [("member_undrained", "router-2", None, None)] * 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_process_that_starts_knows_at_once(tmp_path: Path, stream: bool) -> None:
    issue_key(tmp_path)
    drain(tmp_path, "router-1")

    async def test(rig: Rig) -> None:
        assert [(await rig.chat(stream=stream)).status for _ in range(4)] == [200] * 4
        assert not rig.routers[0].asked and len(rig.routers[1].asked) == 4
        page = await rig.health()
        assert page["status"] == page["pools"]["pool-1"]["state"] == "ok", "a drained member is no fault"
        assert [member["drained"] for member in page["pools"]["pool-1"]["members"]] == [True, False]

    with_gateway(tmp_path, test, routers=2)


def test_with_the_last_one_drained_there_is_nobody(tmp_path: Path) -> None:
    issue_key(tmp_path)
    drain(tmp_path, "router-1")

    async def test(rig: Rig) -> None:
        reply = await rig.chat()
        assert error_code(reply) == (503, "no_member") and b"ops@h1" not in reply.body
        page = await rig.health()
        assert page["pools"]["pool-1"]["state"] == "down" and page["why"] == ["pool pool-1 has no member: router-1: drained"]

    with_gateway(tmp_path, test)
