"""The program behind a key that may only look: it runs a listed text, whole and unchanged, and nothing else whatever it is sent."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.targets.bootstrap import opening
from cortops.targets.observed import OBSERVE, ask_alone, list_of, sum_of
from cortops.targets.shell import program
from cortops.targets.target import Ending, Exited, Line
from cortops.testing.clock import VirtualClock
from cortops.words.question import Answer, NoAnswer, Shell

ASKED = Shell(id="who", target="h1", script="echo it is $(echo well); cat; echo said >&2; exit 3")
SLOW = Shell(id="slow", target="h1", script="sleep 60")
OTHER = Shell(id="other", target="h1", script="echo other")
DEADLINE_S = 10.0


@pytest.fixture(name="observe", scope="module")
def _observe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("observe")
    path = folder / "observe"
    path.write_text(OBSERVE)
    path.chmod(0o755)
    (folder / "list").write_text(list_of([ASKED, SLOW]))
    return path


def run(observe: Path, data: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    env = {"PATH": "/nowhere", "SSH_ORIGINAL_COMMAND": "echo hacked", "ENV": "/nowhere", "LC_ALL": "xx"}
    return subprocess.run([str(observe), *arguments], input=data, capture_output=True, timeout=30, check=False, env=env)


def sent(question: Shell, deadline_s: float = DEADLINE_S) -> bytes:
    return opening(program([question]), deadline_s)


def test_a_listed_question_is_answered_and_gets_no_data(observe: Path) -> None:
    done = run(observe, sent(ASKED) + b"echo hacked\n")
    lines = done.stdout.decode().splitlines()
    assert (done.returncode, lines[:3]) == (0, ["#cortops-start 0", "it is well", "said"])
    assert lines[-1].endswith(" 0 3"), "the mark, with its number and status"
    assert done.stderr.decode().splitlines() == ["#cortops-start 0"]


def test_a_listed_text_ends_at_its_deadline(observe: Path) -> None:
    assert run(observe, sent(SLOW, 0.2)).returncode == 137


REFUSED = {
    "not listed": sent(OTHER),
    "changed": sent(ASKED).replace(b"well", b"hell"),
    "cut": sent(ASKED)[:-20],
    "too long": b"999999 10\n" + b"#" * 600_000,
    "two at once": opening(program([ASKED, SLOW]), DEADLINE_S),
    "nothing": b"",
    "no length": b"x 10\n" + sent(ASKED).partition(b"\n")[2],
    "no deadline": sent(ASKED).replace(b" 10.000\n", b"\n"),
    "an odd deadline": sent(ASKED).replace(b" 10.000\n", b" -k;id\n"),
    "a deadline for ever": sent(ASKED).replace(b" 10.000\n", b" 100000.0\n"),
    "zero": b"0 10\n",
    "a hash": b"64 10\n" + sum_of(ASKED).encode(),
    "a command": b"id\n",
}


@pytest.mark.parametrize("what", REFUSED)
def test_anything_else_is_refused_and_runs_nothing(observe: Path, what: str) -> None:
    done = run(observe, REFUSED[what])
    assert (done.returncode, done.stdout) == (126, b"#cortops-start 0\n")
    assert b"this key may not do that: " in done.stderr


@settings(max_examples=25, deadline=None)
@given(at=st.integers(0, 10_000), byte=st.integers(1, 255))
def test_no_changed_byte_of_a_text_runs(observe: Path, at: int, byte: int) -> None:
    head, _, text = sent(ASKED).partition(b"\n")
    at %= len(text)
    changed = text[:at] + bytes([text[at] ^ byte]) + text[at + 1 :]
    assert run(observe, head + b"\n" + changed).returncode == 126


class _Observed:
    """A host with such a program, without SSH."""

    name = "h1"

    def __init__(self, observe: Path) -> None:
        self._observe = observe

    async def run(self, program: str, data: AsyncIterable[bytes], deadline_s: float) -> AsyncGenerator[Line | Ending, None]:
        done = await asyncio.to_thread(run, self._observe, opening(program, deadline_s))
        for line in done.stdout.decode().splitlines()[1:]:
            yield Line("out", line)
        for line in done.stderr.decode().splitlines()[1:]:
            yield Line("err", line)
        yield Exited(done.returncode)


def test_questions_are_asked_alone_and_a_refusal_says_why(observe: Path) -> None:
    questions: Sequence[Shell] = (ASKED, OTHER)
    replies = asyncio.run(ask_alone(_Observed(observe), questions, VirtualClock()))
    answer, refusal = replies["who"], replies["other"]
    assert isinstance(answer, Answer) and answer.status == 3 and answer.text == "it is well\nsaid"
    assert isinstance(refusal, NoAnswer)
    assert (
        refusal.why
        == f"h1: this key may not do that: the text {sum_of(OTHER)} is not on its list (cortops watch --install brings the list up to date)"
    )
