"""The envelope of completions: what a prompt becomes, how answers, streams and errors are told."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.protocol.dialect import Names
from cortops.protocol.native import EnvelopeStream, NativeCompletions, read_completion
from cortops.protocol.openai import ApiError, ChatRequest, StreamBroken, Tokens
from cortops.protocol.routes import read_native

NAMES = Names(id="req_1", shown_id="mine", model="m", pool="p")
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def completion(text: str, finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
    return {"id": "cmpl-201-7", "object": "text_completion", "created": 1, "model": "session-201", "choices": [choice], **more}


def test_a_prompt_is_what_the_router_reads() -> None:
    body = {"model": "m", "prompt": "Once", "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stream": True, "n": 7}
    found = read_completion(msgspec.json.encode(body))
    assert isinstance(found, ChatRequest) and (found.model, found.stream) == ("m", True)
    asked = read_native(found.body)
    assert (asked.prompt, asked.prompt_type, asked.max_tokens, asked.stream) == ("Once", 1, 9, True)
    assert (asked.temperature, asked.top_p) == (0.5, 0.9)
    plain = read_completion(b'{"model":"m","prompt":"Once","top_p":null}')
    assert isinstance(plain, ChatRequest) and not plain.stream and read_native(plain.body).top_p == 1.0


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"model": 1}, "model"),
        ({"temperature": 9}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], param: str) -> None:
    found = read_completion(msgspec.json.encode({"model": "m", "prompt": "Once"} | changes))
    assert isinstance(found, ApiError) and (found.status, found.param) == (400, param)


def test_an_answer_in_its_envelope_names_no_session() -> None:
    reply = NativeCompletions().reply(msgspec.json.encode(completion(" upon", "stop", task_id=7, usage=USAGE)), NAMES)
    assert reply is not None and reply.tokens == Tokens(5, 3)
    data = {**completion(" upon", "stop", usage=USAGE), "id": "cmpl-req_1", "model": "m"}
    assert msgspec.json.decode(reply.body) == {
        "request_id": "mine",
        "status": "ok",
        "model": "m",
        "router_pool": "p",
        "data": data,
        "error": None,
    }
    assert b"201" not in reply.body


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"choices":7}', b'{"error":{"code":"x"}}'])
def test_what_is_no_answer(body: bytes) -> None:
    assert NativeCompletions().reply(body, NAMES) is None


@given(st.lists(st.integers(min_value=0, max_value=900), max_size=20))
def test_a_stream_in_any_chunks(cuts: list[int]) -> None:
    chunks = [completion("a", task_id=7), completion("b", task_id=7), completion("", "length", task_id=7, usage=USAGE)]
    data = b"".join([b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks]) + b"data: [DONE]\n\n"
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    stream = EnvelopeStream(NAMES)
    out = b"".join([stream.feed(data[start:end]) for start, end in pairwise(places)]) + stream.last()
    *events, done = out.removesuffix(b"\n\n").split(b"\n\n")
    shown = [msgspec.json.decode(event.removeprefix(b"data: ")) for event in events]
    assert done == b"data: [DONE]" and stream.tokens == Tokens(5, 3)
    assert [event["data"]["choices"][0]["text"] for event in shown] == ["a", "b", ""]
    assert [event["data"]["choices"][0]["finish_reason"] for event in shown] == [None, None, "length"]
    assert {(event["status"], event["request_id"], event["router_pool"], event["data"]["id"]) for event in shown} == {
        ("ok", "mine", "p", "cmpl-req_1")
    }


def test_an_event_that_is_too_deep_for_its_envelope_breaks_the_stream() -> None:
    told: set[str] = set()
    for depth in (*range(900, 1_050), 200_000):  # about as deep as may be read, where writing it needs one more
        try:
            EnvelopeStream(NAMES).feed(b'data: {"choices":[],"x":' + b"[" * depth + b"]" * depth + b"}\n\n")
        except StreamBroken as error:
            told.add(str(error))
    assert "an event is not JSON" in told


def test_an_error_in_its_envelope() -> None:
    error = ApiError(status=429, code="queue_full", message="busy", type="rate_limit_error", retry_after_s=2)
    shown = msgspec.json.decode(NativeCompletions().error(error, NAMES))
    assert (shown["request_id"], shown["status"], shown["model"], shown["router_pool"], shown["data"]) == ("mine", "failed", "m", "p", {})
    details = {"type": "rate_limit_error", "param": None, "retry_after_s": 2}
    assert shown["error"] == {"code": "queue_full", "message": "busy", "details": details}
    assert NativeCompletions().error_event(error, NAMES) == b"data: " + msgspec.json.encode(shown) + b"\n\n"
