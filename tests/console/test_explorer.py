"""The explorer's pages: blocks, transactions, their events; and what they answer to nonsense and to a chain that is lost."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient
from tests.console.console_rig import EXAMPLES, ScriptedView, environment, example, picture

from cortops.console.app import console
from cortops.contracts.explore import Block, Said, Transaction
from cortops.testing.clock import START, VirtualClock
from cortops.words.errors import ChainUnreachable

TX, MINER = "0x" + "3c" * 32, "0x" + "aB" * 20
EVENT = Said(
    module="session-queue",
    address="0x" + "0a" * 20,
    name="TaskAcked",
    arguments={"sessionId": "1", "miner": MINER, "note": "<b>21 bytes</b>"},
)
STRANGE = Said(module="", address="0x" + "0c" * 20, name="", arguments={})
ONE = Transaction(
    tx=TX, sender=MINER, to="0x" + "0a" * 20, call="session-queue.ack", block=7, ok=True, gas_used=56_969, bytes=68, events=(EVENT, STRANGE)
)


def block(number: int) -> Block:
    sent = (ONE,) if number == 7 else ()
    return Block(
        number=number,
        hash=f"0x{number:064x}",
        parent="0x",
        at=int(START) - 60,
        count=len(sent),
        gas_used=56_969 * len(sent),
        transactions=sent,
    )


@pytest.fixture
def view() -> ScriptedView:
    env = example()
    shown = ScriptedView(env, picture(env))
    shown.names = {MINER.lower(): "miner-1"}
    shown.chain = {number: block(number) for number in range(9)}
    return shown


def ask(view: ScriptedView, path: str) -> tuple[int, str]:
    with TestClient(console(view, VirtualClock()), base_url="http://127.0.0.1:8500") as client:
        reply = client.get(path)
        return reply.status_code, reply.text


def test_the_newest_blocks_lead_to_each_one_and_to_older_ones(view: ScriptedView) -> None:
    status, page = ask(view, "/chain")
    assert status == 200 and "chain 31338" in page
    assert '<a href="/chain/blocks/8">8</a>' in page and page.index("/blocks/8") < page.index("/blocks/7")
    status, page = ask(view, "/chain?upto=3")
    assert "/chain/blocks/3" in page and "/chain/blocks/4" not in page


def test_a_block_shows_its_transactions_by_name(view: ScriptedView) -> None:
    status, page = ask(view, "/chain/blocks/7")
    assert status == 200 and "session-queue.ack" in page and "miner-1" in page and f"/chain/transactions/{TX}" in page


def test_a_transaction_shows_its_events_and_escapes_them(view: ScriptedView) -> None:
    status, page = ask(view, f"/chain/transactions/{TX}")
    assert status == 200 and "TaskAcked" in page and "miner-1" in page and "unknown" in page
    assert "<b>21 bytes" not in page and "&lt;b&gt;21 bytes" in page


@pytest.mark.parametrize(
    "path",
    [
        "/chain?upto=x",
        "/chain/blocks/-1",
        "/chain/blocks/99",
        "/chain/blocks/" + "9" * 40,
        "/chain/transactions/0x12",
        f"/chain/transactions/0x{'1f' * 32}",
    ],
)
def test_what_is_not_there_is_said(view: ScriptedView, path: str) -> None:
    status, page = ask(view, path)
    assert status == 404 and "Traceback" not in page


def test_a_lost_chain_is_said(view: ScriptedView) -> None:
    view.chain = ChainUnreachable("no answer from the chain")
    for path in ("/chain", "/chain/blocks/1", f"/chain/transactions/{TX}"):
        status, page = ask(view, path)
        assert status == 502 and "no answer from the chain" in page


def test_an_explorer_of_others_is_linked_where_one_is_declared(view: ScriptedView) -> None:
    assert "Elsewhere" not in ask(view, "/chain")[1]
    env = environment(
        (EXAMPLES / "local.yaml").read_text().replace("  rpc: chain-1\n", "  rpc: chain-1\n  explorer: https://explorer.example\n", 1)
    )
    other = ScriptedView(env, picture(env))
    other.chain = {7: block(7)}
    assert "https://explorer.example/block/7" in ask(other, "/chain/blocks/7")[1]
