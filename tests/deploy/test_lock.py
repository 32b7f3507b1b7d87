from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cortops.deploy.lock import Holder, Lock, Owner, came_by, gone, process_exists, this_process
from cortops.testing.clock import VirtualClock, turn_until
from cortops.testing.host import Host, host
from cortops.words.errors import LockHeld, NotAllowed, StoreUnavailable

ALICE = Owner(who="alice@laptop", pid=11, pid_started=1100, machine="m-a", boot="b1")
BOB = Owner(who="bob@tower", pid=22, pid_started=2200, machine="m-b", boot="b1")
HOLDER = Holder(who="alice@laptop", pid=11, pid_started=1100, machine="m-a", boot="b1", apply="a1", since=1000, lease_until=1060)


@pytest.fixture(name="h")
def _host() -> Iterator[Host]:
    with host() as made:
        yield made


def lock(h: Host, clock: VirtualClock | None = None) -> Lock:
    return Lock(h.target, str(h.root), clock or VirtualClock())


def age(h: Host, seconds: int) -> None:
    """Make the lock older than it is."""
    path = h.root / "lock.json"
    held = json.loads(path.read_text())
    path.write_text(
        json.dumps(held | {"since": held["since"] - seconds, "lease_until": held["lease_until"] - seconds}, separators=(",", ":"))
    )


def test_one_holder_at_a_time_and_the_second_learns_who(h: Host) -> None:
    async def main() -> None:
        async with lock(h).held(ALICE, "a1"):
            with pytest.raises(LockHeld) as refused:
                async with lock(h).held(BOB, "b1"):
                    pass
            assert refused.value.what.startswith("alice@laptop (pid 11) has been applying since ")
            assert refused.value.where == "lock on h1, apply a1"
            assert "unless renewed" in refused.value.why
        async with lock(h).held(BOB, "b1") as held:
            assert held.taken_over == ""

    asyncio.run(main())


def test_a_refusal_says_since_when_in_our_time_whatever_the_hosts_clock_says(h: Host) -> None:
    clock = VirtualClock()  # far from the host's

    async def main() -> str:
        async with lock(h, clock).held(ALICE, "a1"):
            age(h, 20)
            with pytest.raises(LockHeld) as refused:
                async with lock(h, clock).held(BOB, "b1"):
                    pass
        return refused.value.what

    told = asyncio.run(main())
    seconds = int(told.rpartition("(")[2].partition(" ")[0])
    assert 20 <= seconds < 80 and told.endswith(f"since {datetime.fromtimestamp(clock.now() - seconds, UTC):%H:%M:%S} UTC ({seconds} s)")


def test_of_many_at_once_exactly_one_wins(h: Host) -> None:
    async def attempt(number: int, go_on: asyncio.Event) -> bool:
        try:
            async with lock(h).held(replace(ALICE, machine=f"m-{number}"), f"a{number}"):
                await go_on.wait()
                return True
        except LockHeld:
            return False

    async def main() -> None:
        go_on = asyncio.Event()
        tasks = [asyncio.create_task(attempt(number, go_on)) for number in range(6)]
        await turn_until(lambda: sum(task.done() for task in tasks) == 5)
        go_on.set()
        assert sorted(await asyncio.gather(*tasks)) == [False] * 5 + [True]

    asyncio.run(main())


def test_a_lease_past_its_end_is_taken_over_and_said(h: Host) -> None:
    async def main() -> None:
        async with lock(h).held(ALICE, "a1"):
            age(h, 100)
            async with lock(h).held(BOB, "b1") as held:
                assert held.taken_over.startswith("took over the lock of alice@laptop (pid 11): its lease ended 4")
                holder = await lock(h).holder()
                assert holder is not None
                assert (holder.who, holder.apply) == ("bob@tower", "b1")
        assert await lock(h).holder() is None

    asyncio.run(main())


