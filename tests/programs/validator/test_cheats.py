"""The cheat table's cases, its frozen thresholds, and a small sample of it with the real model. All of it: `make bench ONLY=validation`."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.cheats import cases as module
from benchmarks.cheats.cases import CHEATS, HERE, HONEST, UNSEEDED, Case, cases
from benchmarks.cheats.table import counted, shown, texts_of, verdict_on

from cortops.programs.validator import signals
from cortops.programs.validator.embedding import load
from cortops.protocol.validation import Policy
from cortops.testing.embedding import minilm

OF_EACH = {"same": 2, "drift": 3, "paraphrase": 3, "other topic": 3, "truncated": 3, "prompt echo": 2, "wrong number": 2, "copy": 2}


@pytest.fixture(scope="module")
def every() -> tuple[Case, ...]:
    return cases()


def test_the_defaults_are_the_frozen_thresholds_and_the_texts_those_they_were_chosen_on() -> None:
    frozen = json.loads((HERE / "thresholds.json").read_text())
    assert Policy.parse(json.dumps(frozen["policy"])) == Policy()
    assert {name: getattr(signals, name) for name in frozen["constants"]} == frozen["constants"]
    assert {name: hashlib.sha256((HERE / name).read_bytes()).hexdigest() for name in frozen["texts_sha256"]} == frozen["texts_sha256"]


def test_there_are_enough_cases_in_two_halves_that_nobody_chose(every: tuple[Case, ...]) -> None:
    assert len({case.id for case in every}) == len(every)
    counts = Counter(case.kind for case in every)
    assert {*counts} == {*HONEST, UNSEEDED, *CHEATS} and min(counts.values()) >= 120, counts
    halves = Counter((case.kind, case.half) for case in every)
    assert min(halves.values()) >= 50 and cases() == every, halves


def test_each_cheat_differs_from_the_honest_answers(every: tuple[Case, ...]) -> None:
    equal = [case.id for case in every if case.guilty and case.kind != "copy" and case.answers[2] in case.answers[:2]]
    assert len(equal) <= 2, equal


def test_how_cheats_are_made() -> None:
    assert module.truncated("a b c d", 0.5) == "a b" and module.truncated("a b c d", 0.01) == "a"
    chance = random.Random(1)
    assert module.NUMBER.findall(module.with_wrong_number("It is 7.", chance)) != ["7"]
    assert module.with_foreign("One. Two.", "Other.", chance) in ("Other. Two.", "One. Other.")


@pytest.mark.real
def test_a_sample_of_the_first_half(every: tuple[Case, ...]) -> None:
    policy = Policy()
    sample = [
        case for kind, count in OF_EACH.items() for case in islice((case for case in every if (case.kind, case.half) == (kind, 1)), count)
    ]
    model = load(*minilm())
    vectors = {text: model.embed([text])[0] for text in texts_of(sample, policy)}
    rows = counted(sample, policy, lambda one, other: float(vectors[one] @ vectors[other]))
    assert sum(rows[kind, 1].accused for kind in OF_EACH) == 0, shown(rows, (1,))
    assert all(rows[kind, 1].share("VALID") == 0 for kind in OF_EACH if kind in CHEATS), shown(rows, (1,))
    assert rows["same", 1].share("VALID") == 1 and "drift" in shown(rows, (1,))
    copy = next(case for case in sample if case.kind == "copy")
    assert verdict_on(copy, policy, lambda one, other: float(vectors[one] @ vectors[other])).verdicts[2].reason == "copy of m0"
