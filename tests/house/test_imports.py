"""Imports run one way (DESIGN 2). The contracts stand in pyproject.toml; here they are run, and held to the folders that exist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from importlinter.cli import lint_imports

ORDER = "cli local console handoff incidents deploy|monitor probes|targets surfaces environment contracts protocol words"
HEAVY = {"eth_account", "eth_abi", "aiohttp", "asyncssh", "apprise", "xllamacpp", "supervisor", "pydantic", "cortops.testing"}


@pytest.fixture(scope="module")
def contracts(root: Path) -> dict[str, dict[str, Any]]:
    """type -> contract; each type is there once."""
    found = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return {contract["type"]: contract for contract in found}


@pytest.fixture(scope="module")
def folders(root: Path) -> set[str]:
    return {path.parent.name for path in (root / "src" / "cortops").glob("*/__init__.py")}


def test_every_contract_is_kept(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(config_filename=str(root / "pyproject.toml"), no_cache=True)
    assert status == 0, capsys.readouterr().out


def test_no_contract_has_an_exemption(contracts: dict[str, dict[str, Any]]) -> None:
    assert set(contracts) == {"layers", "forbidden", "independence", "protected"}
    for contract in contracts.values():
        assert not set(contract) & {"ignore_imports", "allow_indirect_imports", "unmatched_ignore_imports_alerting"}, contract["name"]


def test_the_layers_are_the_designs(contracts: dict[str, dict[str, Any]]) -> None:
    assert [re.sub(r"[() ]", "", layer) for layer in contracts["layers"]["layers"]] == ORDER.split()
    assert contracts["layers"]["exhaustive_ignores"] == ["testing", "programs"]


def test_only_a_layer_that_is_not_there_yet_is_optional(contracts: dict[str, dict[str, Any]], folders: set[str]) -> None:
    layers = [part.strip() for layer in contracts["layers"]["layers"] for part in layer.split("|")]
    assert {part.strip("()") for part in layers if not part.startswith("(")} == folders - {"testing", "programs"}


def test_programs_may_not_load_any_layer_above_contracts(contracts: dict[str, dict[str, Any]], folders: set[str]) -> None:
    allowed = {"contracts", "protocol", "words", "programs", "testing"}
    assert {name.removeprefix("cortops.") for name in contracts["forbidden"]["forbidden_modules"]} == folders - allowed


def test_every_program_but_the_common_part_stands_alone(contracts: dict[str, dict[str, Any]], root: Path) -> None:
    programs = {path.parent.name for path in (root / "src" / "cortops" / "programs").glob("*/__init__.py")} - {"common"}
    assert {name.removeprefix("cortops.programs.") for name in contracts["independence"]["modules"]} == programs


def test_only_the_command_line_imports_programs(sources: tuple[Any, ...]) -> None:
    starters = ("cortops.programs", "cortops.cli", "cortops.testing")
    wrong = [source.where for source in sources if "cortops.programs" in _imports(source.text) and not source.name.startswith(starters)]
    assert not wrong, "\n" + "\n".join(wrong)


def _imports(text: str) -> str:
    return "\n".join(re.findall(r"^\s*(?:from|import) .*", text, re.MULTILINE))


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, cortops.cli; print(*sorted(sys.modules))"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert loaded & HEAVY == set()
