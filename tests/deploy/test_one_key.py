"""One key on one host: who may be started, and what is said of the other one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from tests.deploy.test_fleet_driver import FOUND
from tests.deploy.test_program_plan import NODE

from cortops.deploy.host_state import Starting
from cortops.deploy.one_key import one_key, refusals
from cortops.surfaces.fleet.found.discover import HostFound, question_id, read
from cortops.surfaces.fleet.found.installed import Installed, Shape
from cortops.words.errors import Refused
from cortops.words.question import Answer, NoAnswer, Question, Reply, Silence

KEY = "0x" + "ab" * 20
HERE = replace(FOUND, host="h1", unit=NODE.unit, env_file=NODE.env_file, log=NODE.log, address=KEY)
THERE = replace(HERE, host="h2", unit="cortensor.service", env_file="/home/deploy/.cortensor/.env", log="/var/log/cortensord.log")


def host(name: str, *nodes: Installed) -> HostFound:
    return replace(read("", name), complete=True, nodes=nodes)


def refused(*found: HostFound, runs_now: bool = True, silent: Mapping[str, str] | None = None, node: str = KEY) -> list[str]:
    starting = [Starting(program=replace(NODE, address=node), runs_now=runs_now)]
    return [str(each) for each in refusals(starting, found, silent or {})]


def test_a_node_may_be_started_where_its_key_runs_nowhere_else() -> None:
    other = replace(THERE, address="0x" + "cd" * 20)
    assert refused(host("h1", HERE), host("h2", other)) == []
    assert refused(host("h1", HERE), host("h2", replace(THERE, running=False))) == []
    assert refused(host("h1", replace(HERE, address="")), host("h2"), node="") == [], "no address is known, so none can be elsewhere"


def test_the_second_start_names_the_first_one_and_since_when() -> None:
    (said,) = refused(host("h1", HERE), host("h2", replace(THERE, address=KEY.upper().replace("0X", "0x"))))
    assert said == "m7 is not started on h1: its key 0xabab…abab runs on h2 as cortensor.service since 2026-11-25 03:12:00 UTC"
    (same_host,) = refused(host("h1", HERE, replace(THERE, host="h1", started_at=None)))
    assert same_host == "m7 is not started on h1: its key 0xabab…abab runs on h1 as cortensor.service"


def test_the_key_that_counts_is_the_one_in_the_env_file_now() -> None:
    edited = replace(HERE, address="0x" + "cd" * 20)
    assert refused(host("h1", edited), host("h2", THERE)) == []
    (said,) = refused(host("h1", edited), host("h2", replace(THERE, address=edited.address)))
    assert "0xcdcd…cdcd runs on h2" in said


def test_a_node_without_a_unit_is_itself_by_its_env_file() -> None:
    nohup = replace(HERE, shape=Shape.NOHUP, unit="")
    starting = [Starting(program=replace(NODE, shape="nohup", unit="", address=KEY), runs_now=True)]
    assert list(refusals(starting, [host("h1", nohup)], {})) == []


def test_a_silent_host_holds_up_what_stands_still_and_not_what_runs() -> None:
    silent = {"h3": "connection timed out"}
    assert refused(host("h1", HERE), silent=silent) == []
    assert refused(host("h1", HERE), silent=silent, runs_now=False) == [
        "m7 is not started: its key may run on h3, which could not be asked: connection timed out"
    ]


def test_the_guard_asks_every_host_once_and_raises_the_first_refusal() -> None:
    asked: list[str] = []

    async def ask(questions: Sequence[Question]) -> Mapping[str, Reply]:
        asked.extend(question.id for question in questions)
        lost = NoAnswer(question=question_id("h3"), at=0, elapsed_s=0, silence=Silence.LOST, why="cut off")
        answers = {name: Answer(question=question_id(name), at=0, elapsed_s=0, status=0, body=name.encode()) for name in ("h1", "h2")}
        return {answers[name].question: answers[name] for name in answers} | {lost.question: lost}

    there = {"h1": host("h1", HERE), "h2": host("h2", THERE)}
    guard = one_key(ask, ["h1", "h2", "h3"], lambda text, name: there[name])
    with pytest.raises(Refused, match="runs on h2") as error:
        asyncio.run(guard([Starting(program=replace(NODE, address=KEY), runs_now=True)]))
    assert error.value.next.startswith("Stop cortensor.service on h2")
    assert asked == [question_id(name) for name in ("h1", "h2", "h3")]
