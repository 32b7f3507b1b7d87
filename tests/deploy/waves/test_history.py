"""What a host's record says of a node before the next change: where back leads, and which gate is due."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.deploy.waves.records import DAY, entry, history, sha

from cortops.deploy.journal import Entry
from cortops.deploy.node_programs import programs
from cortops.deploy.waves.history import HostHistory, NodeNow, before, began, candidate, judged_bad
from cortops.environment.cortensord import CortensordNode

NODE = CortensordNode.model_validate(
    {
        "program": "cortensord",
        "role": "miner",
        "runs": "minerv4",
        "host": "h1",
        "shape": "systemd",
        "env_file": "/opt/a/.env",
        "log": "/var/log/a.log",
        "binary": "/usr/local/bin/cortensord",
    }
)


@pytest.mark.parametrize(
    ("ran", "earlier"),
    [
        ("X", None),
        ("XX", None),
        ("XY", 0),
        ("XXYY", 1),
        ("XYZ", 1),
        ("XYX", None),  # taken back: nothing lies before X, and never Y again
        ("XYXZ", 2),
        ("XYZY", 0),  # back from Z: before Y was X
        ("XYXY", 0),
        ("..XY", 2),
    ],
)
def test_back_leads_to_what_it_ran_before_its_present_program_for_the_first_time(ran: str, earlier: int | None) -> None:
    found = before(history({"a": ran}).generations, "a")
    assert (found.generation if found else None) == earlier


@given(st.text(alphabet="XYZ", min_size=1, max_size=12))
def test_going_back_again_and_again_ends(ran: str) -> None:
    seen, letters = set[str](), ran
    while (found := before(history({"a": letters}).generations, "a")) is not None:
        seen.add(letters[-1])
        letters += letters[found.generation]
        assert letters[-1] not in seen, "and never returns to what was left"


def test_since_when_it_runs_what_it_runs() -> None:
    made = history({"a": "XYYXX", "b": "XXXXX"})
    assert (began(made.generations, "a").generation, began(made.generations, "b").generation) == (3, 0)  # type: ignore[union-attr]
    assert began((), "a") is None
    assert began(made.generations, "c") is None


def seen(
    ran: str, *, now: str = "", judged: tuple[Entry, ...] = (), silent: str = "", running: bool = True
) -> tuple[str, str, str, float | None]:
    host = HostHistory(host="h1", silent=silent) if silent else history({"a": ran}, judged=judged)
    node_now = NodeNow(program=sha(now or ran[-1]), running=running, selected=4, over_s=86_400, earning=True)
    found = candidate("a", NODE, node_now, host, sha("Y"), at=DAY + 1_000)
    return found.standing, found.why, found.before[:1], found.changed_at


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (seen("X"), ("old", "", "", DAY)),
        (seen("XY"), ("due", "", "x", DAY + 100)),
        (seen("XY", judged=(entry("a", "Y", "begun"),)), ("due", "", "x", DAY + 100)),
        (seen("XY", judged=(entry("a", "Y", "held", "not selected"),)), ("due", "", "x", DAY + 100)),
        (seen("XY", judged=(entry("a", "Y", "passed"),)), ("new", "", "x", DAY + 100)),
        (seen("XY", judged=(entry("a", "Y", "accepted"),)), ("new", "", "x", DAY + 100)),
        (seen("XY", judged=(entry("a", "Y", "bad", "it died"),)), ("bad", "it died", "x", DAY + 100)),
        (seen("XY", judged=(entry("a", "Y", "bad"), entry("a", "Y", "begun"))), ("due", "", "x", DAY + 100)),
        (seen("XY", judged=(entry("b", "Y", "passed"),)), ("due", "", "x", DAY + 100)),
        (seen("XX", now="Y"), ("half", "", "x", DAY)),
        (seen("YY"), ("new", "", "", DAY)),  # it was adopted with it
        (seen("X", now="Z"), ("apart", "it runs zzzzzz, which is not what was recorded (xxxxxx)", "", DAY)),
        (seen("X", now="Z", running=False), ("old", "", "", DAY)),
        (seen(".."), ("apart", "it is not adopted", "", None)),
        (seen("X", silent="no answer"), ("apart", "h1 could not be asked: no answer", "", None)),
    ],
)
def test_how_a_node_stands_before_an_upgrade(
    found: tuple[str, str, str, float | None], expected: tuple[str, str, str, float | None]
) -> None:
    assert found == expected


def test_a_candidate_carries_its_rate_and_what_it_runs() -> None:
    found = candidate("a", NODE, NodeNow(selected=48, over_s=86_400, earning=False), history({"a": "X"}), sha("Y"), at=DAY + 60)
    assert (found.rate.every_s, found.earning, found.program, found.changed_for_s) == (1_800, False, sha("X"), 60)
    router = NODE.model_copy(update={"role": "router"})
    assert not candidate("a", router, NodeNow(), history({"a": "X"}), sha("Y"), at=DAY).selectable


def test_a_program_that_was_found_bad_is_remembered_once_it_was_taken_back() -> None:
    back = history({"a": "XYX"}, judged=(entry("a", "Y", "bad", "it died"), entry("a", "Z", "passed")))
    assert [(node, one.text) for node, one in judged_bad([back], sha("Y"))] == [("a", "it died")]
    assert judged_bad([back], sha("Z")) == ()
    still = history({"a": "XY"}, judged=(entry("a", "Y", "bad"),))
    assert judged_bad([still], sha("Y")) == (), "it is to be taken back first"
    again = history({"a": "XYX"}, judged=(entry("a", "Y", "bad"), entry("a", "Y", "begun")))
    assert judged_bad([again], sha("Y")) == ()


def test_the_records_of_these_tests_are_as_meant() -> None:
    assert {name: node.program[:2] for name, node in programs(history({"a": "XY", "b": ".X"}).generations[1]).items()} == {
        "a": "yy",
        "b": "xx",
    }
