"""The history: what goes in comes out, each body once, evidence of a state for ever, the rest within its limits; and what files suffer."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from cortops.monitor.history import answer, history, rollups
from cortops.monitor.record import Begun, Counts, Recalled, RoundRecord, evidence_id
from cortops.monitor.restarts import Process
from cortops.monitor.state import CheckMemory
from cortops.monitor.store import DAMAGED_KEPT_MAX, RAW_MIN_S, Limits, Store
from cortops.testing.clock import START
from cortops.words.entity import Entity
from cortops.words.errors import StoreUnavailable
from cortops.words.question import Answer, NoAnswer, Reply, Silence
from cortops.words.state import State

ROUTER, MINER = Entity("router", "r1"), Entity("miner", "m1")
RECENT = CheckMemory(recent=("ok", "bad", "inconclusive"), settled="ok", told=True, text="well", newest="?")


def said(question: str, body: bytes, at: float = START, status: int = 200) -> Answer:
    return Answer(question=question, at=at, elapsed_s=0.25, status=status, body=body)


def silent(question: str, why: str, at: float = START) -> NoAnswer:
    return NoAnswer(question=question, at=at, elapsed_s=3.0, silence=Silence.TIMEOUT, why=why)


def begun(entity: Entity, state: State, since: float, *evidence: str) -> Begun:
    return Begun(entity=entity, state=state, since=since, reason=f"it is {state}", evidence=evidence)


def one_round(at: float, *replies: Reply, states: tuple[Begun, ...] = (), counts: Mapping[str, Counts] | None = None) -> RoundRecord:
    return RoundRecord(at=at, replies={reply.question: reply for reply in replies}, states=states, counts=counts or {})


def count(path: Path, table: str) -> int:
    with sqlite3.connect(path) as connection:
        found = int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
    connection.close()
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "history.db"


def opened(path: Path, *, limits: Limits | None = None) -> Store:
    return Store(path, redact=lambda body: body.replace(b"hunter2", b"***"), limits=limits or Limits())


def test_a_fresh_history_recalls_nothing(path: Path) -> None:
    store = opened(path)
    assert store.load(START) == Recalled()
    store.close()


def test_how_things_stood_comes_back(path: Path) -> None:
    store = opened(path)
    states = (begun(ROUTER, State.DOWN, START), begun(MINER, State.OK, START - 50))
    record = RoundRecord(
        at=START + 3,
        states=states,
        checks={(ROUTER, "health"): RECENT},
        processes={("services:h1", "r1"): Process(pid=7, seen_at=START)},
    )
    store.write(record)
    store.close()
    found = opened(path).load(START + 10)
    assert found.at == START + 3
    assert found.states == {ROUTER: states[0], MINER: states[1]}
    memory = found.checks[ROUTER, "health"]
    assert (memory.recent, memory.settled, memory.told) == (RECENT.recent, "ok", True)
    assert found.processes == {("services:h1", "r1"): Process(pid=7, seen_at=START + 3)}


def test_states_follow_one_another(path: Path) -> None:
    store = opened(path)
    down, well = begun(ROUTER, State.DOWN, START), begun(ROUTER, State.OK, START + 9)
    for at, state in ((START, down), (START + 3, down), (START + 9, well), (START + 12, well)):
        store.write(one_round(at, states=(state, begun(MINER, State.OK, START))))
    found = history(path, ROUTER, since=0, limit=10)
    assert [(item.state, item.since, item.until, item.reason) for item in found] == [
        (State.OK, START + 9, None, "it is ok"),
        (State.DOWN, START, START + 9, "it is down"),
    ]
    assert len(history(path, None, since=0, limit=10)) == 3
    assert [item.entity for item in history(path, None, since=START + 10, limit=10)] == [ROUTER, MINER], "what still lasts"
    assert len(history(path, None, since=0, limit=1)) == 1
    store.close()


def test_what_is_no_longer_declared_has_ended(path: Path) -> None:
    store = opened(path)
    both = (begun(ROUTER, State.OK, START), begun(MINER, State.OK, START))
    checks = {(ROUTER, "health"): RECENT, (MINER, "health"): RECENT}
    store.write(RoundRecord(at=START, states=both, checks=checks))
    store.write(RoundRecord(at=START + 3, states=both[:1], checks={(ROUTER, "health"): RECENT}))
    store.close()
    found = opened(path).load(START)
    assert set(found.states) == {ROUTER} and set(found.checks) == {(ROUTER, "health")}
    assert history(path, MINER, since=0, limit=1)[0].until == START + 3


def test_each_distinct_body_is_there_once_and_without_secrets(path: Path) -> None:
    store = opened(path)
    for number in range(50):
        store.write(one_round(START + number, said("a", b"same", START + number), said("b", b"same hunter2", START + number)))
    assert (count(path, "raw"), count(path, "bodies")) == (100, 2)
    found = answer(path, evidence_id(said("b", b"", START + 7)))
    assert found is not None and (found.body, found.status, found.elapsed_s, found.at) == (b"same ***", 200, 0.25, START + 7)
    store.close()
    assert all(b"hunter2" not in file.read_bytes() for file in path.parent.iterdir())


def test_silence_is_kept_with_its_reason(path: Path) -> None:
    store = opened(path)
    store.write(one_round(START, silent("a", "no answer within 3 s")))
    found = answer(path, evidence_id(silent("a", "")))
    assert found is not None and (found.status, found.silence, found.body) == (None, "timeout", b"no answer within 3 s")
    assert answer(path, "a@1") is None and answer(path, "nonsense") is None and answer(path, "never-asked@1") is None
    store.close()


def test_answers_go_after_their_time_and_evidence_stays(path: Path) -> None:
    store = opened(path, limits=Limits(raw_kept_s=3600))
    telling = said("a", b"refused by mistake", START)
    store.write(one_round(START, telling, said("b", b"forgettable"), states=(begun(ROUTER, State.DOWN, START, evidence_id(telling)),)))
    for hour in (1.0, 2.0, 3.0):
        at = START + hour * 3600
        store.write(one_round(at, said("a", b"later %d" % hour, at), said("b", b"later %d" % hour, at)))
    assert count(path, "raw") == 4
    found = answer(path, evidence_id(telling))
    assert found is not None and found.body == b"refused by mistake"
    assert answer(path, evidence_id(said("b", b""))) is None
    assert count(path, "bodies") <= 4
    assert history(path, ROUTER, since=0, limit=1)[0].evidence == (evidence_id(telling),)
    store.close()


def test_a_body_in_use_is_not_let_go(path: Path) -> None:
    store = opened(path, limits=Limits(raw_kept_s=3600))
    for minute in range(0, 300, 4):
        at = START + minute * 60
        store.write(one_round(at, said("a", b"always the same", at)))
    found = answer(path, evidence_id(said("a", b"", START + 296 * 60)))
    assert found is not None and found.body == b"always the same"
    assert count(path, "raw") < 25
    store.close()


def test_the_file_stays_within_its_size(path: Path) -> None:
    limit_mib = 2
    store = opened(path, limits=Limits(raw_max_gib=limit_mib / 1024))
    for number in range(120):
        at = START + number * 60
        store.write(one_round(at, *(said(f"q{item}", os.urandom(4000), at) for item in range(20))))
    store.close()
    assert path.stat().st_size < 1.5 * limit_mib * 2**20
    newest, oldest = evidence_id(said("q1", b"", START + 119 * 60)), evidence_id(said("q1", b"", START))
    assert answer(path, newest) is not None and answer(path, oldest) is None
    assert answer(path, evidence_id(said("q1", b"", START + 119 * 60 - RAW_MIN_S + 60))) is not None


def test_five_minutes_of_a_question(path: Path) -> None:
    store = opened(path)
    start = START // 300 * 300
    for number in range(101):
        reply = Answer(question="a", at=start + number * 3, elapsed_s=number / 1000, status=200, body=b"x")
        store.write(one_round(start + number * 3, reply, counts={"a": Counts(ok=1, bad=number % 2)}))
    (found,) = rollups(path, "a", since=0, limit=10)
    assert (found.at, found.replies, found.ok, found.bad, found.inconclusive) == (start, 100, 100, 50, 0)
    assert (found.p50_ms, found.max_ms) == (50.0, 99.0)
    store.close()
    assert [item.replies for item in rollups(path, "a", since=0, limit=10)] == [100, 1], "what was not full is kept at the end"


def test_a_rollup_that_a_restart_cut_is_joined(path: Path) -> None:
    start = START // 300 * 300
    for part in range(2):
        store = opened(path)
        for number in range(2):
            reply = Answer(question="a", at=start + part * 60 + number, elapsed_s=0.1 + part / 10, status=200, body=b"x")
            store.write(one_round(reply.at, reply, counts={"a": Counts(ok=1)}))
        store.close()
    (found,) = rollups(path, "a", since=0, limit=10)
    assert (found.replies, found.ok, found.max_ms) == (4, 4, 200.0) and found.p50_ms == pytest.approx(150.0)


@pytest.mark.parametrize("damage", [b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_moved_aside(path: Path, damage: bytes) -> None:
    path.parent.mkdir()
    for number in range(DAMAGED_KEPT_MAX + 2):
        path.write_bytes(damage)
        store = opened(path)
        assert store.load(START + number) == Recalled()
        assert str(path.parent / f"history.db.damaged-20270115T08000{number}") in store.note
        store.write(one_round(START, said("a", b"x")))
        store.close()
        assert count(path, "raw") == 1
    assert len(list(path.parent.glob("*.damaged-*"))) == DAMAGED_KEPT_MAX


def test_damage_in_the_middle_of_work_is_survived(path: Path) -> None:
    """The pages that hold the states are overwritten while the store is open: the next write begins a fresh file with all states."""
    store = opened(path)
    states = (begun(ROUTER, State.DOWN, START),)
    for number in range(200):
        store.write(one_round(START + number, said("a", os.urandom(3000), START + number), states=states))
    store.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    store.write(one_round(START + 300, said("a", b"x", START + 300), states=states))
    assert "the history was damaged" in store.note
    assert [item.state for item in history(path, ROUTER, since=0, limit=10)] == [State.DOWN]
    store.close()


def test_a_file_that_was_removed_is_begun_again(path: Path) -> None:
    store = opened(path)
    states = (begun(ROUTER, State.DOWN, START),)
    store.write(one_round(START, said("a", b"x"), states=states))
    for file in path.parent.iterdir():
        file.unlink()
    store.write(one_round(START + 3, said("a", b"x"), states=states))
    assert [item.state for item in history(path, ROUTER, since=0, limit=10)] == [State.DOWN]
    assert not store.note
    store.close()


def test_a_full_disk_and_a_locked_file_are_told_and_lose_nothing_written(path: Path) -> None:
    store = opened(path)
    store.write(one_round(START, said("a", b"x"), states=(begun(ROUTER, State.OK, START),)))
    assert store._connection is not None
    store._connection.execute("PRAGMA max_page_count = 1")  # SQLite's own "disk full"
    with pytest.raises(StoreUnavailable, match="full"):
        store.write(one_round(START + 3, said("a", os.urandom(100_000)), states=(begun(ROUTER, State.DOWN, START + 3),)))
    blocker = sqlite3.connect(path, isolation_level=None)
    store.write(one_round(START + 6, said("a", b"y", START + 6), states=(begun(ROUTER, State.DOWN, START + 3),)))
    assert store._connection is not None
    store._connection.execute("PRAGMA busy_timeout = 1")
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        store.write(one_round(START + 9, said("a", b"z"), states=(begun(ROUTER, State.OK, START + 9),)))
    blocker.execute("ROLLBACK")
    blocker.close()
    store.write(one_round(START + 9, said("a", b"z", START + 9), states=(begun(ROUTER, State.OK, START + 9),)))
    assert [item.state for item in history(path, ROUTER, since=0, limit=9)] == [State.OK, State.DOWN, State.OK]
    assert answer(path, evidence_id(said("a", b"", START + 9))) is not None
    store.close()


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    store = opened(path)
    with pytest.raises(StoreUnavailable, match="schema 99 is newer"):
        store.load(START)
    assert not store.note and path.exists()


def test_without_a_history_there_is_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        history(tmp_path / "none.db", None, since=0, limit=1)
    assert not list(tmp_path.iterdir())


def test_a_torn_log_loses_only_the_last_rounds(path: Path, tmp_path: Path) -> None:
    """The write-ahead log cut off at many places, as a power loss would: every copy opens, whole rounds are there and no half one."""
    store = opened(path)
    for number in range(12):
        at = START + number
        replies = [said(f"q{item}", b"body %d %d" % (number, item), at) for item in range(5)]
        store.write(one_round(at, *replies, states=(begun(ROUTER, State.DOWN if number % 2 else State.OK, at),)))
    log = path.with_name(path.name + "-wal")
    size = log.stat().st_size
    rounds = []
    for part in range(21):
        copy = tmp_path / f"copy{part}" / "history.db"
        copy.parent.mkdir()
        shutil.copy(path, copy)
        copy.with_name(copy.name + "-wal").write_bytes(log.read_bytes()[: size * part // 20])
        torn = opened(copy)
        found = torn.load(START)
        torn.write(one_round(START + 100, said("q0", b"after", START + 100)))
        torn.close()
        assert not torn.note
        rounds.append(0 if found.at is None else int(found.at - START) + 1)
        assert count(copy, "raw") == rounds[-1] * 5 + 1
        assert len(history(copy, ROUTER, since=0, limit=99)) == rounds[-1]
    assert rounds == sorted(rounds) and rounds[-1] == 12
    store.close()


WRITER = """
import sys
from pathlib import Path
from tests.monitor.test_store import ROUTER, begun, one_round, opened, said
from cortops.words.state import State
store = opened(Path(sys.argv[1]))
at = 1_800_000_000.0
while True:
    at += 3
    state = State.DOWN if at % 2 else State.OK
    store.write(one_round(at, *(said(f"q{item}", b"%f" % at * 50, at) for item in range(20)), states=(begun(ROUTER, state, at),)))
    print(at, flush=True)
"""


@pytest.mark.real
def test_kill_minus_nine_loses_no_round_that_was_written(path: Path) -> None:
    for kill_after in (3, 17, 50):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(kill_after)]
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        store = opened(path)
        found = store.load(START)
        store.close()
        assert found.at is not None and found.at >= float(told[-1]) and not store.note
        (past,) = history(path, ROUTER, since=0, limit=1)
        assert past.until is None
