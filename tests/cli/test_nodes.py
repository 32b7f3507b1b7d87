"""`cortops nodes` as people get it, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cortops.cli import main
from cortops.cli.nodes import as_text, seconds
from cortops.surfaces.nodes.earning import Earning
from cortops.surfaces.nodes.page import NodeRow, NodesPage, ordered
from cortops.surfaces.nodes.sight import NetworkSeen, Window
from cortops.words.errors import BadInput
from cortops.words.state import State

NOW = 1_800_000_000.0 + 21_731  # 14:02:11 UTC
EARNS = Earning(state=State.OK, earning=True, headline="yes", verdict="ok", cause="", evidence=("chain:m1",))
ROW = NodeRow(
    node="m1",
    host="h1",
    role="miner",
    earning=EARNS,
    selected=9,
    precommits=9,
    commits=9,
    gas_days=12.4,
    gas_why="",
    rpc="",
    binary="3f2a9c" + "0" * 58,
    binary_date="2026-04-22",
)
PINGS = replace(EARNS, state=State.DOWN, earning=False, headline="PING ONLY", verdict="rpc", since=NOW - 39_000)
PINGS = replace(PINGS, cause="my RPC is 41 blocks behind 2 others")
UNKNOWN = NetworkSeen(moving=None, text="not known")
PAGE = NodesPage(
    environment="lab",
    network=NetworkSeen(moving=True, text="moving (block 2 s ago, 38 rounds in the last hour)"),
    rows=ordered([ROW, replace(ROW, node="m7", host="h2", earning=PINGS, selected=4, precommits=0, commits=0, gas_days=9.0)]),
    hosts=2,
    window=Window(begins_at=NOW - 86_400, now=NOW, complete=True),
    at=NOW,
)


def test_a_line_a_node_the_worst_first_and_the_next_command() -> None:
    assert as_text(PAGE).splitlines() == [
        "2 nodes on 2 hosts · lab · last 24 h · asked 14:02:11 UTC (now)",
        "   NODE  HOST  EARNING                SELECTED  COMMITTED  GAS   BINARY               WHY",
        "■  m7    h2    PING ONLY since 03:12  4         0          9 d   3f2a9c (2026-04-22)  my RPC is 41 blocks behind 2 others",
        "   m1    h1    yes                    9         9          12 d  3f2a9c (2026-04-22)",
        "Network: moving (block 2 s ago, 38 rounds in the last hour). It is you, not the network.",
        "next: cortops doctor h2",
    ]


def test_all_earn() -> None:
    text = as_text(replace(PAGE, rows=(ROW,), hosts=1))
    assert text.splitlines()[0].startswith("1 node on 1 host · ")
    assert text.endswith("38 rounds in the last hour).") and "next" not in text


def test_a_network_that_stands_still_is_one_sentence_for_all() -> None:
    stands = replace(EARNS, state=State.DEGRADED, earning=None, headline="network", verdict="network", cause="nobody was selected")
    rows = tuple(replace(ROW, node=f"m{number}", earning=stands) for number in range(3))
    page = replace(PAGE, rows=rows, network=NetworkSeen(moving=False, text="nobody was selected"))
    text = as_text(page)
    assert text.count("nobody was selected") == 1
    assert text.splitlines()[-1] == "Network: nobody was selected. It is the network, not you."
    red = replace(PAGE.rows[0], earning=replace(PINGS, headline="DOWN", verdict="me"))
    text = as_text(replace(page, rows=(red, *rows)))
    assert "It is the network, not you: your red nodes aside." in text and text.endswith("next: cortops doctor h2")


def test_what_is_not_known_is_a_question_mark() -> None:
    blind = replace(EARNS, state=State.UNKNOWN, earning=None, headline="unknown", cause="connection refused")
    row = replace(ROW, earning=blind, selected=None, commits=None, gas_days=None, gas_why="no RPC keeps old balances")
    page = replace(
        PAGE, rows=(replace(row, binary="", binary_date=""),), network=NetworkSeen(moving=None, text="not known"), notes=("a note",)
    )
    assert as_text(page).splitlines()[2:] == [
        "◌  m1    h1    unknown  ?         ?          ?    ?       connection refused",
        "Network: not known.",
        "note: a note",
        "next: cortops doctor h1",
    ]


def test_gas_that_nobody_takes_is_no_question() -> None:
    row = replace(ROW, gas_days=None, gas_why="nothing was spent")
    assert "  -      3f2a9c" in as_text(replace(PAGE, rows=(row, replace(ROW, gas_days=1.5))))
    assert "1.5 d" in as_text(replace(PAGE, rows=(replace(ROW, gas_days=1.5),)))


def test_many_that_are_well_take_one_line() -> None:
    idle = replace(EARNS, earning=None, headline="not selected", cause="not selected in the last 24 h")
    rows = [PAGE.rows[0], *(replace(ROW, node=f"n{number}") for number in range(11)), replace(ROW, node="z", earning=idle)]
    page = replace(PAGE, rows=ordered(rows))
    lines = as_text(page).splitlines()
    assert [line[3:6].strip() for line in lines[2:6]] == ["m7", "n0", "n1", "n2"]
    assert lines[6:8] == ["   … 8 more earn", "   … 1 more are well, and had no work"]
    assert len(as_text(page, every=True).splitlines()) == 13 + 4


@pytest.mark.parametrize(("text", "expected"), [("10m", 600), ("90min", 5400), ("24h", 86_400), ("7d", 604_800), (" 2h ", 7200)])
def test_a_span_is_written_like_this(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "24", "9m", "8d", "-1h", "1w", "24 h", "0.5h", "١٠h"])
def test_any_other_span_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadInput, match="is not a time from 10m to 7d"):
        seconds(text)


def test_a_file_without_installed_nodes_is_told_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CORTOPS_DATA", str(tmp_path))
    example = Path(__file__).resolve().parents[2] / "examples" / "local.yaml"
    with pytest.raises(SystemExit) as ended:
        main(("nodes", str(example)))
    said = capsys.readouterr()
    assert ended.value.code == 2 and said.out == ""
    assert "declares no node that runs cortensord" in said.err and "next:  Write a file from your hosts: cortops discover" in said.err
