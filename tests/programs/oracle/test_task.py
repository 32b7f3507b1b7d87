from __future__ import annotations

from cortops.programs.oracle.task import (
    COMMANDS_MAX,
    RETRY_AFTER_S,
    Assign,
    Close,
    End,
    Event,
    Forget,
    Gone,
    Leave,
    Limits,
    Seen,
    SendFailed,
    Stage,
    Task,
    Tick,
    choose,
    step,
)  # fmt: skip

LIMITS = Limits(assign_s=30, ack_s=30, precommit_s=90, commit_s=60)


def fresh(stage: Stage = Stage.QUEUED) -> Task:
    return Task(limits=LIMITS, since=0.0, stage=stage)


def play(task: Task, *events: Event) -> tuple[Task, list[object]]:
    given: list[object] = []
    for event in events:
        task, commands = step(task, event)
        given += commands
    return task, given


def seen(stage: Stage, at: float, *, some: bool = False) -> Seen:
    return Seen(stage=stage, at=at, some=some, event=True)


def test_a_task_in_time_is_assigned_and_ended() -> None:
    on_time = (seen(Stage.ACKED, 3), seen(Stage.PRECOMMITTED, 80), seen(Stage.COMMITTED, 90), seen(Stage.ENDED, 91))
    _, given = play(fresh(), Tick(at=0), seen(Stage.ASSIGNED, 1), Tick(at=2), *on_time)
    assert given == [Assign(), End(forced=False), Forget()]


STEPS = ((Stage.ASSIGNED, 30), (Stage.ACKED, 90), (Stage.PRECOMMITTED, 60))


def test_a_task_whose_only_miner_is_late_is_ended_at_the_deadline() -> None:
    for stage, limit_s in STEPS:
        task, given = play(fresh(), seen(stage, 100), Tick(at=100 + limit_s - 0.1))
        assert given == []
        _, given = play(task, Tick(at=100 + limit_s), seen(Stage.ENDED, 140))
        assert given == [End(forced=True), Forget()]


def test_one_late_miner_of_several_is_put_out_and_the_task_goes_on() -> None:
    for stage, limit_s in STEPS:
        task, given = play(fresh(), seen(stage, 100), seen(stage, 110, some=True), Tick(at=100 + limit_s - 0.1))
        assert given == []
        task, given = play(task, Tick(at=100 + limit_s))
        assert given == [Close(stage=stage)]
        following = Stage(stage + 1)
        _, given = play(task, seen(following, 200), Tick(at=201))
        assert given == ([End(forced=False)] if following is Stage.COMMITTED else [])


def test_each_step_has_its_own_time() -> None:
    _, given = play(fresh(), seen(Stage.ASSIGNED, 0), seen(Stage.ACKED, 29), Tick(at=31), Tick(at=118))
    assert given == []


def test_a_command_is_given_once_and_again_only_after_a_while() -> None:
    task, given = play(fresh(), Tick(at=0), Tick(at=1), Tick(at=RETRY_AFTER_S - 0.1))
    assert given == [Assign()]
    assert play(task, Tick(at=RETRY_AFTER_S))[1] == [Assign()]
    assert play(task, SendFailed(at=4), Tick(at=5))[1] == []
    assert play(task, SendFailed(at=4), Tick(at=4 + RETRY_AFTER_S))[1] == [Assign()]


def test_a_task_nobody_can_serve_is_ended() -> None:
    assert play(fresh(), Tick(at=30))[1] == [End(forced=True)]


def test_events_that_are_late_or_told_twice_change_nothing() -> None:
    task, _ = play(fresh(), seen(Stage.PRECOMMITTED, 10))
    assert play(task, seen(Stage.ACKED, 20), seen(Stage.PRECOMMITTED, 30))[0] == task


def test_a_reading_may_take_the_task_back_to_what_the_chain_has_now() -> None:
    task, _ = play(fresh(), Tick(at=0), seen(Stage.ACKED, 10))
    task, given = play(task, Seen(stage=Stage.QUEUED, at=20))
    assert given == [Assign()]
    assert play(task, Gone())[1] == [Forget()]


def test_a_reading_that_says_what_we_know_does_not_move_the_deadline() -> None:
    task, _ = play(fresh(), seen(Stage.ACKED, 0))
    assert play(task, Seen(stage=Stage.ACKED, at=80), Tick(at=90))[1] == [End(forced=True)]


def test_a_task_that_no_command_moves_is_left() -> None:
    task, at, given = fresh(Stage.COMMITTED), 0.0, []
    while not task.over and at < 10_000:
        task, commands = step(task, Tick(at=at))
        given += commands
        at += RETRY_AFTER_S
    assert given == [End(forced=False)] * COMMANDS_MAX + [Leave()]


def test_the_least_busy_registered_node_is_chosen_in_the_sessions_order() -> None:
    registered = frozenset({"a", "b", "c"})
    assert choose(["a", "b", "c"], registered, {}, 1) == ("a",)
    assert choose(["a", "b", "c"], registered, {"a": 2, "b": 1, "c": 1}, 1) == ("b",)
    assert choose(["x", "c", "c"], registered, {}, 2) == ("c",)
    assert choose(["x"], registered, {}, 1) == ()
    assert choose(["a", "b"], registered, {"a": 1}, 2) == ("b", "a")


def test_a_node_that_was_late_is_left_out_as_long_as_another_is_there() -> None:
    registered = frozenset({"a", "b", "c"})
    assert choose(["a", "b", "c"], registered, {"b": 1}, 3, late={"a"}) == ("c", "b")
    assert choose(["a", "b", "c"], registered, {}, 3, late={"a", "b"}) == ("c",)
    assert choose(["a", "b", "c"], registered, {"a": 1}, 2, late={"a", "b", "c"}) == ("b", "c")
    assert choose(["a", "b"], frozenset({"a"}), {}, 1, late={"a"}) == ("a",), "the other one is not registered"
