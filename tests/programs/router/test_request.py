from __future__ import annotations

import random
from dataclasses import replace

from cortops.programs.router.request import (
    Answer,
    Assigned,
    Began,
    ChunkCame,
    ClientBack,
    ClientGone,
    Committed,
    DeadlinePassed,
    Ended,
    Event,
    Fail,
    Forget,
    MinerFailed,
    Open,
    Phase,
    Request,
    ResultCame,
    Submit,
    SubmitFailed,
    Submitted,
    Vanished,
    Watch,
    Write,
    step,
)  # fmt: skip
from cortops.protocol.chat import Choice, Delta, EngineChunk, Usage

MINER, OTHER = "0xMiner", "0xOther"
USAGE = Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)


def fresh(**values: object) -> Request:
    return Request(**{"stream": True, "with_tools": False, **values})  # type: ignore[arg-type]


def piece(index: int, text: str, miner: str = MINER) -> ChunkCame:
    return ChunkCame(miner=miner, index=index, chunk=EngineChunk(choices=(Choice(delta=Delta(content=text)),)))


def commit(text: str, miner: str = MINER, promised: str | None = None) -> Committed:
    return Committed(miner=miner, text=text, text_hash=f"#{text}", promised_hash=f"#{text}" if promised is None else promised)


def result(text: str, miner: str = MINER) -> ResultCame:
    return ResultCame(miner=miner, text=text, finish_reason="length", usage=USAGE)


def play(request: Request, *events: Event) -> tuple[Request, list[object]]:
    """Events one after another; all commands in order."""
    given: list[object] = []
    for event in events:
        request, commands = step(request, event)
        given += commands
    return request, given


def after(*events: Event, **values: object) -> Request:
    return play(fresh(**values), *events)[0]


ON_CHAIN = (Began(), Submitted(task=7), Assigned(miners=(MINER,)))


def test_a_streamed_request_from_begin_to_answer() -> None:
    request, given = play(fresh(), *ON_CHAIN, piece(0, "a"), piece(1, "b"), result("ab"), commit("ab"), Ended())
    assert given == [
        Submit(),
        Open(task=7),
        Watch(miner=MINER, task=7),
        Write(delta=Delta(content="a")),
        Write(delta=Delta(content="b")),
        Answer(text="ab", rest=Delta(), finish_reason="length", usage=USAGE, miner=MINER),
        Forget(),
    ]
    assert request.phase is Phase.ANSWERED


def test_a_plain_request_writes_nothing_before_its_answer() -> None:
    _, given = play(fresh(stream=False), *ON_CHAIN, piece(0, "a"), result("a"), commit("a"))
    assert given[3:] == [Answer(text="a", rest=Delta(content="a"), finish_reason="length", usage=USAGE, miner=MINER), Forget()]


def test_the_answer_waits_for_the_commit() -> None:
    request, given = play(fresh(), *ON_CHAIN, piece(0, "a"), result("a"))
    assert not request.over
    assert not any(isinstance(command, Answer) for command in given)


def test_what_was_not_streamed_is_written_at_the_commit() -> None:
    for events, rest in (
        ((), "abc"),  # the miner has no link to us
        ((piece(0, "a"),), "bc"),
        ((piece(0, "a"), piece(2, "c")), "bc"),  # a lost chunk ends the streaming, not the request
        ((piece(0, "a"), piece(0, "a"), piece(1, "b")), "c"),  # a chunk told twice is written once
    ):
        _, given = play(fresh(), *ON_CHAIN, *events, commit("abc"))
        answer = next(command for command in given if isinstance(command, Answer))
        assert answer.rest == Delta(content=rest)
        assert answer.usage is None


def test_a_commit_that_contradicts_the_stream_is_an_error() -> None:
    _, given = play(fresh(), *ON_CHAIN, piece(0, "honest"), commit("other"))
    assert isinstance(given[-2], Fail) and given[-2].code == "result_mismatch"


def test_a_commit_without_the_promised_hash_is_an_error() -> None:
    for promised in ("", "#else"):
        _, given = play(fresh(), *ON_CHAIN, commit("a", promised=promised))
        assert isinstance(given[-2], Fail) and given[-2].code == "result_mismatch"


def test_numbers_of_a_result_count_only_with_the_committed_text() -> None:
    _, given = play(fresh(stream=False), *ON_CHAIN, result("something else"), commit("a"))
    assert given[-2] == Answer(text="a", rest=Delta(content="a"), finish_reason="stop", usage=None, miner=MINER)


def test_only_assigned_miners_are_heard_and_one_of_them_leads() -> None:
    _, given = play(
        fresh(), Began(), Submitted(task=7), Assigned(miners=(MINER, OTHER)),
        piece(0, "x", miner="0xStranger"), piece(0, "a"), piece(0, "z", miner=OTHER), piece(1, "z", miner=OTHER),
        commit("x", miner="0xStranger"), commit("zz", miner=OTHER), commit("a"),
    )  # fmt: skip
    assert [command.delta.content for command in given if isinstance(command, Write)] == ["a"]
    assert given[-2] == Answer(text="a", rest=Delta(), finish_reason="stop", usage=None, miner=MINER)


