"""Where no test host can boot, the reason says what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cortops.testing import cortensord
from cortops.testing.hosts import hosts, needs, recipe
from cortops.words.errors import PermissionMissing


def test_without_root_it_is_said_and_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert needs.why_not().startswith("test hosts need root")
    assert not needs.here_for_ci()
    with pytest.raises(PermissionMissing, match="need root"), hosts(1):
        raise AssertionError("a host booted")


def test_without_its_packages_they_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert needs.why_not().endswith("apt-get install debootstrap iproute2 openssh-client systemd-container util-linux")
    assert cortensord.why_not().endswith("apt-get install gcc libc6-dev")


def test_without_groups_of_version_2_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(needs, "CGROUPS", tmp_path)
    assert needs.cgroup_trees() is None
    (tmp_path / "cgroup.controllers").touch()
    assert needs.cgroup_trees() == (tmp_path,)


def test_a_root_is_named_by_its_recipe_below_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CORTOPS_HOME", str(tmp_path))
    first = recipe.root_folder("x86_64")
    assert first.parent.parent == tmp_path / "hosts" and first.name == "root"
    monkeypatch.setattr(recipe, "PACKAGES", recipe.PACKAGES + ",less")
    assert recipe.root_folder("x86_64") != first
    assert recipe.root_folder("aarch64") != recipe.root_folder("x86_64")
