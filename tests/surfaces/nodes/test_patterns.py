"""Log texts, invented but faithful to the community's parsers (no genuine log is public), and what they mean; any text at all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.surfaces.nodes.patterns import (
    CHEAP,
    CHEAP_LOWER,
    PACKS,
    EventStats,
    LogLine,
    SessionState,
    Traceback,
    plain,
    stamp_of,
    understand,
)

CASES = sorted((Path(__file__).parent / "logs").glob("*.case"))
MARK = "----\n"


def lines(text: str) -> list[LogLine]:
    return [LogLine(number, line) for number, line in enumerate(text.split("\n")[:-1], 1)]


def told(text: str) -> str:
    """The pack, a line for each event, and how many lines nobody knew."""
    found = understand(lines(text), utc_offset_s=0.0)
    events = [f"{event.line} {'' if event.at is None else f'@{event.at:.2f} '}{event.what}" for event in found.events]
    return "\n".join([f"pack {found.pack or 'none'}", *events, f"unknown {found.unknown}"]) + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_log_means_this(case: Path) -> None:
    text, _, expected = case.read_text().rpartition(MARK)
    assert told(text) == expected


def test_there_are_cases() -> None:
    assert len(CASES) >= 9


def test_each_pack_is_chosen_by_what_it_knows() -> None:
    forms = ("* Latest ID: 9 / Latest State: 3\n", "* Latest ID: 9\n* Latest State: 3\n", "Session ID: 9 State: 3\n")
    found = [understand(lines(form)) for form in forms]
    assert [log.pack for log in found] == [str(pack) for pack in PACKS]
    assert {log.events[0].what for log in found} == {SessionState(9, 3)}


def test_a_node_that_was_upgraded_is_read_by_the_form_that_it_writes_most() -> None:
    text = "Session ID: 1 State: 3\n" + "* Latest ID: 2 / Latest State: 3\n" * 3
    assert understand(lines(text)).pack == "one-line/3"


def test_the_filter_on_the_host_lets_through_all_that_a_pack_knows() -> None:
    for case in CASES:
        text = case.read_text().rpartition(MARK)[0]
        known = {event.line for event in understand(lines(text)).events}
        passed = {line.number for line in lines(text) if re.search(CHEAP, line.text) or re.search(CHEAP_LOWER, line.text.lower())}
        assert known - passed == set(), case.stem


def test_the_dict_of_event_stats_is_read_and_never_run(tmp_path: Path) -> None:
    bomb = tmp_path / "ran"
    text = f"Event Stats: {{'a': open({str(bomb)!r}, 'w').write('x')}}\nEvent Stats: {{'Ping': 3}}\n"
    found = understand(lines(text))
    assert [event.what for event in found.events] == [EventStats({"Ping": 3})] and not bomb.exists()


def test_colours_and_control_characters_go() -> None:
    assert plain("\x1b[1;92m* Latest\x1b[0m ID\x07: 1\x1b(B \r") == "* Latest ID: 1"


def test_a_stamp_without_a_zone_is_the_hosts() -> None:
    assert stamp_of("2026-04-22 05:12:45 x", 7200.0) == stamp_of("2026-04-22T03:12:45Z x")
    assert stamp_of("Pinging network...") is None


@given(st.text(max_size=400), st.integers(1, 5))
def test_no_text_is_an_error(text: str, repeat: int) -> None:
    found = understand([LogLine(number, text) for number in range(1, repeat + 1)])
    assert len(found.events) + found.unknown <= 2 * repeat


@given(st.integers(0, 10**17), st.integers(0, 9), st.text(alphabet=" \t", max_size=3))
def test_a_state_line_is_read_whatever_its_blanks(id_: int, state: int, blank: str) -> None:
    found = understand([LogLine(1, f"* Latest ID:{blank}{id_}{blank}/{blank}Latest State:{blank}{state}{blank}")])
    assert [event.what for event in found.events] == [SessionState(id_, state)]


def test_a_traceback_is_one_event_whatever_its_length() -> None:
    found = understand(lines("Traceback (most recent call last):\n" + '  File "a.py", line 1, in x\n' * 30))
    assert [event.what for event in found.events] == [Traceback()]