def test_a_miner_that_fails_is_an_error_unless_another_may_still_answer() -> None:
    _, given = play(fresh(), *ON_CHAIN, MinerFailed(miner=MINER, why="engine silent"))
    assert isinstance(given[-2], Fail) and (given[-2].status, given[-2].code) == (502, "engine_failed")
    _, given = play(
        fresh(),
        Began(),
        Submitted(task=7),
        Assigned(miners=(MINER, OTHER)),
        MinerFailed(miner=MINER, why="engine silent"),
        commit("b", OTHER),
    )
    assert given[-2] == Answer(text="b", rest=Delta(content="b"), finish_reason="stop", usage=None, miner=OTHER)
    _, given = play(
        fresh(), Began(), Submitted(task=7), Assigned(miners=(MINER, OTHER)), piece(0, "a"), MinerFailed(miner=MINER, why="engine silent")
    )
    assert isinstance(given[-2], Fail)


def test_each_way_to_fail_names_its_status_and_code() -> None:
    for event, status, code in (
        (SubmitFailed(status=503, code="chain_unreachable", message="no chain"), 503, "chain_unreachable"),
        (Ended(), 502, "task_ended"),
        (Vanished(), 503, "chain_rewound"),
        (DeadlinePassed(after_s=420), 504, "timeout"),
    ):
        request, given = play(after(*ON_CHAIN), event)
        assert request.phase is Phase.FAILED
        assert isinstance(given[0], Fail) and (given[0].status, given[0].code) == (status, code)
        assert given[1:] == [Forget()]


def test_a_client_that_leaves_before_the_submission_costs_nothing() -> None:
    request, given = play(fresh(), ClientGone(), Began())
    assert (request.phase, given) == (Phase.FORGOTTEN, [Forget()])


def test_a_client_that_leaves_later_is_not_written_to_and_its_task_goes_on() -> None:
    for end in (commit("ab"), Ended(), DeadlinePassed(after_s=1), MinerFailed(miner=MINER, why="x"), Vanished()):
        request, given = play(after(*ON_CHAIN, piece(0, "a")), ClientGone(), piece(1, "b"), result("ab"))
        assert (request.over, given) == (False, [])
        request, given = play(request, end)
        assert (request.phase, given) == (Phase.FORGOTTEN, [Forget()])


def test_a_client_that_leaves_during_the_submission_keeps_the_turn_until_it_is_known() -> None:
    request = after(Began(), ClientGone())
    assert not request.over
    _, given = play(request, SubmitFailed(status=503, code="chain_unreachable", message=""))
    assert given == [Forget()]


def test_a_retry_takes_the_task_over_from_its_first_chunk() -> None:
    _, given = play(
        after(*ON_CHAIN, piece(0, "a"), piece(1, "b")), ClientGone(), ClientBack(stream=True), piece(0, "a"), piece(1, "b"), commit("ab")
    )
    assert given == [
        Open(task=7),
        Watch(miner=MINER, task=7),
        Write(delta=Delta(content="a")),
        Write(delta=Delta(content="b")),
        Answer(text="ab", rest=Delta(), finish_reason="stop", usage=None, miner=MINER),
        Forget(),
    ]


def test_tool_calls_come_back_as_they_were_committed() -> None:
    text = '{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]}'
    _, given = play(fresh(with_tools=True), *ON_CHAIN, commit(text))
    answer = given[-2]
    assert isinstance(answer, Answer) and answer.finish_reason == "tool_calls"
    assert answer.rest.tool_calls[0].id == "c1"
    _, given = play(fresh(with_tools=False), *ON_CHAIN, commit(text))
    assert isinstance(given[-2], Answer) and given[-2].rest == Delta(content=text)


def test_any_order_of_any_events_ends_at_most_once() -> None:
    pool = [
        Began(), Submitted(task=7), Submitted(task=8), Assigned(miners=(MINER,)), Assigned(miners=(MINER, OTHER)),
        piece(0, "a"), piece(1, "b"), piece(0, "z", OTHER), result("ab"), commit("ab"), commit("ab", OTHER),
        MinerFailed(miner=MINER, why=""),
        Ended(), Vanished(), DeadlinePassed(after_s=1), ClientGone(), ClientBack(stream=True),
        SubmitFailed(status=503, code="x", message=""),
    ]  # fmt: skip
    for seed in range(400):
        chance = random.Random(seed)
        request, given = play(fresh(stream=chance.random() < 0.5), *chance.choices(pool, k=25))
        assert sum(isinstance(command, Forget) for command in given) == int(request.over), seed
        assert sum(isinstance(command, Submit) for command in given) <= 1, seed
        assert sum(isinstance(command, Answer | Fail) for command in given) <= 1, seed
        if request.over:
            assert play(request, *pool) == (request, []), seed


def test_a_request_is_a_value() -> None:
    request = after(*ON_CHAIN)
    assert replace(request) == request
