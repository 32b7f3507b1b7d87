from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.protocol.routes import chat_task, llm_params, native_task, over_bound, read_chat, read_native, sampling_of
from cortops.words.errors import BadInput


def test_the_native_body_becomes_the_public_parameters() -> None:
    body = read_native(b'{"prompt":"p","max_tokens":1024,"temperature":0.7,"top_p":1,"top_k":40,"precommit_timeout":90,"unknown":1}')
    task = native_task(body, 4, "ref", 300)
    assert (task.session, task.prompt_type, task.text, task.reference) == (4, 1, "p", "ref")
    assert task.llm_params == (1024, 70, 100, 40, 100, 0, 0)  # as seen on chain (facts C.2)
    assert task.request_params == (90, 0, 0, 0, 0, 0)
    assert native_task(read_native(b'{"prompt":"p"}'), 4, "ref", 300).request_params[0] == 300


def test_the_chat_body_goes_into_the_text() -> None:
    chat, body = read_chat(b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":9,"stream":true,"tools":[]}')
    task = chat_task(chat, body, 1, "r", 90)
    assert task.prompt_type == 2 and task.llm_params[0] == 9
    assert task.text == '{"messages":[{"role":"user","content":"x"}],"max_tokens":9,"tools":[]}'


@given(
    st.integers(1, 100_000), st.integers(0, 200), st.integers(0, 100), st.integers(1, 1000), st.integers(-200, 200), st.integers(-200, 200)
)
def test_parameters_come_back_from_the_chain(tokens: int, temperature: int, top_p: int, top_k: int, presence: int, frequency: int) -> None:
    params = llm_params(
        max_tokens=tokens,
        temperature=temperature / 100,
        top_p=top_p / 100,
        top_k=top_k,
        presence_penalty=presence / 100,
        frequency_penalty=frequency / 100,
    )
    assert all(value >= 0 for value in params)
    assert sampling_of(params) == {
        "max_tokens": tokens,
        "temperature": temperature / 100,
        "top_p": top_p / 100,
        "top_k": top_k,
        "presence_penalty": presence / 100,
        "frequency_penalty": frequency / 100,
    }


def test_missing_parameters_are_left_to_the_engine() -> None:
    assert sampling_of(()) == {}
    assert sampling_of((0, 50)) == {"temperature": 0.5}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "truncated"),
        (b"[]", "object"),
        (b'{"prompt":1}', "$.prompt"),
        (b'{"prompt":"x","max_tokens":0}', "$.max_tokens"),
        (b'{"prompt":"x","temperature":3}', "$.temperature"),
        (b'{"prompt":"\xff"}', "utf-8"),
    ],
)
def test_bad_native_bodies_name_the_place(body: bytes, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_native(body)
    assert words in caught.value.what.lower()


def test_only_one_reply_to_a_task() -> None:
    with pytest.raises(BadInput, match=r"n must be 1"):
        read_chat(b'{"messages":[{}],"n":2}')


def test_the_chain_bounds_are_bytes() -> None:
    def task(text: str, template: str = "") -> str:
        return over_bound(native_task(read_native(msgspec.json.encode({"prompt": text, "prompt_template": template})), 1, "r", 1))

    assert task("x" * 32_768, "y" * 8_192) == ""
    assert "32769 bytes" in task("x" * 32_769)
    assert "bytes" in task("é" * 16_385)
    assert "template" in task("x", "y" * 8_193)
