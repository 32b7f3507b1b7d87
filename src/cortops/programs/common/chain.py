"""The chain as a program has it: one client, one wallet, one follower, and how fresh what it says is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from cortops.contracts.abi import Event, word
from cortops.contracts.discover import discover
from cortops.contracts.follow import Batch, Follower
from cortops.contracts.heads import Websocket
from cortops.contracts.keccak import checksummed
from cortops.contracts.network import Call, Network
from cortops.contracts.network_tasks import NetworkTasks
from cortops.contracts.path import find_events
from cortops.contracts.rpc import RpcClient
from cortops.contracts.rpc_pool import RpcPool
from cortops.contracts.sender import Receipt, Sender
from cortops.contracts.wallet import Wallet, load_signing
from cortops.programs.common.logs import Log
from cortops.programs.common.progress import Key
from cortops.protocol.http import HttpClient
from cortops.protocol.settings import ChainSettings
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, ChainError

HEAD_AGE_S_MAX = 60.0  # an older head means that the chain, or our way to it, has stopped
MINED_TIMEOUT_S = 30.0
POLL_EVERY_S = 1.0  # when the node announces no heads
RETRY_FIRST_S, RETRY_MAX_S = 0.25, 5.0
SETTLE_POLL_S = 0.1

# Said in /health, which everyone reads: the URL of the endpoint may hold a key.
_NO_ANSWER = "the RPC endpoint gives no good answer"
_NOT_FOUND = "the contracts are not found: the runtime is not there, or does not name every one yet"


class Chain:
    """Made once in a composition root. The contracts are known once `ready` has found them through the runtime.

    BadInput when the private key is not that of the address in the settings, or the runtime's address is none.
    """

    def __init__(self, settings: ChainSettings, http: HttpClient, clock: Clock, log: Log) -> None:
        wallet = Wallet(settings.private_key)
        if wallet.address.lower() != settings.address.lower():
            raise BadInput(f"NODE_PRIVATE_KEY belongs to {wallet.address}, NODE_PUBLIC_KEY says {settings.address}", where="env file")
        try:
            self._runtime = checksummed(settings.runtime)
        except ValueError as error:
            raise BadInput(f"CONTRACT_ADDRESS_RUNTIME is no address: {error}", where="env file") from error
        self.wallet = wallet
        self.address = wallet.address
        urls = settings.rpc_urls
        self.rpc = RpcPool(urls, settings.chain_id, http, clock) if len(urls) > 1 else RpcClient(urls[0], http)
        self.sender = Sender(self.rpc, wallet, settings.chain_id, clock)
        self.chain_id = settings.chain_id
        self.head: int | None = None
        self._url = urls[0]
        self._clock = clock
        self._log = log
        self._follower: Follower | None = None
        self._head_at = 0.0
        self._head_seen_at = 0.0
        self._failing = _NO_ANSWER  # why we cannot go by what we know of the chain; "" when we can
        self._network: Network | None = None
        self.network_tasks = _network_tasks(settings, self.rpc)  # None where the network gives no tasks of its own

    @property
    def network(self) -> Network:
        """The contracts. ChainError before `ready` has found them: whoever serves already then says that the chain cannot be asked."""
        if self._network is None:
            raise ChainError("the contracts are not known before Chain.ready", why=self._failing)
        return self._network

    async def ready(self) -> int:
        """Wait until the chain answers and its runtime names all contracts; the head.

        BadInput when it is another chain than the settings say. A runtime that is not there yet, or not linked yet, is waited for.
        """
        await asyncio.to_thread(load_signing)  # before a request has to wait for it
        pause_s, said = RETRY_FIRST_S, ""
        while True:
            lacking = _NO_ANSWER
            try:
                found = int(await self.rpc.call("eth_chainId"), 16)
                if found != self.chain_id:
                    raise BadInput(f"the chain at HOST has id {found}, CHAINID says {self.chain_id}", where="env file")
                lacking = _NOT_FOUND
                self._network = Network(self.rpc, await discover(self.rpc, self._runtime))
                head = int(await self.rpc.call("eth_blockNumber"), 16)
            except ChainError as error:
                self._failing = lacking
                if said != (said := f"{error.code} {error.why}"):  # once, not at every try
                    self._log.warning("chain_not_ready", error=error.code, why=error.why)
                await self._clock.sleep(pause_s)
                pause_s = min(pause_s * 2, RETRY_MAX_S)
                continue
            self._failing = ""
            return head

    async def follow(self, begin: Callable[[int], Awaitable[None]], tell: Callable[[Batch], Awaitable[None]]) -> None:
        """`begin(head)`, then `tell` every batch from that head on, for ever.

        Both may raise ChainError when they must look back and cannot; then all begins again at the present head.
        """
        while True:
            head = await self.ready()
            try:
                await begin(head)
                async with aclosing(self._batches(head)) as batches:
                    async for batch in batches:
                        await tell(batch)
            except ChainError as error:
                self._failing = _NO_ANSWER
                self._log.warning("chain_lost", why=error.what)
                await self._clock.sleep(RETRY_MAX_S)

    async def _batches(self, from_block: int) -> AsyncGenerator[Batch, None]:
        hint = Websocket(self._url, self._clock)
        contracts = {**self.network.contracts, **(self.network_tasks.contracts if self.network_tasks else {})}
        self._follower = Follower(self.rpc, contracts, clock=self._clock, from_block=from_block, poll_every_s=POLL_EVERY_S, hint=hint)
        async with aclosing(aiter(self._follower)) as batches:  # type: ignore[type-var]
            async for batch in batches:
                self.head = batch.head
                self._head_at, self._head_seen_at = float(batch.head_at), self._clock.monotonic()
                if batch.rewound:
                    self.sender.resync()
                    self._log.warning("chain_rewound", first=batch.first, head=batch.head)
                yield batch

    async def write(self, call: Call, *, gas: int | None = None, **about: object) -> Receipt:
        """Send one transaction and wait MINED_TIMEOUT_S until it is mined; the log gets a line for each, with `about`.

        gas: limit; None = estimate. Raises as Sender.send and Sender.confirm.
        """
        tx = await self.sender.send(*call, gas=gas)
        self._log.info("sending", **about, tx=tx)
        receipt = await self.sender.confirm(tx, MINED_TIMEOUT_S)
        self._log.info("sent", **about, tx=tx, block=receipt.block)
        return receipt

    async def events(self, key: Key) -> tuple[Event, ...]:
        """All events of one task, in order; empty when there is no such task."""
        session, task = key
        return await find_events(self.network, [None, "0x" + word(session), "0x" + word(task)], until="TaskSubmitted", from_block=0)

    async def settled(self) -> None:
        """Wait until no transaction of this wallet waits to be mined: only then does the chain tell what became of all of them."""
        while True:
            mined, waiting = await self.rpc.batch_results(
                [("eth_getTransactionCount", (self.address, tag)) for tag in ("latest", "pending")]
            )
            if int(mined, 16) >= int(waiting, 16):
                return
            await self._clock.sleep(SETTLE_POLL_S)

    @property
    def head_age_s(self) -> float | None:
        """The older of: the block's own time, and when it came to us. None before the first."""
        if self.head is None:
            return None
        return max(0.0, self._clock.now() - self._head_at, self._clock.monotonic() - self._head_seen_at)

    def why(self) -> tuple[str, ...]:
        """Reasons why what we know of the chain is not to be trusted; empty when all is well."""
        if self._failing:
            return (f"chain: {self._failing}",)
        if self._follower is not None and self._follower.failing_since is not None:
            return (f"chain: {_NO_ANSWER}",)
        age_s = self.head_age_s
        if age_s is None:
            return ("chain: no block seen yet",)
        return (f"chain: the head is {age_s:.0f} s old",) if age_s > HEAD_AGE_S_MAX else ()

    def facts(self) -> dict[str, object]:
        """What `/health` says of the chain: our address, the head and its age."""
        age_s = self.head_age_s
        return {"address": self.address, "head": self.head, "head_age_s": None if age_s is None else round(age_s, 1)}


def _network_tasks(settings: ChainSettings, rpc: RpcClient) -> NetworkTasks | None:
    """BadInput for an address that is none."""
    if not (settings.cognitive and settings.cognitive_level):
        return None
    try:
        return NetworkTasks(rpc, checksummed(settings.cognitive), checksummed(settings.cognitive_level))
    except ValueError as error:
        raise BadInput(f"CONTRACT_ADDRESS_COGNITIVE or _LEVEL is no address: {error}", where="env file") from error
