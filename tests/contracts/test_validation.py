"""Verdicts on chain, and the counters of each node."""

from __future__ import annotations

import asyncio

import pytest
from tests.contracts.network_rig import MINERS, Refuses, encode, ready, refusing, submission

from cortops.contracts.keccak import keccak_hex
from cortops.contracts.network import (
    INVALID,
    MINERS_MAX,
    NEEDS_SPEC,
    RETRY,
    TASKS_KEPT,
    VALID,
    VALIDATOR_ROLE,
    Call,
    Network,
    NodeStats,
    VerdictOnChain,
    result_hash,
)
from cortops.contracts.path import read_path
from cortops.testing.chain import Chain, bare_chain, wallet_of
from cortops.words.errors import BadInput

pytestmark = pytest.mark.real

EVIDENCE = keccak_hex(b"what was compared")
VALIDATOR, SECOND = (wallet_of(label).address for label in ("validator", "second"))


async def ended(chain: Chain, network: Network, tid: int = 1) -> None:
    """A task that two miners answered, and to which the third one was not assigned."""
    await chain.do("router", submission(network, f"req-{tid}"))
    await chain.do("oracle", network.assign_task(1, tid, MINERS[:2]))
    for label in ("m1", "m2"):
        await chain.do(label, network.ack(1, tid))
    for label in ("m1", "m2"):
        await chain.do(label, network.precommit(1, tid, result_hash(label)))
    await chain.do("m1", network.commit(1, tid, "m1"))
    await chain.do("oracle", network.end_commit(1, tid))
    await chain.do("oracle", network.end(1, tid))


def record(network: Network, *verdicts: tuple[str, int, int], tid: int = 1, note: str = "") -> Call:
    miners, kinds, scores = zip(*verdicts, strict=True)
    return network.record_verdicts(1, tid, miners, kinds, scores, EVIDENCE, note)


def test_verdicts_are_kept_told_and_counted() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            network = await ready(chain)
            await ended(chain, network)
            assert await network.verdicts(1, 1) == ()
            assert not await network.has_recorded(1, 1, VALIDATOR)
            await chain.do("validator", record(network, (MINERS[1], INVALID, 120), (MINERS[0], VALID, 970), note="one lies"))
            both = (VerdictOnChain(miner=MINERS[0], verdict=VALID, score=970), VerdictOnChain(miner=MINERS[1], verdict=INVALID, score=120))
            assert await network.verdicts(1, 1) == both
            assert await network.has_recorded(1, 1, VALIDATOR) and not await network.has_recorded(1, 1, SECOND)
            assert not await network.has_recorded(1, 1 + TASKS_KEPT, VALIDATOR)
            path = await read_path(network, 1, 1)
            assert path.state == "ended"
            assert [(step.by, step.note, step.hash) for step in path.steps if step.step == "validated"] == [
                (MINERS[1], f"INVALID .12 by {VALIDATOR}", EVIDENCE),
                (MINERS[0], f"VALID .97 by {VALIDATOR}", EVIDENCE),
            ]
            # Another validator may say something else: the last word stands, and all words are told.
            await chain.do("admin", network.grant_role(network.addresses.session_queue_validation, VALIDATOR_ROLE, SECOND))
            await chain.do("second", record(network, (MINERS[1], VALID, 1000)))
            assert await network.verdicts(1, 1) == (both[0], VerdictOnChain(miner=MINERS[1], verdict=VALID, score=1000))
            notes = [step.note.partition(" by")[0] for step in (await read_path(network, 1, 1)).steps if step.step == "validated"]
            assert notes == ["INVALID .12", "VALID .97", "VALID 1.00"]
            assert await network.has_recorded(1, 1, VALIDATOR) and await network.has_recorded(1, 1, SECOND)
            first = NodeStats(address=MINERS[0], assigned=1, acked=1, precommitted=1, committed=1, ended=1, valid=1, invalid=0)
            second = NodeStats(address=MINERS[1], assigned=1, acked=1, precommitted=1, committed=0, ended=1, valid=1, invalid=1)
            third = NodeStats(address=MINERS[2], assigned=0, acked=0, precommitted=0, committed=0, ended=0, valid=0, invalid=0)
            assert await network.all_node_stats() == (first, second, third)
            assert await network.node_stats(MINERS[1]) == second
            await ended(chain, network, 2)
            await chain.do("validator", record(network, (MINERS[0], RETRY, 0), (MINERS[1], NEEDS_SPEC, 1), tid=2))
            assert [(one.verdict, one.score) for one in await network.verdicts(1, 2)] == [(RETRY, 0), (NEEDS_SPEC, 1)]
            counted = await network.node_stats(MINERS[0])
            assert (counted.ended, counted.valid, counted.invalid) == (2, 1, 0)

    asyncio.run(story())


