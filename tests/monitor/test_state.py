"""A sequence of verdicts -> a sequence of states. o ok, b bad, B bad for certain, i inconclusive; settled: o ok, b bad, u unknown."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.monitor.restarts import RestartMark
from cortops.monitor.state import CheckMemory, Policy, settle, weigh, with_restart
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Verdict
from cortops.words.state import State

POLICY = Policy()
SAID: dict[str, Verdict] = {
    "o": Verdict(outcome="ok", text="well"),
    "b": Verdict(outcome="bad", text="ill"),
    "B": Verdict(outcome="bad", text="refused", certain=True),
    "i": Verdict(outcome="inconclusive", text="cannot tell"),
}


def after(verdicts: str) -> list[CheckMemory]:
    memory, found = CheckMemory(), []
    for letter in verdicts:
        memory = settle(memory, SAID[letter], POLICY)
        found.append(memory)
    return found


def settled(verdicts: str) -> str:
    return "".join(memory.settled[0] for memory in after(verdicts))


@pytest.mark.parametrize(
    ("verdicts", "states"),
    [
        ("o", "o"),  # the first time one look is enough
        ("ooo", "ooo"),
        ("b", "u"),  # one bad look proves nothing
        ("bb", "ub"),
        ("bo", "uu"),  # it could tell before, so that this is not the first time
        ("boo", "uuo"),
        ("B", "b"),  # certain
        ("ob", "oo"),
        ("obb", "oob"),
        ("obob", "ooob"),  # two of the last three
        ("oboob", "ooooo"),
        ("oB", "ob"),
        ("oBo", "obb"),
        ("oBoo", "obbo"),
        ("obbobo", "oobbbb"),  # never two ok in a row: stays bad
        ("obbooo", "oobboo"),
        ("oBioo", "obbbo"),  # a look that cannot tell is no ok
        ("oBoioo", "obbbbo"),
        ("oiii", "oooo"),  # patience
        ("oiiii", "oooou"),  # and its end
        ("oiiiio", "oooouu"),
        ("oiiiioo", "oooouuo"),
        ("oiiib", "ooooo"),
        ("oBiii", "obbbb"),
        ("oBiiii", "obbbbu"),  # not down for ever on what nobody sees
        ("i", "u"),
        ("iio", "uuo"),
        ("iB", "ub"),
        ("biib", "uuuu"),  # far apart
        ("bib", "uub"),
    ],
)
def test_verdicts_settle(verdicts: str, states: str) -> None:
    assert settled(verdicts) == states


LETTERS = st.text(alphabet="obBi", max_size=40)


@given(LETTERS)
def test_past_the_grace_what_cannot_be_seen_is_unknown(verdicts: str) -> None:
    assert settled(verdicts + "i" * (POLICY.grace + 1))[-1] == "u"


@given(LETTERS, st.integers(1, 60))
def test_never_ok_by_inconclusive_looks(verdicts: str, more: int) -> None:
    before = settled(verdicts)[-1:] or "u"
    after_ = settled(verdicts + "i" * more)[-1]
    assert after_ in (before, "u")


@given(LETTERS)
def test_certain_evidence_counts_at_once(verdicts: str) -> None:
    assert settled(verdicts + "B")[-1] == "b"


@given(st.text(alphabet="obi", max_size=60))
def test_flapping_is_bounded(verdicts: str) -> None:
    """Without certain evidence, ok comes back at most every third look."""
    states = settled("o" + verdicts)
    turns = [at for at in range(1, len(states)) if states[at] == "o" and states[at - 1] != "o"]
    assert all(later - earlier >= 3 for earlier, later in pairwise(turns))


@given(LETTERS)
def test_two_good_looks_end_everything(verdicts: str) -> None:
    assert settled(verdicts + "oo")[-1] == "o"


@given(LETTERS)
def test_memory_is_bounded_and_calm_is_well(verdicts: str) -> None:
    for memory in after(verdicts):
        assert len(memory.recent) <= POLICY.remembered
        assert memory.calm == (memory.settled == "ok" and memory.recent[-1] == "ok")


ENTITY = Entity("router", "r1")


def check(name: str, makes: Literal["down", "degraded"] = "down") -> Check:
    return Check(entity=ENTITY, name=name, asks=(name,), judge=lambda _replies, _now: SAID["o"], owner="ops", makes=makes)


def weighed(*items: tuple[str, Literal["down", "degraded"]]) -> tuple[State, str]:
    return weigh([(check(f"c{number}", makes), after(verdicts)[-1]) for number, (verdicts, makes) in enumerate(items)])


@pytest.mark.parametrize(
    ("items", "state", "reason"),
    [
        ([("o", "down"), ("o", "down")], State.OK, "well"),
        ([("o", "down"), ("oB", "down")], State.DOWN, "refused"),
        ([("oB", "degraded"), ("obb", "down")], State.DOWN, "ill"),  # why it is down, not why it is degraded
        ([("oB", "degraded"), ("i", "down")], State.DEGRADED, "refused"),
        ([("o", "down"), ("i", "down")], State.UNKNOWN, "cannot tell"),
        ([("b", "down")], State.UNKNOWN, "ill"),
        ([("oBo", "down")], State.DOWN, "refused; last look: well"),
        ([("ob", "down")], State.OK, "well; last look: ill"),
        ([("oi", "down")], State.OK, "well; last look: cannot tell"),
        ([], State.UNKNOWN, "nothing is asked about it"),
    ],
)
def test_checks_weigh(items: list[tuple[str, Literal["down", "degraded"]]], state: State, reason: str) -> None:
    assert weighed(*items) == (state, reason)


def test_what_was_never_asked_says_so() -> None:
    assert weigh([(check("c"), CheckMemory())]) == (State.UNKNOWN, "nothing was asked yet")


def test_a_restart_shows_for_a_while_on_what_is_well() -> None:
    mark = RestartMark(times=(100.0,), pid_before=1, pid=2)
    assert with_restart(State.OK, "well", mark, 104.0, 60) == (State.DEGRADED, "restarted 4 s ago (pid 1 ended, now pid 2)")
    assert with_restart(State.OK, "well", mark, 160.0, 60) == (State.OK, "well")
    assert with_restart(State.DOWN, "ill", mark, 104.0, 60) == (State.DOWN, "ill")
    assert with_restart(State.OK, "well", None, 104.0, 60) == (State.OK, "well")
