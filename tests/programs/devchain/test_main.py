"""The program around the chain: what it learned at its start is not forgotten when anvil is renewed."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cortops.programs.common.logs import make_log
from cortops.programs.devchain import __main__ as program
from cortops.programs.devchain.sequencer import Sequencer
from cortops.protocol.settings import DevchainSettings
from cortops.testing.clock import VirtualClock


def test_a_note_stays_until_the_process_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = iter(["started from the snapshot before", ""])
    seen: list[tuple[str, ...]] = []

    @asynccontextmanager
    async def restored(*_given: Any) -> AsyncIterator[Any]:
        yield program.Restored(process=None, generation=1, words="", note=next(notes))  # type: ignore[arg-type]

    async def live(_process: object, sequencer: Sequencer, _log: object) -> None:
        seen.append(sequencer.health().notes)
        if len(seen) == 2:
            raise asyncio.CancelledError

    monkeypatch.setattr(program, "restored", restored)
    monkeypatch.setattr(program, "_live", live)
    settings = DevchainSettings(anvil_path="", data_path=str(tmp_path), chain_id=31_338, port=1, health_port=0)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(program.serve(settings, make_log("chain", io.BytesIO(), VirtualClock())))
    assert seen == [("started from the snapshot before",)] * 2
