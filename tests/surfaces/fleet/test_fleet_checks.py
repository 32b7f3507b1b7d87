"""What is asked about hosts and installed nodes, and what the answers mean."""

from __future__ import annotations

import pytest

from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.surfaces import checks as all_checks
from cortops.surfaces import questions as all_questions
from cortops.surfaces import render
from cortops.surfaces.fleet import checks as fleet_checks
from cortops.surfaces.judging import judge
from cortops.surfaces.site import Site
from cortops.words.question import Answer, NoAnswer, Reply, Rpc, Shell, Silence
from cortops.words.resource import Cortensord

TEXT = """format: 1
environment: lab
owners: {default: ops@lab.example}
hosts: {h1: {ssh: ops@h1.lab.example}, h2: {ssh: ops@h2.lab.example}, h3: {ssh: ops@h3.lab.example}}
network: testnet-0
nodes:
  m[1-4]: {program: cortensord, role: miner, runs: minerv4, host: h1, shape: ansible, unit: "cortensor-{n}.service",
           env_file: "/home/deploy/.env-{n}", log: "/var/log/c-{n}.log", binary: /usr/local/bin/cortensord}
  r1: {program: cortensord, role: router, runs: routerv1, host: h2, shape: nohup, binary: /usr/local/bin/cortensord,
       env_file: /home/ops/.cortensor/.env, log: /home/ops/c.log, address: "0x00000000000000000000000000000000000000A1"}
"""
NOBODY = Site(hosts={}, public={})


def fleet() -> Environment:
    env = load(TEXT, "lab.yaml")
    assert isinstance(env, Environment)
    return env


def answer(name: str, text: str) -> Answer:
    return Answer(question=name, at=1, elapsed_s=0, status=0, body=text.encode())


def test_each_host_is_asked_twice_and_once_where_it_has_no_node() -> None:
    asked = [question for question in fleet_checks.questions(fleet(), NOBODY) if isinstance(question, Shell)]
    assert [(question.target, question.id) for question in asked] == [
        ("h1", "disk:h1"),
        ("h2", "disk:h2"),
        ("h3", "disk:h3"),
        ("h1", "running:h1"),
        ("h2", "running:h2"),
    ]


def test_a_fleet_asks_its_hosts_and_the_chain_and_has_nothing_to_make() -> None:
    env = fleet()
    others = [question for question in all_questions(env, NOBODY) if not isinstance(question, Shell)]
    assert [question.id for question in others] == ["chain:id", "chain:head", "code:runtime"]
    assert all(isinstance(question, Rpc) and question.url == env.network.rpc.url for question in others)
    made = render(env, NOBODY)
    assert {type(resource) for resource in made} == {Cortensord}
    assert [(item.key, item.because) for item in made][-1] == ("h2 cortensord:r1", "lab.yaml:9")
    assert isinstance(made[-1], Cortensord) and made[-1].address == "0x" + "0" * 38 + "a1"


ROWS = """m1\trunning\t812\trestarted 0 times since it was loaded
m2\tstopped\t\tcortensor-2.service is failed (failed)
m3\tunseen\t\tFailed to connect to bus
"""


def test_what_runs_is_ok_what_stands_still_is_down_and_what_nobody_saw_is_neither() -> None:
    replies: dict[str, Reply] = {"running:h1": answer("running:h1", ROWS)}
    replies["running:h2"] = NoAnswer(question="running:h2", at=1, elapsed_s=0, silence=Silence.LOST, why="connection refused")
    nodes = [check for check in fleet_checks.checks(fleet(), NOBODY) if check.name == "process"]
    assert [(str(item.check.entity), item.verdict.outcome, item.verdict.text) for item in judge(nodes, replies, 2.0)] == [
        ("miner/m1", "ok", "runs, pid 812, restarted 0 times since it was loaded"),
        ("miner/m2", "bad", "cortensor-2.service is failed (failed)"),
        ("miner/m3", "inconclusive", "Failed to connect to bus"),
        ("miner/m4", "inconclusive", f"its host did not tell of it: {ROWS.strip()[:120]}"),
        ("router/r1", "inconclusive", "h2 could not be asked: connection refused"),
    ]


@pytest.mark.parametrize(
    ("code", "outcome", "text"),
    [
        ('"0x60806040"', "ok", "there is code at its address (4 bytes)"),
        ('"0x"', "bad", "no code at its address"),
    ],
)
def test_of_a_runtime_of_others_code_at_its_address_is_enough(code: str, outcome: str, text: str) -> None:
    (check,) = [check for check in all_checks(fleet(), NOBODY) if check.entity.kind == "contract"]
    (judged,) = judge([check], {"code:runtime": answer("code:runtime", code)}, 2.0)
    assert (judged.verdict.outcome, judged.verdict.text) == (outcome, text)
