"""From answers to the page: nodes in order, notes on what could not be seen, evidence without secrets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.surfaces.nodes import chain_logs as make
from tests.surfaces.nodes.chain_logs import COGNITIVE, QUEUE, miner
from tests.surfaces.nodes.test_seen import FOUND

from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.environment.reason import Invalid
from cortops.surfaces.nodes.assemble import ChainSeen, addresses, page_of
from cortops.surfaces.nodes.blocks import BlockTimes, Look
from cortops.surfaces.nodes.chain_places import ChainPlaces
from cortops.surfaces.nodes.log_facts import LogFacts
from cortops.surfaces.nodes.logs import HostLogs, NodeLog, RpcProbe
from cortops.surfaces.nodes.page import NodesPage, as_json
from cortops.surfaces.nodes.seen import HostSeen
from cortops.words.state import State

NOW = 1_000_000.0  # block n is at n seconds
KEYED = "https://rpc.example/v2/kEy"
TEXT = f"""format: 1
environment: lab
owners: {{default: ops@lab.example}}
hosts: {{h1: {{ssh: ops@h1.lab.example}}, h2: {{ssh: ops@h2.lab.example}}}}
network: {{chain_id: 7, rpc: {{url: "{KEYED}"}}, contracts: {{runtime: "{miner(99)}"}}}}
nodes:
  m[1-3]: {{program: cortensord, role: miner, runs: minerv4, host: h1, shape: ansible, instance: "{{n}}", unit: "cortensor-{{n}}.service",
     env_file: "/home/deploy/.env-{{n}}", log: "/var/log/c-{{n}}.log", binary: /usr/local/bin/cortensord}}
  m10: {{program: cortensord, role: miner, runs: minerv2, host: h2, shape: nohup, env_file: /home/me/.env, log: /home/me/c.log,
     binary: /home/me/cortensord, address: "{miner(10)}"}}
