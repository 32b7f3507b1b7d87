"""Names carry a meaning, and nothing global changes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import pytest

EMPTY_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers", "misc", "stuff", "lib", "base"}
CONTAINERS = {"list", "dict", "set", "bytearray", "defaultdict", "OrderedDict", "Counter", "deque", "WeakValueDictionary"}
CHANGERS = {"append", "add", "update", "pop", "popitem", "clear", "extend", "insert", "remove", "discard", "setdefault", "appendleft"}


def _mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        name = value.func.id if isinstance(value.func, ast.Name) else getattr(value.func, "attr", "")
        return name in CONTAINERS
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def _globals(tree: ast.Module) -> dict[str, ast.expr | None]:
    found: dict[str, ast.expr | None] = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        for target in targets:
            if isinstance(target, ast.Name):
                found[target.id] = node.value  # type: ignore[union-attr]
    return found


def _changed(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, name) of each global that a function of the module rebinds or changes in place."""
    names = {name for name, value in _globals(tree).items() if _mutable(value)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from ((node.lineno, name) for name in node.names)
            continue
        changed: ast.expr | None = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGERS:
            changed = node.func.value
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            changed = node.value
        if isinstance(changed, ast.Name) and changed.id in names:
            yield changed.lineno, changed.id


def test_no_module_has_an_empty_name(sources: tuple[Any, ...], tests: tuple[Any, ...]) -> None:
    wrong = [source.where for source in sources + tests if EMPTY_NAMES & {part.removeprefix("test_") for part in source.name.split(".")}]
    assert not wrong, "\n" + "\n".join(wrong)


def test_no_class_is_a_manager(sources: tuple[Any, ...]) -> None:
    classes = [(source, node) for source in sources for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)]
    wrong = [f"{source.where}:{node.lineno} {node.name}" for source, node in classes if node.name.endswith(("Manager", "Helper", "Utils"))]
    assert not wrong, "\n" + "\n".join(wrong)


def test_no_global_changes(sources: tuple[Any, ...]) -> None:
    wrong = [f"{source.where}:{line} {name}" for source in sources for line, name in _changed(source.tree)]
    assert not wrong, "\n" + "\n".join(wrong)


def test_a_global_container_is_a_constant(sources: tuple[Any, ...]) -> None:
    wrong = [
        f"{source.where} {name}"
        for source in sources
        for name, value in _globals(source.tree).items()
        if _mutable(value) and not name.strip("_").isupper() and name != "__all__"
    ]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("line", ["seen.append(1)", "seen[1] = 2", "del seen[1]"])
def test_the_rule_sees_a_change(line: str) -> None:
    assert [name for _, name in _changed(ast.parse(f"seen = []\ndef f():\n    {line}"))] == ["seen"]
    assert [*_changed(ast.parse(f"def f():\n    seen = []\n    {line}"))] == []
