"""The chain as a place: what an observe says, in which order an apply sends and confirms, and on a real chain from nothing to done."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.surfaces.stage import example, site_of

from cortops.contracts.keccak import keccak256, keccak_hex
from cortops.contracts.rpc import RpcClient
from cortops.contracts.wallet import load_signing, new_private_key
from cortops.deploy.chain_driver import CONFIRM_TIMEOUT_S, ChainDriver, attributes_of
from cortops.deploy.observed import Absent, Desired, Observed, Present, Progress, Step, Unseen
from cortops.deploy.plan import in_order
from cortops.environment.model import Rpc
from cortops.surfaces.chain.render import PLACE, render
from cortops.surfaces.site import Site
from cortops.testing.chain import CHAIN_ID, Chain, bare_chain, wallet_of
from cortops.testing.clock import VirtualClock
from cortops.words.change import Action
from cortops.words.entity import Entity
from cortops.words.errors import CallReverted, ChainError, ChainUnreachable, RpcRefused
from cortops.words.resource import Contract, ContractState, Funded, Resource, SecretRef

COMMON: dict[str, Any] = {"place": "chain", "entity": Entity("contract", "token"), "because": "lab.yaml:5", "rpc_url": "http://fake"}
CODE = "0x6001"
WALLET = Funded(**COMMON, name="deployer", address="0x" + "0d" * 20, at_least_wei=100)
TOKEN = Contract(
    **COMMON,
    needs=(WALLET.key,),
    name="token",
    address="0x" + "0a" * 20,
    init_code="0x00",
    salt="0x" + "00" * 32,
    code_hash=keccak_hex(bytes.fromhex(CODE[2:])),
    signer=SecretRef("deployer/key"),
)
OTHER = replace(TOKEN, name="other", address="0x" + "0b" * 20)
LINK = ContractState(
    **COMMON,
    needs=(TOKEN.key,),
    name="token knows other",
    to=TOKEN.address,
    read="0x01",
    expect="0x" + "00" * 31 + "01",
    write="0x02",
    signer=SecretRef("deployer/key"),
)


@pytest.fixture(scope="module", autouse=True)
def slow_library() -> None:
    """Loaded here, so that no single test looks slow for it."""
    load_signing()


@dataclass
class FakeNode:
    """Answers by method, `batch` for a batch as a whole; what was called, in order, stays in `heard`."""

    answers: Mapping[str, Any] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    url: str = "http://fake"

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        if isinstance(whole := self.answers.get("batch"), ChainError):
            raise whole
        return [self.answers[method] for method, _ in calls]

    async def batch_results(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        return [await self.call(method, *params) for method, params in calls]

    async def call(self, method: str, *params: Any) -> Any:
        self.heard.append(method)
        answer = {
            "eth_estimateGas": "0x5208",
            "eth_gasPrice": "0x0",
            "eth_getTransactionCount": "0x0",
            "eth_sendRawTransaction": "0x",
            "eth_getTransactionByHash": None,
            "anvil_setBalance": None,
            "eth_getTransactionReceipt": {"status": "0x1", "blockNumber": "0x7", "blockHash": "0xbb", "gasUsed": "0x1", "logs": []},
            **self.answers,
        }[method]
        if isinstance(answer, ChainError):
            raise answer
        return answer


def driver(node: Any, *, development: bool = True, clock: VirtualClock | None = None) -> ChainDriver:
    return ChainDriver("chain", node, CHAIN_ID, key_of, clock or VirtualClock(), development=development)


def key_of(name: str) -> str:
    return new_private_key(keccak256(f"cortops test {name}".encode()))


def desired(*resources: Resource) -> list[Desired]:
    return [
        Desired(resource=item, attributes=attributes_of(item)) for item in resources if isinstance(item, Contract | ContractState | Funded)
    ]


def seen(resource: Resource, answer: Any) -> Observed:
    methods = ("eth_getCode", "eth_call", "eth_getBalance")
    return asyncio.run(driver(FakeNode(dict.fromkeys(methods, answer))).observe(desired(resource)))[resource.key]


async def applied(one: ChainDriver, *resources: Resource) -> list[Progress]:
    steps = [Step(action=Action.CREATE, desired=item) for item in desired(*resources)]
    async with aclosing(one.apply(steps, "a1")) as told:
        return [progress async for progress in told]


def made(node: FakeNode, *resources: Resource, development: bool = True) -> list[tuple[str, str, str]]:
    clock = VirtualClock()
    told = clock.run(applied(driver(node, development=development, clock=clock), *resources))
    return [(item.key, item.event, item.text) for item in told]


REFUSED = RpcRefused("eth_call was refused: too many requests")


@pytest.mark.parametrize(
    ("resource", "answer", "expected"),
    [
        (TOKEN, "0x", Absent()),
        (TOKEN, CODE, Present({"code": TOKEN.code_hash})),
        (TOKEN, "0x6002", Present({"code": keccak_hex(bytes.fromhex("6002"))})),
        (TOKEN, REFUSED, Unseen(REFUSED.what)),
        (LINK, LINK.expect, Present({"value": LINK.expect})),
        (LINK, "0x" + "00" * 32, Absent()),
        (LINK, "0x", Absent()),
        (LINK, REFUSED, Unseen(REFUSED.what)),
        (WALLET, "0x64", Present({"enough": "yes"})),
        (WALLET, "0x63", Present({"enough": "no"})),
        (WALLET, REFUSED, Unseen(REFUSED.what)),
    ],
)
def test_what_is_seen(resource: Resource, answer: Any, expected: Observed) -> None:
    assert seen(resource, answer) == expected


def test_what_was_sent_over_a_bridge_is_waited_for_and_never_topped_up() -> None:
    bridged = replace(WALLET, bridged=True)
    node = FakeNode({"eth_getBalance": "0x64"})
    assert [event for _, event, _ in made(node, bridged)] == ["begun", "done"] and "anvil_setBalance" not in node.heard
    (_, (_, event, text)) = made(FakeNode({"eth_getBalance": "0x63"}), bridged)
    assert event == "failed" and text.startswith("what was sent over the bridge for deployer") and "did not arrive within 120 s" in text


@pytest.mark.parametrize("error", [ChainUnreachable("no answer"), RpcRefused("request was refused: batch too large")])
def test_a_chain_that_answers_nothing_leaves_all_unseen(error: ChainError) -> None:
    found = asyncio.run(driver(FakeNode({"batch": error})).observe(desired(TOKEN, LINK, WALLET)))
    assert found == {item.key: Unseen(error.what) for item in (TOKEN, LINK, WALLET)}


def test_what_waits_for_nothing_is_sent_together_and_what_needs_it_only_after_it_is_mined() -> None:
    node = FakeNode()
    assert made(node, WALLET, TOKEN, OTHER, LINK) == [
        (WALLET.key, "begun", ""),
        (WALLET.key, "done", ""),
        (TOKEN.key, "begun", ""),
        (OTHER.key, "begun", ""),
        (TOKEN.key, "done", "block 7"),
        (OTHER.key, "done", "block 7"),
        (LINK.key, "begun", ""),
        (LINK.key, "done", "block 7"),
    ]
    turns = [method for method in node.heard if method in ("anvil_setBalance", "eth_sendRawTransaction", "eth_getTransactionReceipt")]
    send, confirm = "eth_sendRawTransaction", "eth_getTransactionReceipt"
    assert turns == ["anvil_setBalance", send, send, confirm, confirm, send, confirm]
    assert node.heard.count("eth_getTransactionCount") == 1, "one sender a signer"


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ({"eth_estimateGas": CallReverted("the contract refused: not yours")}, "not yours"),
        ({"eth_estimateGas": ChainUnreachable("no answer from the chain")}, "no answer"),
        ({"eth_sendRawTransaction": RpcRefused("refused: no funds", message="no funds")}, "no funds"),
    ],
)
def test_a_step_that_cannot_be_sent_fails_and_ends_the_apply(answers: Mapping[str, Any], text: str) -> None:
    begun, failed = made(FakeNode(answers), TOKEN, OTHER)
    assert begun == (TOKEN.key, "begun", "")
    assert failed[:2] == (TOKEN.key, "failed") and text in failed[2]


def test_a_transaction_that_is_never_mined_fails_after_its_time() -> None:
    clock = VirtualClock()
    told = clock.run(applied(driver(FakeNode({"eth_getTransactionReceipt": None}), clock=clock), TOKEN, LINK))
    assert [(item.key, item.event) for item in told] == [(TOKEN.key, "begun"), (TOKEN.key, "failed")]
    assert "was not mined" in told[-1].text
    assert clock.monotonic() >= CONFIRM_TIMEOUT_S


def test_only_a_development_chain_fills_wallets() -> None:
    node = FakeNode()
    _, failed = made(node, WALLET, TOKEN, development=False)
    assert failed[1] == "failed" and f"wallet {WALLET.address} of deployer holds less than 100 wei" in failed[2]
    assert node.heard == []


# On a real chain.


def bundled(chain: Chain) -> list[Resource]:
    """All that examples/local.yaml wants on chain, without the service that it would run there."""
    env = example()
    env = replace(env, network=env.network.model_copy(update={"rpc": Rpc(url=chain.url)}))
    site = site_of(env)
    wallets = {name: wallet_of(name).address for name in site.public if name.endswith("/key")}
    return in_order(render(env, Site(hosts=site.hosts, public={**site.public, **wallets})))


def driver_of(chain: Chain) -> ChainDriver:
    return ChainDriver(PLACE, RpcClient(chain.url, chain.http), CHAIN_ID, key_of, chain.clock, development=True)


async def observed(chain: Chain, items: Sequence[Desired]) -> list[Desired]:
    """What is not as declared."""
    found = await driver_of(chain).observe(items)
    return [item for item in items if found[item.resource.key] != Present(item.attributes)]


@pytest.mark.real
def test_from_nothing_to_all_as_declared_and_a_second_look_finds_nothing_to_do() -> None:
    async def story() -> None:
        async with bare_chain() as chain, chain.mining():
            resources = bundled(chain)
            items = desired(*resources)
            assert len(await observed(chain, items)) == len(items) > 10
            told = await applied(driver_of(chain), *resources)
            assert sorted(item.key for item in told if item.event == "done") == sorted(item.key for item in resources)
            assert await observed(chain, items) == []

    asyncio.run(story())


@pytest.mark.real
@pytest.mark.parametrize("after", [2, 6, 11])
def test_killed_between_it_goes_on_and_repeats_nothing(after: int) -> None:
    """The apply is dropped after so many events; what was sent may still be mined. The next one makes what is left, each once."""

    async def cut_off(one: ChainDriver, resources: Sequence[Resource]) -> None:
        steps = [Step(action=Action.CREATE, desired=item) for item in desired(*resources)]
        async with aclosing(one.apply(steps, "a1")) as told:
            for _ in range(after):
                await anext(told)

    async def story() -> None:
        async with bare_chain() as chain, chain.mining():
            resources = bundled(chain)
            await cut_off(driver_of(chain), resources)
            await chain.mine()  # all that waits
            left = {item.resource.key for item in await observed(chain, desired(*resources))}
            assert 0 < len(left) < len(resources)
            told = await applied(driver_of(chain), *(item for item in resources if item.key in left))
            assert {item.key for item in told if item.event == "done"} == left
            assert await observed(chain, desired(*resources)) == []

    asyncio.run(story())
