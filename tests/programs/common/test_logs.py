"""The log: its shape, and what must never be in it."""

from __future__ import annotations

import io
import logging
from typing import Any

import msgspec
import pytest

from cortops.programs.common.logs import NEVER_LOGGED, LibraryLog, failure, make_log
from cortops.testing.clock import VirtualClock


def lines(out: io.BytesIO) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in out.getvalue().splitlines()]


def test_a_line_has_event_level_time_program_and_fields() -> None:
    out = io.BytesIO()
    make_log("miner", out, VirtualClock(), node="miner-1").info("task committed", session=3, task=7, wait_s=0.25)
    expected = {"event": "task committed", "level": "info", "at": "2027-01-15T08:00:00.000Z", "program": "miner", "node": "miner-1"}
    assert lines(out) == [{**expected, "session": 3, "task": 7, "wait_s": 0.25}]
    assert out.getvalue().count(b"\n") == 1


def test_debug_is_not_written() -> None:
    out = io.BytesIO()
    make_log("miner", out, VirtualClock()).debug("detail")
    assert out.getvalue() == b""


@pytest.mark.parametrize("name", [*sorted(NEVER_LOGGED), "Authorization", "API-Key", "Private_Key"])
def test_private_fields_are_dropped_at_any_depth(name: str) -> None:
    out = io.BytesIO()
    make_log("gateway", out, VirtualClock()).info("x", **{name: "hush-hush"}, body={"a": [{name: "hush-hush", "model": "m"}]})
    assert b"hush-hush" not in out.getvalue()
    assert lines(out)[0]["body"] == {"a": [{"model": "m"}]}


@pytest.mark.parametrize("written", ["0xabcdef0123456789", "abcdef0123456789", "ABCDEF0123456789"])
def test_a_known_secret_is_redacted_wherever_it_stands(written: str) -> None:
    out = io.BytesIO()
    make_log("miner", out, VirtualClock(), secrets=("0xabcdef0123456789",)).info("x", why=f"bad key {written}!")
    assert lines(out)[0]["why"].startswith("bad key ") and written.encode() not in out.getvalue()


def test_what_json_does_not_know_is_written_as_words() -> None:
    out = io.BytesIO()
    make_log("miner", out, VirtualClock()).info("x", error=ValueError("no"), deep={"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}})
    assert lines(out)[0]["error"] == "no" and b'"g"' not in out.getvalue()


def test_a_failure_says_type_words_and_place() -> None:
    def inner() -> None:
        raise KeyError("x" * 500)

    with pytest.raises(KeyError) as caught:
        inner()
    told = failure(caught.value)
    assert told["error"] == "KeyError" and len(told["words"]) == 200 and told["frames"][-1].endswith(" inner")


def test_warnings_of_libraries_join_the_log() -> None:
    out = io.BytesIO()
    handler = LibraryLog(make_log("router", out, VirtualClock()))
    logger = logging.Logger("some.library")
    logger.addHandler(handler)
    logger.info("not this")
    logger.warning("slow %s", "peer")
    try:
        raise ValueError("odd")
    except ValueError:
        logger.exception("failed")
    first, second = lines(out)
    assert (first["event"], first["level"], first["logger"], first["words"]) == ("library", "warning", "some.library", "slow peer")
    assert second["level"] == "error" and second["cause"]["error"] == "ValueError"
