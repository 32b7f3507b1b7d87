"""A small Cortensor network for stand-in nodes: a development chain with our contracts and Cognitive, at an address that test hosts reach.

Accounts are unlocked: any address may send, no key exists. Blocks are made when transactions wait. Methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from eth_abi.abi import encode

from cortops.contracts.keccak import checksummed, keccak_hex
from cortops.contracts.network import Call, Network
from cortops.testing.chain import CHAIN_ID, RICH_WEI, Chain, bare_chain, wallet_of
from cortops.words.errors import CallReverted, ChainError

HERE = Path(__file__).parent
CONTRACTS = ("cognitive", "runtime")
SHIPPED = HERE / "contracts.json"
ASK_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.05
PRECOMMIT, COMMIT, ENDED = 3, 4, 6  # states of a network session (operators 2.3)
NODE_WEI = 10**18  # what a node begins with
_ORACLE = "oracle"
_T = TypeVar("_T")


def address_of(label: str) -> str:
    """A node's address that is the same in every run, from a label, checksummed. Nobody has a key for it."""
    return checksummed("0x" + keccak_hex(f"cortops test node {label}".encode())[-40:])


@dataclass(frozen=True, slots=True, kw_only=True)
class CortensorNetwork:
    """A running network. url: its RPC. runtime: what an env file names; the rest is found through it."""

    url: str
    runtime: str
    cognitive: str
    network: Network = field(repr=False)
    chain: Chain = field(repr=False)
    loop: asyncio.AbstractEventLoop = field(repr=False)
    chain_id: int = CHAIN_ID

    def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call."""
        return self._ask(self.chain.rpc.call(method, *params))

    def fund(self, *nodes: str, wei: int = NODE_WEI) -> None:
        """Set what each address has for gas."""
        for node in nodes:
            self.rpc("anvil_setBalance", node, hex(wei))

    def mine(self, blocks: int = 1) -> None:
        """Make blocks."""
        self._ask(self.chain.mine(blocks))

    # --- network tasks ---

    def begin(self, miners: Sequence[str]) -> int:
        """The next network session, with these miners selected; its id. CallReverted while one is open."""
        self._send("begin(address[])", ["address[]"], [list(miners)])
        return self.latest()[0]

    def end_precommit(self, session: int) -> None:
        """Precommits of this session are over; nothing where the last miner took that step just now."""
        with self._over_already(session, COMMIT, ENDED):
            self._send("endPrecommit(uint256)", ["uint256"], [session])

    def end(self, session: int) -> None:
        """The session is over, whoever has committed; nothing where it is over already."""
        with self._over_already(session, ENDED):
            self._send("end(uint256,bool)", ["uint256", "bool"], [session, True])

    @contextmanager
    def _over_already(self, session: int, *states: int) -> Iterator[None]:
        """A refusal is none where the session is in one of these states by now."""
        try:
            yield
        except CallReverted:
            if self.latest()[0] == session and self.latest()[1] not in states:
                raise

    def latest(self) -> tuple[int, int]:
        """Id and state of the latest session; (0, 0) before the first."""
        answer = str(self._view("getLatestSessionInfo()"))
        return int(answer[2:66], 16), int(answer[66:130], 16)

    def precommitted(self, session: int, miner: str) -> bool:
        return self._said("alreadyPrecommitted(uint256,address)", session, miner)

    def committed(self, session: int, miner: str) -> bool:
        return self._said("alreadyCommitted(uint256,address)", session, miner)

    def last_ping_at(self, miner: str) -> int:
        """Chain time of the node's last ping, 0 = never."""
        return int(str(self._view("lastPingAt(address)", ["address"], [miner])), 16)

    def round(self, miners: Sequence[str], *, step_s: float = 10.0) -> tuple[int, frozenset[str]]:
        """One network session to its end; its id and who has committed. Each step is closed once all took it, or after `step_s`."""
        session = self.begin(miners)
        wait_until(lambda: self.latest()[1] == COMMIT, step_s)
        if self.latest()[1] == PRECOMMIT:
            self.end_precommit(session)
        early = [miner for miner in miners if self.precommitted(session, miner)]
        wait_until(lambda: all(self.committed(session, miner) for miner in early), step_s)
        self.end(session)
        return session, frozenset(miner for miner in miners if self.committed(session, miner))

    @contextmanager
    def rounds(self, miners: Sequence[str], *, step_s: float = 10.0) -> Iterator[None]:
        """One session after another as long as the context lasts."""
        over = threading.Event()

        def drive() -> None:
            while not over.is_set():
                self.round(miners, step_s=step_s)

        thread = threading.Thread(target=drive, name="rounds")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    # --- user tasks ---

    def register(self, *nodes: str) -> None:
        """Each registers itself, so that it may be given user tasks. Before it runs: its pings take nonces too."""
        self._ask(_all_at_once(self.chain, [(node, self.network.register(node[:10])) for node in nodes]))

    def user_task(self, miners: Sequence[str]) -> tuple[int, int]:
        """A task in a session of its own, assigned to these registered nodes; session and task id."""
        owner, queue = wallet_of("owner").address, self.network
        session = self._ask(queue.session_count()) + 1
        self._transact(owner, queue.create_session(f"session {session}", redundant=len(miners)))
        self._transact(owner, queue.submit(session, task_data="question", prompt_type=2, client_reference=f"req-{session}"))
        self._transact(wallet_of(_ORACLE).address, queue.assign_task(session, 1, miners))
        return session, 1

    def task_committed(self, session: int, task: int) -> frozenset[str]:
        """Who has committed in a user task."""
        results = self._ask(self.network.task_results(session, task))
        return frozenset(result.miner for result in results if result.committed_at)

    # --- inside ---

    def _ask(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(ASK_TIMEOUT_S)

    def _send(self, signature: str, types: Sequence[str], values: Sequence[Any]) -> None:
        self._transact(wallet_of(_ORACLE).address, Call(self.cognitive, _calldata(signature, types, values)))

    def _transact(self, sender: str, call: Call) -> None:
        self._ask(_transact(self.chain, sender, call.data, call.to))

    def _view(self, signature: str, types: Sequence[str] = (), values: Sequence[Any] = ()) -> Any:
        return self.rpc("eth_call", {"to": self.cognitive, "data": _calldata(signature, types, values)}, "latest")

    def _said(self, signature: str, session: int, miner: str) -> bool:
        return int(str(self._view(signature, ["uint256", "address"], [session, miner])), 16) == 1


def wait_until(look: Callable[[], object], within_s: float) -> None:
    """Look again and again until it is so, or the time is over; says nothing about which."""
    end = time.monotonic() + within_s
    while not look() and time.monotonic() < end:
        time.sleep(LOOK_EVERY_S)


@contextmanager
def cortensor_network(address: str = "127.0.0.1") -> Iterator[CortensorNetwork]:
    """A fresh network whose RPC listens at `address` (a fleet's gateway, for test hosts); gone afterwards. Two seconds."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="network")
    thread.start()
    try:
        stop = asyncio.Event()
        ready: asyncio.Future[CortensorNetwork] = loop.create_future()
        life = asyncio.run_coroutine_threadsafe(_live(address, loop, ready, stop), loop)
        try:
            yield asyncio.run_coroutine_threadsafe(_first(ready), loop).result(ASK_TIMEOUT_S)
        finally:
            loop.call_soon_threadsafe(stop.set)
            life.result(ASK_TIMEOUT_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _first(ready: asyncio.Future[CortensorNetwork]) -> CortensorNetwork:
    return await ready


async def _live(address: str, loop: asyncio.AbstractEventLoop, ready: asyncio.Future[CortensorNetwork], stop: asyncio.Event) -> None:
    """All in one task: what is entered here is left here."""
    try:
        async with _deployed(address, loop) as network:
            ready.set_result(network)
            await stop.wait()
    except BaseException as error:
        if not ready.done():
            ready.set_exception(error)
        raise


@asynccontextmanager
async def _deployed(address: str, loop: asyncio.AbstractEventLoop) -> AsyncIterator[CortensorNetwork]:
    async with bare_chain(("--auto-impersonate",), address=address) as chain, chain.mining():
        network = await chain.deploy(oracle=_ORACLE)
        oracle, owner = wallet_of(_ORACLE).address, wallet_of("owner").address
        for account in (oracle, owner):
            await chain.rpc.call("anvil_setBalance", account, hex(RICH_WEI))
        shipped = json.loads(SHIPPED.read_text())
        cognitive = await _create(chain, oracle, shipped["cognitive"])
        links = encode(["address", "address"], [cognitive, network.addresses.runtime]).hex()
        runtime = await _create(chain, oracle, shipped["runtime"] + links)
        yield CortensorNetwork(url=chain.url, runtime=runtime, cognitive=cognitive, network=network, chain=chain, loop=loop)


def source_sha256() -> str:
    """Of the sources that the shipped bytecode was made of."""
    return hashlib.sha256("".join((HERE / f"{name}.vy").read_text() for name in CONTRACTS).encode()).hexdigest()


def compiled_contracts() -> dict[str, str]:
    """Each contract's creation code, compiled now; a second and a half. Development only: needs vyper."""
    from vyper.compiler import compile_code  # type: ignore[import-untyped]

    return {name: str(compile_code((HERE / f"{name}.vy").read_text(), output_formats=["bytecode"])["bytecode"]) for name in CONTRACTS}


def main() -> int:
    """Write the shipped bytecode again: python -m cortops.testing.cortensord.network, after a change of a contract."""
    text = {"source_sha256": source_sha256(), **compiled_contracts()}
    SHIPPED.write_text(json.dumps(text, indent=1) + "\n")
    return 0


def _calldata(signature: str, types: Sequence[str], values: Sequence[Any]) -> str:
    return keccak_hex(signature.encode())[:10] + encode(types, values).hex()


async def _create(chain: Chain, sender: str, code: str) -> str:
    return checksummed((await _transact(chain, sender, code))["contractAddress"])


async def _all_at_once(chain: Chain, calls: Sequence[tuple[str, Call]]) -> None:
    """Each from an account of its own, so that one block can hold them."""
    await asyncio.gather(*(_transact(chain, sender, call.data, call.to) for sender, call in calls))


async def _transact(chain: Chain, sender: str, data: str, to: str | None = None) -> dict[str, Any]:
    """Send from an unlocked account and wait for the receipt; CallReverted when it failed. One at a time for one account."""
    what = {"from": sender, "data": data, **({"to": to} if to else {})}
    tx = await chain.rpc.call("eth_sendTransaction", what)
    for _ in range(int(ASK_TIMEOUT_S / LOOK_EVERY_S)):
        if receipt := await chain.rpc.call("eth_getTransactionReceipt", tx):
            if receipt["status"] != "0x1":
                raise CallReverted(f"{tx} was reverted", where=chain.url, why="reverted")
            return dict(receipt)
        await asyncio.sleep(LOOK_EVERY_S)
    raise ChainError(f"{tx} was not mined in {ASK_TIMEOUT_S:.0f} s", where=chain.url)


if __name__ == "__main__":
    sys.exit(main())
