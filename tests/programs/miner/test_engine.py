from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.programs.common.progress import Progress
from cortops.programs.miner.engine import LINE_KIB_MAX, EngineLines, engine_request, is_reachable, run
from cortops.protocol.chat import Assembly
from cortops.protocol.http import HttpClient, HttpFailure
from cortops.testing.engine import Say, scripted_engine
from cortops.words.clock import SystemClock
from cortops.words.errors import BadInput, StepFailed

CHAT = Progress(prompt_type=2, text='{"messages":[{"role":"user","content":"two words"}]}')
STREAM = b'data: {"a":1}\n\n: comment\ndata:{"b":2}\r\n\r\ndata: [DONE]\n\n'


@given(st.lists(st.integers(1, 20), max_size=10))
def test_events_are_cut_out_whatever_the_borders(sizes: list[int]) -> None:
    lines, found, at = EngineLines(), list[bytes](), 0
    for size in [*sizes, len(STREAM)]:
        found += lines.feed(STREAM[at : at + size])
        at += size
    assert found == [b'{"a":1}', b'{"b":2}', b"[DONE]"]


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(StepFailed):
        EngineLines().feed(b"x" * (LINE_KIB_MAX * 1024 + 1))


def test_the_body_of_each_prompt_type() -> None:
    assert engine_request(CHAT, "m")[1]["model"] == "m"
    path, body = engine_request(Progress(prompt_type=0, text="p", template="<{prompt}>", llm_params=(5, 0)), "m")
    assert path == "/v1/completions" and body["prompt"] == "<p>" and body["max_tokens"] == 5 and body["temperature"] == 0
    with pytest.raises(BadInput):
        engine_request(Progress(prompt_type=7), "m")
    with pytest.raises(BadInput):
        engine_request(Progress(prompt_type=2, text="no body"), "m")


def test_all_miners_of_a_task_take_one_seed_and_another_task_takes_another() -> None:
    def seed(identity: str, text: str = '{"messages":[]}') -> object:
        return engine_request(Progress(identity=identity, prompt_type=2, text=text), "m")[1]["seed"]

    assert seed("0x1") == seed("0x1") == seed("0x1", '{"messages":[],"seed":null}') != seed("0x2")
    assert seed("0x1", '{"messages":[],"seed":7}') == 7


async def whole(url: str, task: Progress = CHAT, timeout_s: float = 5) -> Assembly:
    http, reply = HttpClient(clock=SystemClock()), Assembly()
    try:
        async for chunk in run(http, url, task, "m", timeout_s):
            reply = reply.add(chunk)
    finally:
        await http.close()
    return reply


def test_a_reply_with_its_numbers() -> None:
    async def play() -> None:
        async with scripted_engine(Say(pieces=("a", "b"), finish_reason="length")) as engine:
            reply = await whole(engine.url + "/")
        assert (reply.text, reply.finish_reason) == ("ab", "length")
        assert reply.usage is not None and reply.usage.total_tokens == 4

    asyncio.run(play())


@pytest.mark.parametrize(
    ("say", "kind"),
    [(Say(status=503), StepFailed), (Say(break_at=1, how="error"), StepFailed), (Say(break_at=1, how="cut"), HttpFailure)],
)
def test_each_way_an_engine_fails_is_an_error(say: Say, kind: type[Exception]) -> None:
    async def play() -> None:
        async with scripted_engine(say) as engine:
            with pytest.raises(kind):
                await whole(engine.url)

    asyncio.run(play())


def test_an_engine_that_is_not_there() -> None:
    async def play() -> None:
        async with scripted_engine() as engine:
            http = HttpClient(clock=SystemClock())
            assert await is_reachable(http, engine.url)
        assert not await is_reachable(http, engine.url)
        await http.close()
        with pytest.raises(HttpFailure):
            await whole(engine.url)

    asyncio.run(play())
