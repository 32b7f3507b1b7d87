"""Blocks and transactions by name, on a real chain; and that nobody's text is told."""

from __future__ import annotations

import asyncio

import pytest
from tests.contracts.network_rig import MINERS, ready, submission

from cortops.contracts import explore
from cortops.contracts.artifact import load
from cortops.contracts.network import Network
from cortops.testing.chain import bare_chain
from cortops.words.errors import UnknownName

QUEUE = "0x" + "0a" * 20
MODULES = {QUEUE: ("session-queue", load("session_queue"))}
STRANGE = "0x" + "0b" * 20


@pytest.mark.parametrize(
    ("to", "data", "expected"),
    [
        ("", "0x6080", "deploys a contract"),
        (QUEUE, "0x", "sends value"),
        (QUEUE, "0xfaa073f8" + "00" * 64, "session-queue.ack"),
        (QUEUE.upper().replace("X", "x"), "0xfaa073f8", "session-queue.ack"),
        (QUEUE, "0x12345678", "session-queue.0x12345678"),
        (STRANGE, "0x12345678" + "00" * 32, "0x12345678"),
    ],
)
def test_what_a_transaction_calls(to: str, data: str, expected: str) -> None:
    assert explore.call_name(to, data, MODULES) == expected


def test_a_log_that_nobody_knows_is_told_as_such() -> None:
    log = {
        "address": STRANGE,
        "topics": ["0x" + "11" * 32],
        "data": "0x",
        "blockNumber": "0x1",
        "transactionHash": "0x2",
        "logIndex": "0x0",
    }
    told = explore.said(log, MODULES)
    assert (told.module, told.name, told.address.lower()) == ("", "", STRANGE)
    damaged = log | {"address": QUEUE, "topics": [load("session_queue").topic("TaskAcked")]}
    assert (explore.said(damaged, MODULES).module, explore.said(damaged, MODULES).name) == ("session-queue", "")


def modules_of(network: Network) -> explore.Modules:
    return {address.lower(): (artifact.name, artifact) for address, artifact in network.contracts.items()}


@pytest.mark.real
def test_a_task_is_told_by_name_and_its_text_is_not() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            network = await ready(chain)
            modules = modules_of(network)
            receipt = await chain.do("router", submission(network, "a-secret-wish"))
            await chain.do("oracle", network.assign_task(1, 1, MINERS))
            one = await explore.transaction(chain.rpc, receipt.tx, modules)
            assert (one.call, one.ok, one.block) == ("session.submit", True, receipt.block)
            assert [event.name for event in one.events] == ["TaskQueued", "TaskSubmitted", "TaskParameters"]
            assert one.events[1].arguments | {"taskData": "", "clientReference": ""} == {
                "sessionId": "1",
                "taskId": "1",
                "taskData": "",
                "clientReference": "",
            }
            assert "secret" not in repr(one) and one.events[1].arguments["taskData"] == "21 bytes"
            blocks = await explore.newest(chain.rpc, 3)
            assert [block.number for block in blocks] == [receipt.block + 1, receipt.block, receipt.block - 1]
            assert await explore.newest(chain.rpc, 1, upto=receipt.block) == (blocks[1],)
            whole = await explore.block(chain.rpc, receipt.block + 1, modules)
            assert [(sent.call, sent.ok) for sent in whole.transactions] == [("session_queue.assignTask", True)]
            assigned = await explore.transaction(chain.rpc, whole.transactions[0].tx, modules)
            assert assigned.events[0].arguments["miners"] == ", ".join(MINERS)
            with pytest.raises(UnknownName):
                await explore.block(chain.rpc, 10_000, modules)
            with pytest.raises(UnknownName):
                await explore.transaction(chain.rpc, "0x" + "12" * 32, modules)

    asyncio.run(story())