def test_as_many_miners_as_a_task_can_have_are_judged_each_by_its_own_word() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            network = await ready(chain)
            labels = [f"m{at}" for at in range(1, MINERS_MAX + 1)]
            for label in labels[len(MINERS) :]:
                await chain.do(label, network.register(label))
            miners = [wallet_of(label).address for label in labels]
            await chain.do("router", submission(network))
            await chain.do("oracle", network.assign_task(1, 1, miners))
            await chain.do("oracle", network.end_forced(1, 1))
            said = [(miner, at % 4 + 1, 1000 - at) for at, miner in enumerate(miners)]
            await chain.do("validator", record(network, *reversed(said)))
            assert [(one.miner, one.verdict, one.score) for one in await network.verdicts(1, 1)] == said

    asyncio.run(story())


def test_a_new_task_in_the_same_place_of_the_ring_begins_without_verdicts() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            network = await ready(chain)
            await ended(chain, network)
            await chain.do("validator", record(network, (MINERS[0], VALID, 1), (MINERS[1], VALID, 2)))
            for tid in range(2, TASKS_KEPT + 1):
                await chain.do("router", submission(network, f"req-{tid}"))
            await ended(chain, network, TASKS_KEPT + 1)
            assert await network.verdicts(1, TASKS_KEPT + 1) == ()
            await chain.do("validator", record(network, (MINERS[1], VALID, 3), tid=TASKS_KEPT + 1))
            assert await network.verdicts(1, TASKS_KEPT + 1) == (VerdictOnChain(miner=MINERS[1], verdict=VALID, score=3),)
            assert not await network.has_recorded(1, 1, VALIDATOR)

    asyncio.run(story())


def test_refusals_of_verdicts() -> None:
    async def story(chain: Chain, network: Network, no: Refuses) -> None:
        where = network.addresses
        fair = (MINERS[0], VALID, 970)
        await chain.do("router", submission(network))
        await no("validator", record(network, fair), "task not ended")
        await no("validator", record(network, fair, tid=9), "no such task")
        await chain.do("oracle", network.end_forced(1, 1))
        await no("validator", record(network, fair), "not assigned")
        await ended(chain, network, 2)
        await no("oracle", record(network, fair, tid=2), "missing role")
        await no("validator", record(network, (MINERS[2], VALID, 1), tid=2), "not assigned")
        await no("validator", record(network, fair, fair, tid=2), "miner named twice")
        await no("validator", record(network, (MINERS[0], 0, 1), tid=2), "no such verdict")
        await no("validator", record(network, (MINERS[0], 5, 1), tid=2), "no such verdict")
        await no("validator", record(network, (MINERS[0], VALID, 1001), tid=2), "score too high")
        await no("validator", network.record_verdicts(1, 2, [], [], []), "no miners")
        uneven = encode("session_queue_validation", "recordVerdicts", 1, 2, MINERS[:1], [1], [], EVIDENCE, "")
        await no("validator", Call(where.session_queue_validation, uneven), "lists differ in length")
        await chain.do("validator", record(network, fair, tid=2))
        await no("validator", record(network, fair, tid=2), "already recorded")
        with pytest.raises(BadInput, match="2 miners, 1 verdicts and 2 scores"):
            network.record_verdicts(1, 2, MINERS[:2], [VALID], [1, 2])
        with pytest.raises(BadInput, match="note has 1025 bytes"):
            record(network, fair, note="x" * 1025)

    refusing(story)


def test_only_the_queue_and_the_validation_count_and_without_a_link_nothing_is_counted() -> None:
    async def story(chain: Chain, network: Network, no: Refuses) -> None:
        where = network.addresses
        for counter in range(7):
            count = Call(where.node_stats, encode("node_stats", "count", MINERS[:1], counter))
            await no("admin", count, "not the writer of this counter")
        await no("admin", Call(where.node_stats, encode("node_stats", "count", [], 7)), "no such counter")
        for name in ("session_queue", "session_queue_validation"):
            unlink = encode(name, "setNodeStatsAddress", "0x" + "00" * 20)
            await no("stranger", Call(getattr(where, name), unlink), "missing role")
            await chain.do("admin", Call(getattr(where, name), unlink))
        await ended(chain, network)
        await chain.do("validator", record(network, (MINERS[0], VALID, 1), (MINERS[1], INVALID, 1)))
        assert len(await network.verdicts(1, 1)) == 2
        assert {(one.assigned, one.ended, one.valid, one.invalid) for one in await network.all_node_stats()} == {(0, 0, 0, 0)}

    refusing(story)
