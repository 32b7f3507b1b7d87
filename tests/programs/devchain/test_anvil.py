"""The anvil child when it does not come up: refused is not the same as ended by somebody, and what it said is in the log."""

from __future__ import annotations

import asyncio
import io
import socket
from pathlib import Path

import msgspec
import pytest

from cortops.contracts.rpc import RpcClient
from cortops.programs.common.logs import make_log
from cortops.programs.devchain import anvil
from cortops.protocol.http import HttpClient
from cortops.protocol.settings import DevchainSettings
from cortops.words.clock import SystemClock


@pytest.mark.parametrize(
    ("script", "error", "why"),
    [
        ("echo the state is of another version; exit 1", anvil.AnvilEnded, "the state is of another version"),
        ("kill -9 $$", anvil.AnvilKilled, ""),
    ],
)
def test_an_anvil_that_does_not_start(tmp_path: Path, script: str, error: type[anvil.AnvilEnded], why: str) -> None:
    program = tmp_path / "anvil"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    settings = DevchainSettings(anvil_path=str(program), data_path=str(tmp_path), chain_id=31_338, port=port, health_port=0)
    out, clock = io.BytesIO(), SystemClock()

    async def started() -> None:
        http = HttpClient(clock=clock)
        try:
            rpc = RpcClient(anvil.local_url(settings), http)
            async with anvil.running(settings, None, rpc, clock, make_log("chain", out, clock)):
                raise AssertionError("it does not answer")
        finally:
            await http.close()

    with pytest.raises(anvil.AnvilEnded) as ended:
        asyncio.run(started())
    assert type(ended.value) is error
    lines = [msgspec.json.decode(line) for line in out.getvalue().splitlines()]
    assert [(line["logger"], line["words"]) for line in lines] == ([("anvil", why)] if why else [])
