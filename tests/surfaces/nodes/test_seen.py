"""One node put together from what its host, its RPC and the chain said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cortops.environment.cortensord import CortensordNode
from cortops.surfaces.fleet.found.installed import Installed
from cortops.surfaces.nodes.blocks import BlockTimes, Look
from cortops.surfaces.nodes.log_facts import LogFacts
from cortops.surfaces.nodes.logs import HostLogs, NodeLog, RpcProbe, question_id
from cortops.surfaces.nodes.seen import NEWEST, Around, HostSeen, host_seen, seen_of
from cortops.surfaces.nodes.sight import Process, Seen
from cortops.testing.installed import installed
from cortops.words.question import Answer, NoAnswer, Silence

NODE = CortensordNode(
    program="cortensord",
    role="miner",
    runs="minerv4",
    host="h1",
    shape="ansible",
    unit="cortensor-1.service",
    env_file="/home/deploy/.env",
    log="/var/log/c.log",
    binary="/usr/local/bin/cortensord",
)
FOUND = installed(
    address="", env_file="/home/deploy/.env", log="/var/log/c.log", pid=8, started_at=500.0, binary_sha256="ab", running_sha256="ab"
)
PROBE = RpcProbe(at=100.0, latency_s=0.1, error="", number=1000, head_at=100.0, chain_id=7)
OTHER = Look(url="https://other.example", asked_at=100.0, number=1050, head_at=100.0)


@dataclass(frozen=True)
class Wallet:
    wei: dict[int, int]
    sent: dict[int, int]


def host(*probes: RpcProbe, **log: Any) -> HostSeen:
    shas = {f"sha-{number}": probe for number, probe in enumerate(probes)}
    facts = LogFacts(pack="one-line/3", lines=1, unknown=0, stale=("ephemeral",), stale_since=900.0)
    node = NodeLog(facts=facts, modified_at=950.0, rpcs=tuple(shas), rpc_hosts=dict.fromkeys(shas, "https://mine.example"), **log)
    return HostSeen(logs=HostLogs(nodes={"m1": node}, probes=shas, offset_s=-20.0))


def seen(
    there: HostSeen,
    found: Installed | None = FOUND,
    wallet: Wallet | None = None,
    *,
    error_s: float = 0.0,
    looks: tuple[Look, ...] = (OTHER,),
) -> Seen:
    times = BlockTimes.of([(0, 0.0), (1000, 1_000_000.0)])
    around = Around(chain_id=7, looks=looks, times=times, first=100, at_of=float, error_s=error_s)
    return seen_of("m1", NODE, there, found, None, "why", wallet, around)


def test_times_are_told_by_the_chains_clock() -> None:
    one = seen(host(PROBE), error_s=7200.0)
    assert one.process.started_at == 500 - 20 + 7200, "the host's clock, ours, the chain's"
    assert one.log is not None and one.log.facts is not None
    assert (one.log.modified_at, one.log.facts.stale_since) == (950 + 7200, 900 + 7200)


def test_a_process_that_is_not_found_is_not_a_process_that_is_down() -> None:
    assert seen(host(PROBE), None).process == Process(running=None, why="it is not found on h1")
    blind = replace(host(PROBE), found_why="no answer within 10 s")
    assert seen(blind, None).process.why == "no answer within 10 s"
    assert seen(host(PROBE), replace(FOUND, running=False, binary_kind="lfs-pointer")).process == Process(
        running=False, started_at=480.0, why="/usr/local/bin/cortensord is a Git LFS pointer, not a program"
    )


def test_the_best_of_several_rpcs_counts() -> None:
    refused = replace(PROBE, error="refused", number=None)
    assert seen(host(refused, PROBE, replace(PROBE, number=1049))).rpc.bad == ""
    assert seen(host(refused, PROBE)).rpc.bad == "my RPC is 50 blocks behind another"
    assert seen(host(refused)).rpc.bad == "my RPC (https://mine.example) gives no block: refused"
    assert seen(host(replace(PROBE, chain_id=9))).rpc.bad == "my RPC (https://mine.example) serves chain 9"
    alone = seen(host(PROBE), looks=())
    assert (alone.rpc.bad, alone.rpc.lag) == ("", None)


def test_an_rpc_that_could_not_be_asked_says_why() -> None:
    assert seen(host(rpc_why="there is no curl on its host to ask it")).rpc.why == "there is no curl on its host to ask it"
    assert seen(HostSeen(logs=None, why="connection refused")).rpc.why == "connection refused"


def test_gas_and_transactions_of_the_window() -> None:
    wallet = Wallet(wei={0: 90, 100: 80, NEWEST: 70}, sent={0: 1, 100: 5, NEWEST: 25})
    one = seen(host(PROBE), wallet=wallet)
    assert one.sent == 20
    assert one.gas is not None and (one.gas.wei, one.gas.over_s) == (70, 1_000_000.0)
    assert seen(host(PROBE), wallet=Wallet(wei={NEWEST: 70}, sent={NEWEST: 25})).sent is None, "nobody kept the past"


def test_a_silent_host_is_heard_as_silence() -> None:
    silent = NoAnswer(question="x", at=0, elapsed_s=0, silence=Silence.REFUSED, why="connection refused")
    answered = Answer(question=question_id("h1"), at=0, elapsed_s=0, status=0, body=b"node m1\nfile - - missing")
    assert host_seen(silent, silent) == HostSeen(logs=None, why="connection refused", found_why="connection refused")
    heard = host_seen(answered, silent)
    assert heard.logs is not None and heard.logs.nodes["m1"].why == "there is no log at the declared place" and heard.why == ""
