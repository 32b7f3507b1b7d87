"""Tests stand where the source stands, and each pure decision is tested by itself."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

APART = {"house", "e2e", "hosts", "proof"}  # suites about the whole
PURE = {"render", "facts", "checks", "plan", "state", "diagnose", "select", "request"}


def _imported(tests: tuple[Any, ...]) -> set[str]:
    """Every dotted name that a test file imports, `from a.b import c` counted as a.b and a.b.c."""
    found: set[str] = set()
    for node in (node for source in tests for node in ast.walk(source.tree)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_test_folders_mirror_the_source(root: Path, tests: tuple[Any, ...]) -> None:
    folders = {source.path.parent for source in tests if source.path.name.startswith("test_")}
    inside = [folder.relative_to(root / "tests") for folder in folders if folder.is_relative_to(root / "tests")]
    assert [str(folder) for folder in inside if folder.parts[0] not in APART and not (root / "src" / "cortops" / folder).is_dir()] == []


def test_each_decision_is_tested(sources: tuple[Any, ...], tests: tuple[Any, ...]) -> None:
    imported = _imported(tests)
    named = [source for source in sources if source.name.rpartition(".")[2] in PURE and source.name.count(".") > 1]
    pure = [source for source in named if not source.name.startswith("cortops.cli.")]
    wrong = [source.where for source in pure if source.name not in imported]
    assert not wrong, "\n" + "\n".join(wrong)
