from __future__ import annotations

from typing import Any

import msgspec

from cortops.programs.router.replies import ChatForm, NativeForm
from cortops.programs.router.request import Answer
from cortops.protocol.chat import Delta, Usage

USAGE = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)


def form(**values: Any) -> ChatForm:
    return ChatForm(**{"model": "m", "created": 5, "with_tools": False, "include_usage": True, **values})


def events(data: bytes) -> list[Any]:
    found = [part.removeprefix(b"data: ") for part in data.split(b"\n\n") if part]
    assert found[-1] == b"[DONE]"
    return [msgspec.json.decode(part) for part in found[:-1]]


def test_a_stream_that_wrote_nothing_names_the_role_and_ends_with_the_usage() -> None:
    answer = Answer(text="ab", rest=Delta(content="ab"), finish_reason="stop", usage=USAGE)
    first, last, usage = events(form().end("1/2", answer))
    assert first["choices"] == [{"index": 0, "delta": {"role": "assistant", "content": "ab"}, "logprobs": None, "finish_reason": None}]
    assert last["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert usage["choices"] == [] and usage["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    assert {event["id"] for event in (first, last, usage)} == {"chatcmpl-1-2"} and first["object"] == "chat.completion.chunk"


def test_an_empty_reply_is_still_a_message() -> None:
    first, last, _ = events(form().end("1/2", Answer(text="", rest=Delta(), finish_reason="stop", usage=USAGE)))
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""} and last["choices"][0]["finish_reason"] == "stop"


def test_usage_only_for_those_who_ask() -> None:
    answer = Answer(text="a", rest=Delta(content="a"), finish_reason="stop", usage=USAGE)
    assert len(events(form(include_usage=False).end("1/2", answer))) == 2


def test_the_public_form_carries_the_task_and_only_text() -> None:
    native = NativeForm(model="m", created=5)
    assert native.delta("1/2", Delta(role="assistant")) == b""
    event = msgspec.json.decode(native.delta("1/2", Delta(content="a")).removeprefix(b"data: "))
    assert (event["task_id"], event["choices"][0]["text"], event["choices"][0]["finish_reason"]) == (2, "a", None)
    whole = native.whole("1/2", Answer(text="ab", rest=Delta(), finish_reason="stop", usage=USAGE))
    assert set(whole) == {"id", "object", "created", "model", "task_id", "choices", "usage"}
