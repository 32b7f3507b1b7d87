"""OpenAI's shapes: what is read of a request, how replies and streams are rewritten."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.protocol.openai import (
    DONE,
    EVENT_MAX,
    ApiError,
    ChatRequest,
    StreamBroken,
    StreamRewriter,
    Tokens,
    read_chat,
    read_error,
    rewrite_reply,
)

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def chat(**changes: Any) -> ChatRequest | ApiError:
    return read_chat(msgspec.json.encode({**CHAT, **changes}))


def test_a_plain_body_passes_byte_for_byte() -> None:
    body = b'{ "model":"m", "messages":[{"role":"user","content":"\\u00e9"}], "x_own": 1e3 }'
    assert read_chat(body) == ChatRequest(model="m", stream=False, wants_usage=False, body=body)


def test_a_stream_is_asked_for_with_usage() -> None:
    asked = chat(stream=True, tools=[{"type": "function"}])
    assert isinstance(asked, ChatRequest) and asked.stream and not asked.wants_usage
    assert msgspec.json.decode(asked.body) == {
        **CHAT,
        "stream": True,
        "tools": [{"type": "function"}],
        "stream_options": {"include_usage": True},
    }
    wanted = chat(stream=True, stream_options={"include_usage": True, "other": 1})
    assert isinstance(wanted, ChatRequest) and wanted.wants_usage and b'"other":1' in wanted.body
    refused = chat(stream=True, stream_options={"include_usage": False})
    assert isinstance(refused, ChatRequest) and not refused.wants_usage and b'"include_usage":true' in refused.body


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"model": 1}, "model"),
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages[0]"),
        ({"stream": "yes"}, "stream"),
        ({"n": 3}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], param: str) -> None:
    found = chat(**changes)
    assert isinstance(found, ApiError) and (found.status, found.param) == (400, param)


def test_what_is_told_of_a_body_is_short() -> None:
    found = chat(messages=[{"role": "x" * 100_000}])
    assert isinstance(found, ApiError) and len(found.message) < 300
    deep = read_chat(b'{"model":"m","messages":[{"role":"u"}],"stream_options":{"include_usage":"' + b"x" * 100_000 + b'"}}')
    assert isinstance(deep, ApiError) and len(deep.message) + len(deep.param or "") < 500


def test_a_missing_field_is_named() -> None:
    found = read_chat(b'{"messages":[{"role":"u"}]}')
    assert isinstance(found, ApiError) and found.param == "model"


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_a_request_or_a_400(body: bytes) -> None:
    found = read_chat(body)
    assert isinstance(found, ChatRequest) or found.status == 400


def test_a_reply_gets_alias_and_id_and_keeps_the_rest() -> None:
    theirs = {"id": "x", "object": "chat.completion", "model": "y", "choices": [{"message": {"tool_calls": []}}], "own": [1, None]}
    reply = rewrite_reply(
        msgspec.json.encode({**theirs, "usage": {"prompt_tokens": 2, "completion_tokens": 4}}), alias="m", public_id="c-1"
    )
    assert reply is not None and reply.tokens == Tokens(2, 4)
    assert msgspec.json.decode(reply.body) == {**theirs, "id": "c-1", "model": "m", "usage": {"prompt_tokens": 2, "completion_tokens": 4}}


def test_of_a_reply_all_else_passes_as_the_member_wrote_it() -> None:
    reply = rewrite_reply('{ "choices":[ 1.50, 1e3, "é" ],"id":"x","usage":null}'.encode(), alias="m", public_id="c")
    assert reply is not None and reply.body == '{"choices":[ 1.50, 1e3, "é" ],"id":"c","usage":null,"model":"m"}'.encode()


NO_REPLIES = [b"", b"[]", b"{}", b'{"error":{"message":"x"}}', b"\xff", b"[" * 9000, b'{"choices":{}}', b'{"choices":["\xff"]}']


@pytest.mark.parametrize("body", NO_REPLIES)
def test_what_is_no_reply_is_none(body: bytes) -> None:
    assert rewrite_reply(body, alias="m", public_id="c-1") is None


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"error":{"message":"a","code":"b"}}', ("a", "b")),
        (b'{"error":"plain"}', ("plain", "")),
        (b'{"error":{"message":1,"code":2}}', ("", "")),
        (b"upstream connect error", ("", "")),
        (b'"x"', ("", "")),
    ],
)
def test_errors_in_any_shape(body: bytes, found: tuple[str, str]) -> None:
    assert read_error(body) == found


def test_odd_usage_counts_as_none() -> None:
    body = b'{"choices":[],"usage":{"prompt_tokens":"many","completion_tokens":-1}}'
    reply = rewrite_reply(body, alias="m", public_id="c")
    assert reply is not None and reply.tokens == Tokens()


def chunk(**changes: Any) -> dict[str, Any]:
    return {
        "id": "their",
        "object": "chat.completion.chunk",
        "model": "theirs",
        "choices": [{"index": 0, "delta": {"content": "a"}}],
        **changes,
    }


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + msgspec.json.encode(found) + b"\n\n" for found in chunks)


def parsed(data: bytes) -> list[Any]:
    return [msgspec.json.decode(part.removeprefix(b"data: ")) for part in data.split(b"\n\n") if part]


NASTY = 'quote " back\\slash "id":"their" "model":"theirs" data: [DONE] "usage" "error" \n\n data: {} é \u2028'
STREAM = [
    chunk(choices=[{"index": 0, "delta": {"role": "assistant"}}]),
    chunk(),
    chunk(choices=[{"index": 0, "delta": {"content": NASTY}}]),
    chunk(usage=None),
    chunk(choices=[{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "their", "function": {"name": "f"}}]}}]),
    chunk(id="another"),
    chunk(model="other"),
    chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]),
    chunk(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 2}),
]
WHOLE = sse(*STREAM[:3]) + b": still here\n\n" + sse(*STREAM[3:]) + DONE


def rewrite(parts: list[bytes], *, wants_usage: bool = False) -> tuple[bytes, StreamRewriter]:
    rewriter = StreamRewriter(alias="m", public_id="c-1", wants_usage=wants_usage)
    return b"".join([rewriter.feed(part) for part in parts]), rewriter


def expected(*, wants_usage: bool) -> list[Any]:
    found = [{**one, "id": "c-1", "model": "m"} for one in STREAM]
    return found if wants_usage else found[:-1]


@pytest.mark.parametrize("wants_usage", [False, True])
@pytest.mark.parametrize("whole", [WHOLE, WHOLE.replace(b"\n", b"\r\n"), b"data:" + WHOLE[6:].replace(b"\n\ndata: ", b"\n\ndata:")])
def test_a_stream_gets_alias_and_id_everywhere_and_nowhere_else(whole: bytes, wants_usage: bool) -> None:
    out, rewriter = rewrite([whole], wants_usage=wants_usage)
    assert b": still here\n\n" in out
    assert parsed(out.replace(b": still here\n\n", b"")) == expected(wants_usage=wants_usage)
    assert rewriter.done and rewriter.spoke and rewriter.tokens == Tokens(1, 2)


@given(st.lists(st.integers(1, len(WHOLE)), max_size=30), st.booleans())
def test_cuts_make_no_difference(cuts: list[int], crlf: bool) -> None:
    whole = WHOLE.replace(b"\n", b"\r\n") if crlf else WHOLE
    edges = sorted({0, len(whole), *cuts})
    out, rewriter = rewrite([whole[a:b] for a, b in zip(edges, [*edges[1:], len(whole)], strict=True)])
    assert parsed(out.replace(b": still here\n\n", b"")) == expected(wants_usage=False)
    assert rewriter.done and rewriter.tokens == Tokens(1, 2)


def test_an_error_event_is_kept_back_even_with_id_and_model() -> None:
    out, rewriter = rewrite([sse(chunk()), sse(chunk(error={"message": "late", "code": "x"}))])
    assert parsed(out) == [chunk(id="c-1", model="m")]
    assert rewriter.error == ("late", "x")


def test_plain_events_are_not_parsed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rewriter = StreamRewriter(alias="m", public_id="c-1", wants_usage=False)
    rewriter.feed(sse(chunk()))
    monkeypatch.setattr(rewriter, "_event", None)
    quoting = chunk(choices=[{"index": 0, "delta": {"content": 'a "id":"their" "model":"theirs" "usage":{ "error" \n\n'}}])
    assert parsed(rewriter.feed(sse(*[quoting] * 5))) == [{**quoting, "id": "c-1", "model": "m"}] * 5
    whole = sse(*[quoting] * 5)
    assert parsed(rewriter.feed(whole[:-9]) + rewriter.feed(whole[-9:])) == [{**quoting, "id": "c-1", "model": "m"}] * 5


def test_an_event_of_two_lines_and_one_behind_another_are_parsed() -> None:
    rewriter = StreamRewriter(alias="m", public_id="c-1", wants_usage=False)
    rewriter.feed(sse(chunk()))
    in_two = sse(chunk()).replace(b',"choices"', b'\ndata: ,"choices"')
    assert parsed(rewriter.feed(in_two)) == parsed(rewriter.feed(sse(chunk())))
    assert b": still here" in rewriter.feed(sse(chunk()) + b": still here\n\n" + sse(chunk()))
    assert rewriter.feed(sse(chunk()) + DONE).count(b"data: ") == 1 and rewriter.done


def test_nothing_passes_after_done() -> None:
    out, _ = rewrite([sse(chunk()) + DONE + sse(chunk())])
    assert len(parsed(out)) == 1


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: 1\n\n", b"data: " + b"x" * (EVENT_MAX + 1)])
def test_a_stream_that_is_none_breaks(data: bytes) -> None:
    with pytest.raises(StreamBroken):
        rewrite([data])
