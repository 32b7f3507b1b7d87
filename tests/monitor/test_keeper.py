"""Rounds wait while the history cannot be written; the watch never does, and nothing grows without a limit."""

from __future__ import annotations

import asyncio

import pytest
from tests.monitor.stage import inline

from cortops.monitor import keeper as module
from cortops.monitor.keeper import Keeper
from cortops.monitor.record import Begun, RoundRecord
from cortops.testing.clock import VirtualClock
from cortops.words.entity import Entity
from cortops.words.errors import StoreUnavailable
from cortops.words.question import Answer
from cortops.words.state import State

REPLY = Answer(question="a", at=1.0, elapsed_s=0.1, status=200, body=b"x")


class Flaky:
    """A store that fails while `why` says so."""

    def __init__(self) -> None:
        self.why = ""
        self.written: list[RoundRecord] = []
        self.closed = False

    def write(self, record: RoundRecord) -> None:
        if self.why:
            raise StoreUnavailable(self.why)
        self.written.append(record)

    def close(self) -> None:
        self.closed = True


def record(at: float, since: float = 0.0) -> RoundRecord:
    state = Begun(entity=Entity("router", "r1"), state=State.OK, since=since, reason="well")
    return RoundRecord(at=at, replies={"a": REPLY}, states=(state,))


def kept(store: Flaky, clock: VirtualClock) -> Keeper:
    return Keeper(store, clock, inline)  # type: ignore[arg-type]


def test_rounds_are_written_in_order_and_again_after_a_failure() -> None:
    async def story() -> None:
        clock, store = VirtualClock(), Flaky()
        keeper = kept(store, clock)
        running = asyncio.ensure_future(keeper.run())
        for number in range(10):
            store.why = "disk full" if 3 <= number < 8 else ""
            keeper.put(record(number))
            await clock.advance(1)
            assert keeper.trouble == ("the history cannot be kept: disk full" if 3 <= number < 8 else keeper.trouble)
        await clock.advance(module.RETRY_MAX_S)
        assert [item.at for item in store.written] == [*range(10)] and keeper.trouble == "" and keeper.waiting == 0
        running.cancel()
        await asyncio.wait((running,))

    asyncio.run(story())


def test_a_long_failure_keeps_the_states_and_gives_up_answers() -> None:
    clock, store = VirtualClock(), Flaky()
    keeper = kept(store, clock)
    for number in range(5_000):
        keeper.put(record(number, since=number // 1000))
    assert keeper.waiting <= module.ANSWERS_WAITING_MAX + 5
    keeper.end()
    assert store.closed
    assert {item.states[0].since for item in store.written} == {0, 1, 2, 3, 4}
    assert sum(bool(item.replies) for item in store.written) == module.ANSWERS_WAITING_MAX
    assert [item.at for item in store.written] == sorted(item.at for item in store.written)


def test_even_states_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROUNDS_WAITING_MAX", 500)
    clock, store = VirtualClock(), Flaky()
    keeper = kept(store, clock)
    for number in range(module.ROUNDS_WAITING_MAX + 500):
        keeper.put(record(number, since=number))
    assert keeper.waiting == module.ROUNDS_WAITING_MAX


def test_the_end_does_not_wait_for_a_store_that_fails() -> None:
    clock, store = VirtualClock(), Flaky()
    store.why = "locked"
    keeper = kept(store, clock)
    keeper.put(record(1))
    keeper.end()
    assert store.closed and keeper.trouble == "the history cannot be kept: locked"
