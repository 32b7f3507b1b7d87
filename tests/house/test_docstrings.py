"""Public names say what they are. A function of one statement, or one told on the seam it implements, needs no words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

# Called back by asyncio, documented there; `on_…` likewise by httptools.
LIBRARY_SEAMS = {"connection_made", "data_received", "eof_received", "connection_lost", "pause_writing", "resume_writing"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def _statements(node: Function) -> int:
    return sum(isinstance(child, ast.stmt) for child in ast.walk(node)) - 1


def _public(nodes: list[ast.stmt], kind: Any) -> Iterator[Any]:
    yield from (node for node in nodes if isinstance(node, kind) and not node.name.startswith("_"))


def _documented_methods(sources: tuple[Any, ...]) -> set[str]:
    classes = [node for source in sources for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)]
    return {method.name for node in classes for method in _public(node.body, Function) if ast.get_docstring(method)}


def _above(source: Any, documented: dict[str, set[str]]) -> set[str]:
    """Functions documented in a package above: each surface has `questions` and `checks`, told once in `surfaces`."""
    parts = source.name.split(".")
    return set().union(*(documented.get(".".join(parts[:depth]), set()) for depth in range(1, len(parts))))


def _needs_words(node: Function, elsewhere: set[str]) -> bool:
    if ast.get_docstring(node) or node.name in elsewhere | LIBRARY_SEAMS or node.name.startswith("on_"):
        return False
    return _statements(node) > 1


def _silent(source: Any, methods: set[str], functions: set[str]) -> Iterator[str]:
    if not ast.get_docstring(source.tree) and source.tree.body:
        yield f"{source.where}:1 the module"
    for function in _public(source.tree.body, Function):
        if _needs_words(function, functions):
            yield f"{source.where}:{function.lineno} {function.name}"
    for node in _public(source.tree.body, ast.ClassDef):
        if not ast.get_docstring(node):
            yield f"{source.where}:{node.lineno} {node.name}"
        for method in _public(node.body, Function):
            if _needs_words(method, methods):
                yield f"{source.where}:{method.lineno} {node.name}.{method.name}"


def test_public_names_have_docstrings(sources: tuple[Any, ...]) -> None:
    methods = _documented_methods(sources)
    told = {source.name: {node.name for node in _public(source.tree.body, Function) if ast.get_docstring(node)} for source in sources}
    wrong = [name for source in sources for name in _silent(source, methods, _above(source, told))]
    assert not wrong, "\n" + "\n".join(wrong)


def test_annotations_are_lazy_everywhere(sources: tuple[Any, ...], tests: tuple[Any, ...]) -> None:
    line = "from __future__ import annotations"
    annotated = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.AnnAssign
    code = [source for source in sources + tests if any(isinstance(node, annotated) for node in ast.walk(source.tree))]
    wrong = [source.where for source in code if line not in source.text]
    assert not wrong, "\n" + "\n".join(wrong)
