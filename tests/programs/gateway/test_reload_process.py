"""A running process takes another configuration by SIGHUP with 200 streams open, and drops none of them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gateway_rig import CHAT, issue_key, make_config
from process_rig import Process, free_ports

from cortops.protocol import usage
from cortops.protocol.gateway import GatewayConfig, Limits, Listen
from cortops.protocol.http import HttpClient
from cortops.testing.clock import turn_until
from cortops.testing.upstream import FakeRouter
from cortops.words.clock import SystemClock

pytestmark = pytest.mark.real

STREAMS = 200
WORDS = ("one ", "two ", "three")
replace = msgspec.structs.replace


class Held(SystemClock):
    """Whoever sleeps does so until `go`."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self.go.wait()


def configured(folder: Path, fakes: Sequence[FakeRouter], port: int, members: Sequence[int], **limits: Any) -> GatewayConfig:
    """Only these of the members, from 0, each with half as many sessions as there are streams."""
    config = replace(make_config(folder, list(fakes)), listen=Listen(port=port), limits=Limits(**limits))
    pool, each = config.pools["pool-1"], STREAMS // 2
    chosen = tuple(replace(pool.members[number], sessions=tuple(range(number * each, (number + 1) * each))) for number in members)
    return replace(config, pools={"pool-1": replace(pool, members=chosen)})


async def stream(http: HttpClient, url: str, key: str, begun: list[int]) -> bytes:
    """One client: all that it gets; `begun` gets an item with the first part."""
    body, headers = msgspec.json.encode({**CHAT, "stream": True}), [("Authorization", f"Bearer {key}")]
    parts: list[bytes] = []
    async with http.stream("POST", url, headers=headers, body=body, timeout_s=30, idle_timeout_s=30) as found:
        assert found.status == 200
        while part := await found.read():
            begun += [] if parts else [1]
            parts.append(part)
    return b"".join(parts)


def test_200_streams_live_through_reloads(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            held, port = Held(), free_ports(1)[0]
            fakes = [await stack.enter_async_context(FakeRouter(clock=held).listening()) for _ in range(3)]
            for fake in fakes[:2]:
                fake.behave(text=WORDS, event_every_s=1.0)
            process = Process(configured(tmp_path, fakes, port, [0, 1]), tmp_path)
            key, http, begun = issue_key(tmp_path), HttpClient(clock=SystemClock(), idle_max_per_origin=STREAMS), list[int]()
            stack.push_async_callback(http.close)
            await process.start()
            url = f"{process.url}/v1/chat/completions"
            streams = [asyncio.ensure_future(stream(http, url, key, begun)) for _ in range(STREAMS)]
            await turn_until(lambda: len(begun) == STREAMS, within_s=20)

            # One member goes, another comes; limits change; a bad file, and one that only a start could take, change nothing.
            assert (await process.reload(configured(tmp_path, fakes, port, [1, 2], request_timeout_s=20).to_json()))["event"] == "reloaded"
            assert (await process.reload(b"{"))["event"] == "reload_refused"
            assert (await process.reload(configured(tmp_path, fakes, port + 1, [1, 2]).to_json()))["event"] == "reload_refused"
            assert await stream(http, url, key, []) and len(fakes[2].asked) == 1, "a new request goes to the new member"
            assert (await process.reload(configured(tmp_path, fakes, port, [2], body_max_mib=1).to_json()))["event"] == "reloaded"
            assert not any(each.done() for each in streams)

            held.go.set()
            answers = await asyncio.gather(*streams)
            assert {answer.count(b'"content"') for answer in answers} == {len(WORDS)}
            assert all(answer.endswith(b"data: [DONE]\n\n") for answer in answers)
            health = msgspec.json.decode((await http.request("GET", process.url + "/health", timeout_s=5)).body)
            assert [member["name"] for member in health["pools"]["pool-1"]["members"]] == ["router-3"] and health["own"] == []
            await process.end(signal.SIGTERM)
            with closing(usage.open_usage(tmp_path / "usage.db")) as database:
                assert [row.status for row in usage.rows_since(database, 0)] == ["ok"] * (STREAMS + 1)

    asyncio.run(main())
