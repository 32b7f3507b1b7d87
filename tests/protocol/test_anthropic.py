"""Anthropic's messages: what a request becomes as a chat, what an answer and a stream become as messages."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.protocol.anthropic import AnthropicMessages, read_messages, write_message
from cortops.protocol.anthropic_stream import MessageStream
from cortops.protocol.dialect import Names
from cortops.protocol.openai import ApiError, ChatRequest, StreamBroken, Tokens

ASK: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
TOOL = {"name": "weather", "description": "now", "input_schema": {"type": "object"}}


def read(**changes: Any) -> ChatRequest | ApiError:
    return read_messages(msgspec.json.encode({**ASK, **changes}))


def chat(**changes: Any) -> dict[str, Any]:
    found = read(**changes)
    assert isinstance(found, ChatRequest), found
    return msgspec.json.decode(found.body)


def test_a_plain_request() -> None:
    assert chat() == ASK
    assert chat(system="Be brief.", temperature=0.5, top_p=0.9, top_k=4, stop_sequences=["END"], metadata={"user_id": "u"}) == {
        **ASK,
        "messages": [{"role": "system", "content": "Be brief."}, *ASK["messages"]],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 4,
        "stop": ["END"],
        "user": "u",
    }


def test_a_stream_is_asked_for_with_its_usage() -> None:
    found = read(stream=True)
    assert isinstance(found, ChatRequest) and (found.model, found.stream) == ("m", True)
    assert msgspec.json.decode(found.body) == {**ASK, "stream": True, "stream_options": {"include_usage": True}}


def test_a_conversation_with_tools() -> None:
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "Rome"}, {"type": "text", "text": "now?", "cache_control": {"type": "x"}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}},
                {"type": "tool_use", "id": "t2", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "sun"}]},
                {"type": "tool_result", "tool_use_id": "t2", "content": "no city", "is_error": True},
                {"type": "text", "text": "Well?"},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t3"}]},
    ]
    made = chat(messages=turns, tools=[TOOL], system=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])
    call = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    assert made["messages"] == [
        {"role": "system", "content": "a\nb"},
        {"role": "user", "content": "Rome\nnow?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [call, {**call, "id": "t2", "function": {"name": "weather", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "sun"},
        {"role": "tool", "tool_call_id": "t2", "content": "Error: no city"},
        {"role": "user", "content": "Well?"},
        {"role": "tool", "tool_call_id": "t3", "content": ""},
    ]
    assert made["tools"] == [
        {"type": "function", "function": {"name": "weather", "description": "now", "parameters": {"type": "object"}}},
    ]


@pytest.mark.parametrize(
    ("choice", "shown"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        ({"type": "tool", "name": "weather"}, {"tool_choice": {"type": "function", "function": {"name": "weather"}}}),
        ({"type": "auto", "disable_parallel_tool_use": True}, {"tool_choice": "auto", "parallel_tool_calls": False}),
    ],
)
def test_which_tool(choice: dict[str, Any], shown: dict[str, Any]) -> None:
    made = chat(tools=[TOOL], tool_choice=choice)
    assert {name: made.get(name) for name in shown} == shown


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]}]},
            "messages[0].content[0].type",
        ),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice"),
        ({"temperature": 3}, "temperature"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], param: str) -> None:
    found = read(**changes)
    assert isinstance(found, ApiError) and (found.status, found.code, found.param) == (400, "invalid_body", param)


@pytest.mark.parametrize("body", [b"", b"[", b"[" * 100_000, b'{"model":"m","max_tokens":1,"messages":' + b"[" * 100_000, b"\xff"])
def test_what_is_no_json(body: bytes) -> None:
    found = read_messages(body)
    assert isinstance(found, ApiError) and found.status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "id", "name", "input", "content"]), inner),
    max_leaves=8,
)


@given(st.sampled_from(["model", "max_tokens", "messages", "system", "tools", "tool_choice", "stop_sequences", "metadata"]), JSON)
def test_any_value_anywhere_is_a_chat_or_a_400(field: str, value: Any) -> None:
    for body in ({**ASK, field: value}, {**ASK, "messages": [{"role": "user", "content": value}, {"role": "assistant", "content": value}]}):
        found = read_messages(json.dumps(body).encode())
        assert isinstance(found, ChatRequest) or (found.status, found.code) == (400, "invalid_body")


def whole(message: dict[str, Any], finish_reason: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    body = {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}}
    reply = write_message(msgspec.json.encode(body), alias="m", public_id="msg_1")
    assert reply is not None and reply.tokens == Tokens(5, 3)
    return msgspec.json.decode(reply.body)


def test_a_whole_answer() -> None:
    assert whole({"role": "assistant", "content": "Hello"}) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 3},
    }
    assert whole({"content": ""}, "length")["stop_reason"] == "max_tokens"


def test_a_whole_answer_with_calls() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    found = whole({"content": "So:", "tool_calls": [call]}, "tool_calls")
    assert found["stop_reason"] == "tool_use"
    assert found["content"] == [
        {"type": "text", "text": "So:"},
        {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Rome"}},
    ]
    half = {**call, "function": {"name": "weather", "arguments": '{"ci'}}
    assert whole({"content": None, "tool_calls": [half]}, "length")["content"][0]["input"] == {}
    for broken in (half, {**call, "function": {"name": None, "arguments": "{}"}}, {**call, "function": {"name": "a", "arguments": "[]"}}):
        with pytest.raises(StreamBroken):
            whole({"tool_calls": [broken]}, "tool_calls")


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"choices":[]}', b'{"choices":[{"index":0}]}', b'{"error":{"code":"x"}}'])
def test_what_is_no_answer(body: bytes) -> None:
    assert write_message(body, alias="m", public_id="msg_1") is None


def sse(delta: dict[str, Any] | None, finish_reason: str | None = None) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}] if delta is not None else []
    usage = {"usage": {"prompt_tokens": 5, "completion_tokens": 3}} if delta is None else {}
    return b"data: " + msgspec.json.encode({"id": "x", "model": "y", "choices": choices, **usage}) + b"\n\n"


def called(index: int, arguments: str = "", **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": more.pop("name")} if "name" in more else {})
    return {"tool_calls": [{"index": index, "function": function, **more}]}


TEXT = [sse({"role": "assistant", "content": ""}), sse({"content": "Hel"}), sse({"content": "lo"})]
CALLS = [
    sse(called(0, id="a", name="f")),
    sse(called(0, '{"x"')),
    sse(called(0, ":1}")),
    sse(called(1, "{}", id="b", name="g")),
]
END = [sse({}, "tool_calls"), sse(None), b"data: [DONE]\n\n"]


def stream(parts: list[bytes]) -> tuple[list[dict[str, Any]], MessageStream]:
    found = MessageStream(alias="m", public_id="msg_1")
    out = b"".join([found.feed(part) for part in parts]) + found.last()
    events = []
    for event in out.split(b"\n\n")[:-1]:
        name, data = event.split(b"\n")
        events.append(msgspec.json.decode(data.removeprefix(b"data: ")))
        assert name == b"event: " + events[-1]["type"].encode()
    return events, found


def test_a_stream() -> None:
    events, found = stream([*TEXT, *CALLS, *END])
    assert (found.done, found.spoke, found.tokens) == (True, True, Tokens(5, 3))
    assert [(event["type"], event.get("index")) for event in events] == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("content_block_start", 2),
        ("content_block_delta", 2),
        ("content_block_stop", 2),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert [event["content_block"] for event in events if event["type"] == "content_block_start"] == [
        {"type": "text", "text": ""},
        {"type": "tool_use", "id": "a", "name": "f", "input": {}},
        {"type": "tool_use", "id": "b", "name": "g", "input": {}},
    ]
    assert events[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert events[-2]["usage"] == {"input_tokens": 5, "output_tokens": 3}
    assert (events[0]["message"]["id"], events[0]["message"]["model"]) == ("msg_1", "m")


@given(st.lists(st.integers(min_value=0, max_value=2000), max_size=30))
def test_chunking_changes_nothing(cuts: list[int]) -> None:
    data = b"".join([*TEXT, b": still here\n\n", *CALLS, *END]).replace(b"\n\n", b"\r\n\r\n")
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    parts = [data[start:end] for start, end in pairwise(places)]
    assert MessageStream(alias="m", public_id="1").feed(data) == b"".join(
        [found.feed(part) for found in [MessageStream(alias="m", public_id="1")] for part in parts]
    )


def test_an_empty_stream_is_a_message_too() -> None:
    events, _ = stream([b"data: [DONE]\n\n"])
    assert [event["type"] for event in events] == ["message_start", "message_delta", "message_stop"]


@pytest.mark.parametrize(
    "part",
    [
        sse(called(0, "{}", id="a")),
        sse(called(0, id="a", name="f")) + sse(called(1, id="b", name="g")) + sse(called(0, "{}")),
        b'data: {"choices":[{"delta":{"content":7}}]}\n\n',
        b'data: {"choices":3}\n\n',
    ],
)
def test_what_cannot_be_told_breaks_the_stream(part: bytes) -> None:
    with pytest.raises(StreamBroken):
        MessageStream(alias="m", public_id="1").feed(part)


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "invalid_request_error"), (401, "authentication_error"), (403, "permission_error"), (404, "not_found_error"),
                         (413, "request_too_large"), (422, "invalid_request_error"), (429, "rate_limit_error"), (502, "api_error"),
                         (503, "overloaded_error"), (504, "timeout_error")],
)  # fmt: skip
def test_errors_keep_our_code(status: int, kind: str) -> None:
    error = ApiError(status=status, code="queue_full", message="busy", retry_after_s=2)
    names = Names(id="req_1", shown_id="mine")
    shown = msgspec.json.decode(AnthropicMessages().error(error, names))
    detail = {"type": kind, "message": "busy", "code": "queue_full", "param": None, "retry_after_s": 2}
    assert shown == {"type": "error", "error": detail, "request_id": "mine"}
    assert AnthropicMessages().error_event(error, names) == b"event: error\ndata: " + msgspec.json.encode(shown) + b"\n\n"


def test_either_header_carries_the_key() -> None:
    credential = AnthropicMessages().credential
    assert credential({"x-api-key": "k"}) == credential({"authorization": "Bearer k"}) == "Bearer k"
    assert credential({"x-api-key": "k", "authorization": "Bearer j"}) == "Bearer j"
    assert credential({}) == ""
