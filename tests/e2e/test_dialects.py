"""The other two ways to ask, through every box: the envelope's prompt as a raw task, Anthropic's message as a chat."""

from __future__ import annotations

import ssl
from typing import Any

import anthropic
import openai
import pytest

from cortops.contracts.keccak import keccak256
from cortops.testing.local import LocalEnvironment

pytestmark = pytest.mark.real


def test_a_prompt_in_the_public_envelope(local_environment: LocalEnvironment) -> None:
    trust = ssl.create_default_context(cafile=local_environment.endpoints["ca"])
    with openai.OpenAI(
        base_url=f"{local_environment.url}/v1",
        api_key=local_environment.key,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(verify=trust, trust_env=False),
    ) as client:
        envelope: Any = client.completions.create(model="smollm2", prompt="The sky is", max_tokens=8).model_dump()
    (choice,) = envelope["data"]["choices"]
    assert (envelope["status"], envelope["router_pool"], choice["finish_reason"]) == ("ok", "smollm2", "length") and choice["text"]
    row = local_environment.place.usage_of(envelope["data"]["id"].removeprefix("cmpl-"))
    assert (row.status, row.completion_tokens, row.client_request_id) == (
        "ok",
        8,
        envelope["request_id"],
    ) and row.prompt_tokens == envelope["data"]["usage"]["prompt_tokens"] > 0
    shown = local_environment.place.read("task", "show", f"{row.session}/{row.task}")
    committed = {step["hash"] for step in shown["steps"] if step["step"] == "committed"}
    assert committed == {"0x" + keccak256(choice["text"].encode()).hex()}


def test_a_message_and_its_stream(local_environment: LocalEnvironment) -> None:
    trust = ssl.create_default_context(cafile=local_environment.endpoints["ca"])
    with anthropic.Anthropic(
        base_url=local_environment.url,
        api_key=local_environment.key,
        max_retries=0,
        http_client=anthropic.DefaultHttpxClient(verify=trust, trust_env=False),
    ) as client:
        ask: dict[str, Any] = {"model": "smollm2", "max_tokens": 8, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
        message = client.messages.create(**ask, system="Be brief.")
        assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 8) and message.content[0].text
        with client.messages.stream(**ask) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
    assert text == final.content[0].text and (final.stop_reason, final.usage.output_tokens) == ("max_tokens", 8)
    for found, streamed in ((message, False), (final, True)):
        row = local_environment.place.usage_of(found.id.removeprefix("msg_"))
        assert (row.status, row.stream, row.completion_tokens, row.prompt_tokens) == ("ok", streamed, 8, found.usage.input_tokens)
