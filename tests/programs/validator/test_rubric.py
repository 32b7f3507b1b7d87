"""A scripted engine as judge, over a real connection."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable

import pytest

from cortops.programs.common.logs import make_log
from cortops.programs.validator import rubric as module
from cortops.programs.validator.judge import Asked
from cortops.programs.validator.rubric import EngineRubric, content_of
from cortops.protocol.http import HttpClient
from cortops.testing.engine import Say, ScriptedEngine, scripted_engine
from cortops.words.clock import SystemClock

GOOD = '{"verdict": "VALID", "confidence": 0.9, "reasons": []}'
BAD = '{"verdict": "INVALID", "confidence": 0.8, "reasons": ["it is another city"]}'


def say(text: str, status: int = 200) -> Say:
    return Say(pieces=(text,), status=status)


def play(test: Callable[[EngineRubric, ScriptedEngine], Awaitable[None]], *script: Say, lost: bool = False) -> bytes:
    out = io.BytesIO()

    async def main() -> None:
        clock = SystemClock()
        http = HttpClient(clock=clock)
        async with scripted_engine(*script) as engine:
            url = "http://127.0.0.1:9" if lost else engine.url
            rubric = EngineRubric(http, url, "m", ("It names a city.",), clock, make_log("validator", out, clock))
            try:
                await test(rubric, engine)
            finally:
                await http.close()

    asyncio.run(asyncio.wait_for(main(), 20))
    return out.getvalue()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRY_AGAIN_AFTER_S", 0.0)


def test_each_text_is_asked_with_the_policys_own_points() -> None:
    async def run(rubric: EngineRubric, engine: ScriptedEngine) -> None:
        found = await rubric.readings(Asked(prompt="Name a capital."), ("Paris", "Lyon"))
        assert {text: one.verdict.value for text, one in found.items()} == {"Paris": "VALID", "Lyon": "INVALID"}
        _, body = engine.requests[0]
        assert body["model"] == "m" and body["temperature"] == 0 and "response_format" in body
        assert "It names a city." in body["messages"][0]["content"] and "Name a capital." in body["messages"][1]["content"]

    play(run, say(GOOD), say(BAD))


def test_an_engine_without_schemas_is_asked_without() -> None:
    async def run(rubric: EngineRubric, engine: ScriptedEngine) -> None:
        assert (await rubric.readings(Asked(), ("a", "b")))["b"].readable
        assert ["response_format" in body for _, body in engine.requests] == [True, False, False]

    play(run, say("", 400), say(GOOD), say(GOOD))


@pytest.mark.parametrize("said", ["I think it is fine.", "", '{"verdict": "GOOD", "confidence": 1, "reasons": []}'])
def test_what_cannot_be_read_is_no_verdict(said: str) -> None:
    async def run(rubric: EngineRubric, engine: ScriptedEngine) -> None:
        found = (await rubric.readings(Asked(), ("a",)))["a"]
        assert (found.verdict.value, found.readable, rubric.lost) == ("RETRY", False, "")

    play(run, say(said))


def test_a_lost_engine_is_named_and_nobody_is_judged() -> None:
    async def run(rubric: EngineRubric, engine: ScriptedEngine) -> None:
        found = (await rubric.readings(Asked(), ("a",)))["a"]
        assert not found.readable and found.reasons[0].startswith("the judge's engine is lost") and rubric.lost

    assert b'"judge_lost"' in play(run, lost=True)


def test_it_is_well_again_once_it_answers() -> None:
    async def run(rubric: EngineRubric, engine: ScriptedEngine) -> None:
        assert not (await rubric.readings(Asked(), ("a",)))["a"].readable and rubric.lost == "it answered HTTP 500"
        assert (await rubric.readings(Asked(), ("a",)))["a"].readable and rubric.lost == ""

    play(run, *[say("", 500)] * module.TRIES_MAX, say(GOOD))


@pytest.mark.parametrize("body", [b"", b"[]", b'{"choices":[]}', b'{"choices":[{"message":{}}]}', b"\xff"])
def test_a_reply_without_text_has_none(body: bytes) -> None:
    assert content_of(body) == ""
