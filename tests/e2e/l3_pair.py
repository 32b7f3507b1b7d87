"""The two real chains of examples/local-l3.yaml as a Pair of the conformance suite: which faults can be brought about, and how.

Not here, because they take a second RPC, an explorer, or a server that lies: lag, latency, fork, refusals and half batches, a feed with
gaps, retryable tickets, rollups from before BoLD, gas that grows less. The fake pair brings those.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.surfaces.chain.conformance import Case

from cortops import surfaces
from cortops.contracts import orbit
from cortops.contracts.abi import decode_result, encode_call, static_call
from cortops.contracts.artifact import load
from cortops.contracts.rpc import RpcClient
from cortops.deploy.secrets import store_of
from cortops.deploy.secrets_of import secrets_of
from cortops.environment.declared import Environment
from cortops.local.here import host_here
from cortops.probes.ask import ask
from cortops.probes.memory import ChainMemory
from cortops.protocol.http import HttpClient
from cortops.surfaces.chain.addresses import contract_addresses, rpc_url
from cortops.surfaces.chain.orbit_addresses import parent_addresses, parent_url
from cortops.surfaces.judging import Judged, judge
from cortops.surfaces.site import Site
from cortops.targets.local import LocalTarget
from cortops.targets.shell import ask_shell
from cortops.targets.supervisord import Supervisord
from cortops.testing.local import EXAMPLE, Place
from cortops.words.clock import SystemClock
from cortops.words.errors import ChainError

L3 = EXAMPLE.with_name("local-l3.yaml")
RED_WITHIN_S = 40.0
LOOK_EVERY_S = 0.5
STEADY_LOOKS, STEADY_EVERY_S = 3, 3.0
SLOT_OWNER_OF_ROLLUP, SLOT_CHAIN_ID, SLOT_NATIVE_TOKEN = 1, 0, 1
SOMEBODY = "0x" + "5b" * 20
RETURNS_6 = "0x60065f5260205ff3"  # whatever is asked
RETURNS_41_AND_1 = "0x60295f52600160205260405ff3"
FEE_WEI = 200 * 10**9

Undo = Callable[[], Awaitable[None]]


def pair_file(folder: Path) -> Path:
    """The two chains and what is between them, without the network that runs on the child, and with limits that a test can wait for."""
    text = L3.read_text()
    text = text[: text.index("pools:")]
    text = re.sub(r"  smollm2:  .*?(?=\nnetwork:)", "", text, flags=re.DOTALL)
    text = re.sub(r"  sessions:\n.*\n", "", text)
    text = re.sub(r"  engine-1:.*", "", text, flags=re.DOTALL)
    for old, new in (
        ("environment: local-l3", "environment: pair"),
        ("    rpc: parent-1\n", "    rpc: parent-1\n    head_age_max_s: 15\n"),
        ("  development: true", "  limits: {head_age_max_s: 15}\n  development: true"),
        ("age_max_s: 60}}", "age_max_s: 20}}"),
        ("batch_poster: {age_max_s: 120}", "batch_poster: {age_max_s: 17}"),  # an empty block comes every 10 s, and waits for one
        ("bridge: {delayed_max_s: 120}", "bridge: {delayed_max_s: 6}"),
        ("assertions: {created_max_s: 180, confirmed_max_s: 300}", "assertions: {created_max_s: 12, confirmed_max_s: 30}"),
        ("role: batch-poster, host: here", "role: batch-poster, post_every_s: 1, idle_every_s: 1, host: here"),
        ("role: staker, host: here", "role: staker, assert_every_s: 2, host: here"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = folder / "pair.yaml"
    file.write_text(text)
    return file


class RealPair:
    """`up` made it; closed by whoever opened it."""

    def __init__(self, place: Place) -> None:
        self.place, self._clock = place, SystemClock()
        self.seen: dict[str, set[str]] = {}  # fault that shows by age -> entities that were not well under it
        self.http = HttpClient(clock=self._clock)
        store = store_of(place.env, place.root / "secrets", os.environ, self._clock, secrets.token_bytes)
        host = host_here("here", place.root, Supervisord(str(place.root), sys.executable))
        self.site = Site(hosts={"here": host}, public=store.publics(secrets_of(place.env)))
        self.parent = RpcClient(parent_url(place.env), self.http, timeout_s=3)
        self.child = RpcClient(rpc_url(place.env), self.http, timeout_s=3)
        self.at = parent_addresses(place.env, self.site)
        self.owner = self.site.public[place.env.network.deployer.secret]
        self.env = _with_owner(place.env, self.owner)
        self.questions, self.checks = surfaces.questions(self.env, self.site), surfaces.checks(self.env, self.site)
        self._memory = ChainMemory()
        self._undo: list[Undo] = []
        self._ways: Mapping[str, Callable[[], Awaitable[None]]] = {
            "wrong-id": lambda: self._chain_id(self.child, self.env.network.chain_id),
            "parent-wrong-id": lambda: self._chain_id(self.parent, 31338),
            "rollup-of-another-chain": lambda: self._slot(self.parent, self.at["rollup"], SLOT_CHAIN_ID, 99),
            "heads-stale": self._heads_stale,
            "main-down": lambda: self._stopped("chain-1", whole=True),
            "parent-down": lambda: self._stopped("parent-1", whole=True),
            "upgrade-due": lambda: self._code(self.child, orbit.ARB_OWNER_PUBLIC, RETURNS_41_AND_1),
            "fees-high": self._fees_high,
            "feed-down": lambda: self._stopped("sequencer-1"),
            "poster-silent": self._poster_silent,
            "poster-not-allowed": self._poster_not_allowed,
            "poster-poor": lambda: self._balance(self.parent, self._wallet("poster-1"), 0),
            "delayed-stuck": self._delayed_stuck,
            "assertions-stopped": self._assertions_stopped,
            "rollup-paused": lambda: self._owner_calls("rollup", "pause", "resume"),
            "bridge-paused": lambda: self._owner_calls("inbox", "pause", "unpause"),
            "token-missing": lambda: self._code(self.parent, self.at["gas-token"], "0x"),
            "token-other": lambda: self._slot(self.parent, self.at["bridge"], SLOT_NATIVE_TOKEN, int(SOMEBODY, 16)),
            "token-decimals": lambda: self._code(self.parent, self.at["gas-token"], RETURNS_6),
            "new-owner": self._new_owner,
            "contract-missing": lambda: self._code(self.parent, self.at["rollup"], "0x"),
            "code-differs": lambda: self._code(self.child, contract_addresses(self.env, self.site).session, load("runtime").runtime_code),
            "unlinked": self._unlinked,
            "wallet-empty": lambda: self._balance(self.child, self.owner, 0),
        }
        self.faults = frozenset(self._ways)

    # --- the suite's Pair ---

    async def inject(self, fault: str) -> None:
        """Bring it about, and wait where it shows by age only."""
        await self._ways[fault]()

    async def heal(self) -> None:
        """Take everything back, and wait until every check is well again."""
        for undo in reversed(self._undo):
            await undo()
        self._undo.clear()
        await self.until(lambda red: not red, "all is well again")

    async def judged(self) -> Sequence[Judged]:
        replies = await ask(self.questions, self.http, self._shell, self._clock, self._memory)
        return judge(self.checks, replies, self._clock.now())

    # --- for tests ---

    async def red(self) -> dict[str, str]:
        """`entity check` -> what it says, of every check that is not well now."""
        return {f"{item.check.entity} {item.check.name}": item.verdict.text for item in await self.judged() if item.verdict.outcome != "ok"}

    async def until(self, well: Callable[[Mapping[str, str]], bool], what: str) -> Mapping[str, str]:
        """The red checks, the first time that `well` holds of them."""
        end = time.monotonic() + RED_WITHIN_S
        while not well(red := await self.red()):
            assert time.monotonic() < end, f"after {RED_WITHIN_S:g} s still not: {what}; red: {red}"
            await asyncio.sleep(LOOK_EVERY_S)
        return red

    async def read(self, name: str, signature: str, *args: str | int) -> Any:
        """One value of a contract on the parent."""
        artifact = load("orbit/" + name.replace("-", "_"))
        call = {"to": self.at[name], "data": static_call(artifact, signature, *args)}
        return decode_result(artifact, signature, await self.parent.call("eth_call", call, "latest"))[0]

    async def owner_does(self, name: str, function: str, *args: object) -> None:
        """One transaction of the owner on the parent, mined."""
        artifact = load("orbit/" + name.replace("-", "_"))
        await self._mined(self.parent, self.owner, self.at[name], encode_call(artifact, function, *args))

    def kill(self, service: str, *, child_only: bool = False) -> None:
        """SIGKILL to a service, or only to the anvil below it."""
        pid = self.place.services().get(service)
        for victim in _children(pid) if child_only and pid else [pid]:
            if victim is not None:
                os.kill(victim, signal.SIGKILL)

    # --- ways ---

    def _wallet(self, node: str) -> str:
        return self.site.public[f"{node}/key"]

    async def _shell(self, target: str, questions: Any) -> Any:
        return await ask_shell(LocalTarget(target), questions, self._clock)

    async def _chain_id(self, rpc: RpcClient, declared: int) -> None:
        await rpc.call("anvil_setChainId", 99)
        self._undo.append(lambda: rpc.call("anvil_setChainId", declared))

    async def _slot(self, rpc: RpcClient, address: str, slot: int, value: int) -> None:
        before = await rpc.call("eth_getStorageAt", address, hex(slot), "latest")
        await rpc.call("anvil_setStorageAt", address, f"0x{slot:064x}", f"0x{value:064x}")
        self._undo.append(lambda: rpc.call("anvil_setStorageAt", address, f"0x{slot:064x}", before))

    async def _code(self, rpc: RpcClient, address: str, code: str) -> None:
        before = await rpc.call("eth_getCode", address, "latest")
        await rpc.call("anvil_setCode", address, code)
        self._undo.append(lambda: rpc.call("anvil_setCode", address, before))

    async def _balance(self, rpc: RpcClient, address: str, wei: int) -> None:
        before = await rpc.call("eth_getBalance", address, "latest")
        await rpc.call("anvil_setBalance", address, hex(wei))
        self._undo.append(lambda: rpc.call("anvil_setBalance", address, before))

    async def _stopped(self, service: str, *, whole: bool = False) -> None:
        """SIGSTOP: as a program that hangs, and no service manager starts it again. whole: with its anvil."""
        pid = self.place.services()[service]
        pids = [pid, *(_children(pid) if whole else ())]
        for one in pids:
            os.kill(one, signal.SIGSTOP)

        async def go_on() -> None:
            for one in pids:
                os.kill(one, signal.SIGCONT)

        self._undo.append(go_on)

    async def _owner_calls(self, name: str, function: str, undo: str) -> None:
        await self.owner_does(name, function)
        self._undo.append(lambda: self.owner_does(name, undo))

    async def _heads_stale(self) -> None:
        await self._stopped("parent-1")
        await self._stopped("chain-1")
        await self.until(lambda red: {"rpc/chain-1 head age", "rpc/parent-1 parent's head age"} <= {*red}, "both heads are old")

    async def _fees_high(self) -> None:
        await self.child.call("anvil_setNextBlockBaseFeePerGas", hex(FEE_WEI))
        await self.child.call("evm_mine")

        async def cheap() -> None:
            await self.child.call("anvil_setNextBlockBaseFeePerGas", "0x0")
            await self.child.call("evm_mine")

        self._undo.append(cheap)

    async def _poster_silent(self) -> None:
        await self._stopped("poster-1")
        await self._until_red("poster-silent", "chain/batch-poster age and backlog")

    async def _poster_not_allowed(self) -> None:
        poster = self._wallet("poster-1")
        await self.owner_does("sequencer-inbox", "setIsBatchPoster", poster, False)
        self._undo.append(lambda: self.owner_does("sequencer-inbox", "setIsBatchPoster", poster, True))

    async def _delayed_stuck(self) -> None:
        await self._stopped("sequencer-1")
        await self.owner_does("inbox", "depositERC20", 10**15)
        await self._until_red("delayed-stuck", "chain/delayed-inbox taken over")

    async def _assertions_stopped(self) -> None:
        await self._stopped("staker-1")
        await self._until_red("assertions-stopped", "chain/assertions made and confirmed")

    async def _until_red(self, fault: str, check: str) -> None:
        """What stays red: a busy machine is late with a block now and then, which turns a row red for a moment."""
        red = set(await self.until(lambda red: check in red, f"{check} is red"))
        for _ in range(STEADY_LOOKS):
            await asyncio.sleep(STEADY_EVERY_S)
            red &= set(await self.red())
        self.seen[fault] = {one.partition(" ")[0] for one in red}

    async def _new_owner(self) -> None:
        await self._code(self.child, orbit.ARB_OWNER_PUBLIC, orbit.predeploys(SOMEBODY, SOMEBODY)[orbit.ARB_OWNER_PUBLIC])

    async def _unlinked(self) -> None:
        at = contract_addresses(self.env, self.site)
        runtime = load("runtime")

        async def link(to: str) -> None:
            await self._mined(self.child, self.owner, at.runtime, static_call(runtime, "setSessionAddress(address)", to))

        await link(SOMEBODY)
        self._undo.append(lambda: link(at.session))

    async def _mined(self, rpc: RpcClient, sender: str, to: str, data: str) -> None:
        await rpc.call("anvil_impersonateAccount", sender)
        tx = await rpc.call("eth_sendTransaction", {"from": sender, "to": to, "data": data, "gas": "0x200000", "gasPrice": "0x0"})
        end = time.monotonic() + RED_WITHIN_S
        while (receipt := await rpc.call("eth_getTransactionReceipt", tx)) is None:
            assert time.monotonic() < end, f"{tx} is not mined"
            await asyncio.sleep(0.02)
        assert receipt["status"] == "0x1", receipt


async def until(look: Callable[[], Awaitable[bool]], what: str, within_s: float = RED_WITHIN_S) -> None:
    """Look again and again; AssertionError names `what` did not come true in time."""
    end = time.monotonic() + within_s
    while True:
        if await look():
            return
        assert time.monotonic() < end, f"after {within_s:g} s still not: {what}"
        await asyncio.sleep(0.05)


async def answers(rpc: RpcClient) -> bool:
    """Whether a chain answers now."""
    try:
        await rpc.call("eth_chainId")
    except ChainError:
        return False
    return True


def _with_owner(env: Environment, owner: str) -> Environment:
    """Who owns the chain is known when its wallets are made; here it is declared, so that another owner is a stranger."""
    network = env.network
    assert network.parent is not None
    return replace(env, network=network.model_copy(update={"parent": network.parent.model_copy(update={"owners": (owner,)})}))


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


# What each of them turns red, as the suite has it, by this pair's names; `says` where its figures are others.
CASES = (
    Case(fault="wrong-id", entity="rpc/chain-1", check="chain id", says="says it is chain 99"),
    Case(fault="rollup-of-another-chain", entity="rpc/chain-1", check="chain ids", says="the rollup 99"),
    Case(fault="heads-stale", entity="rpc/chain-1", check="head age", says="s old"),
    Case(fault="heads-stale", entity="rpc/parent-1", check="parent's head age", says="s old"),
    Case(fault="main-down", entity="rpc/chain-1", check="chain id"),
    Case(fault="parent-down", entity="rpc/parent-1", check="parent's id"),
    Case(fault="parent-wrong-id", entity="rpc/parent-1", check="parent's id", says="says it is chain 99"),
    Case(fault="upgrade-due", entity="chain/arbos", check="version", says="and it is not there"),
    Case(fault="fees-high", entity="chain/fees", check="price", says="more than the 50 declared"),
    Case(fault="feed-down", entity="chain/feed", check="age and gaps"),
    Case(fault="feed-down", entity="sequencer/sequencer-1", check="health"),
    Case(fault="poster-silent", entity="chain/batch-poster", check="age and backlog", says="blocks wait"),
    Case(fault="poster-silent", entity="batch-poster/poster-1", check="health"),
    Case(fault="poster-not-allowed", entity="chain/batch-poster", check="allowed", says="does not let"),
    Case(fault="poster-poor", entity="chain/batch-poster", check="gas", says="is empty"),
    Case(fault="delayed-stuck", entity="chain/delayed-inbox", check="taken over", says="1 message from the parent waits"),
    Case(fault="assertions-stopped", entity="chain/assertions", check="made and confirmed", says="no assertion made since"),
    Case(fault="assertions-stopped", entity="staker/staker-1", check="health"),
    Case(fault="rollup-paused", entity="chain/assertions", check="made and confirmed", says="the rollup is paused"),
    Case(fault="bridge-paused", entity="chain/bridge", check="open", says="the inbox is paused"),
    Case(fault="token-missing", entity="chain/gas-token", check="as declared", says="no contract"),
    Case(fault="token-missing", entity="contract/gas-token", check="code", says="no code at its address"),
    Case(fault="token-other", entity="chain/gas-token", check="as declared", says="the bridge takes the token"),
    Case(fault="token-decimals", entity="chain/gas-token", check="as declared", says="has 6 decimals, declared are 18"),
    Case(fault="new-owner", entity="chain/owners", check="known", says="may change the chain and is not declared"),
    Case(fault="contract-missing", entity="contract/rollup", check="code", says="no code at its address"),
    Case(fault="code-differs", entity="contract/session", check="code", says="differs from the artifact"),
    Case(fault="unlinked", entity="contract/session", check="linked", says="in its place"),
    Case(fault="wallet-empty", entity="wallet/deployer", check="gas", says="is empty"),
)
