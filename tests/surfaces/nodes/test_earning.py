"""Verdicts: what was seen of one node, and what is said of it; and what must hold whatever was seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cortops.surfaces.nodes.blocks import Lag
from cortops.surfaces.nodes.chain_facts import NodeChain
from cortops.surfaces.nodes.earning import Earning, judge
from cortops.surfaces.nodes.gas import Gas
from cortops.surfaces.nodes.log_facts import facts_of
from cortops.surfaces.nodes.logs import NodeLog
from cortops.surfaces.nodes.patterns import LogLine, understand
from cortops.surfaces.nodes.sight import NetworkSeen, Process, RpcSeen, Seen, Window, clock_text, span
from cortops.words.state import State

CASES = sorted((Path(__file__).parent / "verdicts").glob("*.case"))
MARK = "----\n"
NOW = 10_000.0  # block n is at 10 n seconds
MOVING = NetworkSeen(moving=True, text="moving")


def seen(case: dict[str, Any]) -> tuple[Seen, Window, NetworkSeen]:
    """A case's words -> what was seen; what it does not say is well."""
    chain = case.get("chain", {})
    if chain is not None:
        rounds = {
            name: tuple(map(tuple, value)) if name == "open" else tuple(value) for name, value in chain.items() if isinstance(value, list)
        }
        chain = NodeChain(**{**chain, **rounds})
    rpc = case.get("rpc", {})
    behind = rpc.pop("behind", None)
    gas = case.get("gas")
    one = Seen(
        node="m07",
        host="h2",
        role=case.get("role", "miner"),
        process=Process(running=case.get("running", True), started_at=case.get("started"), why=case.get("process_why", "")),
        log=_log(case),
        rpc=RpcSeen(
            host="https://rpc.example", lag=None if behind is None else Lag(blocks=behind, references=2, is_behind=behind > 6), **rpc
        ),
        chain=chain,
        gas=None if gas is None else Gas(wei=int(gas), days=gas),
        at_of=lambda block: block * 10.0,
        sent=case.get("sent"),
        host_why=case.get("host_why", ""),
        chain_why=case.get("chain_why", ""),
        latest_session=case.get("latest_session"),
    )
    window = Window(begins_at=case.get("begins", NOW - 86_400), now=NOW, complete=case.get("complete", True))
    return one, window, NetworkSeen(moving=False, text=case["network"], since=7000.0) if "network" in case else MOVING


def _log(case: dict[str, Any]) -> NodeLog | None:
    lines = case.get("log", [])
    if lines is None:
        return None
    found = understand([LogLine(number, line) for number, line in enumerate(lines, 1)])
    return NodeLog(facts=facts_of(found, len(lines) + case.get("more_lines", 0)), modified_at=case.get("modified", NOW - 5))


def told(found: Earning) -> str:
    since = "" if found.since is None else f" since {found.since:.0f}"
    first = f"{found.state} · earning {found.earning} · {found.verdict} · {found.headline}{since}"
    return "\n".join([first, found.cause or "(no cause)", "evidence " + " ".join(found.evidence)]) + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_node_seen_like_this_is_judged_like_this(case: Path) -> None:
    text, _, expected = case.read_text().rpartition(MARK)
    assert told(judge(*seen(yaml.safe_load(text)))) == expected


def test_there_are_cases() -> None:
    assert len(CASES) >= 40


def test_spans_and_times_in_words() -> None:
    assert [span(seconds) for seconds in (5, 2400, 3600, 86_400, 7 * 86_400)] == ["5 s", "40 min", "60 min", "24 h", "7 d"]
    assert clock_text(3600.0, NOW) == "01:00"
    assert clock_text(0.0, 90_000.0) == "1 Jan 00:00"


CHAINS = st.none() | st.builds(
    lambda settled, commits, row, open_: NodeChain(
        selected=settled + open_,
        settled=settled,
        commits=commits,
        missed=min(settled, row),
        missed_row=tuple(range(10, 10 + min(settled, row))),
        last_commit_block=5 if commits else 0,
        open=tuple(("user", 1, tid) for tid in range(open_)),
    ),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 2),
)
LINES = st.lists(
    st.sampled_from(
        [
            "Pinging network...",
            "* Task Mode: USER",
            "* Node Pool Ephemeral Node Stale: True",
            "Traceback (most recent call last):",
            "ipfs repo.lock",
            "version mismatch",
            "* Event: Commit",
        ]
    )
)
RPCS = st.sampled_from([RpcSeen(why="no curl"), RpcSeen(host="https://x", error="refused"), RpcSeen(host="https://x")])
NETWORKS = st.sampled_from([MOVING, NetworkSeen(moving=None, text="unknown"), NetworkSeen(moving=False, text="stands")])


@st.composite
def nodes(draw: st.DrawFn) -> tuple[Seen, Window, NetworkSeen]:
    lines, chain = draw(LINES), draw(CHAINS)
    blind = draw(st.booleans())
    one = Seen(
        node="m1",
        host="h1",
        role=draw(st.sampled_from(["miner", "miner", "router", "oracle"])),
        process=Process(running=None if blind else draw(st.sampled_from([True, False])), started_at=draw(st.none() | st.floats(0, NOW))),
        log=None if blind else _log({"log": lines, "more_lines": draw(st.integers(0, 400)), "modified": draw(st.floats(0, NOW))}),
        rpc=RpcSeen(why="its host was not heard") if blind else draw(RPCS),
        chain=chain,
        gas=draw(st.none() | st.builds(lambda days: Gas(wei=1, days=days), st.none() | st.floats(0, 30))),
        at_of=lambda block: block * 10.0,
        sent=draw(st.none() | st.integers(0, 9)),
        host_why="no answer" if blind else "",
        chain_why="no RPC" if chain is None else "",
    )
    return one, Window(begins_at=0.0, now=NOW, complete=draw(st.booleans())), draw(NETWORKS)


@given(nodes())
def test_what_always_holds(case: tuple[Seen, Window, NetworkSeen]) -> None:
    one, _, network = case
    found = judge(*case)
    assert found.evidence, "every verdict names what it rests on"
    assert found.cause or found.earning, "who does not earn is told why"
    assert found.state is not State.OK or found.verdict == "ok", "who is accused wants attention"
    if one.host_why and one.chain is None:
        assert (found.earning, found.verdict in ("ok", "network", "me")) == (None, True)
        assert found.verdict != "me" or (one.gas is not None and one.gas.days is not None), "blind eyes accuse nobody"
    if one.chain is not None and not one.chain.selected and one.log is None:
        assert found.earning is not False or one.process.running is False, "who was not selected is never red for that"
    if network.moving is False and one.role == "miner" and one.process.running is not False:
        assert found.verdict == "network" and found.earning is None
    if found.earning:
        assert one.chain is not None and one.chain.commits and len(one.chain.missed_row) < 2


@given(nodes(), st.integers(2, 9))
def test_two_missed_selections_of_a_moving_network_are_red_unless_said_otherwise(
    case: tuple[Seen, Window, NetworkSeen], missed: int
) -> None:

    one, window, _ = case
    row = NodeChain(selected=missed, settled=missed, missed=missed, missed_row=tuple(range(10, 10 + missed)))
    started_before = replace(one, role="miner", chain=row, process=replace(one.process, started_at=None))
    found = judge(started_before, window, MOVING)
    assert (found.state, found.earning, found.verdict in ("me", "rpc")) == (State.DOWN, False, True)
    assert (found.verdict == "rpc") == (bool(one.rpc.bad) and one.process.running is not False)
