"""The chain's newest snapshot torn while it was down: it goes on from the one before, and `status` says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cortops.testing.local import SMALL, LocalEnvironment, ask, bring_up, place

pytestmark = [pytest.mark.real, pytest.mark.proof]


@pytest.fixture(scope="module")
def up() -> Iterator[LocalEnvironment]:
    """Up and down and up again, so that each of the two snapshots holds the contracts and the first request."""
    with place(file=SMALL) as where:
        local = bring_up(where)
        where.read("down")
        where.read("up", "--detach")
        yield local


def _snapshots(up: LocalEnvironment) -> list[Path]:
    """Oldest first; two are kept."""
    return sorted((up.place.root / "data" / "chain-1").glob("*.snapshot"))


def _chain(up: LocalEnvironment) -> Any:
    """What `status` says of the chain."""
    return next(row for row in up.place.until_well()["entities"] if row["entity"] == "rpc/chain-1")


def test_a_torn_snapshot_is_passed_over_and_that_is_said(up: LocalEnvironment) -> None:
    where = up.place
    assert "snapshot" not in _chain(up)["reason"], "nothing to tell so far"
    newest = _stopped(up)
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    key = _up_again(up)
    reason = _chain(up)["reason"]
    told = re.search(
        r"started from the snapshot before: the newest one \(block (\d+)\) is torn: \d+ of \d+ bytes; the chain went on from block (\d+)",
        reason,
    )
    assert told and int(told[2]) <= int(told[1]), reason
    for_people = next(line for line in where.run("status").stdout.splitlines() if "rpc/chain-1" in line)
    assert for_people.startswith("  ● ok") and told[0] in for_people
    assert where.read("task", "show", up.task)["state"] == "ended", "what the snapshot before holds is there"
    assert ask(replace(up, key=key))["choices"][0]["message"]["content"]
    assert where.read("plan")["changes"] == []


def test_an_empty_one_is_passed_over_too(up: LocalEnvironment) -> None:
    newest = _stopped(up)
    newest.write_bytes(b"")
    key = _up_again(up)
    assert "started from the snapshot before: the newest one is torn: it is empty; the chain went on from block" in _chain(up)["reason"]
    assert ask(replace(up, key=key))["choices"][0]["message"]["content"]


def _stopped(up: LocalEnvironment) -> Path:
    """The snapshot that the chain takes when it is stopped; the one before is kept beside it."""
    last = _snapshots(up)[-1]
    up.place.read("down")
    _, newest = _snapshots(up)
    assert newest.name > last.name
    return newest


def _up_again(up: LocalEnvironment) -> str:
    """The fresh key."""
    done = up.place.read("up", "--detach")
    up.place.assert_no_orphan()
    assert isinstance(done["key"], str)
    return done["key"]
