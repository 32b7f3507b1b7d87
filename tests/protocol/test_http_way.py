"""HttpClient by a way: loopback of another host."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cortops.protocol.http import HttpClient, HttpFailure
from cortops.words.clock import SystemClock
from cortops.words.question import Silence

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_loopback_of_another_host_is_reached_by_a_way_and_calls_itself_loopback(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)
            writer.close()

        async def way(host: str, port: int) -> tuple[str, int]:
            if host == "h2.ssh":
                raise OSError("h2 cannot be reached")
            return (str(tmp_path / "way"), 0) if (host, port) == ("h1.ssh", 5101) else (host, port)

        async with await asyncio.start_unix_server(serve, tmp_path / "way"):
            client = HttpClient(clock=SystemClock(), way=way)
            reply = await client.request("GET", "http://h1.ssh:5101/health", timeout_s=5)
            assert reply.body == b"ok"
            with pytest.raises(HttpFailure, match="h2 cannot be reached") as failed:
                await client.request("GET", "http://h2.ssh:5101/health", timeout_s=5)
            assert failed.value.silence is Silence.LOST and not failed.value.sent
            await client.close()

    asyncio.run(main())
    assert b"Host: 127.0.0.1:5101\r\n" in heads[0]
