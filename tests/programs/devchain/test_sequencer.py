"""The loop against a scripted anvil, on a clock of its own."""

from __future__ import annotations

import asyncio
import gzip
import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cortops.programs.common.logs import make_log
from cortops.programs.devchain import pace, store
from cortops.programs.devchain.pace import Pace
from cortops.programs.devchain.sequencer import Sequencer
from cortops.testing.clock import VirtualClock
from cortops.words.errors import ChainUnreachable

PACE = Pace(block_every_s=0.05, heartbeat_every_s=10, snapshot_every_s=5)


class ScriptedAnvil:
    """Answers what the sequencer asks; `mined` holds (time, transactions) of each block."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.pool = 0
        self.per_block = 100
        self.mined: list[tuple[float, int]] = []
        self.gone = False

    async def call(self, method: str, *_params: object) -> Any:
        if self.gone:
            raise ChainUnreachable("no answer")
        if method == "txpool_status":
            return {"pending": hex(self.pool), "queued": "0x0"}
        if method == "evm_mine":
            taken = min(self.pool, self.per_block)
            self.pool -= taken
            self.mined.append((round(self.clock.monotonic(), 3), taken))
            return "0x0"
        if method == "eth_getBlockByNumber":
            return {"number": hex(len(self.mined)), "transactions": ["0x"] * self.mined[-1][1]}
        if method == "eth_blockNumber":
            return hex(len(self.mined))
        assert method == "anvil_dumpState"
        return "0x" + gzip.compress(b"{}").hex()


def played(folder: Path, script: Callable[[ScriptedAnvil, Sequencer, VirtualClock], Any], *, saved: bool = True) -> ScriptedAnvil:
    clock = VirtualClock()
    anvil = ScriptedAnvil(clock)
    log = make_log("chain", io.BytesIO(), clock)
    words = "newest generation, block 0"
    sequencer = Sequencer(anvil, anvil, PACE, folder, clock, log, restored_from=words, good=None, saved=saved)  # type: ignore[arg-type]

    async def main() -> None:
        running = asyncio.create_task(sequencer.run())
        await script(anvil, sequencer, clock)
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(main())
    return anvil


def test_an_idle_chain_beats(tmp_path: Path) -> None:
    async def script(_anvil: ScriptedAnvil, _sequencer: Sequencer, clock: VirtualClock) -> None:
        await clock.advance(35)

    mined = played(tmp_path, script).mined
    assert [taken for _, taken in mined] == [0, 0, 0, 0]
    assert all(10 <= later - earlier <= 10.1 for (earlier, _), (later, _) in itertools.pairwise(mined))
    assert store.generations(tmp_path) == []  # empty blocks alone are not worth a snapshot yet


def test_transactions_are_mined_at_once_then_at_the_pace(tmp_path: Path) -> None:
    async def script(anvil: ScriptedAnvil, _sequencer: Sequencer, clock: VirtualClock) -> None:
        await clock.advance(1)
        anvil.pool, anvil.per_block = 3, 1
        await clock.advance(1)

    mined = [(at, taken) for at, taken in played(tmp_path, script).mined if taken]
    assert [taken for _, taken in mined] == [1, 1, 1]
    assert mined[0][0] <= 1.1
    assert all(0.05 <= later - earlier <= 0.07 for (earlier, _), (later, _) in itertools.pairwise(mined))


def test_a_pool_that_no_block_empties_is_not_hammered_and_is_said(tmp_path: Path) -> None:
    told = []

    async def script(anvil: ScriptedAnvil, sequencer: Sequencer, clock: VirtualClock) -> None:
        anvil.pool, anvil.per_block = 2, 0
        await clock.advance(60)
        told.append(sequencer.health())

    assert len(played(tmp_path, script).mined) < 16
    assert told[0].why == ("2 transactions wait and no block takes them",)


def test_work_is_saved_and_a_new_chain_at_once(tmp_path: Path) -> None:
    async def script(anvil: ScriptedAnvil, _sequencer: Sequencer, clock: VirtualClock) -> None:
        await clock.advance(0.2)
        assert store.generations(tmp_path) == [1]
        anvil.pool = 1
        await clock.advance(4)
        assert store.generations(tmp_path) == [1]
        await clock.advance(2)
        assert store.generations(tmp_path) == [2, 1]
        await clock.advance(20)
        assert store.generations(tmp_path) == [2, 1]

    played(tmp_path, script, saved=False)


def test_a_snapshot_that_fails_is_said_and_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "data"

    async def script(anvil: ScriptedAnvil, sequencer: Sequencer, clock: VirtualClock) -> None:
        anvil.pool = 1
        await clock.advance(6)
        assert sequencer.health().status == "degraded"
        assert "snapshot failed" in sequencer.health().why[0]
        folder.mkdir()
        await clock.advance(6)
        assert sequencer.health().status == "ok"
        assert store.generations(folder) == [1]

    played(folder, script)


def test_health_has_the_facts(tmp_path: Path) -> None:
    async def script(_anvil: ScriptedAnvil, sequencer: Sequencer, clock: VirtualClock) -> None:
        await clock.advance(13)
        health = sequencer.health()
        assert (health.status, health.facts["head"], health.facts["pending"]) == ("ok", 2, 0)
        assert health.facts["restored_from"] == "newest generation, block 0"
        assert health.facts["snapshot_age_s"] == 13.0
        assert 2.5 < float(str(health.facts["head_age_s"])) <= 3

    played(tmp_path, script)


def test_an_anvil_that_does_not_answer_ends_the_loop(tmp_path: Path) -> None:
    caught = []

    async def script(anvil: ScriptedAnvil, sequencer: Sequencer, clock: VirtualClock) -> None:
        anvil.gone = True
        try:
            await sequencer.run()
        except ChainUnreachable as error:
            caught.append(error)
        await sequencer.save()
        assert sequencer.health().why[-1].startswith("the last snapshot failed")

    played(tmp_path, script)
    assert len(caught) == 1


def test_no_fresh_start_without_a_fresh_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "BLOCKS_PER_LIFE_MAX", 2)
    folder = tmp_path / "data"

    async def script(_anvil: ScriptedAnvil, sequencer: Sequencer, clock: VirtualClock) -> None:
        again = asyncio.create_task(sequencer.run())
        await clock.advance(45)
        assert not again.done() and "snapshot failed" in sequencer.health().why[0]
        folder.mkdir()
        await clock.advance(45)
        assert again.done() and store.generations(folder)

    played(folder, script)