"""
LOOKS = tuple(Look(url=KEYED, asked_at=NOW + at, number=1_000_000 + at, head_at=NOW + at) for at in (-5, 0))
CHAIN = ChainSeen(
    logs=(),
    first=913_600,
    covered=913_600,
    complete=True,
    times=BlockTimes.of([(0, 0.0), (1_000_000, NOW)]),
    places=ChainPlaces(addresses={"session_queue": QUEUE, "cognitive": COGNITIVE}, how={}),
    looks=LOOKS,
)


def environment() -> Environment:
    loaded = load(TEXT, "lab.yaml")
    assert not isinstance(loaded, Invalid), loaded.text
    return loaded


def rounds() -> tuple[dict[str, Any], ...]:
    """m1 and m10 were selected twice, m1 did its work."""
    logs: list[dict[str, Any]] = []
    for id_, block in ((1, 998_000), (2, 999_000)):
        logs += [make.started(block, id_, miner(1), miner(10)), make.session("Precommitted", block + 1, id_, miner(1))]
        logs += [make.session("Committed", block + 2, id_, miner(1), index=2), make.ended(block + 3, id_)]
    return tuple(logs)


def page(chain: ChainSeen = CHAIN, hosts: dict[str, HostSeen] | None = None) -> NodesPage:
    found = {name: replace(FOUND, address=miner(number)) for name, number in (("m1", 1), ("m2", 2))}
    return page_of(environment(), chain, hosts or {}, found, at=NOW, since_s=86_400.0, released={"ab": "2026-04-22"})


def test_the_worst_comes_first_and_numbers_are_counted() -> None:
    found = page(replace(CHAIN, logs=rounds()))
    assert [row.node for row in found.rows] == ["m10", "m1", "m2", "m3"]
    assert [row.earning.earning for row in found.rows] == [False, True, None, None]
    assert (found.hosts, found.network.moving, found.window.begins_at) == (2, True, 913_600.0)
    assert found.rows[1].binary_date == "2026-04-22"


def test_an_address_may_stand_in_the_env_file_alone() -> None:
    found = {"m1": replace(FOUND, address=miner(0xAB).upper().replace("0X", "0x")), "m2": FOUND}
    assert addresses(environment(), found) == [miner(0xAB), miner(10)]
    (nameless,) = [row for row in page(replace(CHAIN, logs=rounds())).rows if row.node == "m3"]
    assert nameless.earning.cause.startswith("its address stands neither in the environment file nor in its env file")


def test_a_chain_that_could_not_be_read_is_not_a_chain_without_work() -> None:
    silent = page(ChainSeen(logs=None, failed={KEYED: "no answer from the chain at https://rpc.example"}))
    assert {row.earning.state for row in silent.rows} == {State.UNKNOWN} and {row.selected for row in silent.rows} == {None}
    assert silent.notes == ("https://rpc.example is not counted: no answer from the chain at https://rpc.example",)
    unread = page(replace(CHAIN, covered=1_000_001, complete=False, why="the RPC did not give more within 15 s"))
    assert {row.earning.earning for row in unread.rows} == {None}
    assert "the RPC did not give more within 15 s" in unread.network.text


def test_a_part_of_the_window_is_said_to_be_a_part() -> None:
    found = page(replace(CHAIN, logs=rounds(), covered=997_000, complete=False, why="the RPC did not give more within 15 s"))
    assert "the chain was read from 12:56 UTC on: the RPC did not give more within 15 s" in found.notes
    assert "50 min, all that could be read" in next(row.earning.cause for row in found.rows if row.node == "m2")


def test_what_is_not_watched_is_said() -> None:
    places = ChainPlaces(addresses={"session_queue": QUEUE}, how={})
    damaged = make.started(999_000, 1, miner(1)) | {"data": "0x01"}
    found = page(replace(CHAIN, logs=(damaged,), places=places))
    assert "Cognitive (network tasks) is not watched: nobody names its address. Declare network.contracts" in found.notes
    assert "1 events have another shape than any public ABI and were not counted" in found.notes
    nowhere = page(replace(CHAIN, logs=None, places=ChainPlaces(addresses={}, how={})))
    assert "no contract address is known" in nowhere.network.text


def test_a_clock_that_is_wrong_is_said_and_times_are_the_chains() -> None:
    later = tuple(replace(look, head_at=look.head_at + 7200) for look in LOOKS)
    found = page(replace(CHAIN, logs=rounds(), looks=later, times=BlockTimes.of([(0, 7200.0), (1_000_000, NOW + 7200)])))
    assert found.at == NOW + 7200
    assert "this machine's clock is 7200 s behind the chain's; the times here are the chain's" in found.notes


def test_an_rpc_without_another_to_compare_with_is_said() -> None:
    facts = LogFacts(pack="", lines=3, unknown=3)
    logs = HostLogs(
        nodes={"m1": NodeLog(facts=facts, rpcs=("a",), rpc_hosts={"a": "https://rpc.example"})},
        probes={"a": RpcProbe(at=NOW, latency_s=0.1, error="", number=5, head_at=NOW, chain_id=7)},
    )
    found = page(replace(CHAIN, logs=rounds()), {"h1": HostSeen(logs=logs)})
    assert "the RPC of 1 nodes is compared with no other: declare network.references" in found.notes
    (one,) = [row for row in found.rows if row.node == "m1"]
    assert one.rpc == "https://rpc.example, compared with no other"
    assert one.observed["log:m1"].startswith("no known form, 3 lines, 3 unknown")


def test_programs_get_the_fixed_shape() -> None:
    (first, *_) = as_json(page(replace(CHAIN, logs=rounds())))
    fixed = [
        "node",
        "host",
        "state",
        "earning",
        "since",
        "selected",
        "precommits",
        "commits",
        "verdict",
        "cause",
        "gas_days",
        "binary",
        "evidence",
    ]
    assert list(first)[: len(fixed)] == fixed
    assert (first["node"], first["state"], first["since"], first["verdict"]) == ("m10", "down", 998_000.0, "me")
    assert "kEy" not in str(as_json(page(replace(CHAIN, logs=rounds()))))
