"""Two real chains: each fault and the check that turns red; what depends on a program and what does not; no kill loses a deposit.

`pytest -s` prints the table.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.e2e.l3_pair import CASES, L3, RealPair, answers, pair_file, until
from tests.surfaces.chain.conformance import run, table

from cortops.contracts import orbit
from cortops.contracts.abi import decode_log
from cortops.contracts.artifact import load
from cortops.contracts.keccak import checksummed
from cortops.testing.local import Place, bring_up, place
from cortops.testing.orbit.world import FAULTS

pytestmark = [pytest.mark.real, pytest.mark.proof]

SEED = 20261128
ROUNDS = 4
# A program that hangs turns red: itself, what it does, and no more than what waits for it.
ROWS_OF_A_PROGRAM: tuple[tuple[str, set[str], set[str]], ...] = (
    ("poster-silent", {"batch-poster/poster-1", "chain/batch-poster"}, {"chain/assertions"}),  # nothing new to assert
    ("assertions-stopped", {"staker/staker-1", "chain/assertions"}, set()),
    ("delayed-stuck", {"sequencer/sequencer-1", "chain/feed", "chain/delayed-inbox"}, {"chain/assertions"}),  # as above
)
VICTIMS = (("sequencer-1", False), ("chain-1", False), ("chain-1", True), ("parent-1", False), ("parent-1", True))


@pytest.fixture(scope="module")
def where() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="cortops-l3-") as folder, place(file=pair_file(Path(folder))) as made:
        done = made.run("apply")
        assert done.returncode == 0, done.stdout + done.stderr
        yield made


@pytest.fixture(scope="module")
def pair(where: Place) -> Iterator[tuple[asyncio.Runner, RealPair]]:
    with asyncio.Runner() as runner:
        opened = RealPair(where)
        yield runner, opened
        runner.run(opened.http.close())


def test_every_check_is_well_and_each_fault_turns_its_own_red(pair: tuple[asyncio.Runner, RealPair]) -> None:
    runner, real = pair
    rows = runner.run(run(real, CASES))
    print("\n" + table(rows, FAULTS))  # noqa: T201 — the table is what people want to see
    assert [f"{row.case.fault}: {row.case.entity} {row.case.check}: {row.outcome}, {row.text}" for row in rows if not row.held] == []
    assert {row.case.fault for row in rows} - {""} == set(real.faults)

    for fault, must, may in ROWS_OF_A_PROGRAM:
        assert must <= real.seen[fault] <= must | may, f"{fault}: {sorted(real.seen[fault])}"


def test_no_kill_loses_or_doubles_a_deposit(pair: tuple[asyncio.Runner, RealPair]) -> None:
    runner, real = pair
    chance = Random(SEED)

    async def deposits() -> None:
        for receiver in range(3):
            await real.owner_does("inbox", "depositERC20To", f"0x{0xD0000 + receiver:040x}", chance.randrange(1, 10**15))

    async def back() -> bool:
        return await answers(real.parent) and await answers(real.child)

    async def books() -> tuple[Any, ...]:
        """Messages on both sides; tokens that the bridge holds, less those that are on the child: nothing."""
        call = {"to": orbit.DEPOSITS, "data": load("orbit/deposits").method_ids["delivered()"]}
        delivered = int(await real.child.call("eth_call", call, "latest"), 16)
        there = orbit.RESERVE_WEI - int(await real.child.call("eth_getBalance", orbit.DEPOSITS, "latest"), 16)
        held = await real.read("gas-token", "balanceOf(address)", real.at["bridge"])
        return await real.read("bridge", "delayedMessageCount()") - delivered, held - there

    async def settled() -> bool:
        return await books() == (0, 0)

    async def story() -> None:
        for _ in range(ROUNDS):
            await deposits()
            service, child_only = chance.choice(VICTIMS)
            await asyncio.sleep(chance.random())
            real.kill(service, child_only=child_only)
            await asyncio.sleep(0.1)
            await until(back, "both chains answer again")
        await until(settled, "every deposit is credited")
        await every_receiver_has_what_was_deposited()

    async def every_receiver_has_what_was_deposited() -> None:
        inbox = load("orbit/inbox")
        query = {"address": real.at["inbox"], "fromBlock": "0x0", "toBlock": "latest", "topics": [inbox.topic("InboxMessageDelivered")]}
        told = [event for log in await real.parent.call("eth_getLogs", query) if (event := decode_log(inbox, log)) is not None]
        sums: dict[str, int] = {}
        for event in told:
            to, amount = checksummed(event.args["data"][:42]), int(event.args["data"][42:], 16)
            sums[to] = sums.get(to, 0) + amount
        assert [event.args["messageNum"] for event in told] == list(range(len(told)))
        found = {to: int(await real.child.call("eth_getBalance", to, "latest"), 16) for to in sums}
        assert found == sums

    runner.run(story())


def test_one_command_brings_both_chains_up_and_a_request_passes_through_the_child() -> None:
    with place(file=L3) as made:
        up = bring_up(made)
        assert up.task.startswith("1/")
        rows = {row["entity"]: row for row in made.until_well("--now")["entities"]}
        assert rows["chain/gas-token"]["reason"] == "COR: the bridge holds 400", "every wallet's gas came over the bridge"
        assert made.read("plan")["changes"] == []
