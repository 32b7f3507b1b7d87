"""A service with another pid than before was restarted; how many rows and entities share it does not matter."""

from __future__ import annotations

from cortops.monitor.restarts import COUNTED_S, Process, RestartMark, marked, processes, restarts
from cortops.surfaces.services.checks import running
from cortops.words.entity import Entity
from cortops.words.question import Answer, NoAnswer, Reply, Silence

ROUTER, A, B = Entity("router", "r1"), Entity("proxy", "a"), Entity("proxy", "b")
CHECKS = (running(ROUTER, "r1", "h1", "ops"), running(A, "nginx", "h1", "ops"), running(B, "nginx", "h1", "ops"))
OF_R1, OF_NGINX = ("services:h1", "r1"), ("services:h1", "nginx")


def said(text: str, at: float = 1000.0, status: int = 0) -> dict[str, Reply]:
    return {"services:h1": Answer(question="services:h1", at=at, elapsed_s=0.1, status=status, body=text.encode())}


def test_a_check_of_a_process_carries_its_service() -> None:
    assert [check.service for check in CHECKS] == ["r1", "nginx", "nginx"]


def test_what_runs_is_remembered_by_its_pid() -> None:
    found = processes(CHECKS, said("r1 RUNNING 12 60\nnginx STOPPING 8 90\nother RUNNING 9 9\n"))
    assert found == {OF_R1: Process(pid=12, seen_at=1000.0)}


def test_another_pid_is_a_restart_of_everyone_it_serves() -> None:
    before = {OF_R1: Process(pid=12, seen_at=997.0), OF_NGINX: Process(pid=20, seen_at=997.0)}
    found = restarts(before, CHECKS, said("r1 RUNNING 12 60\nnginx RUNNING 31 2\n"))
    assert [(item.service, item.entities, item.pid_before, item.pid, item.seen_at, item.at) for item in found] == [
        ("nginx", (A, B), 20, 31, 997.0, 998.0)
    ]


def test_no_restart_is_seen_where_nothing_can_be() -> None:
    before = {OF_R1: Process(pid=12, seen_at=997.0)}
    silent = NoAnswer(question="services:h1", at=1000.0, elapsed_s=1, silence=Silence.LOST, why="lost")
    assert restarts({}, CHECKS, said("r1 RUNNING 12 60")) == (), "seen for the first time"
    assert restarts(before, CHECKS, said("r1 BACKOFF 0 0")) == (), "it does not run"
    assert restarts(before, CHECKS, said("r1 RUNNING 13 1", status=1)) == (), "the manager did not answer"
    assert restarts(before, CHECKS, {"services:h1": silent}) == ()
    assert restarts(before, CHECKS, {}) == ()


def test_marks_count_those_that_are_near() -> None:
    before = {OF_R1: Process(pid=1, seen_at=997.0)}
    mark: RestartMark | None = None
    for at in (1000.0, 1010.0, 1010.0 + COUNTED_S - 1):
        (found,) = restarts(before, CHECKS, said("r1 RUNNING 2 0", at))
        mark = marked(mark, found)
    assert mark is not None and mark.times == (1010.0, 1010.0 + COUNTED_S - 1)
    assert mark.text(mark.at + 3) == "restarted 3 s ago (pid 1 ended, now pid 2), 2 times within 10 min"
