"""Documents say what is: commands exist, links lead somewhere, generated pages are those of the code, each word is explained."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

VERBS = {"setup", "up", "down", "fast", "test", "proof", "bench", "lint", "docs"}
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.fixture(scope="module")
def documents(root: Path) -> tuple[Path, ...]:
    return (*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md")), root / "benchmarks" / "RESULTS.md")


def test_the_makefile_has_at_most_ten_verbs_each_explained(root: Path) -> None:
    explained = set(re.findall(r"^([a-z]+):.*## \S", (root / "Makefile").read_text(), re.MULTILINE))
    assert explained == VERBS | {"help"}


def test_ci_runs_the_same_verbs(root: Path) -> None:
    assert "for verb in lint test proof" in (root / ".ci" / "run").read_text()


def test_the_readme_opens_with_the_picture_and_the_two_commands(root: Path) -> None:
    top = "\n".join((root / "README.md").read_text().splitlines()[:40])
    assert top.index("make up") < top.index("make test")
    for box in ("client", "nginx", "gateway", "router", "miner", "oracle", "chain", "engine"):
        assert box in top, box


def test_every_make_command_in_the_documents_exists(documents: tuple[Path, ...]) -> None:
    for path in documents:
        named = set(re.findall(r"(?:^|`|\n)make ([a-z]+)", path.read_text()))
        assert named - VERBS - {"help"} == set(), path.name


def test_every_link_leads_to_a_file(documents: tuple[Path, ...]) -> None:
    broken = [
        f"{path.name}: {link}"
        for path in documents
        for link in LINK.findall(path.read_text())
        if "://" not in link and not (path.parent / link).exists()
    ]
    assert not broken, "\n".join(broken)


def test_every_page_is_reached_from_the_readme(root: Path, documents: tuple[Path, ...]) -> None:
    reached, todo = set(), [root / "README.md"]
    while todo:
        path = todo.pop().resolve()
        if path in reached:
            continue
        reached.add(path)
        links = LINK.findall(path.read_text()) if path.suffix == ".md" else []
        todo += [path.parent / link for link in links if "://" not in link and (path.parent / link).is_file()]
    assert [str(path) for path in documents if path.resolve() not in reached] == []


def test_generated_pages_are_those_of_the_code(root: Path) -> None:
    for name, text in _generator(root).pages().items():
        assert (root / "docs" / "reference" / name).read_text() == text, f"{name}: run make docs"


def _generator(root: Path) -> Any:
    spec = importlib.util.spec_from_file_location("docs_generate", root / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_shared_word_is_explained(root: Path) -> None:
    page = (root / "docs" / "reference" / "words.md").read_text()
    for path in (root / "src" / "cortops" / "words").glob("[a-z]*.py"):
        if path.stem != "errors":
            classes = re.findall(r"^class ([A-Z]\w+)|^([A-Z]\w+) = ", path.read_text(), re.MULTILINE)
            assert [name for pair in classes for name in pair if name and f"`{name}`" not in page] == [], path.name


def test_decisions_are_short_and_have_a_state(root: Path) -> None:
    for path in (root / "docs" / "decisions").glob("*.md"):
        text = path.read_text()
        assert re.search(r"^State: (proposed|accepted|replaced by \d{4})", text, re.MULTILINE), path.name
        assert text.count("\n") <= 90, path.name


def test_the_package_names_its_version(root: Path) -> None:
    import cortops

    assert re.search(rf"^## {re.escape(cortops.__version__)}\b", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert inspect.getdoc(cortops)
