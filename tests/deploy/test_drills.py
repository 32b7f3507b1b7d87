"""Drills are kept in one file, a line each, and come back as they were."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from cortops.deploy.drills import Drill, Drills, DrillStep, Released, drills, latest
from cortops.targets.local import LocalTarget
from cortops.words.errors import StoreUnavailable

DRILL = Drill(
    id="20261127T100000-aaaa",
    kind="bad-release",
    environment="lab",
    at=1795803600.5,
    took_s=37.2,
    by="me@laptop",
    outcome="ok",
    on="copies of m1's on this machine",
    releases=(Released(release="april", sha256="9a" * 32),),
    steps=(DrillStep(step="one that ends at its start is taken back", outcome="ok", took_s=3.2, text="m1: it 'ended' 100 %"),),
    left=("m2: it is not adopted",),
    tool_version="0.1.0",
)


def test_they_come_back_in_order_whatever_stands_in_them(tmp_path: Path) -> None:
    async def kept() -> tuple[Drill, ...]:
        store = Drills(LocalTarget("here"), str(tmp_path / "lab"))
        assert await store.all() == (), "none before the first"
        await store.add(DRILL)
        await store.add(msgspec.structs.replace(DRILL, kind="deploy", outcome="failed"))
        return await store.all()

    first, second = asyncio.run(kept())
    assert first == DRILL and (second.kind, second.outcome) == ("deploy", "failed")
    assert (tmp_path / "lab" / "drills.jsonl").stat().st_mode & 0o077 == 0


def test_a_file_that_has_grown_is_turned_over_and_both_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cortops.deploy.drills.DRILLS_MAX_MIB", 0)

    async def kept() -> int:
        store = Drills(LocalTarget("here"), str(tmp_path))
        for _ in range(3):
            await store.add(DRILL)
        return len(await store.all())

    assert asyncio.run(kept()) == 2, "the newest file, and the one before it"


def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    (tmp_path / "lab").touch()
    with pytest.raises(StoreUnavailable, match="the drill could not be written down on here"):
        asyncio.run(Drills(LocalTarget("here"), str(tmp_path / "lab")).add(DRILL))


def test_a_line_that_was_cut_off_is_left_out() -> None:
    whole = msgspec.json.encode(DRILL).decode()
    assert drills([whole[:50], whole, "", whole + "x"]) == (DRILL,)
    newer = '{"more":1,' + whole[1:]
    assert drills([newer]) == (DRILL,), "a newer version may add fields"


def test_the_newest_of_a_kind() -> None:
    failed = msgspec.structs.replace(DRILL, outcome="failed")
    assert latest((DRILL, failed), "bad-release") == failed
    assert latest((DRILL,), "rollback") is None
