"""A validator on a real bare chain; the miners' and the oracle's steps are made by hand, so that their answers are known."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientSession
from tests.programs.router.spine_rig import free_port

from cortops.contracts.keccak import keccak256
from cortops.contracts.network import Network, VerdictOnChain, result_hash
from cortops.contracts.wallet import new_private_key
from cortops.programs.common.logs import make_log
from cortops.programs.validator.main import serve
from cortops.programs.validator.model import Comparer
from cortops.protocol.settings import ValidatorSettings
from cortops.testing.chain import CHAIN_ID, Chain, bare_chain, wallet_of
from cortops.testing.embedding import WordCounts
from cortops.words.clock import SystemClock

PATIENCE_S = 20.0
MINERS = ("m0", "m1", "m2")


@dataclass
class Rig:
    chain: Chain
    network: Network
    web: ClientSession
    out: io.BytesIO = field(default_factory=io.BytesIO)
    running: asyncio.Task[None] | None = None
    url: str = ""

    async def start(self, load: Callable[[], Comparer] | None = WordCounts, label: str = "validator", **changes: Any) -> None:
        """The validator, until `stop`; load None: the model of the settings."""
        await self.chain.sender(label)
        values: dict[str, Any] = {
            "name": "validator-1",
            "rpc_url": self.chain.url,
            "chain_id": CHAIN_ID,
            "runtime": self.network.addresses.runtime,
            "address": wallet_of(label).address,
            "private_key": new_private_key(keccak256(f"cortops test {label}".encode())),
            "model_path": "nowhere",
            "tokenizer_path": "nowhere",
            "port": free_port(),
            **changes,
        }
        self.out = io.BytesIO()
        log = make_log("validator", self.out, SystemClock())
        self.running = asyncio.ensure_future(serve(ValidatorSettings(**values), log, SystemClock(), load))
        await self.until(self._listening)

    async def _listening(self) -> bool:
        _, found, rest = self.out.getvalue().partition(b'"health":"')
        self.url = "http://" + rest.split(b'"')[0].decode()
        return bool(found)

    async def stop(self) -> None:
        assert self.running is not None
        self.running.cancel()
        await asyncio.wait({self.running})
        assert self.running.cancelled(), self.running.exception()
        self.running = None

    async def health(self) -> tuple[int, dict[str, Any]]:
        try:
            async with self.web.get(f"{self.url}/health") as reply:
                return reply.status, await reply.json()
        except ClientError:
            return 0, {}

    async def evidence(self, session: int, task: int) -> tuple[int, list[dict[str, Any]]]:
        async with self.web.get(f"{self.url}/evidence/{session}/{task}") as reply:
            return reply.status, (await reply.json())["evidence"]

    async def until(self, what: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await what():
                assert self.running is not None and not self.running.done(), self.running and self.running.exception()
                await asyncio.sleep(0.02)

    async def judged(self, tasks: int) -> dict[str, Any]:
        """What /health says once so many tasks are judged and none waits: a little later than the chain says it."""

        async def counted() -> bool:
            health = (await self.health())[1]
            return (health.get("tasks_judged"), health.get("tasks_pending")) == (tasks, 0)

        await self.until(counted)
        return (await self.health())[1]

    async def well(self) -> None:
        async def ok() -> bool:
            status, health = await self.health()
            return status == 200 and health["validator_role"] is not None

        await self.until(ok)

    async def session(self, name: str, validators: int = 1) -> int:
        await self.chain.do("admin", self.network.create_session(name, max_nodes=3, redundant=3, validator_nodes=validators))
        found = await self.network.session_id(name)
        assert found is not None
        nodes = [self.network.add_dedicated_node(found, wallet_of(miner).address) for miner in MINERS]
        await self.chain.do("admin", *nodes)
        return found

    async def task(self, session: int, *texts: str | None) -> int:
        """A task from its submission to its end, answered by MINERS in order; None: this miner commits nothing."""
        chain, network = self.chain, self.network
        await chain.do("admin", network.submit(session, task_data="?", prompt_type=1, client_reference=""))
        (task,) = await network.task_counts([session])
        key = (session, task)
        miners = MINERS[: len(texts)]
        await chain.do("oracle", network.assign_task(*key, [wallet_of(miner).address for miner in miners]))
        for miner in miners:
            await chain.do(miner, network.ack(*key))
        said = [(miner, text) for miner, text in zip(miners, texts, strict=True) if text is not None]
        for miner, text in said:
            await chain.do(miner, network.precommit(*key, result_hash(text)))
        if len(said) < len(miners):
            await chain.do("oracle", network.end_precommit(*key))
        for miner, text in said:
            await chain.do(miner, network.commit(*key, text))
        await chain.do("oracle", network.end(*key))
        return task

    async def verdicts(self, session: int, task: int) -> str:
        """`VALID 1000, ...` of MINERS, once they are there."""
        found: tuple[VerdictOnChain, ...] = ()

        async def there() -> bool:
            nonlocal found
            found = await self.network.verdicts(session, task)
            return bool(found)

        await self.until(there)
        names = ("none", "VALID", "INVALID", "RETRY")
        label = {wallet_of(miner).address: miner for miner in MINERS}
        return ", ".join(f"{label[one.miner]} {names[one.verdict]} {one.score}" for one in found)


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    async with bare_chain() as chain, ClientSession() as web:
        network = await chain.deploy()
        await chain.sender("oracle")
        for miner in MINERS:
            await chain.do(miner, network.register("{}"))
        one = Rig(chain, network, web)
        async with chain.mining():
            try:
                yield one
            finally:
                if one.running is not None:
                    await one.stop()


def play(test: Callable[[Rig], Awaitable[None]]) -> None:
    async def main() -> None:
        async with rig() as one:
            await test(one)

    asyncio.run(asyncio.wait_for(main(), 3 * PATIENCE_S))
