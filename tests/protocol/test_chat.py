from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.protocol.chat import (
    Assembly,
    Choice,
    Delta,
    EngineChunk,
    FunctionDelta,
    Note,
    ToolDelta,
    Usage,
    body_of,
    message_of,
    prompt_of,
    task_text,
)  # fmt: skip
from cortops.words.errors import BadInput


def say(text: str) -> EngineChunk:
    return EngineChunk(choices=(Choice(delta=Delta(content=text)),))


def call(index: int, **part: str) -> EngineChunk:
    function = FunctionDelta(name=part.get("name"), arguments=part.get("arguments"))
    delta = Delta(tool_calls=(ToolDelta(index=index, id=part.get("id"), function=function),))
    return EngineChunk(choices=(Choice(delta=delta),))


def fold(*chunks: EngineChunk) -> Assembly:
    reply = Assembly()
    for chunk in chunks:
        reply = reply.add(chunk)
    return reply


def test_a_task_text_is_the_body_without_what_concerns_the_client_only() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hé"}], "stream": True, "stream_options": {}, "user": "u", "seed": 1}
    text = task_text(body)
    assert text == '{"messages":[{"role":"user","content":"hé"}],"seed":1}'
    assert body_of(text) == {"messages": body["messages"], "seed": 1}


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"messages":1}'])
def test_a_text_that_is_no_chat_body_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        body_of(text)


def test_prompts_of_the_public_types() -> None:
    assert prompt_of(1, "p", "T {prompt}") == "p"
    assert prompt_of(0, "p", "T {prompt} U") == "T p U"
    assert prompt_of(0, "p", "T") == "T\np"
    assert prompt_of(0, "p", "") == "p"


def test_a_chunk_of_either_form_is_read_and_the_unknown_left_out() -> None:
    chat = msgspec.json.decode(b'{"id":"x","choices":[{"index":0,"delta":{"content":"a","odd":1},"finish_reason":null}]}', type=EngineChunk)
    plain = msgspec.json.decode(b'{"choices":[{"index":0,"text":"a","logprobs":null}]}', type=EngineChunk)
    last = msgspec.json.decode(
        b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"x":{}}}', type=EngineChunk
    )
    assert chat.delta == plain.delta == Delta(content="a")
    assert (last.delta, last.finish_reason, last.usage) == (Delta(), None, Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3))


def test_tool_calls_are_put_together_and_committed_as_a_message() -> None:
    reply = fold(call(0, id="c1", name="f", arguments='{"a"'), call(1, id="c2", name="g"), call(0, arguments=":1}"))
    assert msgspec.json.decode(reply.text) == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
        ],
    }
    assert message_of(reply.text, with_tools=True)["tool_calls"][0]["id"] == "c1"
    assert message_of(reply.text, with_tools=False) == {"role": "assistant", "content": reply.text}
    rest = Assembly().rest(reply.text, with_tools=True)
    assert rest is not None and fold(EngineChunk(choices=(Choice(delta=rest),))).text == reply.text


def test_a_text_that_only_looks_like_a_message_stays_text() -> None:
    for text in ('{"role":"assistant"}', '{"a":1}', "{", '{"role":"user","tool_calls":[1]}'):
        assert message_of(text, with_tools=True) == {"role": "assistant", "content": text}


@given(st.lists(st.text(max_size=5), max_size=6), st.integers(0, 6))
def test_what_was_written_and_the_rest_are_the_whole(pieces: list[str], written: int) -> None:
    whole = fold(*map(say, pieces)).text
    rest = fold(*map(say, pieces[:written])).rest(whole, with_tools=False)
    assert rest is not None
    assert fold(*map(say, pieces[:written])).text + (rest.content or "") == whole == "".join(pieces)


def test_a_text_that_contradicts_what_was_written_has_no_rest() -> None:
    assert fold(say("ab")).rest("ac", with_tools=False) is None
    assert fold(say("ab")).rest("a", with_tools=False) is None
    assert fold(call(0, id="c")).rest("text", with_tools=True) is None


def test_a_note_is_read_back_and_anything_else_is_none() -> None:
    note = Note(finish_reason="length", usage=Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3))
    assert Note.parse(note.as_text()) == note
    assert Note.parse("") is None and Note.parse("[]") is None
