"""Hosts with nodes on them, shared by the whole run: who changes something there puts it back, or boots hosts of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.hosts.faults import Fault, faults, faulty_hosts
from tests.hosts.lab import FILE, Lab, lab_of
from tests.hosts.saturday import Saturday
from tests.hosts.saturday import saturday as bring_up

from cortops.testing import cortensord
from cortops.testing.hosts import Fleet, here_for_ci, why_not


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short name: below it lies an environment, and the path of a socket has a limit."""
    return tmp_path_factory.mktemp("t")


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for builds of the stand-in; skips, or in CI fails, where neither it nor a host can be made."""
    if why := why_not() or cortensord.why_not():
        assert not here_for_ci(), why
        pytest.skip(why)
    return tmp_path_factory.mktemp("cortensord")


@pytest.fixture(scope="session")
def saturday(nothing_left_behind: None, programs: Path) -> Iterator[Saturday]:
    """Twelve nodes on three hosts in all five shapes, earning on a chain."""
    with bring_up(programs) as made:
        yield made


@pytest.fixture(scope="session")
def faulty(nothing_left_behind: None, programs: Path) -> Iterator[tuple[Fleet, dict[str, Fault]]]:
    """One host for each fault of faults.py, called as the fault."""
    with faulty_hosts(programs, faults()) as made:
        yield made


@pytest.fixture(scope="module")
def lab_hosts(nothing_left_behind: None, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Four adopted nodes that earn, on two hosts of their own."""
    with lab_of(programs, tmp_path_factory.mktemp("home")) as made:
        yield made


@pytest.fixture
def lab(lab_hosts: Lab) -> Iterator[Lab]:
    """The same, as it was found before each test and after it."""
    assert lab_hosts.is_as_found(), "an earlier test left something"
    yield lab_hosts
    if not lab_hosts.is_as_found():
        back = lab_hosts.me("rollback", FILE, "--to", "0", "--now", "--yes")
        assert lab_hosts.is_as_found(), back.out + back.err
