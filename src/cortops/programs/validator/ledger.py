"""What the validator reads from the chain and writes to it."""

from __future__ import annotations

from typing import Protocol

from cortops.contracts.abi import word
from cortops.contracts.artifact import load
from cortops.contracts.path import find_events
from cortops.contracts.sender import Receipt
from cortops.programs.common.chain import Chain
from cortops.programs.common.progress import Key
from cortops.programs.validator.evidence import Judgement
from cortops.programs.validator.reading import RECORDED, Story, story_of, unjudged
from cortops.words.errors import CallReverted

LOOK_BACK_BLOCKS_MAX = 20_000  # how far a start looks for tasks that ended without us
LOOK_BACK_TASKS_MAX = 256  # the newest of them


class Ledger(Protocol):
    """The seam between the runner and the chain. All raise ChainError."""

    address: str

    async def validators(self, session: int) -> int:
        """How many validators the session asks for; 0 = its tasks are not judged."""

    async def story(self, key: Key) -> Story:
        """One task as far as it is to be judged."""

    async def unjudged(self, head: int) -> tuple[Key, ...]:
        """The tasks that ended with results up to `head` and have no record of ours, as far back as the limits go, oldest first."""

    async def record(self, key: Key, judgement: Judgement) -> Receipt:
        """The verdicts, in one transaction; returns when it is mined."""


class ChainLedger:
    """The Ledger of a real chain."""

    def __init__(self, chain: Chain) -> None:
        self.address = chain.address
        self._chain = chain

    async def validators(self, session: int) -> int:
        return (await self._chain.network.session(session)).validator_nodes

    async def story(self, key: Key) -> Story:
        try:
            await self._chain.network.task(*key)
        except CallReverted:  # "no such task": not any more, or not on this branch of the chain
            kept = False
        else:
            kept = True
        return story_of(await self._chain.events(key), self.address, kept=kept)

    async def unjudged(self, head: int) -> tuple[Key, ...]:
        network, first = self._chain.network, max(0, head - LOOK_BACK_BLOCKS_MAX)
        recorded_by_us = [load("session_queue_validation").topic(RECORDED), None, None, "0x" + word(self.address)]
        ended = await find_events(network, [load("session_queue").topic("TaskEnded")], until="", from_block=first)
        # Asked last: what was recorded between the two questions is then no task that waits.
        recorded = await find_events(network, recorded_by_us, until="", from_block=first)
        return unjudged(ended, recorded, LOOK_BACK_TASKS_MAX)

    async def record(self, key: Key, judgement: Judgement) -> Receipt:
        verdicts = judgement.verdicts
        call = self._chain.network.record_verdicts(
            *key,
            [one.miner for one in verdicts],
            [int(one.verdict) for one in verdicts],
            [one.score for one in verdicts],
            judgement.evidence_hash,
            judgement.note,
        )
        return await self._chain.write(call, session=key[0], task=key[1], step="verdicts")
