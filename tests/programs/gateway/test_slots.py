"""The slot file between real processes: one holder at a time, and what a kill leaves behind (nothing)."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cortops.programs.gateway.select import Slot
from cortops.programs.gateway.slots import WAITING_FROM, SlotFile
from cortops.protocol.gateway import IN_FLIGHT_MAX, SESSION_MAX
from cortops.words.errors import StoreUnavailable

A, B = Slot(member="r1", session=1), Slot(member="r2", session=2)

# Another process of the gateway: does what each line of its input says, and answers with a line.
NEIGHBOUR = """
import sys
from pathlib import Path
from cortops.programs.gateway.select import Slot
from cortops.programs.gateway.slots import SlotFile

slots = SlotFile(Path(sys.argv[1]))
for line in sys.stdin:
    verb, *words = line.split()
    slot = Slot(member="r", session=int(words[0])) if words and words[0].isdigit() else None
    done = {
        "take": lambda: slots.take(slot),
        "give": lambda: slots.give(slot),
        "wait": lambda: slots.wait(words[0], words[1] == "on"),
        "others": lambda: slots.others_wait(words[0]),
    }[verb]()
    print(done, flush=True)
"""

# A gateway's pools and nothing else: takes and gives slots as fast as it can, and marks with a file of its own name in which it is.
RACER = """
import asyncio, os, random, sys
from pathlib import Path
from cortops.programs.gateway.events import Granted
from cortops.programs.gateway.pools import Pools
from cortops.programs.gateway.slots import SlotFile
from cortops.protocol.deadlines import Deadlines
from cortops.protocol.gateway import GatewayConfig
from cortops.words.clock import SystemClock

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
config = GatewayConfig.from_json((folder / "config.json").read_bytes())
clock, chance = SystemClock(), random.Random(os.getpid())

async def client(pools):
    for _ in range(rounds):
        found = await pools.acquire("p", frozenset())
        assert isinstance(found, Granted), found
        mark = folder / f"in-{found.slot.session}"
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        await asyncio.sleep(chance.random() * 0.002)
        mark.unlink()
        pools.release("p", found.slot)

async def main():
    pools = Pools(config, clock, Deadlines(clock), SlotFile(folder / "slots"))
    running = asyncio.ensure_future(pools.run())
    await asyncio.gather(*(client(pools) for _ in range(4)))
    running.cancel()

asyncio.run(main())
"""


class Neighbour:
    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", NEIGHBOUR, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def do(self, line: str) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait(10) == -signal.SIGKILL


@contextmanager
def neighbour(path: Path) -> Iterator[Neighbour]:
    made = Neighbour(path)
    with made.process:
        try:
            yield made
        finally:
            made.process.kill()


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[SlotFile]:
    made = SlotFile(tmp_path / "slots")
    yield made
    made.close()


@pytest.mark.real
def test_one_holder_at_a_time_and_a_kill_gives_all_back(tmp_path: Path, slots: SlotFile) -> None:
    with neighbour(tmp_path / "slots") as other:
        assert other.do("take 1") == "True"
        assert not slots.take(A) and slots.take(B)
        assert other.do("take 2") == "False"
        other.do("give 1")
        assert slots.take(A)
        slots.give(A)
        assert other.do("take 1") == "True"
        other.kill()
        assert slots.take(A) and slots.trouble == ""


@pytest.mark.real
def test_who_waits_is_known_to_the_others_and_asking_changes_nothing(tmp_path: Path, slots: SlotFile) -> None:
    with neighbour(tmp_path / "slots") as other, neighbour(tmp_path / "slots") as third:
        assert not slots.others_wait("p")
        other.do("wait p on")
        assert slots.others_wait("p") and not slots.others_wait("q")
        slots.wait("p", True)
        assert slots.others_wait("p") and other.do("others p") == "True" and third.do("others p") == "True"
        other.do("wait p off")
        assert not slots.others_wait("p")
        assert other.do("others p") == "True", "we still wait, though we have asked"
        other.do("wait p on")
        other.kill()
        assert not slots.others_wait("p")


@pytest.mark.real
def test_the_pools_of_two_processes_never_hold_the_same_slot(tmp_path: Path) -> None:
    member = '{"name":"r%d","url":"http://h","sessions":[%d],"api_key":"k"}'
    (tmp_path / "config.json").write_text(
        '{"listen":{"port":0},"models":{"m":"p"},"store":{"keys_db":"k","usage_db":"u","spool_folder":"s"},'
        '"pools":{"p":{"members":[' + ",".join(member % (n, n) for n in (1, 2)) + "]}}}"
    )

    def racer(rounds: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path), str(rounds)], stderr=subprocess.PIPE)

    one, other = racer(20), racer(20)
    with one, other:
        errors = [process.communicate(timeout=60)[1] for process in (one, other)]
    assert errors == [b"", b""] and (one.returncode, other.returncode) == (0, 0)
    assert not list(tmp_path.glob("in-*"))


def test_slots_and_waiting_bytes_lie_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[int] = []
    monkeypatch.setattr("cortops.programs.gateway.slots.fcntl.lockf", lambda _file, _kind, _length, start: places.append(start))
    slots = SlotFile(tmp_path / "slots")
    chance = random.Random(3)
    for session in {0, 1, SESSION_MAX - 1, SESSION_MAX, *(chance.randrange(SESSION_MAX) for _ in range(200))}:
        for number in (0, 1, IN_FLIGHT_MAX - 1):
            assert slots.take(Slot(member="r", session=session, number=number))
    for pool in range(200):
        slots.wait(f"pool-{pool}", True)
    assert len(places) == len(set(places))
    assert max(places[:-200]) < WAITING_FROM <= min(places[-200:]) and max(places) < 2**63 - 1
    slots.close()
    assert (tmp_path / "slots").stat().st_size == 0


def test_where_nothing_can_be_locked_nothing_is_taken_until_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slots = SlotFile(tmp_path / "slots")
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        patched.setattr("cortops.programs.gateway.slots.fcntl.lockf", full)
        assert not slots.take(A) and "No locks available" in slots.trouble
    assert slots.take(A) and slots.trouble == ""
    slots.close()


def test_a_file_that_was_removed_or_replaced_is_said(tmp_path: Path) -> None:
    slots = SlotFile(tmp_path / "slots")
    (tmp_path / "slots").unlink()
    assert "has gone" in slots.trouble
    (tmp_path / "slots").write_text("")
    assert "was replaced" in slots.trouble
    slots.close()


def test_a_place_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable):
        SlotFile(tmp_path / "file" / "slots")


def test_the_file_is_its_owners_only(tmp_path: Path) -> None:
    slots = SlotFile(tmp_path / "slots")
    assert (tmp_path / "slots").stat().st_mode & 0o777 == 0o600
    assert not os.get_inheritable(slots._file)
    slots.close()
