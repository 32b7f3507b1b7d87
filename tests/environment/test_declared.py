"""Positions, owners, shifted ports."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cortops.environment.declared import Environment, port_uses, shift_ports
from cortops.environment.reason import Position
from cortops.words.entity import Entity
from cortops.words.errors import BadInput


def line_of(text: str, beginning: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if line.strip().startswith(beginning))


@pytest.mark.parametrize(
    ("path", "beginning"),
    [
        ("nodes.miner-1", "miner-1:"),
        ("nodes.miner-1.engine", "miner-1:"),
        ("proxy.gateway.localhost.port", "gateway.localhost:"),
        ("releases.anvil.aarch64.file", "file: package/bin/anvil"),
        ("network.sessions.1.routers", "1: {name"),
        ("nodes.miner-1.wallet.secret", "miner-1:"),  # a default: where it would stand
        ("network.deployer", "network:"),
        ("nowhere", "# One of each"),
    ],
)
def test_each_declared_thing_keeps_its_line(example: Environment, example_text: str, path: str, beginning: str) -> None:
    expected = line_of(example_text, beginning)
    if path == "releases.anvil.aarch64.file":
        expected = next(
            number for number, line in enumerate(example_text.splitlines(), start=1) if "file: package" in line and number > expected
        )
    assert example.position(path).line == expected


def test_a_position_is_cited_as_file_and_line(example: Environment) -> None:
    assert str(Position("local.yaml", 12, 3)) == "local.yaml:12"
    steps = ("network", "sessions", "1", "routers", 0)
    assert example.position(steps).column > example.position(steps[:-1]).column
    assert example.position(("nodes", "miner-1")).column == 3


def test_the_nearest_owner_wins(example_text: str, loaded: Callable[[str], Environment]) -> None:
    env = loaded(
        example_text.replace("{default: you@localhost}", "{default: d, router: r, oracle-1: o, proxy: p}").replace(
            "port: 5201", "port: 5201, owner: own"
        )
    )
    asked = {text: env.owner_of(Entity.parse(text)) for text in ("rpc/chain-1", "router/router-1", "oracle/oracle-1", "contract/session")}
    assert asked == {"rpc/chain-1": "d", "router/router-1": "r", "oracle/oracle-1": "own", "contract/session": "d"}
    assert env.owner_of(Entity("proxy", "gateway.localhost")) == "p"


def test_of_a_fleet_nothing_is_ours(fleet_text: str, example: Environment, loaded: Callable[[str], Environment]) -> None:
    fleet = loaded(fleet_text)
    assert (fleet.own_hosts, fleet.takes_part, list(fleet.nodes), list(fleet.installed)) == ((), False, [], ["m1", "m2", "m3", "r1", "p1"])
    assert (example.own_hosts, example.takes_part, dict(example.installed)) == (("here",), True, {})
    owners = {text: fleet.owner_of(Entity.parse(text)) for text in ("router/r1", "miner/m1", "pool-oracle/p1", "host/h4")}
    assert owners == {"router/r1": "api@lab.example"} | dict.fromkeys(("miner/m1", "pool-oracle/p1", "host/h4"), "ops@lab.example")


def test_what_runs_ours_beside_a_fleet(fleet_text: str, loaded: Callable[[str], Environment]) -> None:
    both = loaded(fleet_text.replace("network:", "  here: {local: true}\nnetwork:") + "monitor: {on: here, port: 8500}\n")
    assert (both.own_hosts, both.takes_part) == (("here",), False)


def test_every_port_is_shifted_and_nothing_else(example: Environment) -> None:
    shifted = shift_ports(example, 1000)
    assert [use.port - 1000 for use in port_uses(shifted)] == [use.port for use in port_uses(example)]
    assert [use.port for use in port_uses(example)] == [8545, 8546, 8090, 5010, 9001, 5101, 5201, 8400, 8443]
    assert shift_ports(shifted, -1000) == example
    assert shifted.position("nodes.miner-1") == example.position("nodes.miner-1")


@pytest.mark.parametrize("base", [60_000, -5010])
def test_a_port_that_is_none_is_refused_with_its_place(example: Environment, base: int) -> None:
    with pytest.raises(BadInput, match="is not a TCP port") as caught:
        shift_ports(example, base)
    assert caught.value.where.startswith("local.yaml:")


def test_the_salt_is_the_environment_unless_declared(example: Environment, example_text: str, loaded: Callable[[str], Environment]) -> None:
    assert example.salt == "small"
    assert loaded(example_text.replace("runtime: deploy", "runtime: deploy, salt: second")).salt == "second"