def test_the_lease_is_renewed_while_held(h: Host) -> None:
    clock = VirtualClock()

    async def main() -> None:
        async with lock(h, clock).held(ALICE, "a1", 60):
            first = await lock(h).holder()
            assert first is not None
            age(h, 50)
            await clock.advance(20)
            for _ in range(200):
                now = await lock(h).holder()
                assert now is not None
                if now.lease_until > first.lease_until - 50:
                    break
            assert now.lease_until >= first.lease_until
            assert now.since == first.since - 50

    asyncio.run(main())


def test_who_lost_the_lock_is_stopped(h: Host) -> None:
    clock = VirtualClock()

    async def main() -> None:
        with pytest.raises(LockHeld, match="was lost to bob@tower while applying"):
            async with lock(h, clock).held(ALICE, "a1", 60):
                age(h, 100)
                async with lock(h, clock).held(BOB, "b1"):
                    await clock.advance(20)
                    await asyncio.Event().wait()

    asyncio.run(asyncio.wait_for(main(), 5))


def test_the_blocks_own_error_comes_out_as_it_is_and_the_lock_is_free(h: Host) -> None:
    async def main() -> None:
        with pytest.raises(LookupError, match="mine"):
            async with lock(h).held(ALICE, "a1"):
                raise LookupError("mine")
        assert await lock(h).holder() is None

    asyncio.run(main())


def test_a_process_of_ours_that_is_gone_holds_nothing(h: Host) -> None:
    mine = this_process()
    dead = replace(mine, pid=os.getpid(), pid_started=mine.pid_started - 5, who="me@here")

    async def main() -> None:
        async with lock(h).held(dead, "a1"), lock(h).held(mine, "a2") as held:
            assert held.taken_over == f"took over the lock of me@here (pid {os.getpid()}): that process is gone"

    asyncio.run(main())


def test_a_target_that_cannot_be_written_says_so(h: Host) -> None:
    (h.root / "run").write_text("in the way")

    async def main() -> None:
        with pytest.raises(StoreUnavailable, match="the lock on h1 cannot be reached"):
            async with lock(h).held(ALICE, "a1"):
                pass

    asyncio.run(main())
    (h.root / "run").unlink()


@pytest.mark.parametrize(
    ("mine", "now", "exists", "why"),
    [
        (BOB, 1030, False, ""),  # another machine: only the lease tells
        (BOB, 1061, False, "its lease ended 1 s ago"),
        (replace(BOB, machine="m-a"), 1030, True, ""),
        (replace(BOB, machine="m-a"), 1030, False, "that process is gone"),
        (replace(BOB, machine="m-a", boot="b2"), 1030, True, "this machine was started again since"),
    ],
)
def test_when_a_lock_may_be_taken_over(mine: Owner, now: int, exists: bool, why: str) -> None:
    assert gone(HOLDER, mine, now, exists) == why


def test_a_process_is_known_by_its_start_too() -> None:
    mine = this_process()
    assert process_exists(mine.pid, mine.pid_started)
    assert not process_exists(mine.pid, mine.pid_started + 1)


def test_who_is_not_named_holds_nothing_and_writes_nothing(h: Host) -> None:
    named = Lock(h.target, str(h.root), VirtualClock(), ("alice@laptop",))

    async def main() -> None:
        with pytest.raises(NotAllowed, match="bob@tower may not change this environment"):
            async with named.held(BOB, "b1"):
                pytest.fail("held")
        assert not (h.root / "lock.json").exists() and not (h.root / "run").exists()
        async with named.held(replace(ALICE, via="ssh from 203.0.113.9"), "a1"):
            holder = await named.holder()
            assert holder is not None and (holder.who, holder.via) == ("alice@laptop", "ssh from 203.0.113.9")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("env", "via"),
    [
        ({}, ""),
        ({"SSH_CONNECTION": "203.0.113.9 50022 198.51.100.7 22"}, "ssh from 203.0.113.9"),
        ({"SSH_CONNECTION": "2001:db8::9 50022 2001:db8::7 22", "SUDO_USER": "alice"}, "ssh from 2001:db8::9, sudo by alice"),
        ({"SUDO_USER": "a" * 500}, "sudo by " + "a" * 192),
    ],
)
def test_how_somebody_came_here(env: dict[str, str], via: str) -> None:
    assert came_by(env) == via
