"""Usage rows survive: kill between spool and ship, a database outage, a full disk, damaged lines, two processes in one folder."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cortops.programs.common.logs import make_log
from cortops.programs.gateway.ship import LOOK_AROUND_EVERY_S, Ship
from cortops.programs.gateway.spool import Spool
from cortops.protocol import usage
from cortops.protocol.usage import UsageRow
from cortops.testing.clock import VirtualClock
from cortops.words.errors import StoreUnavailable

if TYPE_CHECKING:
    from cortops.testing.postgresql import Postgresql


class Yard:
    """A spool with its ship in a folder."""

    def __init__(
        self, folder: Path, *, label: str = "1", fsync: bool = False, database: Path | str | None = None, spool: str = "spool"
    ) -> None:
        self.folder = folder / spool
        self.database = database or folder / "usage.db"
        self.out = io.BytesIO()
        self.clock = VirtualClock()
        log = make_log("gateway", self.out, self.clock)
        self.spool = Spool(self.folder, segment_max_mib=1, fsync=fsync, label=label)
        self.ship = Ship(self.spool, self.folder, self.database, clock=self.clock, log=log, every_s=0.25)

    def add(self, *names: str) -> None:
        async def main() -> None:
            for name in names:
                await self.spool.add(row(name))

        asyncio.run(main())

    def step(self) -> bool:
        return asyncio.run(self.ship.step())

    def rows(self) -> list[str]:
        with closing(usage.open_usage(self.database)) as database:
            return [found.request_id for found in usage.rows_since(database, 0)]

    def close(self) -> None:
        self.spool.close()
        self.step()
        self.ship.close()

    def segments(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


def row(name: str) -> UsageRow:
    return UsageRow(request_id=name, key_id="key_1", finished_at=1.0)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where usage goes."""
    if request.param == "sqlite":
        return str(tmp_path / "usage.db")
    server: Postgresql = request.getfixturevalue("postgresql")
    return server.create(tmp_path.name.lower())


def test_rows_go_from_the_spool_to_the_database_once(tmp_path: Path, place: str) -> None:
    yard = Yard(tmp_path, database=place)
    yard.add("a", "b")
    assert yard.step() and yard.rows() == ["a", "b"]
    yard.add("c")
    assert yard.step() and yard.step() and yard.rows() == ["a", "b", "c"]
    assert yard.segments() == ["1-000001.jsonl"]
    yard.close()
    assert yard.segments() == []


def test_a_row_is_on_disk_when_add_returns(tmp_path: Path) -> None:
    for fsync in (False, True):
        yard = Yard(tmp_path / str(fsync), fsync=fsync)
        yard.add("a")
        assert b'"request_id":"a"' in yard.spool.active.read_bytes()
        yard.close()


def test_segments_turn_over_and_shipped_ones_are_removed(tmp_path: Path, place: str) -> None:
    yard = Yard(tmp_path, database=place)
    names = [f"{number:05}-{'x' * 2000}" for number in range(1100)]
    yard.add(*names)
    assert len(yard.segments()) == 3
    assert yard.step() and yard.rows() == names
    assert yard.segments() == ["1-000003.jsonl"]
    yard.close()


@pytest.mark.real
def test_an_outage_of_the_server_loses_nothing_and_doubles_nothing(tmp_path: Path, postgresql: Postgresql) -> None:
    yard = Yard(tmp_path, database=postgresql.create("ship_outage"))
    yard.add("a")
    assert yard.step()
    postgresql.stop()
    try:
        yard.add("b")
        assert not yard.step() and yard.ship.trouble and postgresql.password not in yard.ship.trouble
        yard.add("c")
        assert not yard.step()
    finally:
        postgresql.start()
    assert yard.step() and not yard.ship.trouble and yard.rows() == ["a", "b", "c"]
    said = yard.out.getvalue()
    assert said.count(b"usage_not_shipped") == 1 and postgresql.password.encode() not in said
    yard.close()


def test_an_outage_of_the_file_loses_nothing(tmp_path: Path) -> None:
    yard = Yard(tmp_path, database=tmp_path / "db" / "usage.db")
    (tmp_path / "db").write_text("in the way")
    yard.add("a")
    assert not yard.step() and "usage.db" in yard.ship.trouble
    yard.add("b")
    assert not yard.step()
    (tmp_path / "db").unlink()
    assert yard.step() and not yard.ship.trouble and yard.rows() == ["a", "b"]
    assert yard.out.getvalue().count(b"usage_not_shipped") == 1
    yard.close()


