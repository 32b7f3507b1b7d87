"""The official openai client against a gateway process of its own, started the way a service manager starts it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import openai
import pytest
from gateway_rig import MODEL, issue_key, make_config

from cortops.protocol import usage
from cortops.protocol.limits import KeyLimits
from cortops.testing.upstream import FakeRouter, Manner

pytestmark = pytest.mark.real


@contextmanager
def router_in_thread(router: FakeRouter) -> Iterator[FakeRouter]:
    ready, loops = threading.Event(), []

    async def main() -> None:
        async with router.listening():
            done = asyncio.Event()
            loops.append((asyncio.get_running_loop(), done))
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    ready.wait(5)
    try:
        yield router
    finally:
        loop, done = loops[0]
        loop.call_soon_threadsafe(done.set)
        thread.join()


@contextmanager
def process(config_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with subprocess.Popen([sys.executable, "-m", "cortops.programs.gateway", str(config_path)], stdout=subprocess.PIPE) as gateway:
        try:
            assert gateway.stdout is not None
            line = json.loads(gateway.stdout.readline())
            assert line["event"] == "listening", line
            yield gateway, line["port"]
        finally:
            gateway.terminate()
            out, _ = gateway.communicate(timeout=10)
            assert gateway.returncode == 0, out
            assert b'"failed"' not in out and b"ck_" not in out and b"member-key" not in out


def test_chat_stream_models_wrong_key_and_the_rows(tmp_path: Path) -> None:
    with router_in_thread(FakeRouter(Manner())) as router:
        config = tmp_path / "gateway.json"
        config.write_bytes(make_config(tmp_path, [router]).to_json())
        key, poor = issue_key(tmp_path), issue_key(tmp_path, limits=KeyLimits(tokens_per_month=60))
        with process(config) as (_, port):
            base = f"http://127.0.0.1:{port}/v1"
            messages = [{"role": "user", "content": "Hi"}]
            with openai.OpenAI(base_url=base, api_key=key, max_retries=0) as client:
                assert [model.id for model in client.models.list()] == [MODEL]
                assert client.models.retrieve(MODEL).id == MODEL
                chat = client.chat.completions.create(model=MODEL, messages=messages)
                assert (chat.model, chat.choices[0].message.content, chat.usage.completion_tokens) == (MODEL, "Hello, world", 3)
                raw = client.chat.completions.with_raw_response.create(
                    model=MODEL, messages=messages, extra_headers={"X-Request-ID": "mine"}
                )
                assert raw.headers["x-request-id"] == "mine" and raw.parse()._request_id == "mine"
                with client.chat.completions.create(model=MODEL, messages=messages, stream=True) as stream:
                    chunks = list(stream)
                assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello, world"
                assert all(chunk.usage is None and chunk.model == MODEL for chunk in chunks)
                with client.chat.completions.create(
                    model=MODEL, messages=messages, stream=True, stream_options={"include_usage": True}
                ) as stream:
                    assert list(stream)[-1].usage.completion_tokens == 3
                with pytest.raises(openai.NotFoundError) as missing:
                    client.chat.completions.create(model="nope", messages=messages)
                assert missing.value.code == "model_not_found" and missing.value.request_id.startswith("req_")
                router.behave(reset_after=2)
                with (
                    client.chat.completions.create(model=MODEL, messages=messages, stream=True) as stream,
                    pytest.raises(openai.APIError) as cut,
                ):
                    list(stream)
                assert cut.value.code == "member_broke_off"
            with openai.OpenAI(base_url=base, api_key="ck_test_wrong", max_retries=0) as client:
                with pytest.raises(openai.AuthenticationError) as wrong:
                    client.chat.completions.create(model=MODEL, messages=messages)
                assert wrong.value.code == "invalid_api_key"
            with openai.OpenAI(base_url=base, api_key=poor, max_retries=5) as client:
                with pytest.raises(openai.RateLimitError) as large:
                    client.chat.completions.create(model=MODEL, messages=messages, max_tokens=100)
                assert (large.value.code, large.value.type) == ("tokens_limit_exceeded", "tokens")
        with closing(usage.open_usage(tmp_path / "usage.db")) as database:
            rows = usage.rows_since(database, 0)
        assert sorted(row.status for row in rows) == ["failed", "ok", "ok", "ok", "ok", "refused", "refused"], (
            "what is too large is not asked again"
        )


def test_killed_under_load_each_request_that_was_answered_has_one_row(tmp_path: Path) -> None:
    with router_in_thread(FakeRouter(Manner())) as router:
        config = tmp_path / "gateway.json"
        made = make_config(tmp_path, [router])
        config.write_bytes(made.to_json())
        key = issue_key(tmp_path)
        answered: list[str] = []
        with subprocess.Popen([sys.executable, "-m", "cortops.programs.gateway", str(config)], stdout=subprocess.PIPE) as gateway:
            assert gateway.stdout is not None
            port = json.loads(gateway.stdout.readline())["port"]
            with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0) as client:
                for _ in range(30):
                    chat = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}])
                    answered.append(chat.id.removeprefix("chatcmpl-"))
                gateway.kill()
            gateway.communicate()
        with process(config):
            pass
        with closing(usage.open_usage(tmp_path / "usage.db")) as database:
            rows = usage.rows_since(database, 0)
        assert sorted(row.request_id for row in rows) == sorted(answered)
        assert not list((tmp_path / "spool-1").iterdir())


def test_bad_configuration_and_a_taken_port_end_with_the_cure(tmp_path: Path) -> None:
    config = tmp_path / "gateway.json"
    config.write_text('{"listen": {"port": -1}, "models": {}}')
    ended = subprocess.run([sys.executable, "-m", "cortops.programs.gateway", str(config)], stdout=subprocess.PIPE, timeout=20, check=False)
    line = json.loads(ended.stdout)
    assert ended.returncode == 2 and line["event"] == "failed"
    assert all(word in line["what"] for word in ("$.listen.port", "$.models", "$.pools: missing", "$.store: missing"))
