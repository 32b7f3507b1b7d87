"""Is an address a node? The first contract that answers says so; where nobody answers, nothing is said."""

from __future__ import annotations

from typing import Any

from cortops.contracts.keccak import keccak_hex
from cortops.contracts.rpc import RpcCall, RpcClient
from cortops.probes.registration import GETTERS, registered, registries
from cortops.testing.clock import VirtualClock
from cortops.words.errors import CallReverted, ChainUnreachable

REGISTRY, LEVELS = "0x" + "1" * 40, "0x" + "2" * 40
ME, OTHER = "0x" + "A" * 40, "0x" + "b" * 40


def word(value: int) -> str:
    return "0x" + f"{value:064x}"


class Node:
    """An endpoint whose contracts answer as told: (contract, address or "") -> answer."""

    url = "http://rpc"

    def __init__(self, answers: dict[tuple[str, str], Any], *, silent: bool = False) -> None:
        self.answers = answers
        self.silent = silent

    async def batch(self, calls: list[RpcCall]) -> list[Any]:
        if self.silent:
            raise ChainUnreachable("no answer")
        found = []
        for _, (call, _block) in calls:  # type: ignore[misc]
            to, data = call["to"], call["data"]  # type: ignore[index]
            found.append(self.answers.get((to, data[-40:] if len(data) > 10 else data), CallReverted("reverted")))
        return found


def client(node: Node) -> RpcClient:
    return node  # type: ignore[return-value]


def run(work: Any) -> Any:
    return VirtualClock().run(work)


def test_the_runtime_names_the_contracts_that_may_know() -> None:
    selectors = [keccak_hex(f"{name}()".encode())[:10] for name in GETTERS]
    node = Node({("runtime", selectors[0]): word(0), ("runtime", selectors[1]): word(int(LEVELS, 16))})
    assert run(registries(client(node), "runtime")) == (LEVELS,)
    assert run(registries(client(Node({}, silent=True)), "runtime")) == ()


def test_the_first_contract_that_answers_counts() -> None:
    answers = {(LEVELS, "a" * 40): word(1), (LEVELS, "b" * 40): word(0)}
    assert run(registered(client(Node(answers)), (REGISTRY, LEVELS), [ME, OTHER])) == {ME: True, OTHER: False}


def test_what_is_no_yes_or_no_says_nothing() -> None:
    node = Node({(REGISTRY, "a" * 40): word(7), (REGISTRY, "b" * 40): "0x"})
    assert run(registered(client(node), (REGISTRY,), [ME, OTHER])) == {}
    assert run(registered(client(Node({}, silent=True)), (REGISTRY,), [ME])) == {}
    assert run(registered(client(node), (), [ME])) == {}
