"""Who connects to whom, and what that asks of a host."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cortops.environment.declared import Environment
from cortops.environment.dials import dials, needed_elsewhere

HOSTS = "hosts:\n  here: {local: true, address: 10.0.0.1}\n  h2: {ssh: root@h2.example, address: 10.0.0.2}\n"


@pytest.fixture
def spread(example_text: str, loaded: Callable[[str], Environment]) -> Callable[..., Environment]:
    """The example with some of its programs on another host."""

    def make(*names: str) -> Environment:
        lines = example_text.replace("hosts:\n  here: {local: true}", HOSTS.rstrip("\n")).splitlines()
        moved = [line.replace(": here", ": h2") if line.strip().startswith(names) else line for line in lines]
        return loaded("\n".join(moved) + "\n")

    return make


def test_every_connection_of_the_example(example: Environment) -> None:
    assert {(dial.who, dial.to, dial.link) for dial in dials(example)} == {
        ("router-1", "chain-1", False),
        ("miner-1", "chain-1", False),
        ("oracle-1", "chain-1", False),
        ("miner-1", "engine-1", False),
        ("miner-1", "router-1", True),
        ("gateway", "router-1", False),
        ("gateway.localhost", "gateway", False),
    }
    assert needed_elsewhere(example) == frozenset(), "all of it is on one host"


@pytest.mark.parametrize(
    ("moved", "needed", "links"),
    [
        (("miner-1",), {"chain-1", "engine-1"}, {"router-1"}),
        (("engine-1",), {"engine-1"}, set[str]()),
        (("chain-1",), {"chain-1"}, set[str]()),
        (("router-1",), {"chain-1", "router-1"}, {"router-1"}),
        (("gateway:",), {"router-1", "gateway"}, set[str]()),
        (("gateway:", "gateway.localhost"), {"router-1"}, set[str]()),
        (("oracle-1",), {"chain-1"}, set[str]()),
    ],
)
def test_what_another_host_needs(spread: Callable[..., Environment], moved: tuple[str, ...], needed: set[str], links: set[str]) -> None:
    env = spread(*moved)
    assert needed_elsewhere(env) == needed
    assert needed_elsewhere(env, links=True) == links
