"""Send a few bytes and read what comes back first."""

from __future__ import annotations

import asyncio

from cortops.protocol.http import HttpClient, silence_of
from cortops.words.clock import Clock
from cortops.words.question import Answer, NoAnswer, Reply, Silence, Tcp

READ_MAX_KIB = 4


async def ask_tcp(question: Tcp, client: HttpClient, clock: Clock) -> Reply:
    """Tcp -> Answer with up to READ_MAX_KIB of what was said first, or NoAnswer. The connection is closed then."""
    at, begun = clock.now(), clock.monotonic()

    def silent(silence: Silence, why: str) -> NoAnswer:
        return NoAnswer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, silence=silence, why=why)

    try:
        async with asyncio.timeout(question.timeout_s):
            host, port = await client.place(question.host, question.port)
            reader, writer = await (asyncio.open_unix_connection(host) if host.startswith("/") else asyncio.open_connection(host, port))
            try:
                writer.write(question.send)
                body = await reader.read(READ_MAX_KIB << 10)
            finally:
                writer.close()
    except TimeoutError:
        return silent(Silence.TIMEOUT, f"{question.host}:{question.port}: no word within {question.timeout_s:g} s")
    except OSError as error:
        return silent(silence_of(error), f"{question.host}:{question.port}: {error.strerror or error}")
    return Answer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, status=0, body=body)
