"""Decisions are pure: modules with these names ask no socket, process, chance or wall clock; they get answers and times as arguments."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from typing import Any

PURE = {"entities", "render", "facts", "checks", "plan", "state", "diagnose", "select", "request"}
WORLD = {
    "socket",
    "ssl",
    "subprocess",
    "asyncio",
    "random",
    "secrets",
    "time",
    "threading",
    "multiprocessing",
    "urllib.request",
    "http.client",
}
WORLD |= {"aiohttp", "asyncssh", "sqlite3", "uvloop"}
VERBS = "cortops.cli."  # a file there is named by its verb, `plan` too
CLOCK = {"now", "utcnow", "today"}


def _impure(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if _world(alias.name))
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield from ((node.lineno, node.module) for name in [node.module] if _world(name))
        elif isinstance(node, ast.Attribute) and node.attr in CLOCK and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            if owner in {"datetime", "date"}:
                yield node.lineno, f"{owner}.{node.attr}"
        elif isinstance(node, ast.Name) and node.id == "open":
            yield node.lineno, "open"


def _world(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in WORLD)


def test_pure_modules_do_not_touch_the_world(sources: tuple[Any, ...]) -> None:
    pure = [source for source in sources if source.name.rpartition(".")[2] in PURE and not source.name.startswith(VERBS)]
    wrong = [f"{source.where}:{line} {what}" for source in pure for line, what in _impure(source.tree)]
    assert not wrong, "\n" + "\n".join(wrong)
    assert len(pure) > 5


def test_the_rule_sees_what_it_forbids() -> None:
    text = "import asyncio\nfrom time import time\nfrom datetime import datetime\nnow = datetime.now()\nopen('x')\nimport timeit"
    assert [what for _, what in _impure(ast.parse(text))] == ["asyncio", "time", "datetime.now", "open"]


def test_words_use_the_standard_library_only(sources: tuple[Any, ...]) -> None:
    for source in sources:
        if source.name.startswith("cortops.words"):
            tops = {alias.name.partition(".")[0] for node in ast.walk(source.tree) if isinstance(node, ast.Import) for alias in node.names}
            tops |= {(node.module or "").partition(".")[0] for node in ast.walk(source.tree) if isinstance(node, ast.ImportFrom)}
            assert tops - {"cortops", *sys.stdlib_module_names} == set(), source.where
