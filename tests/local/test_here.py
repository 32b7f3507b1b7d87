"""Where an environment lives on this machine, who may write there, and what this machine is as a host."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from cortops.local.here import data_root, demand_writable, host_here, user_name
from cortops.surfaces.services.facts import question
from cortops.targets.supervisord import Supervisord
from cortops.words.errors import BadInput, PermissionMissing

HOME, SHARED = {"HOME": "/h"}, {"XDG_DATA_HOME": "/x"}


@pytest.mark.parametrize(
    ("env", "port_base", "root"),
    [
        (HOME, 0, "/h/.local/share/cortops/lab"),
        (HOME, 1000, "/h/.local/share/cortops/lab@1000"),
        (HOME | SHARED, 0, "/x/cortops/lab"),
        (HOME | {"XDG_DATA_HOME": "relative"}, 0, "/h/.local/share/cortops/lab"),  # to be passed over. Source: XDG base directories
        (HOME | SHARED | {"CORTOPS_DATA": "/c"}, 0, "/c/lab"),
        (HOME | SHARED | {"CORTOPS_DATA": "/c"}, 7, "/c/lab@7"),
        (HOME | SHARED | {"CORTOPS_DATA": ""}, 0, "/x/cortops/lab"),
    ],
)
def test_the_folder_is_the_one_chosen_else_the_shared_one_else_below_home(env: Mapping[str, str], port_base: int, root: str) -> None:
    assert data_root(env, "lab", port_base) == Path(root)


def test_a_chosen_folder_may_be_relative_to_where_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert data_root({"CORTOPS_DATA": "here"}, "lab", 0) == tmp_path / "here" / "lab"


def test_without_any_folder_the_error_says_how_to_name_one() -> None:
    with pytest.raises(BadInput) as caught:
        data_root({}, "lab", 0)
    assert "CORTOPS_DATA" in caught.value.next


def test_a_folder_that_can_be_made_or_written_is_fine_and_nothing_is_made_by_asking(tmp_path: Path) -> None:
    demand_writable(tmp_path)
    demand_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(PermissionMissing, match="is no folder") as caught:
        demand_writable(tmp_path / "a" / "b")
    assert caught.value.where == str(tmp_path / "a")


def test_a_folder_that_this_user_may_not_write_is_named_with_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()

    def by_mode(path: Path, mode: int) -> bool:
        """As the kernel answers everybody but root, who may run these tests."""
        return mode & ~(stat.S_IMODE(path.stat().st_mode) >> 6) == 0

    monkeypatch.setattr(os, "access", by_mode)
    demand_writable(closed / "a")
    closed.chmod(0o500)
    with pytest.raises(PermissionMissing, match=f"closed may not be written by {user_name()}"):
        demand_writable(closed / "a")
    closed.chmod(0o700)


def test_this_machine_as_a_host_has_its_programs_and_asks_its_own_service_manager(tmp_path: Path) -> None:
    found = host_here("here", tmp_path, Supervisord(str(tmp_path), sys.executable))
    assert (found.name, found.root, found.python, found.machine) == ("here", str(tmp_path), sys.executable, os.uname().machine)
    assert Path(found.nginx).name == "nginx" and os.access(found.nginx, os.X_OK)
    assert question(found).script.endswith('run/supervisor.sock" status')
