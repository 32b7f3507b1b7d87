from __future__ import annotations

import random

from cortops.programs.miner.task import (
    SENDS_MAX,
    Ack,
    Commit,
    EngineDone,
    EngineFailed,
    Event,
    Forget,
    Gone,
    Leave,
    Mined,
    Precommit,
    Reached,
    Run,
    SendFailed,
    StopEngine,
    Sync,
    Synced,
    Task,
    step,
)  # fmt: skip

ASSIGNED = Synced(reached=Reached.ASSIGNED, identity="one")
ACKED = Mined(reached=Reached.ACKED)
DONE = EngineDone(text="ab", text_hash="#ab")
PROMISED = Mined(reached=Reached.PRECOMMITTED, promised_hash="#ab")
PRECOMMITTED = Mined(reached=Reached.MAY_COMMIT, promised_hash="#ab")  # ours, and with it those of all
COMMITTED = Mined(reached=Reached.COMMITTED)
ENDED = Mined(reached=Reached.ENDED)


def play(*events: Event, task: Task | None = None) -> tuple[Task, list[object]]:
    task, given = task or Task(), []
    for event in events:
        task, commands = step(task, event)
        given += commands
    return task, given


def test_a_task_from_assignment_to_end() -> None:
    assert play(ASSIGNED, ACKED, DONE, PRECOMMITTED, COMMITTED, ENDED)[1] == [
        Ack(), Run(), Precommit(text_hash="#ab"), Commit(text="ab"), Forget(),
    ]  # fmt: skip


def test_the_engine_starts_before_the_ack_is_mined_but_the_precommit_waits_for_it() -> None:
    task, given = play(ASSIGNED, DONE)
    assert given == [Ack(), Run()]
    assert play(ACKED, task=task)[1] == [Precommit(text_hash="#ab")]


def test_the_commit_waits_until_all_have_precommitted() -> None:
    task, given = play(ASSIGNED, ACKED, DONE, PROMISED)
    assert given[-1] == Precommit(text_hash="#ab")
    assert play(Mined(reached=Reached.MAY_COMMIT), task=task)[1] == [Commit(text="ab")]


def test_events_told_twice_or_late_send_nothing_twice() -> None:
    events = (ACKED, ACKED, DONE, DONE, ACKED, PRECOMMITTED, ACKED, PRECOMMITTED, COMMITTED, PRECOMMITTED, ACKED, COMMITTED)
    _, given = play(ASSIGNED, *events)
    assert given == [Ack(), Run(), Precommit(text_hash="#ab"), Commit(text="ab")]


def test_after_a_rewind_the_same_steps_are_made_again_with_the_same_hash() -> None:
    task, _ = play(ASSIGNED, ACKED, DONE, PRECOMMITTED, COMMITTED)
    _, given = play(ASSIGNED, ACKED, PRECOMMITTED, COMMITTED, task=task)
    assert given == [Ack(), Precommit(text_hash="#ab"), Commit(text="ab")]


def test_another_task_under_the_same_number_never_gets_the_old_text() -> None:
    task, _ = play(ASSIGNED, ACKED, DONE)
    task, given = play(Synced(reached=Reached.ACKED, identity="two"), task=task)
    assert given == [Run()]
    assert play(EngineDone(text="new", text_hash="#new"), task=task)[1] == [Precommit(text_hash="#new")]
    running, _ = play(ASSIGNED)
    assert play(Synced(reached=Reached.ASSIGNED, identity="two"), task=running)[1] == [StopEngine(), Ack(), Run()]


def test_a_restarted_miner_commits_only_what_it_had_promised() -> None:
    promised = Synced(reached=Reached.MAY_COMMIT, identity="one", promised_hash="#ab")
    assert play(promised, DONE)[1] == [Run(), Commit(text="ab")]
    task, given = play(promised, EngineDone(text="other", text_hash="#other"))
    assert given[0] == Run() and isinstance(given[1], Leave)
    assert play(promised, DONE, task=task)[1] == []


def test_a_task_that_is_over_is_not_run() -> None:
    assert play(Synced(reached=Reached.COMMITTED, identity="one"))[1] == []
    assert play(Synced(reached=Reached.ENDED, identity="one"))[1] == [Forget()]
    assert play(Gone())[1] == [Forget()]


def test_an_engine_that_fails_is_followed_by_nothing_on_chain() -> None:
    task, given = play(ASSIGNED, EngineFailed(why="silent"))
    assert given == [Ack(), Run(), Leave(why="silent")]
    assert play(ACKED, DONE, PRECOMMITTED, task=task)[1] == []
    assert play(ENDED, task=task)[1] == [Forget()]


def test_a_task_that_ends_stops_its_engine() -> None:
    assert play(ASSIGNED, ENDED)[1] == [Ack(), Run(), StopEngine(), Forget()]


def test_a_failed_send_is_followed_by_a_reading_and_then_by_the_due_step() -> None:
    task, given = play(ASSIGNED, ACKED, DONE, SendFailed(why="nonce"))
    assert given[-1] == Sync(attempt=1)
    assert play(Synced(reached=Reached.ACKED, identity="one"), task=task)[1] == [Precommit(text_hash="#ab")]
    assert play(Synced(reached=Reached.MAY_COMMIT, identity="one", promised_hash="#ab"), task=task)[1] == [Commit(text="ab")]


def test_sends_that_always_fail_end() -> None:
    task, given = play(*[ASSIGNED, SendFailed(why="refused")] * (SENDS_MAX + 3))
    assert sum(isinstance(command, Ack) for command in given) == SENDS_MAX + 1
    assert task.left and given[-1] == Leave(why="refused")


def test_in_any_order_never_two_commits_and_no_commit_without_precommit() -> None:
    pool: list[Event] = [ACKED, DONE, PROMISED, PRECOMMITTED, COMMITTED, ENDED, EngineFailed(why=""), SendFailed(why="")]
    for seed in range(400):
        chance = random.Random(seed)
        task, sent, promised = play(ASSIGNED)[0], 0, False
        for event in chance.choices(pool, k=20):
            promised = promised or event == PRECOMMITTED
            task, commands = step(task, event)
            if any(isinstance(command, Commit) for command in commands):
                sent += 1
                assert promised, seed
        assert sent <= 1, seed
