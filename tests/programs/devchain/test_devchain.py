"""The development chain as it runs: real anvil, real kills."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.programs.common.metrics_rules import values_of

from cortops.contracts.rpc import RpcClient
from cortops.programs.common.logs import make_log
from cortops.programs.devchain import pace, store
from cortops.programs.devchain.__main__ import serve
from cortops.programs.devchain.generation import Damaged, Snapshot, encode
from cortops.protocol import envfile
from cortops.protocol.http import HttpClient
from cortops.protocol.settings import DevchainSettings
from cortops.testing.binaries import anvil
from cortops.words.clock import SystemClock
from cortops.words.errors import ChainUnreachable

pytestmark = pytest.mark.real

SENDER = "0x" + "11" * 20
EMITTER = "0x" + "22" * 20
# LOG1(topic 0xaa, 32 bytes of 0xab), then SSTORE(0xff, block number)
EMITTER_CODE = "0x7f" + "ab" * 32 + "60005260aa60206000a14360ff5500"
WAIT_S = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def settings(tmp_path: Path) -> DevchainSettings:
    return DevchainSettings(
        anvil_path=str(anvil()),
        data_path=str(tmp_path / "chain"),
        chain_id=18_964_747_554,
        port=free_port(),
        health_port=free_port(),
        heartbeat_every_s=1,
        snapshot_every_s=1,
    )


class Devchain:
    """A running program, and what a test asks of it."""

    def __init__(self, settings: DevchainSettings, process: subprocess.Popen[bytes]) -> None:
        self.settings = settings
        self.process = process
        self.http = HttpClient(clock=SystemClock())
        self.rpc = RpcClient(f"http://127.0.0.1:{settings.port}", self.http)
        self.metrics_url = f"http://127.0.0.1:{settings.health_port}/metrics"

    async def health(self) -> dict[str, Any]:
        reply = await self.http.request("GET", f"http://127.0.0.1:{self.settings.health_port}/health", timeout_s=5)
        return dict(msgspec.json.decode(reply.body))

    async def ready(self) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            assert self.process.poll() is None, "the program has ended"
            try:
                health = await self.health()
            except Exception:
                return None
            return health if health["status"] == "ok" else None

        return await until(look)

    async def prepare(self) -> None:
        await self.rpc.call("anvil_setBalance", SENDER, hex(10**24))
        await self.rpc.call("anvil_setCode", EMITTER, EMITTER_CODE)

    async def send(self) -> dict[str, Any]:
        """A transaction that stores and logs, mined; its receipt."""
        await self.rpc.call("anvil_impersonateAccount", SENDER)
        data = {"from": SENDER, "to": EMITTER, "gas": hex(100_000), "data": "0x" + "cd" * 64}
        sent = await self.rpc.call("eth_sendTransaction", data)
        return dict(await until(lambda: self.rpc.call("eth_getTransactionReceipt", sent)))

    async def head(self) -> int:
        return int(await self.rpc.call("eth_blockNumber"), 16)

    async def logs(self) -> list[Any]:
        return list(await self.rpc.call("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "address": EMITTER}))


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if found := await look():
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"did not come true within {WAIT_S:g} s")


@contextmanager
def running(settings: DevchainSettings) -> Iterator[Devchain]:
    env = Path(settings.data_path).parent / "chain.env"
    env.write_text(envfile.render(settings.to_env()))
    out = env.with_suffix(".log").open("ab")
    with out, subprocess.Popen([sys.executable, "-m", "cortops.programs.devchain", str(env)], stdout=out, stderr=out) as process:
        try:
            yield Devchain(settings, process)
        finally:
            process.kill()
            process.wait()
            wait_port_free(settings.port)  # anvil is on the leash: it has gone, too


def wait_port_free(port: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.01)
    raise AssertionError("anvil outlived its owner")


def log_of(settings: DevchainSettings) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in (Path(settings.data_path).parent / "chain.log").read_bytes().splitlines()]


def saved_block(settings: DevchainSettings) -> int:
    """The head in the newest whole snapshot, -1 when there is none."""
    folder = Path(settings.data_path)
    for number in store.generations(folder):
        found = store.read(folder, number)
        if not isinstance(found, Damaged):
            return found.block
    return -1


def test_a_killed_chain_comes_back_with_what_was_saved(settings: DevchainSettings) -> None:
    async def first() -> dict[str, Any]:
        with running(settings) as chain:
            assert (await chain.ready())["restored_from"] == "nothing: a new chain"
            assert await chain.rpc.call("eth_chainId") == hex(settings.chain_id)
            await chain.prepare()
            receipt = await chain.send()

            async def saved() -> bool:
                return saved_block(settings) >= int(receipt["blockNumber"], 16)

            await until(saved)
            os.kill(chain.process.pid, signal.SIGKILL)
            chain.process.wait()
            wait_port_free(settings.port)
            await chain.http.close()
            return receipt

    async def second(receipt: dict[str, Any]) -> None:
        with running(settings) as chain:
            health = await chain.ready()
            assert health["restored_from"].startswith("newest generation, block ")
            assert await chain.rpc.call("eth_getTransactionReceipt", receipt["transactionHash"]) == receipt
            transaction = await chain.rpc.call("eth_getTransactionByHash", receipt["transactionHash"])
            assert transaction["input"] == "0x" + "cd" * 64
            assert [one["transactionHash"] for one in await chain.logs()] == [receipt["transactionHash"]]
            assert int(await chain.rpc.call("eth_getStorageAt", EMITTER, "0xff", "latest"), 16) == int(receipt["blockNumber"], 16)
            assert (await chain.send())["status"] == "0x1"
            latest = await chain.rpc.call("eth_getBlockByNumber", "latest", False)
            assert abs(int(latest["timestamp"], 16) - time.time()) < WAIT_S
            await chain.http.close()

    receipt = asyncio.run(first())
    asyncio.run(second(receipt))
    assert [line["event"] for line in log_of(settings) if line["event"] != "block"][:2] == ["new chain", "restored"]


def test_a_stop_takes_a_last_snapshot(settings: DevchainSettings) -> None:
    settings = replace(settings, snapshot_every_s=3600)

    async def stopped() -> int:
        with running(settings) as chain:
            await chain.ready()
            await chain.prepare()
            receipt = await chain.send()
            chain.process.terminate()
            assert chain.process.wait(timeout=10) == 0
            await chain.http.close()
            return int(receipt["blockNumber"], 16)

    assert asyncio.run(stopped()) <= saved_block(settings)
    assert log_of(settings)[-1]["event"] == "stopped"


def damaged(whole: bytes, how: str) -> bytes:
    """The bytes of a generation after an accident."""
    middle = len(whole) // 2
    return {
        "truncated": whole[:middle],
        "torn": whole[:-100] + bytes(100),
        "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "empty": b"",
    }[how]


@pytest.mark.parametrize("how", ["truncated", "torn", "flipped", "empty"])
def test_a_damaged_newest_generation_gives_way_to_the_previous_and_that_is_said(settings: DevchainSettings, how: str) -> None:
    folder = Path(settings.data_path)

    async def two_generations() -> None:
        with running(settings) as chain:
            await chain.ready()
            await chain.prepare()

            async def both() -> bool:
                await chain.send()
                return len(store.generations(folder)) == 2

            await until(both)
            await chain.http.close()

    asyncio.run(two_generations())
    newest, previous = store.generations(folder)
    lost, block = (store.read(folder, number).block for number in (newest, previous))
    path = folder / f"{newest:010d}.snapshot"
    path.write_bytes(damaged(path.read_bytes(), how))
    which = "the newest one" if how == "empty" else f"the newest one (block {lost})"

    async def restored() -> None:
        with running(settings) as chain:
            health = await chain.ready()
            assert health["restored_from"].startswith(f"previous generation, block {block}, because the newest generation is torn: ")
            (told,) = health["notes"]
            assert told.startswith(f"started from the snapshot before: {which} is torn: ")
            assert told.endswith(f"; the chain went on from block {block}")
            assert await chain.head() >= block
            metrics = values_of((await chain.http.request("GET", chain.metrics_url, timeout_s=5)).body)
            assert (metrics["cortops_up"], metrics["cortops_notes"]) == (1, 1) and metrics["cortops_head_block"] >= block
            await chain.http.close()
            warned = {line["event"]: line for line in log_of(settings) if line["level"] == "warning"}
            assert warned["generation damaged"]["generation"] == newest and warned["restored"]["note"] == told

    asyncio.run(restored())


def test_without_any_whole_generation_it_refuses_and_says_what_to_do(settings: DevchainSettings) -> None:
    folder = Path(settings.data_path)
    folder.mkdir()
    files = {folder / "0000000001.snapshot": b"junk", folder / "0000000002.snapshot": encode(Snapshot(block=9, at=0.5, state=b"x"))[:-1]}
    for path, content in files.items():
        path.write_bytes(content)
    with running(settings) as chain:
        assert chain.process.wait(timeout=WAIT_S) == 1
    *warned, failed = log_of(settings)
    assert [(line["level"], line["generation"], line["block"]) for line in warned] == [("warning", 2, 9), ("warning", 1, None)]
    assert failed["code"] == "artifact_damaged" and str(folder) in failed["next"] and "is torn: 0 of 1 bytes" in failed["what"]
    assert {path: path.read_bytes() for path in files} == files


def test_it_ends_when_anvil_ends(settings: DevchainSettings) -> None:
    async def killed() -> None:
        with running(settings) as chain:
            await chain.ready()
            children = Path(f"/proc/{chain.process.pid}/task/{chain.process.pid}/children").read_text().split()
            assert len(children) == 1
            os.kill(int(children[0]), signal.SIGKILL)
            assert chain.process.wait(timeout=10) == 1
            await chain.http.close()

    asyncio.run(killed())
    assert log_of(settings)[-1]["event"] == "failed"


def test_a_taken_port_is_said(settings: DevchainSettings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.port))
        other.listen()
        env = Path(settings.data_path).parent / "chain.env"
        env.write_text(envfile.render(settings.to_env()))
        line = [sys.executable, "-m", "cortops.programs.devchain", str(env)]
        done = subprocess.run(line, capture_output=True, timeout=WAIT_S, check=False)
    assert done.returncode == 1
    assert msgspec.json.decode(done.stdout.splitlines()[-1])["code"] == "port_taken"


def test_a_grown_anvil_is_renewed_without_losing_work(settings: DevchainSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "BLOCKS_PER_LIFE_MAX", 5)
    monkeypatch.setattr(pace, "QUIET_S", 0.1)

    async def renewed() -> None:
        http = HttpClient(clock=SystemClock())
        rpc = RpcClient(f"http://127.0.0.1:{settings.port}", http)
        log_path = Path(settings.data_path).parent / "chain.log"
        with log_path.open("wb") as out:
            program = asyncio.create_task(serve(settings, make_log("chain", out, SystemClock())))

            async def said(event: str) -> bool:
                return event.encode() in log_path.read_bytes()

            await until(lambda: said("new chain"))
            await rpc.call("anvil_setBalance", SENDER, hex(12345))

            async def has_a_block() -> bool:
                return int(await rpc.call("eth_blockNumber"), 16) >= 1

            await until(has_a_block)
            before = await rpc.call("eth_getBlockByNumber", "0x1", False)
            await until(lambda: said("renewing anvil"))
            await until(lambda: said('"restored"'))

            async def answers() -> bool:
                try:
                    return int(await rpc.call("eth_blockNumber"), 16) >= 6
                except ChainUnreachable:
                    return False

            await until(answers)
            assert await rpc.call("eth_getBalance", SENDER, "latest") == hex(12345)
            assert (await rpc.call("eth_getBlockByNumber", "0x1", False))["hash"] == before["hash"]
            program.cancel()
            await asyncio.wait({program})
            assert program.cancelled()
        await http.close()

    asyncio.run(renewed())
    wait_port_free(settings.port)


@pytest.mark.proof
def test_twenty_kills_at_any_moment(settings: DevchainSettings) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    chance = random.Random(seed)

    async def life(kill_after_s: float) -> None:
        floor = saved_block(settings)
        with running(settings) as chain:
            health = await chain.ready()
            assert await chain.head() >= floor, health
            assert health["restored_from"].startswith("newest generation") or floor == -1
            await chain.prepare()

            async def work() -> None:
                while True:
                    await chain.send()

            with pytest.raises(TimeoutError):
                await asyncio.wait_for(work(), kill_after_s)
            os.kill(chain.process.pid, signal.SIGKILL)
            await chain.http.close()

    for _ in range(20):
        asyncio.run(life(chance.uniform(0.05, 2.5)))
