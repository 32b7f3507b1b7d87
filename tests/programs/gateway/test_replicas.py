"""Two replicas on hosts of their own that share one PostgreSQL: limits, quotas, keys, and what both say when it is gone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from gateway_rig import CHAT, error_code, make_config
from process_rig import Process, free_ports

from cortops.protocol import keys, limits, usage
from cortops.protocol.gateway import Listen
from cortops.protocol.http import HttpClient, HttpReply
from cortops.protocol.limits import KeyLimits
from cortops.testing.clock import turn_until
from cortops.testing.upstream import FakeRouter
from cortops.words.clock import SystemClock

if TYPE_CHECKING:
    from cortops.testing.postgresql import Postgresql

pytestmark = pytest.mark.real


@dataclass
class Replicas:
    """Two gateways, each on a host of its own as far as files go: the address of the database is all that they share."""

    where: Path
    hosts: list[Process]
    router: FakeRouter
    http: HttpClient

    async def chat(self, host: Process, key: str, **more: object) -> HttpReply:
        body = msgspec.json.encode({**CHAT, **more})
        headers = [("Authorization", f"Bearer {key}")]
        return await self.http.request("POST", host.url + "/v1/chat/completions", headers=headers, body=body, timeout_s=20)

    async def on_both(self, key: str, times: int, **more: object) -> list[HttpReply]:
        return await asyncio.gather(*(self.chat(host, key, **more) for _ in range(times) for host in self.hosts))

    def issue(self, **options: object) -> keys.IssuedKey:
        with closing(keys.open_keys(self.where)) as database:
            return keys.issue(database, environment="test", name="test", now=1.0, random_bytes=os.urandom, **options)  # type: ignore[arg-type]

    async def until_known(self, key: str) -> None:
        """Each replica reads its keys every second."""
        for host in self.hosts:
            while (
                await self.http.request("GET", f"{host.url}/v1/models", headers=[("Authorization", f"Bearer {key}")], timeout_s=5)
            ).status == 401:
                pass


@asynccontextmanager
async def replicas(folder: Path, address: str) -> AsyncIterator[Replicas]:
    where = folder / "store.url"
    where.write_text(address)
    async with AsyncExitStack() as stack:
        router = await stack.enter_async_context(FakeRouter().listening())
        http = HttpClient(clock=SystemClock())
        hosts = []
        for number, port in enumerate(free_ports(2), start=1):
            own = folder / f"host-{number}"
            own.mkdir()
            config = make_config(own, [router], sessions=8)
            store = msgspec.structs.replace(config.store, keys_db=str(where), usage_db=str(where))
            hosts.append(Process(msgspec.structs.replace(config, name=f"gateway-{number}", listen=Listen(port=port), store=store), own))
        keys.open_keys(where).close()
        try:
            await asyncio.gather(*(host.start() for host in hosts))
            yield Replicas(where, hosts, router, http)
        finally:
            await http.close()
            for host in hosts:
                await host.end(signal.SIGTERM)


def minute() -> int:
    return int(SystemClock().now() // 60)


def statuses(replies: list[HttpReply]) -> Counter[int]:
    return Counter(reply.status for reply in replies)


def test_two_replicas_share_limits_and_quotas_and_forget_a_revoked_key(tmp_path: Path, postgresql: Postgresql) -> None:
    async def main() -> None:
        async with replicas(tmp_path, postgresql.create("replicas")) as both:
            with closing(keys.open_keys(both.where)) as database:
                keys.put_organisation(database, "acme", {"tokens_per_month": 1000}, now=1.0)
            small, quota = both.issue(limits=KeyLimits(requests_per_min=5)), both.issue(organisation="acme")
            await both.until_known(quota.key)

            began = minute()
            replies = await both.on_both(small.key, 10)
            found = statuses(replies)
            assert found == {200: 5, 429: 15} or minute() > began, found
            refused = next(reply for reply in replies if reply.status == 429)
            assert error_code(refused)[1] == "rate_limit_exceeded" and 1 <= int(refused.header("retry-after")) <= 60
            assert refused.header("x-ratelimit-limit-requests") == "5" and refused.header("x-ratelimit-remaining-requests") == "0"
            assert refused.header("x-request-id")

            assert 200 in statuses(await both.on_both(quota.key, 5, max_tokens=100))
            last = [await both.chat(host, quota.key, max_tokens=1000) for host in both.hosts]
            assert [(error_code(reply), reply.header("x-should-retry")) for reply in last] == [
                ((429, "tokens_limit_exceeded"), "false")
            ] * 2

            with closing(keys.open_keys(both.where)) as database:
                keys.revoke(database, quota.row.id, now=2.0)
            for host in both.hosts:
                while (await both.chat(host, quota.key, max_tokens=1)).status != 401:
                    pass
            assert (await both.chat(both.hosts[0], quota.key)).status == 401
            for host in both.hosts:
                await host.end(signal.SIGTERM)
            with closing(usage.open_usage(both.where)) as database:
                rows = usage.rows_since(database, 0)
            assert Counter(row.error for row in rows if row.key_id == small.row.id)["rate_limit_exceeded"] == statuses(replies)[429]
            counted = sum(row.prompt_tokens + row.completion_tokens for row in rows if row.key_id == quota.row.id)
            with closing(limits.open_limits(both.where)) as database:
                month = limits.tokens_this_month(database, SystemClock().now())
            assert month == {"organisation:acme": counted} and counted > 0, "to the token, once both have given back what they had"

    asyncio.run(main())


@pytest.mark.proof
def test_streams_of_a_killed_replica_are_free_again_and_without_the_database_nobody_is_let_in(
    tmp_path: Path, postgresql: Postgresql
) -> None:
    async def main() -> None:
        async with replicas(tmp_path, postgresql.create("streams")) as both:
            issued = both.issue(limits=KeyLimits(streams_max=1))
            await both.until_known(issued.key)
            one, other = both.hosts
            first = await both.chat(one, issued.key, stream=True)
            assert first.status == 200, first.body
            both.router.behave(hold=True)
            asked = len(both.router.asked)
            held = asyncio.ensure_future(both.chat(other, issued.key, stream=True))
            await turn_until(lambda: len(both.router.asked) > asked)
            refused = await both.chat(one, issued.key, stream=True)
            assert error_code(refused) == (429, "streams_limit_exceeded")
            await other.end(signal.SIGKILL)
            await asyncio.gather(held, return_exceptions=True)
            both.router.behave()
            while (await both.chat(one, issued.key, stream=True)).status == 429:
                pass
            postgresql.stop()
            try:
                while (reply := await both.chat(one, issued.key)).status == 200:
                    pass
                assert error_code(reply) == (503, "key_store_unavailable")
            finally:
                postgresql.start()
            while (await both.chat(one, issued.key)).status == 503:
                pass
            assert (await both.chat(one, issued.key)).status == 200

    asyncio.run(main())
