"""Shell questions to this machine: many in one run, each with its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass

import pytest

from cortops.targets.local import LocalTarget
from cortops.targets.shell import ask_shell, program
from cortops.targets.target import Ending, Exited, Line, Lost, TimedOut
from cortops.testing.clock import VirtualClock
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


def test_a_body_is_what_was_written_to_the_last_line_break() -> None:
    found = asked("printf 'a\\nb'", "printf 'a\\nb\\n'", "printf '\\n\\n'", ":")
    assert [reply.body for reply in found.values() if isinstance(reply, Answer)] == [b"a\nb", b"a\nb\n", b"\n\n", b""]


def test_no_line_of_output_passes_for_an_end() -> None:
    """The mark comes out of all scripts together: one taken from other questions, or guessed, is output like any other."""
    other = program([Shell(id="x", target="here", script="true")]).rpartition("printf '\\n")[2].split()[0]
    assert other.startswith("#cortops-answer-")
    found = asked(f"echo '{other} 0 0'; echo '{other} 1 0'; echo '#cortops-answer what'; exit 5", "echo after")
    first, second = found["q0"], found["q1"]
    assert isinstance(first, Answer) and (first.status, first.text.count("#cortops-answer")) == (5, 3)
    assert isinstance(second, Answer) and second.text == "after"


@dataclass
class Scripted:
    """A target that gives these items whatever it is asked to run."""

    items: tuple[Line | Ending, ...]
    name: str = "far"
    deadline_s: float = 0.0

    async def run(self, program: str, data: AsyncIterable[bytes], deadline_s: float) -> AsyncGenerator[Line | Ending, None]:
        self.deadline_s = deadline_s
        for item in self.items:
            yield item


@pytest.mark.parametrize(
    ("ending", "silence", "why"),
    [
        (TimedOut(7), Silence.TIMEOUT, "far did not answer within 7 s"),
        (Lost("the line broke"), Silence.LOST, "the line broke"),
        (Exited(125), Silence.LOST, "far ended early"),
    ],
)
def test_what_has_no_end_has_no_answer_whatever_it_wrote(ending: Ending, silence: Silence, why: str) -> None:
    questions = [Shell(id=name, target="far", script=f"echo {name}", timeout_s=timeout_s) for name, timeout_s in (("a", 2), ("b", 7))]
    mark = program(questions).split("printf '\\n")[1].split()[0]
    target = Scripted((Line("out", "whole"), Line("out", f"{mark} 0 3"), Line("out", "half"), ending))
    found = asyncio.run(ask_shell(target, questions, VirtualClock()))
    assert target.deadline_s == 7, "the longest of all"
    answer, silent = found["a"], found["b"]
    assert isinstance(answer, Answer) and (answer.status, answer.text) == (3, "whole")
    assert isinstance(silent, NoAnswer) and (silent.silence, silent.why) == (silence, why)
