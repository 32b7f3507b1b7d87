"""What pages and streams share."""

from __future__ import annotations

import asyncio

import pytest
from tests.console.console_rig import ScriptedView, example, picture

from cortops.console import board as module
from cortops.console.board import MOMENTS_MAX, Board
from cortops.console.view import TaskLine
from cortops.testing.clock import START, VirtualClock
from cortops.words.errors import ChainUnreachable

ENV = example()


def test_a_picture_is_read_once() -> None:
    board = Board(ScriptedView(ENV, picture(ENV)), VirtualClock())
    assert board.now() is board.now()


def test_it_remembers_so_many_moments() -> None:
    board = Board(ScriptedView(ENV), VirtualClock())
    ids = [board.moment(picture(ENV, at=START + number)).live.id for number in range(MOMENTS_MAX + 1)]
    assert board.remembered(ids[0]) is None
    assert all(board.remembered(moment_id) is not None for moment_id in ids[1:])


def test_a_slow_chain_does_not_hold_up_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TASKS_WAIT_S", 0.01)
    view = ScriptedView(ENV, picture(ENV))

    async def tasks(limit: int) -> tuple[TaskLine, ...]:
        await asyncio.Event().wait()
        raise AssertionError

    view.tasks = tasks  # type: ignore[method-assign]
    found = asyncio.run(Board(view, VirtualClock()).tasks())
    assert isinstance(found, ChainUnreachable) and "did not come within" in found.what
