"""The benchmark harness: what it computes and prints."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import harness, spine
from benchmarks.harness import Figure


def test_rounds_are_interleaved_and_give_medians() -> None:
    calls: list[str] = []
    values = iter([1.0, 10.0, 5.0, 20.0, 3.0, 60.0])

    def case(name: str) -> float:
        calls.append(name)
        return next(values)

    assert harness.interleaved({"a": lambda: case("a"), "b": lambda: case("b")}, rounds=3) == {"a": 3.0, "b": 20.0}
    assert calls == ["a", "b"] * 3


@pytest.mark.parametrize(("value", "goal", "met"), [(25, "<= 25", True), (25.1, "<= 25", False), (0.95, ">= .95", True), (1, "", None)])
def test_a_goal_is_met_or_missed(value: float, goal: str, met: bool | None) -> None:
    assert Figure(bench="b", figure="f", value=value, unit="s", goal=goal).met is met


def test_a_goal_without_a_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="not of the form"):
        _ = Figure(bench="b", figure="f", value=1, unit="s", goal="25").met


def test_the_json_lines_come_last(capsys: pytest.CaptureFixture[str]) -> None:
    figures = [Figure(bench="b", figure="x_ms", value=1.23456, unit="ms", goal="<= 2", beside={"peer": 3.0})]
    harness.report(figures, configuration="c")
    *table, last = capsys.readouterr().out.splitlines()
    assert json.loads(last) == {"bench": "b", "figure": "x_ms", "value": 1.2346, "unit": "ms", "goal": "<= 2", "beside": {"peer": 3.0}}
    assert "x_ms" in table[1] and "met" in table[1] and "peer 3" in table[1]


def test_a_process_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="ended with 3"):
        harness.elapsed_s([sys.executable, "-c", "raise SystemExit(3)"], env=os.environ, timeout_s=10)


def test_memory_is_that_of_the_whole_tree() -> None:
    assert harness.pss_mib(os.getpid()) > 1
    assert harness.pss_mib(2**22 + 1) == 0


def test_a_token_is_what_has_content() -> None:
    assert spine._content({"choices": [{"delta": {"role": "assistant"}}]}) == ""
    assert spine._content({"choices": [{"delta": {"content": "hi"}}]}) == "hi"
    assert spine._content({"choices": []}) == ""


def test_the_service_manager_is_found_by_its_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="0 service managers"):
        spine.supervisor_pid(tmp_path)
