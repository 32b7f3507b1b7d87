"""llama.cpp's standard error as lines of the log: what happened, and nothing of what a client sent."""

from __future__ import annotations

import asyncio
import io
import os
from typing import Any

import msgspec
import pytest

from cortops.programs.common.logs import make_log
from cortops.programs.engine.outcry import LINE_KIB_MAX, Outcry, relayed, words_of
from cortops.testing.clock import VirtualClock


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0.01.499.977 E srv    send_error: task id = 6, error: request (10032 tokens) exceeds the context", "srv send_error"),
        ("0.01.505.380 E failed to parse grammar", "failed to parse grammar"),
        ("0.01.505.380 E failed to parse 'xylophone'", "failed to parse"),
        ('0.01.505.380 E got {"prompt": "xylophone"}', "got"),
        ("/src/ggml/src/ggml.c:1234: GGML_ASSERT(a->ne[0] == b) failed", "/src/ggml/src/ggml.c:1234: GGML_ASSERT(a->ne[0] == b) failed"),
        ("parse: error parsing grammar: expecting ')' at", ""),
        ("xylophone ::= (", ""),
        ("0.01 E xylophone", ""),
    ],
)
def test_words_before_any_value(line: str, words: str) -> None:
    assert words_of(line) == words


def lines_of(out: io.BytesIO) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in out.getvalue().splitlines()]


def test_lines_are_told_whole_however_they_come() -> None:
    out = io.BytesIO()
    outcry = Outcry(make_log("engine", out, VirtualClock()))
    for part in (b"0.01.505.380 E failed to", b" parse grammar\nxylo", b"phone ::= (\n\n", b"x" * (LINE_KIB_MAX * 1024 + 1)):
        outcry.feed(part)
    outcry.feed(b"0.01.505.381 E the end", last=True)
    told = [(line["words"], line.get("lines")) for line in lines_of(out)]
    withheld = "lines that may quote a request are not shown"
    assert told == [("failed to parse grammar", None), (withheld, 1), (withheld, 1), ("the end", None)]
    assert b"xylo" not in out.getvalue()


def test_standard_error_is_taken_while_inside_and_given_back() -> None:
    out = io.BytesIO()
    before = os.fstat(2)

    async def spoken() -> None:
        with relayed(make_log("engine", out, VirtualClock())):
            os.write(2, b"0.01.505.380 E first\n")
            await asyncio.sleep(0)  # one turn of the loop: it polls
            await asyncio.sleep(0)
            os.write(2, b"0.01.505.381 E last")

    asyncio.run(spoken())
    assert [line["words"] for line in lines_of(out)] == ["first", "last"]
    assert os.fstat(2) == before


def test_a_writer_never_waits_for_a_loop_that_is_busy() -> None:
    async def flooded() -> None:
        with relayed(make_log("engine", io.BytesIO(), VirtualClock())), pytest.raises(BlockingIOError):
            while True:
                os.write(2, b"x" * 4096)

    asyncio.run(flooded())
