"""The request machine as playbooks: events in, commands out, from the first to the last."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.programs.gateway.request import (
    ATTEMPTS_MAX,
    Acquire,
    Answer,
    BreakOff,
    Broken,
    ClientGone,
    Command,
    Ended,
    Event,
    Finish,
    Forward,
    Free,
    Granted,
    Head,
    NotGranted,
    Received,
    Record,
    Refuse,
    Relay,
    Request,
    State,
    Turned,
    Whole,
)
from cortops.programs.gateway.select import Slot
from cortops.protocol.keys import KeyRow
from cortops.protocol.openai import ApiError, ChatRequest, Tokens
from cortops.words.question import Silence

KEY = KeyRow(id="key_1", name="n", scopes=(), created_at=0, expires_at=None, revoked_at=None)
ASK = ChatRequest(model="m", stream=False, wants_usage=False, body=b"{}")
RECEIVED = Received(key=KEY, ask=ASK, pool="p")
A, B = Slot(member="a", session=1), Slot(member="b", session=2)
TOKENS = Tokens(5, 3)
WRONG = ApiError(status=401, code="invalid_api_key", message="x")


def granted(slot: Slot = A) -> Granted:
    return Granted(slot=slot)


def broken(silence: Silence = Silence.RESET, *, sent: bool = True) -> Broken:
    return Broken(at=9.0, silence=silence, sent=sent, why="why", tokens=TOKENS)


def turned(status: int, task: tuple[int, int] | None = None) -> Turned:
    return Turned(at=9.0, status=status, task=task, message="", code="")


def gone() -> ClientGone:
    return ClientGone(at=8.0)


WHOLE = Whole(at=9.0, task=(1, 7), body=b"reply", tokens=TOKENS)
HEAD = Head(task=(1, 7))
ENDED = Ended(at=9.0, tokens=TOKENS, first_token_at=4.0)


def shown(command: Command) -> str:
    match command:
        case Acquire(pool=pool, avoid=avoid):
            return f"acquire {pool} -{','.join(sorted(avoid))}"
        case Forward(slot=slot):
            return f"forward {slot.member}"
        case Free(slot=slot, ok=ok):
            return f"free {slot.member} {ok}"
        case Record(row=row):
            return f"record {row.status} {row.error}".rstrip()
        case Refuse(error=error):
            return f"refuse {error.status} {error.code}"
        case BreakOff(error=error):
            return f"break off {error.code}"
        case Answer() | Finish() | Relay():
            return type(command).__name__.lower()


def play(*events: Event) -> list[str]:
    request = Request(id="req_1", client_id="", started_at=1.0)
    return [" | ".join(shown(command) for command in request.step(event)) for event in events]


PLAYBOOKS: dict[str, tuple[list[Event], list[str]]] = {
    "plain": (
        [RECEIVED, granted(), WHOLE],
        ["acquire p -", "forward a", "free a True | record ok | answer"],
    ),
    "stream": (
        [RECEIVED, granted(), HEAD, ENDED],
        ["acquire p -", "forward a", "relay", "free a True | record ok | finish"],
    ),
    "wrong key leaves no row": ([Received(key=WRONG, ask=WRONG)], ["refuse 401 invalid_api_key"]),
    "bad body": (
        [Received(key=KEY, ask=ApiError(status=400, code="invalid_json", message="x"))],
        ["record refused invalid_json | refuse 400 invalid_json"],
    ),
    "unknown model": ([Received(key=KEY, ask=ASK, pool="")], ["record refused model_not_found | refuse 404 model_not_found"]),
    "usage cannot be kept": (
        [Received(key=KEY, ask=ASK, pool="p", refusal=ApiError(status=503, code="usage_unavailable", message="x"))],
        ["refuse 503 usage_unavailable"],
    ),
    "queue full": (
        [RECEIVED, NotGranted(at=2.0, kind="queue_full", why="")],
        ["acquire p -", "record refused queue_full | refuse 429 queue_full"],
    ),
    "waited in vain": (
        [RECEIVED, NotGranted(at=2.0, kind="late", why="")],
        ["acquire p -", "record refused queue_timeout | refuse 503 queue_timeout"],
    ),
    "no member": (
        [RECEIVED, NotGranted(at=2.0, kind="no_member", why="")],
        ["acquire p -", "record refused no_member | refuse 503 no_member"],
    ),
    "busy before submission: another member": (
        [RECEIVED, granted(A), turned(503), granted(B), WHOLE],
        ["acquire p -", "forward a", "free a None | acquire p -a", "forward b", "free b True | record ok | answer"],
    ),
    "busy after submission: no other member": (
        [RECEIVED, granted(A), turned(503, (1, 7))],
        ["acquire p -", "forward a", "free a None | record failed member_failed | refuse 503 member_failed"],
    ),
    "nothing sent: another member, the first one suspected": (
        [RECEIVED, granted(A), broken(Silence.REFUSED, sent=False), granted(B), HEAD, ENDED],
        ["acquire p -", "forward a", "free a False | acquire p -a", "forward b", "relay", "free b True | record ok | finish"],
    ),
    "nothing sent and nobody else": (
        [RECEIVED, granted(A), broken(Silence.REFUSED, sent=False), NotGranted(at=2.0, kind="no_member", why="")],
        ["acquire p -", "forward a", "free a False | acquire p -a", "record refused member_unreachable | refuse 503 member_unreachable"],
    ),
    "sent and reset: never again": (
        [RECEIVED, granted(A), broken()],
        ["acquire p -", "forward a", "free a False | record failed member_broke_off | refuse 502 member_broke_off"],
    ),
    "out of time speaks not against the member": (
        [RECEIVED, granted(A), broken(Silence.TIMEOUT)],
        ["acquire p -", "forward a", "free a None | record failed timeout | refuse 504 timeout"],
    ),
    "stream breaks off": (
        [RECEIVED, granted(A), HEAD, broken()],
        ["acquire p -", "forward a", "relay", "free a False | record failed member_broke_off | break off member_broke_off"],
    ),
    "error inside a stream": (
        [RECEIVED, granted(A), HEAD, turned(502)],
        ["acquire p -", "forward a", "relay", "free a None | record failed member_failed | break off member_failed"],
    ),
    "503 inside a stream is not repeated": (
        [RECEIVED, granted(A), HEAD, turned(503)],
        ["acquire p -", "forward a", "relay", "free a None | record failed member_unavailable | break off member_unavailable"],
    ),
    "client leaves the queue": ([RECEIVED, gone()], ["acquire p -", "record client_gone client_gone"]),
    "client leaves while asked": (
        [RECEIVED, granted(A), gone()],
        ["acquire p -", "forward a", "free a None | record client_gone client_gone"],
    ),
    "client leaves the stream": (
        [RECEIVED, granted(A), HEAD, gone(), gone()],
        ["acquire p -", "forward a", "relay", "free a None | record client_gone client_gone", ""],
    ),
    "client leaves before anything": ([gone()], [""]),
    "our own stop is no client's leaving": (
        [RECEIVED, granted(A), ClientGone(at=8.0, why="gateway_stopped")],
        ["acquire p -", "forward a", "free a None | record failed gateway_stopped"],
    ),
}


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_playbook(name: str) -> None:
    events, commands = PLAYBOOKS[name]
    assert play(*events) == commands


def test_attempts_are_bounded() -> None:
    events: list[Event] = [RECEIVED]
    for number in range(ATTEMPTS_MAX):
        events += [granted(Slot(member=str(number), session=number)), turned(503)]
    assert play(*events)[-1] == "free 2 None | record failed member_unavailable | refuse 503 member_unavailable"


def test_the_row_says_who_what_and_when() -> None:
    request = Request(id="req_1", client_id="mine", started_at=1.0)
    for event in (RECEIVED, granted(A), HEAD):
        request.step(event)
    _, record, _ = request.step(ENDED)
    assert isinstance(record, Record)
    row = record.row
    assert (row.request_id, row.client_request_id, row.key_id, row.model, row.pool) == ("req_1", "mine", "key_1", "m", "p")
    assert (row.member, row.session, row.task, row.started_at, row.first_token_at, row.finished_at) == ("a", 1, 7, 1.0, 4.0, 9.0)
    assert (row.prompt_tokens, row.completion_tokens) == (5, 3)


POSSIBLE: dict[State, list[Any]] = {
    State.RECEIVED: [RECEIVED, Received(key=WRONG, ask=WRONG), Received(key=KEY, ask=WRONG)],
    State.QUEUED: [*(NotGranted(at=2.0, kind=kind, why="") for kind in ("queue_full", "no_member", "late")), "grant", "grant", "grant"],
    State.FORWARDED: [HEAD, HEAD, WHOLE, turned(503), turned(503, (1, 7)), turned(500), turned(400), broken(), broken(sent=False)],
    State.STREAMING: [ENDED, turned(502), broken(), broken(Silence.TIMEOUT)],
}


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_happens_slots_come_back_and_one_row_is_left(data: st.DataObject) -> None:
    request = Request(id="req_1", client_id="", started_at=1.0)
    taken: list[Slot] = []
    commands: list[Command] = []
    number = 0
    forwarded_after_submission = False
    submitted = False
    while request.state is not State.FINISHED:
        event = gone() if data.draw(st.integers(0, 9)) == 0 else data.draw(st.sampled_from(POSSIBLE[request.state]))
        if event == "grant":
            number += 1
            taken.append(Slot(member=str(number), session=number))
            event = granted(taken[-1])
        if isinstance(event, Broken | Turned):
            submitted = submitted or getattr(event, "sent", False) or getattr(event, "task", None) is not None
        step = request.step(event)
        forwarded_after_submission = forwarded_after_submission or (submitted and any(isinstance(c, Acquire | Forward) for c in step))
        commands += step
    known = not any(isinstance(command, Refuse) and command.error is WRONG and len(commands) == 1 for command in commands) and bool(
        commands
    )
    assert [command.slot for command in commands if isinstance(command, Free)] == taken
    assert sum(isinstance(command, Record) for command in commands) == int(known)
    assert not forwarded_after_submission
    ends = [index for index, command in enumerate(commands) if isinstance(command, Answer | Refuse | Finish | BreakOff)]
    assert len(ends) <= 1 and all(index == len(commands) - 1 for index in ends)
    assert request.step(gone()) == ()
