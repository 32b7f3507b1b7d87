"""Bytes to real sockets on loopback: what comes back first, or why nothing does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.probes.test_ask import asked, keeps_silent, resets, serving

from cortops.words.question import Answer, NoAnswer, Silence, Tcp

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(100))
    await writer.drain()


async def ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"x" * 100_000)
    await reader.read()


def reply_to(handler: Handler, **fields: float) -> Answer | NoAnswer:
    async def run() -> Answer | NoAnswer:
        async with serving(handler) as port:
            question = Tcp(id="q", host="127.0.0.1", port=port, send=b"hello", **fields)  # type: ignore[arg-type]
            return (await asked(question))["q"]

    return asyncio.run(run())


@pytest.mark.parametrize(("handler", "body"), [(echoes, b"hello"), (ends, b"")])
def test_what_is_said_first_is_the_answer(handler: Handler, body: bytes) -> None:
    reply = reply_to(handler)
    assert isinstance(reply, Answer) and (reply.status, reply.body) == (0, body)


def test_more_than_that_is_not_read() -> None:
    reply = reply_to(floods)
    assert isinstance(reply, Answer) and 0 < len(reply.body) <= 4096


@pytest.mark.parametrize(("handler", "silence"), [(keeps_silent, Silence.TIMEOUT), (resets, Silence.RESET)])
def test_no_word_is_no_answer(handler: Handler, silence: Silence) -> None:
    reply = reply_to(handler, timeout_s=0.3)
    assert isinstance(reply, NoAnswer) and reply.silence is silence


def test_nobody_there() -> None:
    async def run() -> Answer | NoAnswer:
        async with serving(ends) as port:
            pass
        return (await asked(Tcp(id="q", host="127.0.0.1", port=port)))["q"]

    reply = asyncio.run(run())
    assert isinstance(reply, NoAnswer) and reply.silence is Silence.REFUSED and reply.why.startswith("127.0.0.1:")
