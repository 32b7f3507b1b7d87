"""The official anthropic client against a gateway in this process."""

from __future__ import annotations

from pathlib import Path

import anthropic
import pytest
from gateway_rig import MODEL, Rig, with_gateway

pytestmark = pytest.mark.real

ASK = {"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
WEATHER = {"name": "weather", "description": "now", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
CALLS = (("weather", ('{"city"', ':"Rome"}')), ("weather", ("{}",)))


def client(rig: Rig, **options: str) -> anthropic.AsyncAnthropic:
    given = options or {"api_key": rig.key}
    return anthropic.AsyncAnthropic(base_url=rig.url, max_retries=0, **given)


def test_chat_stream_tools_errors_and_request_ids(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        router = rig.routers[0]
        async with client(rig) as asks:
            message = await asks.messages.create(**ASK, extra_headers={"X-Request-ID": "mine"})
            assert (message.model, message.content[0].text, message.stop_reason) == (MODEL, "Hello, world", "end_turn")
            assert (message.usage.input_tokens, message.usage.output_tokens, message._request_id) == (5, 3, "mine")
            async with asks.messages.stream(**ASK) as stream:
                assert "".join([text async for text in stream.text_stream]) == "Hello, world"
                final = await stream.get_final_message()
            assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("end_turn", 5, 3)

            router.behave(calls=CALLS)
            called = await asks.messages.create(**ASK, tools=[WEATHER], tool_choice={"type": "any"})
            assert called.stop_reason == "tool_use"
            assert [(block.name, block.input) for block in called.content[1:]] == [("weather", {"city": "Rome"}), ("weather", {})]
            asked = router.asked[-1].json
            assert asked["tool_choice"] == "required" and asked["tools"][0]["function"]["name"] == "weather"
            async with asks.messages.stream(**ASK, tools=[WEATHER]) as stream:
                streamed = await stream.get_final_message()
            assert [block.model_dump() for block in streamed.content] == [block.model_dump() for block in called.content]
            turns = [*ASK["messages"], {"role": "assistant", "content": streamed.content}]
            results = [{"type": "tool_result", "tool_use_id": block.id, "content": "sun"} for block in streamed.content[1:]]
            await asks.messages.create(**{**ASK, "messages": [*turns, {"role": "user", "content": results}]})
            assert [message["role"] for message in router.asked[-1].json["messages"]] == ["user", "assistant", "tool", "tool"]

            with pytest.raises(anthropic.NotFoundError) as missing:
                await asks.messages.create(**{**ASK, "model": "nope"})
            assert missing.value.body["error"]["code"] == "model_not_found" and missing.value.request_id.startswith("req_")
            router.behave(reset_after=2)
            with pytest.raises(anthropic.APIError) as cut:
                async with asks.messages.stream(**ASK) as stream:
                    await stream.get_final_message()
            assert cut.value.body["error"]["code"] == "member_broke_off"
        async with client(rig, auth_token=rig.key) as asks:
            router.behave()
            assert (await asks.messages.create(**ASK)).content[0].text == "Hello, world"
        async with client(rig, api_key="ck_test_wrong") as asks:
            with pytest.raises(anthropic.AuthenticationError):
                await asks.messages.create(**ASK)
        assert sorted(row.status for row in await rig.rows()) == ["failed", *["ok"] * 6, "refused"]

    with_gateway(tmp_path, test)
