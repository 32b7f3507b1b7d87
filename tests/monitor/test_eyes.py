"""When most respondents fall silent together, we suspect ourselves; when one does, or all refuse, we do not."""

from __future__ import annotations

import pytest

from cortops.monitor.eyes import Eyes, look, respondents
from cortops.words.question import Answer, Dns, Http, NoAnswer, Reply, Rpc, Shell, Silence, Tls

WHO = {f"q{number}": f"127.0.0.1:{number}" for number in range(10)}


def replies(letters: str) -> dict[str, Reply]:
    """One letter a question: `.` answers, `t` times out, `r` refuses, a blank is not asked."""
    silences = {"t": Silence.TIMEOUT, "l": Silence.LOST, "r": Silence.REFUSED, "x": Silence.RESET}
    found: dict[str, Reply] = {}
    for number, letter in enumerate(letters):
        name = f"q{number}"
        if letter == ".":
            found[name] = Answer(question=name, at=1.0, elapsed_s=0.1, status=503, body=b"")
        elif letter != " ":
            found[name] = NoAnswer(question=name, at=1.0, elapsed_s=3.0, silence=silences[letter], why="")
    return found


def suspected(*rounds: str) -> list[bool]:
    eyes, found = Eyes(), []
    for letters in rounds:
        eyes = look(eyes, WHO, replies(letters))
        found.append(bool(eyes.trouble))
    return found


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        (["..........", "tttttt...."], [False, True]),
        (["..........", "llllllllll", "llllllllll", ".........."], [False, True, True, False]),
        (["tttttt...."], [True]),
        (["..........", "ttttt....."], [False, False]),  # half is not most
        (["......", "tttt.."], [False, False]),  # too few to tell
        (["..........", "rrrrrrrrrr"], [False, False]),  # a refusal has reached us
        (["..........", "xxxxxxxxxx"], [False, False]),
        (["..........", "tt........", "tttt......", "tttttttt.."], [False, False, False, True]),
        (["..........", "ttt.......", "ttt.......", "ttttt.....", "tttttt....", "ttttttt..."], [False] * 6),  # one after the other
        (["..........", "     ttttt", "ttttt     "], [False, False, True]),  # one cut, told in two rounds
        (["..........", "tttttttttt", "   ......."], [False, True, False]),
    ],
)
def test_most_at_once(rounds: list[str], expected: list[bool]) -> None:
    assert suspected(*rounds) == expected


def test_it_says_how_many() -> None:
    eyes = look(Eyes(), WHO, replies("tttttttt.."))
    assert eyes.trouble == "our own eyes: 8 of 10 that we ask gave no answer in the same round"


def test_a_respondent_is_who_is_asked_not_what_about() -> None:
    found = respondents(
        (
            Shell(id="a", target="h1", script=":"),
            Shell(id="b", target="h1", script=":"),
            Http(id="c", url="http://127.0.0.1:8400/health"),
            Rpc(id="d", url="http://127.0.0.1:8545", method="eth_chainId"),
            Rpc(id="e", url="http://127.0.0.1:8545", method="eth_call"),
            Tls(id="f", host="127.0.0.1", port=8443, server_name="x"),
            Http(id="g", url="https://x:8443/v1", connect_to=("127.0.0.1", 8443)),
            Dns(id="h", name="x"),
        )
    )
    assert found["a"] == found["b"] and found["d"] == found["e"] and found["f"] == found["g"]
    assert len(set(found.values())) == 5


def test_one_answer_of_a_respondent_is_enough() -> None:
    who = dict.fromkeys(WHO, "one host") | {f"r{number}": f"r{number}" for number in range(5)}
    eyes = look(Eyes(), who, replies(".ttttttttt"))
    assert not eyes.trouble and not eyes.silent