def test_a_database_that_is_replaced_gets_what_follows(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.add("a")
    yard.step()
    for path in tmp_path.glob("usage.db*"):
        path.unlink()
    yard.add("b")
    assert yard.step() and yard.rows() == ["b"]
    yard.close()


def test_a_locked_database_is_an_outage_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cortops.protocol.sqlite.BUSY_TIMEOUT_S", 0.01)
    yard = Yard(tmp_path)
    yard.add("a")
    yard.step()
    other = sqlite3.connect(yard.database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    yard.add("b")
    assert not yard.step()
    other.execute("ROLLBACK")
    other.close()
    assert yard.step() and yard.rows() == ["a", "b"]
    yard.close()


def test_a_full_disk_is_trouble_until_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yard = Yard(tmp_path)
    write, room = os.write, 10

    def limited(descriptor: int, data: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = write(descriptor, data[:room])
        room -= count
        return count

    monkeypatch.setattr("cortops.programs.gateway.spool.os.write", limited)
    yard.add("a")
    yard.add("b")
    assert "No space left" in yard.spool.trouble
    assert yard.step() and yard.rows() == []
    room = 10_000
    assert yard.step() and not yard.spool.trouble and yard.rows() == ["a", "b"]
    yard.close()


def test_damaged_and_cut_lines_are_told_and_do_not_stop_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    line = b'{"request_id":"old","key_id":"k","finished_at":1.0}\n'
    (folder / "0-000001.jsonl").write_bytes(b"\0\0\0\n" + line + b'{"request_id":"cut')
    yard = Yard(tmp_path)
    assert yard.step() and yard.rows() == ["old"]
    assert b"usage_row_damaged" in yard.out.getvalue() and b"usage_row_cut" in yard.out.getvalue()
    assert yard.segments() == ["1-000001.jsonl"]
    yard.close()


def test_a_live_neighbour_keeps_its_segment(tmp_path: Path) -> None:
    one, other = Yard(tmp_path, label="1"), Yard(tmp_path, label="2")
    one.add("a")
    other.add("b")
    assert one.step() and one.rows() == ["a"]
    assert other.step() and one.rows() == ["a", "b"]
    other.spool.close()
    one.add("c")
    assert one.step() and one.rows() == ["a", "b", "c"] and one.segments() == ["1-000001.jsonl"]
    other.ship.close()
    one.close()


def test_what_an_ended_process_left_in_its_own_folder_is_shipped_by_another(tmp_path: Path) -> None:
    left = Yard(tmp_path, label="1", spool="spool-2")
    left.add("a", "b")
    yard = Yard(tmp_path, label="2", spool="spool-1")
    assert yard.step() and yard.rows() == [], "it still lives"
    left.spool.close()
    assert yard.step() and yard.rows() == [], "it looks around now and then only"
    asyncio.run(yard.clock.advance(LOOK_AROUND_EVERY_S))
    assert yard.step() and yard.rows() == ["a", "b"]
    assert left.segments() == [] and yard.segments() == ["2-000001.jsonl"]
    left.ship.close()
    yard.close()


def test_the_folder_of_an_earlier_release_is_shipped_too(tmp_path: Path) -> None:
    old = tmp_path / "spool"
    old.mkdir()
    (old / "0-000001.jsonl").write_bytes(b'{"request_id":"old","key_id":"k","finished_at":1.0}\n')
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "1.jsonl").write_bytes(b"not ours")
    yard = Yard(tmp_path, spool="spool-1")
    assert yard.step() and yard.rows() == ["old"] and not list(old.iterdir())
    assert (tmp_path / "other" / "1.jsonl").exists()
    yard.close()


def test_two_who_look_around_at_once_ship_each_row_once(tmp_path: Path, place: str) -> None:
    left = Yard(tmp_path, label="0", spool="spool-3", database=place)
    left.add(*(f"{number:04}" for number in range(500)))
    left.spool.close()
    one, other = (Yard(tmp_path, label=label, spool=f"spool-{label}", database=place) for label in "12")

    async def both() -> None:
        assert await asyncio.gather(one.ship.step(), other.ship.step()) == [True, True]

    asyncio.run(both())
    assert one.rows() == [f"{number:04}" for number in range(500)] and left.segments() == []
    for yard in (left, one, other):
        yard.close()


def test_a_row_that_a_database_would_refuse_does_not_stop_those_behind_it(tmp_path: Path, place: str) -> None:
    yard = Yard(tmp_path, database=place)
    odd = UsageRow(request_id="odd", key_id="key_1", model="a\0b", stream=True, prompt_tokens=2**63, finished_at=1.0)
    asyncio.run(yard.spool.add(odd))
    yard.add("z")
    assert yard.step() and yard.rows() == ["odd", "z"]
    yard.close()


def test_a_folder_that_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable):
        Spool(tmp_path / "file" / "spool", segment_max_mib=1, fsync=False, label="1")


KILLED = """
import asyncio, os, sys
from pathlib import Path
from cortops.programs.gateway.spool import Spool
from cortops.protocol import usage
from cortops.protocol.usage import UsageRow

folder = Path(sys.argv[1])
async def main():
    spool = Spool(folder / "spool", segment_max_mib=1, fsync=False, label="dead")
    row = UsageRow(request_id="r1", key_id="k", finished_at=1.0)
    await spool.add(row)
    if sys.argv[2] == "shipped":
        usage.insert(usage.open_usage(sys.argv[3]), [row])
    os.write(1, b"spooled")
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""


@pytest.mark.real
@pytest.mark.parametrize("moment", ["spooled", "shipped"])
def test_killed_between_spool_and_ship_or_between_ship_and_removal(tmp_path: Path, moment: str, place: str) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), moment, place], stdout=subprocess.PIPE, timeout=20, check=False)
    assert (killed.stdout, killed.returncode) == (b"spooled", -signal.SIGKILL)
    yard = Yard(tmp_path, label="next", database=place)
    assert yard.step() and yard.rows() == ["r1"] and yard.segments() == ["next-000001.jsonl"]
    yard.close()
    assert yard.rows() == ["r1"] and yard.segments() == []
