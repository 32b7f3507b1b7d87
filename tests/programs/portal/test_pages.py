"""What pages are made of: words, sums, bars, examples, and a style sheet with the console's colours."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from portal_rig import config
from tests.console.test_style import CSS as CONSOLE

from cortops.programs.portal.asked import Form, NewKey, from_form, limits_text
from cortops.programs.portal.bars import TALL, Sum, by_day, days_until, drawing, span_of, sums, total
from cortops.programs.portal.examples import examples
from cortops.programs.portal.wording import relative, utc
from cortops.protocol.limits import KINDS, KeyLimits
from cortops.protocol.openai import ApiError
from cortops.protocol.usage import DAY_S
from cortops.protocol.usage_days import UsageDay

NOW = 1_800_000_000.0  # 2027-01-15 08:00 UTC
CSS = (Path(__file__).resolve().parents[3] / "src/cortops/programs/portal/static/portal.css").read_text()
ROOTS = re.compile(r":root \{(.*?)\}", re.DOTALL)
TOKEN = re.compile(r"--(\w+): (#[0-9a-f]{6});")


def usage(day: str, model: str, key: str, requests: int, errors: int = 0) -> UsageDay:
    return UsageDay(day=day, model=model, key_id=key, requests=requests, errors=errors, prompt_tokens=requests, completion_tokens=2)


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (NOW, "now"),
        (NOW - 59, "now"),
        (NOW - 60, "1 min ago"),
        (NOW + 7200, "in 2 h"),
        (NOW - 47 * 3600, "47 h ago"),
        (NOW + 3 * DAY_S, "in 3 d"),
        (None, ""),
    ],
)
def test_times_are_told_from_now(at: float | None, words: str) -> None:
    assert relative(at, NOW) == words


def test_times_have_a_zone_and_limits_a_unit() -> None:
    assert (utc(NOW), utc(None)) == ("15 Jan 2027, 08:00 UTC", "never")
    assert limits_text(KeyLimits(requests_per_min=60, tokens_per_month=2_000_000)) == "60 requests/min, 2,000,000 tokens/month"
    assert limits_text(KeyLimits()) == "none of its own"


def test_sums_are_of_what_was_asked() -> None:
    rows = [usage("2027-01-14", "a", "k1", 2, 1), usage("2027-01-15", "a", "k2", 3), usage("2027-01-15", "b", "k1", 1)]
    assert [(item.of, item.requests, item.errors) for item in sums(rows, lambda row: row.model)] == [("a", 5, 1), ("b", 1, 0)]
    assert [(item.of, item.requests) for item in by_day(rows, days_until(NOW, 3))] == [
        ("2027-01-13", 0),
        ("2027-01-14", 2),
        ("2027-01-15", 4),
    ]
    assert (total(rows).requests, total(rows).completion_tokens, total([])) == (6, 6, Sum(of="all"))
    assert span_of(NOW, 1) == (NOW - 8 * 3600, NOW + 16 * 3600)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=92))
@settings(max_examples=30, deadline=None)
def test_bars_stay_inside_and_nothing_that_happened_is_invisible(days: list[tuple[int, int]]) -> None:
    found = drawing([Sum(of=str(place), requests=max(pair), errors=min(pair)) for place, pair in enumerate(days)])
    for bar, pair in zip(found.bars, days, strict=True):
        assert 0 <= bar.errors_height <= bar.height <= TALL and bar.y + bar.height == TALL
        assert 0 <= bar.x <= found.width - found.bar
        assert (bar.height > 0) == (max(pair) > 0) and (bar.errors_height > 0) == (min(pair) > 0)


def test_examples_can_be_pasted() -> None:
    found = examples(config("k", "u", own_authority=True), "https://portal.lab.example")
    for example in found:
        words = shlex.split(example.text.replace("\\\n", ""))
        assert words[:3] == ["curl", "--cacert", "ca.pem"] and any(word.startswith("https://") for word in words), words
    bare = examples(config("k", "u", gateway_url="", models=()), "https://portal.lab.example")
    assert "--cacert" not in bare[0].text and "https://GATEWAY/v1/models" in bare[0].text


@given(st.dictionaries(st.sampled_from(["name", "scope", "expires_in_days", *KINDS]), st.text(max_size=20)))
@settings(max_examples=60, deadline=None)
def test_any_form_is_a_key_or_a_reason(fields: dict[str, str]) -> None:
    from urllib.parse import urlencode

    found = from_form(Form(urlencode(fields, errors="replace").encode()))
    assert isinstance(found, NewKey | ApiError)
    if isinstance(found, ApiError):
        assert found.status == 400 and found.message


def test_the_style_sheet_has_the_consoles_colours() -> None:
    ours, theirs = ([dict(TOKEN.findall(block)) for block in ROOTS.findall(text)] for text in (CSS, CONSOLE))
    assert len(ours) == len(theirs) == 2
    for own, other in zip(ours, theirs, strict=True):
        assert own and own.items() <= other.items()
    lengths = re.findall(r"(?:margin|padding|gap)[\w-]*: ([^;]+);", CSS)
    assert [value for text in lengths for value in re.findall(r"(\d+)px", text) if int(value) % 4] == []
