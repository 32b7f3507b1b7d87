"""The official openai client with tools, and on the route of completions, against a gateway in this process."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest
from gateway_rig import MODEL, Rig, with_gateway

pytestmark = pytest.mark.real

ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
CALLS = (("weather", ('{"city"', ':"Rome"}')), ("weather", ("{}",)))
CALLED = [("call-0", "weather", '{"city":"Rome"}'), ("call-1", "weather", "{}")]


def test_tools_pass_untouched_both_ways(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        router = rig.routers[0]
        router.behave(calls=CALLS)
        async with openai.AsyncOpenAI(base_url=f"{rig.url}/v1", api_key=rig.key, max_retries=0) as client:
            chat = await client.chat.completions.create(**ASK, tools=TOOLS)
            assert router.asked[-1].json["tools"] == TOOLS
            (choice,) = chat.choices
            assert choice.finish_reason == "tool_calls"
            assert [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls] == CALLED
            async with client.chat.completions.stream(**ASK, tools=TOOLS) as stream:
                final = await stream.get_final_completion()
            (streamed,) = final.choices
            assert streamed.finish_reason == "tool_calls"
            assert [(call.id, call.function.name, call.function.arguments) for call in streamed.message.tool_calls] == CALLED
            turns = [*ASK["messages"], choice.message.model_dump(exclude_none=True)]
            results = [{"role": "tool", "tool_call_id": call_id, "content": "sun"} for call_id, *_ in CALLED]
            await client.chat.completions.create(model=MODEL, messages=[*turns, *results])
            assert router.asked[-1].json["messages"] == [*turns, *results]
        assert [row.status for row in await rig.rows()] == ["ok"] * 3

    with_gateway(tmp_path, test)


def test_the_envelope_of_completions(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        async with openai.AsyncOpenAI(base_url=f"{rig.url}/v1", api_key=rig.key, max_retries=0) as client:
            envelope = (await client.completions.create(model=MODEL, prompt="Hi")).model_dump()
            assert (envelope["status"], envelope["router_pool"], envelope["error"]) == ("ok", "pool-1", None)
            assert envelope["data"]["choices"][0]["text"] == "Hello, world"
            with pytest.raises(openai.NotFoundError) as missing:
                await client.completions.create(model="nope", prompt="Hi")
            assert missing.value.code == "model_not_found" and missing.value.body["details"]["param"] == "model"

    with_gateway(tmp_path, test)
