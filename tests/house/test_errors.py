"""One exception tree, one JSON shape, and a cure in each class."""

from __future__ import annotations

import inspect
import re

import pytest

from cortops.words import errors
from cortops.words.errors import CortopsError

SHAPE = {"code", "what", "where", "why", "next"}
TREE = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, CortopsError)]


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_an_error_says_what_where_why_and_next(kind: type[CortopsError]) -> None:
    shown = kind("it broke", where="file:3", why="because").as_dict()
    assert set(shown) == SHAPE
    assert all(isinstance(value, str) for value in shown.values())
    assert (shown["what"], shown["where"], shown["why"]) == ("it broke", "file:3", "because")
    assert shown["next"] == (kind.__doc__ or "").strip()
    assert len(shown["next"]) > 20
    assert kind("x", next="cortops up").as_dict()["next"] == "cortops up"
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert kind.exit_status in {1, 2, 3}


def test_each_code_is_used_once() -> None:
    codes = [kind.code for kind in TREE]
    assert sorted(codes) == sorted(set(codes))


def test_the_tree_on_top_of_the_module_is_the_tree() -> None:
    drawn = re.findall(r"^([ │├└─]*)(\w+)( +exit (\d))?$", errors.__doc__ or "", re.MULTILINE)
    path: list[str] = []
    seen = {}
    for bars, name, _, status in drawn:
        depth = len(bars) // 4
        path = [*path[:depth], name]
        seen[name] = path[depth - 1] if depth else "Exception"
        if status:
            assert vars(errors)[name].exit_status == int(status), name
    assert seen == {kind.__name__: kind.__mro__[1].__name__ for kind in TREE}
