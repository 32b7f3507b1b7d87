"""A bare anvil for tests: no accounts, no fees, blocks only when asked for; ended with the test."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cortops.contracts import create2
from cortops.contracts.abi import encode_constructor
from cortops.contracts.artifact import NAMES, load
from cortops.contracts.keccak import keccak256
from cortops.contracts.network import ORACLE_ROLE, POOL_ROLE, VALIDATOR_ROLE, Addresses, Call, Network
from cortops.contracts.rpc import RpcClient
from cortops.contracts.sender import Receipt, Sender
from cortops.contracts.wallet import Wallet, new_private_key
from cortops.protocol.http import HttpClient
from cortops.testing.binaries import anvil
from cortops.words.clock import SystemClock
from cortops.words.errors import ChainUnreachable

CHAIN_ID = 31338
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
RICH_WEI = 10**24
# Later hardforks keep every block's hash in a contract's storage (EIP-2935): 8,191 slots, which this chain pays for with every block.
_HARDFORK = "cancun"
_FLAGS = ("--no-mining", "--accounts", "0", "--gas-price", "0", "--block-base-fee-per-gas", "0", "--silent", "--hardfork", _HARDFORK)


def wallet_of(label: str) -> Wallet:
    """A wallet that is the same in every run, from a label; its key is written nowhere."""
    return Wallet(new_private_key(keccak256(f"cortops test {label}".encode())))


@dataclass(frozen=True, slots=True)
class Chain:
    """A running anvil and what a test does with it."""

    url: str
    rpc: RpcClient
    http: HttpClient
    clock: SystemClock
    senders: dict[str, Sender] = field(default_factory=dict)

    async def mine(self, blocks: int = 1) -> None:
        """Make blocks; the first takes every transaction that waits."""
        for _ in range(blocks):
            await self.rpc.call("evm_mine")

    async def sender(self, label: str) -> Sender:
        """The one Sender of this label's wallet, funded."""
        if label not in self.senders:
            wallet = wallet_of(label)
            await self.rpc.call("anvil_setBalance", wallet.address, hex(RICH_WEI))
            self.senders[label] = Sender(self.rpc, wallet, CHAIN_ID, self.clock)
        return self.senders[label]

    async def do(self, label: str, *calls: Call) -> Receipt:
        """Send the calls from this label's wallet in one block; the last one's receipt. CallReverted with the contract's reason."""
        sender = await self.sender(label)
        hashes = [await sender.send(*call) for call in calls]
        await self.mine()
        receipts = [await sender.confirm(tx, 5) for tx in hashes]
        return receipts[-1]

    async def deploy(self, admin: str = "admin", oracle: str = "oracle", validator: str = "validator", pool: str = "pool") -> Network:
        """All contracts through the CREATE2 deployer, linked; `oracle`, `validator` and `pool` have their roles. May be called again."""
        wallet = wallet_of(admin)
        codes = {name: encode_constructor(load(name), wallet.address) for name in NAMES}
        where = {name: create2.address(code) for name, code in codes.items()}
        there = await self.rpc.batch_results([("eth_getCode", (address, "latest")) for address in where.values()])
        calls = [
            Call(create2.DEPLOYER, create2.deploy_calldata(codes[name])) for name, code in zip(where, there, strict=True) if code == "0x"
        ]
        network = Network(self.rpc, Addresses(**where))
        if calls:
            await self.do(admin, *calls)
        roles = (
            ("session_queue", ORACLE_ROLE, oracle),
            ("session_queue_validation", VALIDATOR_ROLE, validator),
            ("node_pool", POOL_ROLE, pool),
        )
        granted = [network.grant_role(where[name], role, wallet_of(label).address) for name, role, label in roles]
        await self.do(admin, *network.link(), *granted)
        return network

    @asynccontextmanager
    async def mining(self, every_s: float = 0.02) -> AsyncIterator[None]:
        """A block whenever transactions wait, looked at every `every_s`, as long as the context lasts."""

        async def mine_on() -> None:
            while True:
                status = await self.rpc.call("txpool_status")
                if status["pending"] != "0x0":
                    await self.mine()
                await asyncio.sleep(every_s)

        async with asyncio.TaskGroup() as group:
            task = group.create_task(mine_on())
            try:
                yield
            finally:
                task.cancel()


@asynccontextmanager
async def bare_chain(
    flags: Sequence[str] = (), *, port: int = 0, program: Path | None = None, address: str = "127.0.0.1"
) -> AsyncIterator[Chain]:
    """A fresh chain at `address` (port 0: a free one), with more `flags` for anvil; its processes and files are gone afterwards."""
    port = port or _free_port()
    clock = SystemClock()
    http = HttpClient(clock=clock)
    url = f"http://{address}:{port}"
    argv = [str(program or anvil()), *_FLAGS, "--chain-id", str(CHAIN_ID), "--host", address, "--port", str(port), *flags]
    with tempfile.TemporaryDirectory(prefix="cortops-chain-") as folder:
        process = _start(argv, Path(folder))
        try:
            chain = Chain(url, RpcClient(url, http), http, clock)
            await _ready(chain, process, Path(folder, "log"))
            yield chain
        finally:
            await http.close()
            await asyncio.to_thread(_end, process)


def _start(argv: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)


async def _ready(chain: Chain, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = chain.clock.monotonic() + START_TIMEOUT_S
    while True:
        try:
            await chain.rpc.call("eth_chainId")
            return
        except ChainUnreachable:
            if process.poll() is not None or chain.clock.monotonic() > deadline:
                raise ChainUnreachable(f"anvil did not start: {log.read_text(errors='replace')[-500:]}") from None
            await asyncio.sleep(0.02)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
