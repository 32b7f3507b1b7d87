"""The engine as it runs: a real model answers."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.programs.common.metrics_rules import families_of

from cortops.protocol import envfile
from cortops.protocol.http import HttpClient, HttpFailure
from cortops.protocol.settings import EngineSettings
from cortops.testing.binaries import smollm2
from cortops.words.clock import SystemClock

pytestmark = pytest.mark.real

WAIT_S = 30.0
ALONE = (("connection", "close"),)  # now and then the engine closes a kept connection just as the next request comes; miners ask again
SECRET_WORD = "xylophone"


@contextmanager
def running(tmp_path: Path, settings: EngineSettings) -> Iterator[subprocess.Popen[bytes]]:
    env = tmp_path / "engine.env"
    env.write_text(envfile.render(settings.to_env()))
    log = (tmp_path / "engine.log").open("wb")
    with log, subprocess.Popen([sys.executable, "-m", "cortops.programs.engine", str(env)], stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.kill()


def settings_for(model: Path, **more: Any) -> EngineSettings:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    return EngineSettings(model_path=str(model), model_name="smollm2", port=port, context_tokens=512, **more)


def body(**more: Any) -> bytes:
    messages = [{"role": "user", "content": f"Say {SECRET_WORD}. What is the capital of France?"}]
    return msgspec.json.encode({"model": "smollm2", "messages": messages, "max_tokens": 24, "temperature": 0, **more})


class Engine:
    def __init__(self, settings: EngineSettings) -> None:
        self.url = f"http://127.0.0.1:{settings.port}"
        self.http = HttpClient(clock=SystemClock())

    async def ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            assert process.poll() is None, "the engine has ended"
            try:
                if (await self.http.request("GET", f"{self.url}/health", timeout_s=5)).status == 200:
                    return
            except HttpFailure:
                pass
            await asyncio.sleep(0.02)
        raise AssertionError("the engine did not become ready")

    async def chat(self, **more: Any) -> dict[str, Any]:
        reply = await self.http.request("POST", f"{self.url}/v1/chat/completions", headers=ALONE, body=body(**more), timeout_s=60)
        assert reply.status == 200, reply.body
        return dict(msgspec.json.decode(reply.body))

    async def streamed(self, **more: Any) -> list[Any]:
        data = b""
        sent = body(stream=True, **more)
        url = f"{self.url}/v1/chat/completions"
        async with self.http.stream("POST", url, headers=ALONE, body=sent, timeout_s=60, idle_timeout_s=60) as stream:
            async for chunk in stream.chunks():
                data += chunk
        events = [line.removeprefix(b"data: ") for line in data.split(b"\n\n") if line.startswith(b"data: ")]
        assert events[-1] == b"[DONE]"
        return [msgspec.json.decode(event) for event in events[:-1]]


def test_it_answers_plain_and_streamed_and_keeps_prompts_to_itself(tmp_path: Path) -> None:
    settings = settings_for(smollm2())

    async def asked(process: subprocess.Popen[bytes]) -> None:
        engine = Engine(settings)
        await engine.ready(process)
        plain = await engine.chat()
        assert plain["object"] == "chat.completion" and plain["model"] == "smollm2"
        text = plain["choices"][0]["message"]["content"]
        assert "Paris" in text
        assert plain["usage"]["completion_tokens"] > 0
        chunks = await engine.streamed(stream_options={"include_usage": True})
        deltas = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"]]
        assert "Paris" in "".join(deltas) and len(deltas) > 3
        usage = chunks[-1]["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
        both = await asyncio.gather(engine.chat(), engine.chat())
        assert all(one["choices"][0]["message"]["content"] for one in both)
        for path in ("/", "/slots"):
            assert (await engine.http.request("GET", engine.url + path, timeout_s=5)).status >= 400
        await engine.http.close()

    with running(tmp_path, settings) as process:
        asyncio.run(asked(process))
        process.terminate()
        assert process.wait(timeout=10) == 0
    log = (tmp_path / "engine.log").read_bytes()
    assert [msgspec.json.decode(line)["event"] for line in log.splitlines()] == ["serving", "stopping", "stopped"]
    assert SECRET_WORD.encode() not in log and b"Paris" not in log


def test_what_llama_cpp_cries_out_is_a_log_line_without_the_request_and_its_metrics_are_readable(tmp_path: Path) -> None:
    settings = settings_for(smollm2())

    async def asked(process: subprocess.Popen[bytes]) -> None:
        engine = Engine(settings)
        await engine.ready(process)
        url = f"{engine.url}/v1/chat/completions"
        for bad in ({"grammar": f"{SECRET_WORD} ::= ("}, {"messages": [{"role": "user", "content": f"{SECRET_WORD} " * 1000}]}):
            assert (await engine.http.request("POST", url, body=body(**bad), timeout_s=60)).status == 400
        found = families_of((await engine.http.request("GET", f"{engine.url}/metrics", timeout_s=5)).body, ours=False)
        assert {"llamacpp:requests_processing", "llamacpp:requests_deferred", "llamacpp:prompt_tokens_total"} <= set(found)
        assert {"llamacpp:tokens_predicted_total", "llamacpp:tokens_predicted_seconds_total"} <= set(found)
        await engine.http.close()

    with running(tmp_path, settings) as process:
        asyncio.run(asked(process))
        process.terminate()
        assert process.wait(timeout=10) == 0
    log = (tmp_path / "engine.log").read_bytes()
    lines = [msgspec.json.decode(line) for line in log.splitlines()]
    assert {line["logger"] for line in lines if line["event"] == "library"} == {"llama.cpp"}
    assert "failed to parse grammar" in [line.get("words") for line in lines]
    assert SECRET_WORD.encode() not in log


def test_a_stop_waits_for_a_running_answer(tmp_path: Path) -> None:
    settings = settings_for(smollm2())

    async def asked(process: subprocess.Popen[bytes]) -> list[Any]:
        engine = Engine(settings)
        await engine.ready(process)
        answer = asyncio.create_task(engine.streamed(max_tokens=40, ignore_eos=True))
        await asyncio.sleep(0.3)
        process.terminate()
        try:
            return await answer
        finally:
            await engine.http.close()

    with running(tmp_path, settings) as process:
        chunks = asyncio.run(asked(process))
        assert process.wait(timeout=10) == 0
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        ("gone", "artifact_unavailable", "cannot be read: No such file"),
        ("junk", "artifact_damaged", "is not a GGUF model"),
        ("cut", "artifact_damaged", "does not load: tensor"),
    ],
)
def test_a_bad_model_file_is_one_sentence(tmp_path: Path, damage: str, code: str, words: str) -> None:
    model = tmp_path / "model.gguf"
    if damage == "junk":
        model.write_bytes(b"<html>404</html>" * 10)
    if damage == "cut":
        with smollm2().open("rb") as whole:
            model.write_bytes(whole.read(20_000_000))
    with running(tmp_path, settings_for(model)) as process:
        assert process.wait(timeout=WAIT_S) == 1
    (line,) = [msgspec.json.decode(line) for line in (tmp_path / "engine.log").read_bytes().splitlines() if line.startswith(b"{")]
    assert line["code"] == code and words in line["what"] and line["next"]


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    settings = settings_for(smollm2())
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.port))
        other.listen()
        with running(tmp_path, settings) as process:
            assert process.wait(timeout=WAIT_S) == 1
    *cries, line = [msgspec.json.decode(line) for line in (tmp_path / "engine.log").read_bytes().splitlines()]
    assert line["code"] == "port_taken"
    assert {cry["event"] for cry in cries} <= {"library"}, "llama.cpp logs from a thread of its own, which may be late"
