"""Functions of at most 60 lines (the docstring not counted), modules of at most 400. No exemptions."""

from __future__ import annotations

import ast
from typing import Any

FUNCTION_LINES = 60
MODULE_LINES = 400


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    doc = node.body[0] if ast.get_docstring(node) else None
    return (node.end_lineno or 0) - node.lineno + 1 - (((doc.end_lineno or 0) - doc.lineno + 1) if doc else 0)


def test_functions_are_short(sources: tuple[Any, ...], tests: tuple[Any, ...]) -> None:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    functions = [(source, node) for source in sources + tests for node in ast.walk(source.tree) if isinstance(node, kinds)]
    wrong = [f"{source.where}:{node.lineno} {node.name} {_lines(node)}" for source, node in functions if _lines(node) > FUNCTION_LINES]
    assert not wrong, "\n" + "\n".join(wrong)


def test_modules_are_short(sources: tuple[Any, ...], tests: tuple[Any, ...]) -> None:
    counts = {source.where: source.text.count("\n") for source in sources + tests}
    wrong = [f"{where} {lines}" for where, lines in counts.items() if lines > MODULE_LINES]
    assert not wrong, "\n" + "\n".join(wrong)
