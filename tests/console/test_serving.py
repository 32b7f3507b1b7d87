"""Listening: where it may, and how it stops."""

from __future__ import annotations

import asyncio
import json
import signal
import socket

import aiohttp
import pytest
from tests.console.console_rig import ScriptedView, example, picture

from cortops.console.app import console
from cortops.console.serving import serve
from cortops.testing.clock import VirtualClock
from cortops.words.errors import BadInput, CortopsError, PortTaken, Refused

ENV = example()


def app_of() -> object:
    return console(ScriptedView(ENV, picture(ENV)), VirtualClock())


def test_it_answers_and_ends_with_an_open_stream() -> None:
    async def main() -> None:
        handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        async with aiohttp.ClientSession() as http:
            async with serve(app_of(), "127.0.0.1", 0) as port:
                assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
                async with http.get(f"http://127.0.0.1:{port}/health") as answer:
                    assert answer.status == 503 or json.loads(await answer.text())["status"] == "ok"
                    assert "server" not in answer.headers
                stream = await http.get(f"http://127.0.0.1:{port}/events")
                assert (await stream.content.readline()).startswith(b"id: ")
            assert (await stream.content.read()).endswith(b"\n\n"), "the stream has an end, not a broken connection"
            with pytest.raises(aiohttp.ClientConnectorError):
                await http.get(f"http://127.0.0.1:{port}/health")

    asyncio.run(main())


def test_a_taken_port_is_named() -> None:
    async def main(port: int) -> None:
        async with serve(app_of(), "127.0.0.1", port):
            raise AssertionError

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortTaken, match="is taken by another program"):
        asyncio.run(main(taken.getsockname()[1]))


@pytest.mark.parametrize(("ip", "error"), [("0.0.0.0", Refused), ("::", Refused), ("10.0.0.7", Refused), ("localhost", BadInput)])
def test_only_loopback(ip: str, error: type[CortopsError]) -> None:
    async def main() -> None:
        async with serve(app_of(), ip, 0):
            raise AssertionError

    with pytest.raises(error):
        asyncio.run(main())


def test_the_same_port_again_at_once() -> None:
    async def main() -> None:
        url = "http://127.0.0.1:{}/health"
        async with serve(app_of(), "127.0.0.1", 0) as port, aiohttp.ClientSession() as http, http.get(url.format(port)) as answer:
            await answer.read()
        async with serve(app_of(), "127.0.0.1", port) as again:
            assert again == port

    asyncio.run(main())


def test_it_stops_in_order_when_what_is_inside_fails_or_is_cancelled() -> None:
    async def fail() -> None:
        async with serve(app_of(), "127.0.0.1", 0):
            raise RuntimeError("inside")

    async def wait(listening: asyncio.Event) -> None:
        async with serve(app_of(), "127.0.0.1", 0):
            listening.set()
            await asyncio.Event().wait()

    async def main() -> None:
        with pytest.raises(ExceptionGroup, match="unhandled errors"):
            await fail()
        listening = asyncio.Event()
        task = asyncio.ensure_future(wait(listening))
        await listening.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        url = "http://127.0.0.1:{}/static/mark.svg"  # on the descriptor that the others had
        async with serve(app_of(), "127.0.0.1", 0) as port, aiohttp.ClientSession() as http, http.get(url.format(port)) as answer:
            assert answer.status == 200

    asyncio.run(main())
