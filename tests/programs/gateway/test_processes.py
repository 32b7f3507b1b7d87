"""A gateway in two processes, started the way a service manager starts them: one request a session over both, and kill -9 of one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from gateway_rig import CHAT, issue_key, make_config
from process_rig import Process, free_ports

from cortops.protocol import usage
from cortops.protocol.gateway import Listen
from cortops.protocol.http import HttpClient, HttpFailure, HttpReply
from cortops.testing.clock import turn_until
from cortops.testing.upstream import FakeRouter
from cortops.words.clock import SystemClock

pytestmark = pytest.mark.real


@dataclass
class Gateway:
    folder: Path
    processes: list[Process]
    routers: list[FakeRouter]
    http: HttpClient
    key: str

    async def chat(self, process: Process, **more: object) -> HttpReply:
        body = msgspec.json.encode({**CHAT, **more})
        headers = [("Authorization", f"Bearer {self.key}")]
        return await self.http.request("POST", process.url + "/v1/chat/completions", headers=headers, body=body, timeout_s=20)

    async def health(self, process: Process) -> dict[str, object]:
        return msgspec.json.decode((await self.http.request("GET", process.url + "/health", timeout_s=5)).body)

    def rows(self) -> list[tuple[str, str]]:
        with closing(usage.open_usage(self.folder / "usage.db")) as database:
            return sorted((row.status, row.error) for row in usage.rows_since(database, 0))


@asynccontextmanager
async def two_processes(folder: Path, *, routers: int = 2, start: bool = True) -> AsyncIterator[Gateway]:
    async with AsyncExitStack() as stack:
        fakes = [await stack.enter_async_context(FakeRouter().listening()) for _ in range(routers)]
        one = make_config(folder, fakes, sessions=1)
        processes = []
        for number, port in enumerate(free_ports(2), start=1):
            store = msgspec.structs.replace(one.store, spool_folder=str(folder / f"spool-{number}"))
            config = msgspec.structs.replace(one, name=f"gateway-{number}", listen=Listen(port=port), store=store)
            processes.append(Process(config, folder))
        http = HttpClient(clock=SystemClock())
        try:
            if start:
                key = issue_key(folder)
                await asyncio.gather(*(process.start() for process in processes))
            else:
                key = ""
            yield Gateway(folder, processes, fakes, http, key)
        finally:
            await http.close()
            for process in processes:
                await process.end(signal.SIGTERM)


def test_one_request_a_session_over_both(tmp_path: Path) -> None:
    async def main() -> None:
        async with two_processes(tmp_path) as gateway:
            for router in gateway.routers:
                router.behave(delay_s=0.01)
            replies = await asyncio.gather(*(gateway.chat(process) for process in gateway.processes for _ in range(20)))
            assert [reply.status for reply in replies] == [200] * 40
            assert [dict(router.in_flight_max) for router in gateway.routers] == [{10: 1}, {20: 1}]
            assert [(await gateway.health(process))["name"] for process in gateway.processes] == ["gateway-1", "gateway-2"]
            for process in gateway.processes:
                await process.end(signal.SIGTERM)
            assert gateway.rows() == [("ok", "")] * 40
            assert not [path for folder in tmp_path.glob("spool-*") for path in folder.iterdir()]

    asyncio.run(main())


def test_kill_9_of_one_with_requests_in_flight(tmp_path: Path) -> None:
    async def main() -> None:
        async with two_processes(tmp_path) as gateway:
            one, other = gateway.processes
            assert (await gateway.chat(other)).status == 200
            for router in gateway.routers:
                router.behave(hold=True)
            asked = sum(len(router.asked) for router in gateway.routers)
            lost = [asyncio.ensure_future(gateway.chat(other)) for _ in range(2)]
            await turn_until(lambda: sum(len(router.asked) for router in gateway.routers) == asked + 2)
            waiting = asyncio.ensure_future(gateway.chat(one))
            while (await gateway.health(one))["pools"]["pool-1"]["queued"] != 1:  # type: ignore[index]
                pass
            for router in gateway.routers:
                router.behave()
            await other.end(signal.SIGKILL)
            failures = await asyncio.gather(*lost, return_exceptions=True)
            assert [isinstance(failure, HttpFailure) and failure.sent for failure in failures] == [True, True]
            assert (await waiting).status == 200, "the kernel has given both sessions back"
            assert [(await gateway.chat(one)).status for _ in range(2)] == [200, 200]
            await other.start()
            assert (await gateway.chat(other)).status == 200, "the same port, at once"
            for process in gateway.processes:
                await process.end(signal.SIGTERM)
            assert gateway.rows() == [("ok", "")] * 5

    asyncio.run(main())


def test_a_process_that_is_no_longer_declared_leaves_its_rows_to_the_others(tmp_path: Path) -> None:
    async def main() -> None:
        async with two_processes(tmp_path) as gateway:
            one, other = gateway.processes
            for process in (one, other):
                await process.end(signal.SIGTERM)
            other.config = msgspec.structs.replace(other.config, store=msgspec.structs.replace(other.config.store, ship_every_s=3600.0))
            await other.start()
            assert (await gateway.chat(other)).status == 200
            await other.end(signal.SIGKILL)
            assert [path.stat().st_size > 0 for path in (tmp_path / "spool-2").iterdir()] == [True] and gateway.rows() == []
            await one.start()
            await one.end(signal.SIGTERM)
            assert gateway.rows() == [("ok", "")] and not list((tmp_path / "spool-2").iterdir())

    asyncio.run(main())


def test_both_may_make_the_stores_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with two_processes(tmp_path, start=False) as gateway:
            await asyncio.gather(*(process.start() for process in gateway.processes))
            gateway.key = issue_key(tmp_path)
            for process in gateway.processes:
                while (await gateway.chat(process)).status == 401:
                    pass  # it reads its keys every second
                assert (await gateway.chat(process)).status == 200

    asyncio.run(main())
