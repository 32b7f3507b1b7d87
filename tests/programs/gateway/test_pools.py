"""Waiting for slots that two processes share: nobody starves, nobody polls without need, nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest
from shared_rights import Own, Shared

from cortops.programs.gateway.events import Granted, NotGranted
from cortops.programs.gateway.pools import LET_OTHERS_S, POLL_EVERY_S, Pools
from cortops.programs.gateway.select import Alone, Rights, Slot
from cortops.protocol.deadlines import Deadlines
from cortops.protocol.gateway import GatewayConfig, Listen, Member, Pool, Store
from cortops.testing.clock import VirtualClock

NOBODY: frozenset[str] = frozenset()


def config(sessions: tuple[int, ...] = (1,), *, queue_wait_s: float = 20.0) -> GatewayConfig:
    members = tuple(Member(name=f"r{session}", url="http://h", sessions=(session,), api_key="k") for session in sessions)
    return GatewayConfig(
        listen=Listen(port=0),
        models={"m": "p"},
        pools={"p": Pool(members=members, queue_wait_s=queue_wait_s)},
        store=Store(keys_db="k", usage_db="u", spool_folder="s"),
    )


class Stage:
    """Two processes in one loop, on one clock."""

    def __init__(self, clock: VirtualClock, shared: Shared) -> None:
        self.clock = clock
        self.shared = shared
        self.deadlines = Deadlines(clock)
        self.tasks: list[asyncio.Task[None]] = []

    def process(self, name: str, of: GatewayConfig, rights: Rights | None = None) -> Pools:
        pools = Pools(of, self.clock, self.deadlines, rights or self.shared.of(name))
        self.tasks.append(asyncio.ensure_future(pools.run()))
        return pools


@asynccontextmanager
async def stage(clock: VirtualClock) -> AsyncIterator[Stage]:
    made = Stage(clock, Shared())
    try:
        yield made
    finally:
        for task in made.tasks:
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)
        made.deadlines.close()


def play(test: Callable[[Stage], Awaitable[None]]) -> None:
    clock = VirtualClock()

    async def main() -> None:
        async with stage(clock) as made:
            await test(made)

    clock.run(main())


async def got(pools: Pools) -> Slot:
    found = await pools.acquire("p", NOBODY)
    assert isinstance(found, Granted), found
    return found.slot


def test_who_waits_gets_what_another_process_gives_back_within_a_look() -> None:
    async def test(made: Stage) -> None:
        one, other = made.process("one", config()), made.process("other", config())
        held = await got(one)
        waiting = asyncio.ensure_future(got(other))
        await made.clock.sleep(1)
        one.release("p", held)
        released_at = made.clock.monotonic()
        assert await waiting == held
        assert made.clock.monotonic() - released_at <= POLL_EVERY_S
        other.release("p", held)
        assert not made.shared.holders and not made.shared.waiting

    play(test)


def test_own_waiters_do_not_wait_for_a_look() -> None:
    async def test(made: Stage) -> None:
        one = made.process("one", config())
        held = await got(one)
        waiting = asyncio.ensure_future(got(one))
        await made.clock.sleep(1)
        released_at = made.clock.monotonic()
        one.release("p", held)
        assert await waiting == held and made.clock.monotonic() == released_at

    play(test)


def test_a_busy_process_does_not_starve_the_other() -> None:
    """Two processes with many who wait, one session: both are served, and evenly enough that nobody waits in vain."""

    async def test(made: Stage) -> None:
        served = {"one": 0, "other": 0}

        async def client(name: str, pools: Pools) -> None:
            while made.clock.monotonic() < 60:
                slot = await got(pools)
                await made.clock.sleep(0.313)
                served[name] += 1
                pools.release("p", slot)

        processes = {name: made.process(name, config()) for name in served}
        await asyncio.gather(*(client(name, pools) for name, pools in processes.items() for _ in range(4)))
        assert min(served.values()) > 20 and sum(served.values()) > 0.9 * 60 / (0.313 + LET_OTHERS_S), served

    play(test)


def test_one_client_after_the_other_starves_nobody_in_another_process() -> None:
    async def test(made: Stage) -> None:
        one, other = made.process("one", config()), made.process("other", config())
        ends = False

        async def client() -> None:
            while not ends:
                slot = await got(one)
                await made.clock.sleep(0.313)
                one.release("p", slot)

        busy = asyncio.ensure_future(client())
        await made.clock.sleep(1)
        began_at = made.clock.monotonic()
        slot = await got(other)
        assert made.clock.monotonic() - began_at < 1
        ends = True
        other.release("p", slot)
        await busy

    play(test)


def test_nobody_looks_while_nobody_waits() -> None:
    async def test(made: Stage) -> None:
        one, other = made.process("one", config()), made.process("other", config())
        held = await got(one)
        waiting = asyncio.ensure_future(got(other))
        await made.clock.sleep(0.5)
        looked = made.shared.tries
        assert looked >= 0.5 / POLL_EVERY_S - 2
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        await made.clock.sleep(POLL_EVERY_S * 2)
        looked = made.shared.tries
        await made.clock.sleep(60)
        assert made.shared.tries == looked and not made.shared.waiting
        one.release("p", held)

    play(test)


def test_a_wait_for_another_process_ends_in_time() -> None:
    async def test(made: Stage) -> None:
        one, other = made.process("one", config()), made.process("other", config(queue_wait_s=2))
        await got(one)
        found = await other.acquire("p", NOBODY)
        assert isinstance(found, NotGranted) and found.kind == "late"
        assert 2 <= made.clock.monotonic() < 2.2
        assert other.queued("p") == 0 and not made.shared.waiting

    play(test)


def test_a_slot_granted_to_one_who_leaves_goes_on() -> None:
    async def test(made: Stage) -> None:
        one, other = made.process("one", config()), made.process("other", config())
        held = await got(one)
        leaving, staying = (asyncio.ensure_future(got(other)) for _ in range(2))
        await made.clock.sleep(1)
        one.release("p", held)
        leaving.cancel()
        assert await staying == held
        assert leaving.cancelled() and other.queued("p") == 0

    play(test)


def test_a_killed_process_leaves_nothing() -> None:
    async def test(made: Stage) -> None:
        one, other = made.process("one", config((1, 2))), made.process("other", config((1, 2)))
        await got(one), await got(one)
        waiting = [asyncio.ensure_future(got(pools)) for pools in (other, one)]
        await made.clock.sleep(1)
        made.tasks[0].cancel()
        waiting[1].cancel()
        made.shared.kill("one")
        slot = await waiting[0]
        released = asyncio.ensure_future(got(other))
        assert await released != slot

    play(test)


def test_a_process_that_is_alone_has_all_and_never_looks() -> None:
    async def test(made: Stage) -> None:
        alone = made.process("alone", config(), Alone())
        held = await got(alone)
        waiting = asyncio.ensure_future(got(alone))
        await made.clock.sleep(1)
        alone.release("p", held)
        assert await waiting == held and alone.trouble == ""

    play(test)


class Broken(Own):
    trouble = "the slot file cannot be locked"

    def take(self, slot: Slot) -> bool:
        return False


@pytest.mark.parametrize("queue_wait_s", [1.0])
def test_without_rights_nobody_is_let_through_and_the_reason_is_told(queue_wait_s: float) -> None:
    async def test(made: Stage) -> None:
        pools = made.process("one", config(queue_wait_s=queue_wait_s), Broken(made.shared, "one"))
        found = await pools.acquire("p", NOBODY)
        assert isinstance(found, NotGranted) and found.kind == "late"
        assert pools.trouble == "the slot file cannot be locked"

    play(test)


def test_who_waits_gets_what_a_growing_share_frees_though_nobody_releases_anything() -> None:
    async def test(made: Stage) -> None:
        base = config((1, 2))
        members = base.pools["p"].members
        one, other = (msgspec.structs.replace(member, sessions=(number, number + 10)) for number, member in enumerate(members))
        pool = msgspec.structs.replace(base.pools["p"], members=(one, other), return_ramp_s=10.0, queue_wait_s=60.0)
        pools = made.process("alone", msgspec.structs.replace(base, pools={"p": pool}), Alone())
        for ok in (False, False, False, True, True):
            pools.report("p", "r1", ok=ok, why="")
        began_at = made.clock.monotonic()
        assert [(await got(pools)).member for _ in range(3)].count("r1") == 1
        slot = await got(pools)
        assert slot.member == "r1" and 10 <= made.clock.monotonic() - began_at <= 10 + 2 * POLL_EVERY_S
        await made.clock.sleep(60)

    play(test)
