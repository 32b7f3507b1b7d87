"""The tree as the house tests see it: every source file parsed once."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "cortops"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One Python file: where it is, the dotted name for a module of the package, its text and its tree."""

    path: Path
    name: str
    text: str = field(repr=False)
    tree: ast.Module = field(repr=False)

    @property
    def where(self) -> str:
        return str(self.path.relative_to(ROOT))


def _read(path: Path) -> Source:
    text = path.read_text()
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[1:] if parts[0] == "src" else parts).removesuffix(".__init__")
    return Source(path=path, name=name, text=text, tree=ast.parse(text))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def sources() -> tuple[Source, ...]:
    """Every module of the package."""
    return tuple(_read(path) for path in sorted(SRC.rglob("*.py")))


@pytest.fixture(scope="session")
def tests() -> tuple[Source, ...]:
    """Every Python file below tests/ and benchmarks/, and the documents' generator."""
    paths = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "docs").rglob("*.py")]
    return tuple(_read(path) for path in sorted(paths))


@pytest.fixture(scope="session")
def texts() -> tuple[tuple[str, str], ...]:
    """(path, text) of every text file that is or would be committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    ).stdout.split(b"\0")
    found = []
    for name in sorted({entry.decode() for entry in listed if entry}):
        path = ROOT / name
        if path.is_file() and b"\0" not in (data := path.read_bytes()):
            found.append((name, data.decode("utf-8", "replace")))
    return tuple(found)
