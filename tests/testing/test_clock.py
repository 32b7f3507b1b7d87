"""VirtualClock: order, jumps, by hand."""

from __future__ import annotations

import asyncio

import pytest

from cortops.testing.clock import START, VirtualClock


def test_run_jumps_over_every_wait_in_order() -> None:
    clock = VirtualClock()
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float, times: int) -> None:
        for _ in range(times):
            await clock.sleep(seconds)
            seen.append((name, clock.monotonic()))

    async def main() -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(sleeper("a", 100, 3))
            group.create_task(sleeper("b", 150, 2))
        return "done"

    assert clock.run(main()) == "done"
    assert seen == [("a", 100), ("b", 150), ("a", 200), ("b", 300), ("a", 300)]
    assert clock.now() == START + 300


def test_advance_wakes_only_what_is_due_and_what_that_starts() -> None:
    clock = VirtualClock()

    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await clock.sleep(10)
                ticks += 1

        task = asyncio.ensure_future(tick())
        await clock.advance(35)
        assert (ticks, clock.monotonic()) == (3, 35)
        await clock.advance(5)
        assert ticks == 4
        task.cancel()

    asyncio.run(main())


def test_a_cancelled_sleeper_does_not_move_time() -> None:
    clock = VirtualClock()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await clock.sleep(1000)
        await clock.sleep(1)

    clock.run(main())
    assert clock.monotonic() == 1


def test_a_failure_in_main_is_raised() -> None:
    async def main() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        VirtualClock().run(main())
