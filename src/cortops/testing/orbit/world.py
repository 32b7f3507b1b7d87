"""What the two chains would say: blocks by the clock, calls by selector, logs by age. Faults change it by name, and heal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cortops.contracts.abi import word
from cortops.contracts.artifact import load
from cortops.contracts.calls import MODULES
from cortops.contracts.keccak import keccak256, keccak_hex
from cortops.surfaces.chain import asks
from cortops.surfaces.chain.matrix import HASHES_CODE

CHILD_ID, PARENT_ID = 31_338, 31_337
HEAD, BLOCK_S = 50_000, 0.5
ETHER, GWEI = 10**18, 10**9
ROLLUP, BRIDGE, INBOX, SEQUENCER_INBOX, TOKEN, POSTER, OWNER, STRANGER = (f"0x{at:040x}" for at in range(0xA1, 0xA9))
NO_CONTRACT = "0x"

# Fault -> what it does to the world. `main`, `fallback`, `reference`, `parent` are the RPCs.
FAULTS: Mapping[str, str] = {
    "wrong-id": "main serves another chain",
    "rollup-of-another-chain": "the rollup on the parent names another chain id",
    "head-stale": "the chain makes no block",
    "lag": "main is 400 blocks behind",
    "latency": "main answers late",
    "fork": "main has other blocks than the others",
    "fallback-wrong-id": "the fallback serves another chain",
    "rate-limit": "main refuses: too many requests",
    "half-batch": "main answers half of a batch",
    "main-down": "main refuses connections",
    "parent-rate-limit": "the parent's RPC refuses: too many requests",
    "parent-down": "the parent's RPC refuses connections",
    "parent-wrong-id": "the parent's RPC serves another chain",
    "parent-stale": "the parent makes no block",
    "parent-lag": "the parent's RPC is 400 blocks behind",
    "upgrade-due": "an ArbOS upgrade was due and is not there",
    "fees-high": "gas costs a thousand times as much",
    "sequencer-of-another-chain": "the sequencer's address serves another chain",
    "feed-gap": "the feed leaves messages out",
    "feed-silent": "the feed repeats old messages",
    "feed-private": "the feed answers 401",
    "feed-down": "the feed answers 502",
    "poster-silent": "no batch for two hours while blocks wait",
    "chain-idle": "no batch for two hours, and nothing waits",
    "poster-not-allowed": "the sequencer inbox does not let the poster post",
    "poster-poor": "the poster's wallet is empty",
    "delayed-stuck": "a message from the parent is not taken over for two hours",
    "assertions-stopped": "no assertion for six hours",
    "rollup-paused": "the rollup is paused",
    "older-rollup": "a rollup from before BoLD: NodeCreated and NodeConfirmed",
    "bridge-paused": "the inbox is paused",
    "ticket-left": "a retryable ticket that nobody redeems",
    "token-missing": "there is no token at its address",
    "token-other": "the bridge takes another token",
    "token-decimals": "the token has other decimals",
    "new-owner": "somebody else may change the chain",
    "explorer-down": "the explorer answers 503",
    "contract-missing": "the rollup has no code",
    "code-differs": "the session contract's code is another one",
    "unlinked": "the runtime names another session contract",
    "wallet-empty": "the deployer's wallet is empty",
    "wallet-low": "the deployer's gas lasts two days and a half",
}

_WRONG_ID = {"main": "wrong-id", "fallback": "fallback-wrong-id", "parent": "parent-wrong-id", "sequencer": "sequencer-of-another-chain"}


@dataclass(slots=True, kw_only=True)
class OrbitWorld:
    """now: seconds since 1970. modules: artifact -> address of the contracts on the chain; wallets: who has gas there."""

    now: Callable[[], float]
    modules: dict[str, str] = field(default_factory=dict)
    wallets: dict[str, str] = field(default_factory=dict)
    faults: set[str] = field(default_factory=set)

    def has(self, *names: str) -> bool:
        return not self.faults.isdisjoint(names)

    def inject(self, *names: str) -> None:
        """Faults of FAULTS, beside those that are there. KeyError for another name."""
        for name in names:
            FAULTS[name]
            self.faults.add(name)

    def heal(self) -> None:
        self.faults.clear()

    # --- blocks ---

    def head(self, endpoint: str) -> int:
        behind = 400 if (endpoint, True) in (("main", self.has("lag")), ("parent", self.has("parent-lag"))) else 0
        return HEAD - behind

    def block(self, endpoint: str, number: int) -> dict[str, str]:
        """A block as JSON-RPC gives it."""
        chain = "parent" if endpoint.startswith("parent") else "child"
        stale_s = 7_200.0 if self.has("parent-stale" if chain == "parent" else "head-stale") else 0.0
        at = self.now() - stale_s - (HEAD - number) * BLOCK_S
        branch = "forked" if endpoint == "main" and self.has("fork") else chain
        return {"number": hex(number), "timestamp": hex(int(at)), "hash": keccak_hex(f"{branch} {number}".encode())}

    def chain_id(self, endpoint: str) -> int:
        """The id that an endpoint serves."""
        if endpoint in _WRONG_ID and self.has(_WRONG_ID[endpoint]):
            return 99
        return PARENT_ID if endpoint.startswith("parent") else CHILD_ID

    # --- state ---

    def code(self, endpoint: str, address: str) -> str:
        """The code at an address, `0x` where there is none."""
        address = address.lower()
        if endpoint.startswith("parent"):
            missing = {ROLLUP: "contract-missing", TOKEN: "token-missing"}
            there = address in (ROLLUP, BRIDGE, INBOX, SEQUENCER_INBOX, TOKEN) and not self.has(missing.get(address, ""))
            return "0x600160005260206000f3" if there else NO_CONTRACT
        for name, at in self.modules.items():
            if at.lower() == address:
                return "0x6001" if name == "session" and self.has("code-differs") else load(name).runtime_code
        return NO_CONTRACT

    def balance(self, endpoint: str, address: str, number: int) -> int:
        """Falls by a fifth of an ether a day; wallet-low: so fast that half of what was is left."""
        days_ago = (HEAD - number) * BLOCK_S / 86_400
        if endpoint.startswith("parent"):
            return 0 if self.has("poster-poor") else int((10 + 0.2 * days_ago) * ETHER)
        deployer = address.lower() == self.wallets.get("deployer", "").lower()
        if deployer and self.has("wallet-empty"):
            return 0
        left = 0.5 if deployer and self.has("wallet-low") else 10
        return int((left + 0.2 * days_ago) * ETHER)

    def call(self, endpoint: str, to: str, data: str) -> str | None:
        """What a call returns; None where the contract reverts."""
        if not to and data.startswith(HASHES_CODE):
            return self._code_hashes(endpoint, data)
        parent = endpoint.startswith("parent")
        if self.code(endpoint, to) == NO_CONTRACT and int(to, 16) > 0xFF:
            return NO_CONTRACT
        if parent and self.code(endpoint, to) == NO_CONTRACT:
            return NO_CONTRACT
        if data.startswith("0x9010d07c") and not data.endswith("0"):
            return None  # a role has one member
        found = (self._parent_words(data) if parent else self._child_words(data)).get((to.lower(), data[:10]))
        return None if found is None else "0x" + "".join(word(value) for value in found)

    def _code_hashes(self, endpoint: str, data: str) -> str:
        arguments = data[len(HASHES_CODE) :]
        hashes = [word(0)]
        for at in range(0, len(arguments), 64):
            code = self.code(endpoint, "0x" + arguments[at + 24 : at + 64])
            hashes.append(word(0) if code == NO_CONTRACT else keccak256(bytes.fromhex(code[2:])).hex())
        return "0x" + "".join(hashes)

    def _child_words(self, data: str) -> Mapping[tuple[str, str], tuple[int | str, ...]]:
        owners = (OWNER, STRANGER) if self.has("new-owner") else (OWNER,)
        due = (51, int(self.now() - 60)) if self.has("upgrade-due") else (0, 0)
        known: dict[tuple[str, str], tuple[int | str, ...]] = {
            (asks.ARB_SYS, "0xd127f54a"): (self.chain_id("main"),),
            (asks.ARB_SYS, "0x051038f2"): (55 + 40,),
            (asks.ARB_OWNER_PUBLIC, "0x81ef944c"): due,
            (asks.ARB_OWNER_PUBLIC, "0x516b4e0f"): (32, len(owners), *owners),
            (asks.ARB_GAS_INFO, "0xf918379a"): (GWEI // 10,),
            (asks.ARB_GAS_INFO, "0x1d5b5c20"): (0,),
            (asks.ARB_GAS_INFO, "0x41b247a8"): (0, GWEI // 100, 0, GWEI // 10, 0, GWEI // 10),
            (asks.ARB_AGGREGATOR, "0xe10573a3"): (32, 1, POSTER),
        }
        for module, name in MODULES.items():
            if {"runtime", name} <= self.modules.keys():
                named = OWNER if name == "session" and self.has("unlinked") else self.modules[name]
                known[self.modules["runtime"].lower(), load("runtime").method_ids[f"get{module}Address()"]] = (named,)
        for address in self.modules.values():
            known[address.lower(), "0xca15c873"] = (1,)
            known[address.lower(), "0x9010d07c"] = (OWNER,)
        return known

    def _parent_words(self, data: str) -> Mapping[tuple[str, str], tuple[int | str, ...]]:
        silent, idle = self.has("poster-silent"), self.has("chain-idle")
        reported = HEAD + 1 if idle else HEAD - 7_000 if silent else HEAD - 4
        token = STRANGER if self.has("token-other") else TOKEN
        return {
            (ROLLUP, "0x9a8a0592"): (99 if self.has("rollup-of-another-chain") else CHILD_ID,),
            (ROLLUP, "0x65f7f80d"): (7,),
            (ROLLUP, "0x5c975abb"): (int(self.has("rollup-paused")),),
            (ROLLUP, "0xdff69787"): (2,),
            (ROLLUP, "0x8da5cb5b"): (OWNER,),
            (SEQUENCER_INBOX, "0x06f13056"): (90,),
            (SEQUENCER_INBOX, "0x7fa3a40e"): (11 if self.has("delayed-stuck") else 12,),
            (SEQUENCER_INBOX, "0xebea461d"): (5_760, 48, 86_400, 3_600),
            (SEQUENCER_INBOX, "0x71c3e6fe"): (int(not self.has("poster-not-allowed")),),
            (BRIDGE, "0x5fca4a16"): (reported,),
            (BRIDGE, "0xeca067ad"): (12,),
            (BRIDGE, "0xe1758bd8"): (token,),
            (INBOX, "0x5c975abb"): (int(self.has("bridge-paused")),),
            (TOKEN, "0x313ce567"): (6 if self.has("token-decimals") else 18,),
            (TOKEN, "0x70a08231"): (5_000 * ETHER,),
        }

    # --- logs ---

    def logs(self, endpoint: str) -> Iterator[dict[str, Any]]:
        """All logs there are, as eth_getLogs gives them."""
        if endpoint.startswith("parent"):
            yield from self._parent_logs()
            return
        yield _log(asks.ARB_RETRYABLE, (asks.TICKET, word(1)), "", 1_800)
        yield _log(asks.ARB_RETRYABLE, (asks.REDEEM, word(1), word(2), word(0)), "", 1_799)
        yield _log(asks.ARB_SYS, (asks.LEFT, word(1), word(1), word(0)), "", 900)
        if self.has("ticket-left"):
            yield _log(asks.ARB_RETRYABLE, (asks.TICKET, word(3)), "", 9_000)

    def _parent_logs(self) -> Iterator[dict[str, Any]]:
        batch_s = 7_200 if self.has("poster-silent", "chain-idle") else 40
        made_s, confirmed_s = (20_000, 21_000) if self.has("assertions-stopped") else (600, 1_200)
        created, confirmed = (asks.NODE_CREATED, asks.NODE_CONFIRMED) if self.has("older-rollup") else (asks.CREATED, asks.CONFIRMED)
        yield _log(ROLLUP, (confirmed, word(6)), word(0) * 2, confirmed_s)
        yield _log(ROLLUP, (created, word(7), word(6)), word(0) * 2, made_s)
        for index, age_s in ((10, 12_000), (11, 7_400 if self.has("delayed-stuck") else 700)):
            yield _log(BRIDGE, (asks.DELIVERED, word(index), word(0)), word(0) * 6, age_s)
        yield _log(SEQUENCER_INBOX, (asks.BATCH, word(89), word(0), word(0)), word(0) * 7, batch_s)

    def feed(self) -> list[dict[str, Any]]:
        """The messages that a new listener is sent."""
        numbers = [number for number in range(HEAD - 4, HEAD + 1) if not (self.has("feed-gap") and number in (HEAD - 2, HEAD - 1))]
        age_s = 7_200 if self.has("feed-silent") else 0
        return [_message(number, int(self.now() - age_s - (HEAD - number) * BLOCK_S)) for number in numbers]


def _log(address: str, topics: tuple[str, ...], data: str, age_s: float) -> dict[str, Any]:
    number = HEAD - int(age_s / BLOCK_S)
    named = [topic if topic.startswith("0x") else "0x" + topic for topic in topics]
    place = {"blockNumber": hex(number), "logIndex": "0x0", "transactionHash": keccak_hex(f"{address} {age_s}".encode())}
    return {**place, "address": address, "topics": named, "data": "0x" + data}


def _message(number: int, at: int) -> dict[str, Any]:
    header = {"kind": 3, "sender": OWNER, "blockNumber": HEAD, "timestamp": at, "requestId": None, "baseFeeL1": None}
    inner = {"message": {"header": header, "l2Msg": ""}, "delayedMessagesRead": 12}
    return {"sequenceNumber": number, "message": inner, "signature": None}
