from __future__ import annotations

from cortops.programs.miner.buffers import EARLY_WATCHES_MAX, FRAMES_MAX, Buffers, Frame
from cortops.protocol.chat import EngineChunk
from cortops.protocol.link import Chunk, Result

KEY = (1, 2)


def chunk(index: int) -> Chunk:
    return Chunk(session=1, task=2, index=index, data=EngineChunk())


RESULT = Result(session=1, task=2, text="t", finish_reason="stop")


def test_a_watcher_gets_all_from_the_start_whenever_it_comes() -> None:
    buffers, early, late = Buffers(), list[Frame](), list[Frame]()
    buffers.watch(KEY, early.append)
    buffers.open(KEY)
    buffers.put(KEY, chunk(0))
    buffers.watch(KEY, late.append)
    buffers.put(KEY, chunk(1))
    buffers.put(KEY, RESULT)
    assert early == late == [chunk(0), chunk(1), RESULT]


def test_a_watcher_that_asks_again_gets_all_again_but_is_one_watcher() -> None:
    buffers, got = Buffers(), list[Frame]()
    send = got.append
    buffers.open(KEY)
    buffers.put(KEY, chunk(0))
    buffers.watch(KEY, send)
    buffers.watch(KEY, send)
    buffers.put(KEY, chunk(1))
    assert got == [chunk(0), chunk(0), chunk(1)]


def test_what_is_dropped_or_closed_is_not_sent() -> None:
    buffers, got = Buffers(), list[Frame]()
    send = got.append
    buffers.open(KEY)
    buffers.watch(KEY, send)
    buffers.watch((9, 9), send)
    buffers.drop(send)
    buffers.put(KEY, chunk(0))
    buffers.close(KEY)
    buffers.put(KEY, chunk(1))
    buffers.open((9, 9))
    buffers.put((9, 9), chunk(0))
    assert got == []


def test_the_buffer_is_bounded_and_still_holds_the_result() -> None:
    buffers, got = Buffers(), list[Frame]()
    buffers.open(KEY)
    for index in range(FRAMES_MAX + 5):
        buffers.put(KEY, chunk(index))
    buffers.put(KEY, RESULT)
    buffers.watch(KEY, got.append)
    assert len(got) == FRAMES_MAX + 1 and got[-1] == RESULT


def test_early_watches_are_bounded() -> None:
    buffers, got = Buffers(), list[Frame]()
    for task in range(EARLY_WATCHES_MAX + 1):
        buffers.watch((1, task), got.append)
    buffers.open((1, 0))
    buffers.put((1, 0), chunk(0))
    assert got == []  # the oldest gave way
