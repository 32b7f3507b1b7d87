from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from cortops.targets.conversation import LINE_MAX_KIB, LineCutter


@given(st.binary(max_size=300), st.randoms(use_true_random=False))
def test_lines_do_not_depend_on_how_the_bytes_were_cut(data: bytes, chance: random.Random) -> None:
    cutter = LineCutter()
    lines: list[str] = []
    at = 0
    while at < len(data):
        step = chance.randint(1, 7)
        lines += cutter.feed(data[at : at + step])
        at += step
    rest = cutter.rest()
    expected = data.decode("utf-8", "replace") if b"\n" not in data else None
    assert "\n".join([*lines, rest]) == (
        expected if expected is not None else "\n".join(part.decode("utf-8", "replace") for part in data.split(b"\n"))
    )


def test_an_endless_line_takes_no_more_than_its_limit() -> None:
    cutter = LineCutter()
    for _ in range(LINE_MAX_KIB * 4):
        assert cutter.feed(b"x" * 1024) == []
    assert len(cutter.rest()) == LINE_MAX_KIB * 1024
    assert cutter.feed(b"\nnext\n") == ["x" * LINE_MAX_KIB * 1024, "next"]
