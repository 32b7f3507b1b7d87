"""A program's start and end: arguments, settings, signals, exit status."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cortops.programs.common.logs import Log
from cortops.programs.common.process import env_file, run
from cortops.protocol.settings import EngineSettings, RouterSettings
from cortops.testing.clock import VirtualClock
from cortops.words.errors import PortTaken

ENGINE = {"ENGINE_MODEL_PATH": "/models/m.gguf", "ENGINE_MODEL_NAME": "m"}


def outcome(path: Path, serve: Callable[[EngineSettings, Log], Awaitable[None]], *more: str) -> tuple[int, list[dict[str, Any]], bytes]:
    out = io.BytesIO()
    status = run("engine", env_file(EngineSettings), serve, [str(path), *more], out, VirtualClock())
    return status, [msgspec.json.decode(line) for line in out.getvalue().splitlines()], out.getvalue()


def written(path: Path, values: dict[str, str]) -> Path:
    path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    return path


@pytest.fixture
def env(tmp_path: Path) -> Path:
    return written(tmp_path / "engine.env", ENGINE)


async def never(_settings: EngineSettings, _log: Log) -> None:
    raise AssertionError("must not be reached")


def test_settings_and_log_reach_the_program(env: Path) -> None:
    async def serve(settings: EngineSettings, log: Log) -> None:
        log.info("serving", model=settings.model_name)

    status, lines, _ = outcome(env, serve)
    assert status == 0
    assert [(line["event"], line["program"]) for line in lines] == [("serving", "engine"), ("stopped", "engine")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_cancels_and_is_no_failure(env: Path, number: int) -> None:
    ended = []

    async def serve(_settings: EngineSettings, _log: Log) -> None:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    status, lines, _ = outcome(env, serve)
    assert (status, ended) == (0, ["cleaned up"])
    assert [line["event"] for line in lines] == ["stopping", "stopped"]


def test_missing_keys_are_all_named_and_exit_2(tmp_path: Path) -> None:
    status, lines, _ = outcome(written(tmp_path / "e", {"ENGINE_BIND_PORT": "many"}), never)
    assert status == 2 and len(lines) == 1
    assert lines[0]["code"] == "bad_input"
    for key in ("ENGINE_MODEL_PATH", "ENGINE_MODEL_NAME", "ENGINE_BIND_PORT"):
        assert key in lines[0]["what"]
    assert lines[0]["next"]


def test_no_such_file_and_wrong_arguments_exit_2(tmp_path: Path, env: Path) -> None:
    status, lines, _ = outcome(tmp_path / "none.env", never)
    assert status == 2 and "none.env" in lines[0]["what"]
    status, lines, _ = outcome(env, never, "more")
    assert status == 2 and "one argument" in lines[0]["what"]


def test_bytes_that_are_no_text_exit_2(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(b"\xff\xfe\x00")
    assert outcome(tmp_path / "e", never)[0] == 2


def test_an_expected_failure_is_one_line_with_its_cure(env: Path) -> None:
    async def serve(_settings: EngineSettings, _log: Log) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(60))
            raise PortTaken("port 8090 is taken", where="127.0.0.1:8090")

    status, lines, _ = outcome(env, serve)
    assert status == 1 and len(lines) == 1
    assert (lines[0]["event"], lines[0]["code"], lines[0]["what"]) == ("failed", "port_taken", "port 8090 is taken")
    assert "--port-base" in lines[0]["next"]


def test_an_unexpected_failure_says_where_it_came_from(env: Path) -> None:
    async def serve(_settings: EngineSettings, _log: Log) -> None:
        raise ZeroDivisionError("division by zero")

    status, lines, _ = outcome(env, serve)
    assert status == 1
    assert lines[0]["causes"][0]["error"] == "ZeroDivisionError"
    assert lines[0]["causes"][0]["frames"][-1].endswith(" serve")


def test_the_keys_of_the_settings_never_reach_the_log(tmp_path: Path) -> None:
    key, api_key = "0x" + "5e" * 32, "router-api-key-1"
    values = {
        **{"NODE_NAME": "router-1", "HOST": "http://127.0.0.1:1", "CHAINID": "1", "NODE_PUBLIC_KEY": "0x1", "API_KEY": api_key},
        **{
            "CONTRACT_ADDRESS_RUNTIME": "0x2",
            "NODE_PRIVATE_KEY": key,
        },
    }

    async def serve(settings: RouterSettings, log: Log) -> None:
        log.info("x", settings=str(settings), private_key=settings.private_key, bare=key[2:])
        logging.getLogger("library").warning("sent %s", settings.api_key)
        raise ValueError(f"wrong key {settings.private_key}")

    out = io.BytesIO()
    path = written(tmp_path / "router.env", values)
    assert run("router", env_file(RouterSettings), serve, [str(path)], out, VirtualClock()) == 1
    assert b"wrong key" in out.getvalue() and b'"node":"router-1"' in out.getvalue()
    assert key[2:].encode() not in out.getvalue() and api_key.encode() not in out.getvalue()


PROGRAM = """
import os, time
from cortops.programs.common.process import die_with_parent
die_with_parent()
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
def test_a_program_ends_with_its_parent() -> None:
    line = ["sh", "-c", '"$@" & wait', "sh", sys.executable, "-c", PROGRAM]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = Path(f"/proc/{int(parent.stdout.readline())}/stat")
        os.kill(parent.pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline, "it outlived its parent"
            time.sleep(0.01)


def test_what_reaches_nobody_is_a_line_of_the_log(env: Path) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("in a destructor")

    async def serve(_settings: EngineSettings, _log: Log) -> None:
        thread = threading.Thread(target=lambda: int("none"), name="side")
        thread.start()
        thread.join()
        one = Broken()
        del one
        warnings.showwarning("old", DeprecationWarning, "file.py", 3)

    before = sys.unraisablehook, threading.excepthook, warnings.showwarning
    status, lines, _ = outcome(env, serve)
    assert status == 0 and (sys.unraisablehook, threading.excepthook, warnings.showwarning) == before
    thread, destructor, warning, _ = lines
    assert (thread["event"], thread["where"], thread["error"]) == ("unheard", "side", "ValueError")
    assert destructor["event"] == "unheard" and destructor["where"].endswith("Broken.__del__") and destructor["words"] == "in a destructor"
    assert (warning["event"], warning["logger"]) == ("library", "py.warnings") and "old" in warning["words"]
