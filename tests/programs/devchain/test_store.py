"""The folder of snapshots: two good ones, one owner, nothing half-written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cortops.programs.devchain import store
from cortops.programs.devchain.generation import Damaged, Snapshot
from cortops.words.errors import LockHeld, PermissionMissing


def snapshot(block: int) -> Snapshot:
    return Snapshot(block=block, at=0.5, state=b"state %d" % block)


def test_the_new_one_and_the_last_good_one_are_kept(tmp_path: Path) -> None:
    good = None
    for block in range(5):
        good = store.write(tmp_path, snapshot(block), good=good)
    assert store.generations(tmp_path) == [5, 4]
    assert store.read(tmp_path, 5) == snapshot(4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0000000004.snapshot", "0000000005.snapshot"]


def test_a_damaged_newest_never_pushes_out_the_good_one(tmp_path: Path) -> None:
    first = store.write(tmp_path, snapshot(1), good=None)
    second = store.write(tmp_path, snapshot(2), good=first)
    os.truncate(tmp_path / f"{second:010d}.snapshot", 30)
    assert isinstance(store.read(tmp_path, second), Damaged)
    third = store.write(tmp_path, snapshot(3), good=first)
    assert store.generations(tmp_path) == [third, first]


def test_a_full_disk_leaves_the_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = store.write(tmp_path, snapshot(1), good=None)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.write(tmp_path, snapshot(2), good=first)
    assert store.generations(tmp_path) == [first]
    assert store.read(tmp_path, first) == snapshot(1)


def test_leftovers_of_a_killed_writer_are_removed_and_strangers_left(tmp_path: Path) -> None:
    for name in (store.TEMPORARY, store.LOADING, "notes.snapshot"):
        (tmp_path / name).write_text("x")
    with store.owned(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "notes.snapshot"]
        assert store.generations(tmp_path) == []


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    with store.owned(tmp_path / "new" / "folder"), pytest.raises(LockHeld), store.owned(tmp_path / "new" / "folder"):
        pass
    with store.owned(tmp_path / "new" / "folder"):
        pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PermissionMissing, match="cannot be written"), store.owned(tmp_path / "file" / "below"):
        pass


def test_what_is_gone_meanwhile_is_damage_not_an_error(tmp_path: Path) -> None:
    assert store.read(tmp_path, 9) == Damaged("cannot be read: No such file or directory")
