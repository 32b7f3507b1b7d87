"""Shell questions to this machine: many in one run, each with its own answer."""

from __future__ import annotations

import asyncio

import pytest

from cortops.targets.local import LocalTarget
from cortops.targets.shell import ask_shell
from cortops.words.clock import SystemClock
from cortops.words.question import Answer, NoAnswer, Reply, Shell, Silence


def asked(*scripts: str, timeout_s: float = 5) -> dict[str, Reply]:
    questions = [Shell(id=f"q{number}", target="here", script=script, timeout_s=timeout_s) for number, script in enumerate(scripts)]
    return asyncio.run(ask_shell(LocalTarget("here"), questions, SystemClock()))


def test_each_question_has_its_own_output_and_status() -> None:
    found = asked("echo one", "printf two; exit 3", "echo to-err >&2", "cat", "cd /tmp; exit 0")
    assert {name: (reply.status, reply.text) for name, reply in found.items() if isinstance(reply, Answer)} == {
        "q0": (0, "one"),
        "q1": (3, "two"),
        "q2": (0, "to-err"),
        "q3": (0, ""),
        "q4": (0, ""),
    }


def test_a_script_that_is_no_sh_is_its_own_failure_only() -> None:
    found = asked("nonsense-command-xyz", "echo after")
    first, second = found["q0"], found["q1"]
    assert isinstance(first, Answer) and first.status == 127
    assert isinstance(second, Answer) and second.text == "after"


@pytest.mark.real
def test_one_that_hangs_leaves_the_answers_before_it() -> None:
    found = asked("echo quick", "sleep 60", "echo never", timeout_s=1)
    assert isinstance(found["q0"], Answer)
    for name in ("q1", "q2"):
        reply = found[name]
        assert isinstance(reply, NoAnswer) and reply.silence is Silence.TIMEOUT
