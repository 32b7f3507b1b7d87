"""The request machine as playbooks: events in, commands out, from the first to the last."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.programs.gateway.events import (
    Acquire,
    Admit,
    Admitted,
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
    Pause,
    Received,
    Record,
    Refuse,
    Relay,
    Rested,
    Turned,
    Whole,
)
from cortops.programs.gateway.request import ATTEMPTS_MAX, RETURN_EVERY_S, Request, State
from cortops.programs.gateway.select import Slot
from cortops.programs.router import request as router
from cortops.programs.router.refusals import refusal_of
from cortops.protocol.gateway import ASK_AGAIN
from cortops.protocol.keys import KeyRow
from cortops.protocol.openai import ApiError, ChatRequest, Tokens
from cortops.words.errors import CallReverted, ChainError, ChainUnreachable, NotMined
from cortops.words.question import Silence

KEY = KeyRow(id="key_1", name="n", scopes=(), created_at=0, expires_at=None, revoked_at=None)
ASK = ChatRequest(model="m", stream=False, wants_usage=False, body=b"{}")
RECEIVED = Received(key=KEY, ask=ASK, pool="p")
COUNTED = Received(key=KEY, ask=ASK, pool="p", counted=True)
A, B = Slot(member="a", session=1), Slot(member="b", session=2)
TOKENS = Tokens(5, 3)
WRONG = ApiError(status=401, code="invalid_api_key", message="x")


def granted(slot: Slot = A) -> Granted:
    return Granted(slot=slot)


def broken(silence: Silence = Silence.RESET, *, sent: bool = True, at: float = 9.0, **more: bool) -> Broken:
    return Broken(at=at, silence=silence, sent=sent, why="why", tokens=TOKENS, **more)


def refused(at: float = 9.0) -> Broken:
    return broken(Silence.REFUSED, sent=False, at=at)


def turned(status: int, task: tuple[int, int] | None = None, code: str = "", *, at: float = 9.0, **more: bool) -> Turned:
    return Turned(at=at, status=status, task=task, message="", code=code, **more)


def gone() -> ClientGone:
    return ClientGone(at=8.0)


WHOLE = Whole(at=9.0, task=(1, 7), body=b"reply", tokens=TOKENS)
HEAD = Head(task=(1, 7))
RESTED = Rested()
RETURN_WAIT_S = 20.0
ENDED = Ended(at=9.0, tokens=TOKENS, first_token_at=4.0)


def shown(command: Command) -> str:
    match command:
        case Admit(ask=ask):
            return f"admit {ask.model}"
        case Acquire(pool=pool, avoid=avoid):
            return f"acquire {pool} -{','.join(sorted(avoid))}"
        case Forward(slot=slot):
            return f"forward {slot.member}"
        case Free(slot=slot, ok=ok):
            return f"free {slot.member} {ok}"
        case Pause(slot=slot, ok=ok):
            return f"pause {slot.member} {ok}"
        case Record(row=row):
            return f"record {row.status} {row.error}".rstrip()
        case Refuse(error=error):
            return f"refuse {error.status} {error.code}"
        case BreakOff(error=error):
            return f"break off {error.code}"
        case Answer() | Finish() | Relay():
            return type(command).__name__.lower()


def play(*events: Event) -> list[str]:
    request = Request(id="req_1", client_id="", started_at=1.0, ends_at=100.0, return_wait_s=RETURN_WAIT_S)
    return [" | ".join(shown(command) for command in request.step(event)) for event in events]


NARROW = KeyRow(id="key_1", name="n", scopes=("family:validate",), created_at=0, expires_at=None, revoked_at=None)


PLAYBOOKS: dict[str, tuple[list[Event], list[str]]] = {
    "a key of another family": (
        [Received(key=NARROW, ask=ASK, pool="p")],
        ["record refused family_not_allowed | refuse 403 family_not_allowed"],
    ),
    "plain": (
        [RECEIVED, granted(), WHOLE],
        ["acquire p -", "forward a", "free a True | record ok | answer"],
    ),
    "stream": (
        [RECEIVED, granted(), HEAD, ENDED],
        ["acquire p -", "forward a", "relay", "free a True | record ok | finish"],
    ),
    "its limits let it in": (
        [COUNTED, Admitted(at=2.0, refusal=None), granted(), WHOLE],
        ["admit m", "acquire p -", "forward a", "free a True | record ok | answer"],
    ),
    "its limits do not": (
        [COUNTED, Admitted(at=2.0, refusal=ApiError(status=429, code="rate_limit_exceeded", message="x"))],
        ["admit m", "record refused rate_limit_exceeded | refuse 429 rate_limit_exceeded"],
    ),
    "gone while it is counted": ([COUNTED, gone()], ["admit m", "record client_gone client_gone"]),
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
        [RECEIVED, granted(A), refused(), granted(B), HEAD, ENDED],
        ["acquire p -", "forward a", "free a False | acquire p -a", "forward b", "relay", "free b True | record ok | finish"],
    ),
    "nothing sent and nobody else": (
        [RECEIVED, granted(A), refused(), NotGranted(at=2.0, kind="no_member", why="")],
        ["acquire p -", "forward a", "free a False | acquire p -a", "record refused member_unreachable | refuse 503 member_unreachable"],
    ),
    "sent and reset: the same member again, and no other": (
        [RECEIVED, granted(A), broken(), RESTED, WHOLE],
        ["acquire p -", "forward a", "pause a False", "forward a", "free a True | record ok | answer"],
    ),
    "dies with the request, comes back and adopts": (
        [RECEIVED, granted(A), broken(), RESTED, refused(), RESTED, turned(503, code="starting"), RESTED, HEAD, ENDED],
        [
            *("acquire p -", "forward a", "pause a False", "forward a", "pause a False", "forward a", "pause a None", "forward a"),
            *("relay", "free a True | record ok | finish"),
        ],
    ),
    "dies with the request and stays away": (
        [RECEIVED, granted(A), broken(), RESTED, refused(at=9 + RETURN_WAIT_S)],
        [
            *("acquire p -", "forward a", "pause a False", "forward a"),
            "free a False | record failed member_broke_off | refuse 502 member_broke_off",
        ],
    ),
    "dies with the request and comes back when its time is over": (
        [RECEIVED, granted(A), broken(at=99.0), RESTED, refused(at=99.5), RESTED, refused(at=99.8)],
        [
            *("acquire p -", "forward a", "pause a False", "forward a", "pause a False", "forward a"),
            "free a False | record failed member_broke_off | refuse 502 member_broke_off",
        ],
    ),
    "breaks off whenever it has the request": (
        [RECEIVED, granted(A), broken(), RESTED, broken(), RESTED, broken()],
        [
            *("acquire p -", "forward a", "pause a False", "forward a", "pause a False", "forward a"),
            "free a False | record failed member_broke_off | refuse 502 member_broke_off",
        ],
    ),
    "dies in a stream of which the client has nothing": (
        [RECEIVED, granted(A), HEAD, broken(), RESTED, HEAD, ENDED],
        ["acquire p -", "forward a", "relay", "pause a False", "forward a", "relay", "free a True | record ok | finish"],
    ),
    "comes back with an error of its own": (
        [RECEIVED, granted(A), broken(), RESTED, turned(502, (1, 7), "task_ended")],
        ["acquire p -", "forward a", "pause a False", "forward a", "free a None | record failed task_ended | refuse 502 task_ended"],
    ),
    "stops with the request": (
        [RECEIVED, granted(A), turned(503, (1, 7), "router_stopping"), RESTED, refused(), RESTED, WHOLE],
        ["acquire p -", "forward a", "pause a None", "forward a", "pause a False", "forward a", "free a True | record ok | answer"],
    ),
    "stops in a stream of which the client has nothing": (
        [RECEIVED, granted(A), HEAD, turned(503, code="router_stopping"), RESTED, HEAD, ENDED],
        ["acquire p -", "forward a", "relay", "pause a None", "forward a", "relay", "free a True | record ok | finish"],
    ),
    "stops in a stream of which the client has a part": (
        [RECEIVED, granted(A), HEAD, turned(503, code="router_stopping", written=True)],
        ["acquire p -", "forward a", "relay", "free a None | record failed router_stopping | break off router_stopping"],
    ),
    "does not know whether it has submitted: no other member": (
        [RECEIVED, granted(A), turned(503, code="chain_unreachable"), RESTED, turned(503, code="session_busy", at=60.0)],
        ["acquire p -", "forward a", "pause a None", "forward a", "free a None | record failed session_busy | refuse 503 session_busy"],
    ),
    "what is no answer is not asked for again": (
        [RECEIVED, granted(A), HEAD, broken(malformed=True)],
        ["acquire p -", "forward a", "relay", "free a False | record failed member_broke_off | break off member_broke_off"],
    ),
    "client leaves while its member is away": (
        [RECEIVED, granted(A), broken(), gone()],
        ["acquire p -", "forward a", "pause a False", "free a None | record client_gone client_gone"],
    ),
    "out of time speaks not against the member": (
        [RECEIVED, granted(A), broken(Silence.TIMEOUT)],
        ["acquire p -", "forward a", "free a None | record failed timeout | refuse 504 timeout"],
    ),
    "an error of its own before submission speaks against the member": (
        [RECEIVED, granted(A), turned(500)],
        ["acquire p -", "forward a", "free a False | record failed member_failed | refuse 502 member_failed"],
    ),
    "so does a refusal of our key": (
        [RECEIVED, granted(A), turned(401)],
        ["acquire p -", "forward a", "free a False | record failed member_refused_gateway | refuse 502 member_refused_gateway"],
    ),
    "so does an error that is called an answer, on chain or not": (
        [RECEIVED, granted(A), turned(502, (1, 7), "inner", malformed=True)],
        ["acquire p -", "forward a", "free a False | record failed inner | refuse 502 inner"],
    ),
    "an error after submission speaks of the network": (
        [RECEIVED, granted(A), turned(502, (1, 7))],
        ["acquire p -", "forward a", "free a None | record failed member_failed | refuse 502 member_failed"],
    ),
    "the client's own mistake speaks against nobody": (
        [RECEIVED, granted(A), turned(400, code="too_long")],
        ["acquire p -", "forward a", "free a None | record failed too_long | refuse 400 too_long"],
    ),
    "stream breaks off": (
        [RECEIVED, granted(A), HEAD, broken(written=True)],
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
    State.RECEIVED: [RECEIVED, COUNTED, Received(key=WRONG, ask=WRONG), Received(key=KEY, ask=WRONG)],
    State.AUTHORISED: [Admitted(at=2.0, refusal=None), Admitted(at=2.0, refusal=WRONG)],
    State.QUEUED: [*(NotGranted(at=2.0, kind=kind, why="") for kind in ("queue_full", "no_member", "late")), "grant", "grant", "grant"],
    State.FORWARDED: [
        *(HEAD, HEAD, WHOLE, turned(503), turned(503, (1, 7)), turned(500), turned(400), turned(503, code="router_stopping")),
        *(broken(), broken(Silence.TIMEOUT), broken(malformed=True), broken(sent=False), refused(), refused(at=60.0)),
    ],
    State.STREAMING: [ENDED, turned(502), broken(written=True), broken(), broken(Silence.TIMEOUT), turned(503, code="chain_rewound")],
    State.RETURNING: [RESTED],
}


def test_the_member_is_asked_again_under_the_same_slot_after_a_pause() -> None:
    request = Request(id="req_1", client_id="", started_at=1.0, ends_at=100.0, return_wait_s=RETURN_WAIT_S)
    for event in (RECEIVED, granted(A)):
        request.step(event)
    assert request.step(broken()) == (Pause(slot=A, seconds=RETURN_EVERY_S, ok=False, why="why"),)
    assert request.step(RESTED) == (Forward(slot=A, ask=ASK),)


@pytest.mark.parametrize("error", [ChainUnreachable("x"), NotMined("x"), TimeoutError()])
def test_our_routers_say_what_may_have_been_submitted_in_words_that_bind(error: ChainError | TimeoutError) -> None:
    assert refusal_of(error).code in ASK_AGAIN


def test_our_routers_say_that_a_task_was_lost_in_words_that_bind() -> None:
    began, _ = router.step(router.Request(stream=False, with_tools=False), router.Submitted(task=7))
    _, (fail, _) = router.step(began, router.Vanished())
    assert isinstance(fail, router.Fail) and fail.code in ASK_AGAIN


@pytest.mark.parametrize("reason", ["queue full", "no such session", "anything else"])
def test_our_routers_say_what_the_chain_refused_in_words_that_do_not(reason: str) -> None:
    assert refusal_of(CallReverted("x", why=reason)).code not in ASK_AGAIN


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_whatever_happens_slots_come_back_and_one_row_is_left(data: st.DataObject) -> None:
    request = Request(id="req_1", client_id="", started_at=1.0, return_wait_s=RETURN_WAIT_S)
    taken: list[Slot] = []
    commands: list[Command] = []
    after_submission: list[Command] = []
    submitted = False
    while request.state is not State.FINISHED:
        event = gone() if data.draw(st.integers(0, 9)) == 0 else data.draw(st.sampled_from(POSSIBLE[request.state]))
        if event == "grant":
            taken.append(Slot(member=str(len(taken)), session=len(taken)))
            event = granted(taken[-1])
        if isinstance(event, Broken | Turned):
            submitted = submitted or getattr(event, "sent", False) or getattr(event, "task", None) is not None
            submitted = submitted or getattr(event, "code", "") in ASK_AGAIN
        step = request.step(event)
        after_submission += step if submitted else ()
        commands += step
    known = not any(isinstance(command, Refuse) and command.error is WRONG and len(commands) == 1 for command in commands) and bool(
        commands
    )
    assert [command.slot for command in commands if isinstance(command, Free)] == taken
    assert sum(isinstance(command, Record) for command in commands) == int(known)
    assert not any(isinstance(command, Acquire) for command in after_submission)
    assert all(command.slot == taken[-1] for command in after_submission if isinstance(command, Forward | Pause))
    ends = [index for index, command in enumerate(commands) if isinstance(command, Answer | Refuse | Finish | BreakOff)]
    assert len(ends) <= 1 and all(index == len(commands) - 1 for index in ends)
    assert request.step(gone()) == ()
