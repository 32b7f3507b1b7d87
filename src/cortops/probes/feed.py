"""Listen to a sequencer's feed for a moment. Source: Nitro's broadcaster, client version 2 (toolchain.md, sequencer feed)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from cortops.protocol.http import HttpClient, silence_of
from cortops.words.clock import Clock
from cortops.words.question import Answer, Feed, NoAnswer, Reply, Silence

if TYPE_CHECKING:
    from aiohttp import ClientWebSocketResponse

HEADERS = {"Arbitrum-Feed-Client-Version": "2"}
MESSAGES_MAX = 2_000
MESSAGE_MAX_MIB = 8  # the backlog comes in few large ones
QUIET_S = 0.4  # after the first messages, so much silence ends the listening


async def ask_feed(question: Feed, client: HttpClient, clock: Clock) -> Reply:
    """Feed -> Answer with what came, which may be nothing; the status of a handshake that was refused; or NoAnswer."""
    import aiohttp

    at, begun = clock.now(), clock.monotonic()

    def silent(silence: Silence, why: str) -> NoAnswer:
        return NoAnswer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, silence=silence, why=why)

    parts = urlsplit(question.url)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    status, messages = 0, list[list[int]]()
    try:
        host, port = await client.place(parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80))
        url = question.url if host == parts.hostname else f"{parts.scheme}://{host}:{port}{parts.path}"
        async with (
            asyncio.timeout(question.timeout_s),
            aiohttp.ClientSession() as session,
            session.ws_connect(url, headers=HEADERS, max_msg_size=MESSAGE_MAX_MIB << 20) as socket,
        ):
            messages = await _listen(socket, question.listen_s)
    except aiohttp.WSServerHandshakeError as error:
        status = error.status
    except TimeoutError:
        return silent(Silence.TIMEOUT, f"{shown}: no answer within {question.timeout_s:g} s")
    except aiohttp.ClientConnectorError as error:
        return silent(silence_of(error.os_error), f"{shown}: {error.os_error.strerror or error.os_error}")
    except (aiohttp.ClientError, OSError) as error:
        return silent(Silence.LOST, f"{shown}: {type(error).__name__}")
    body = msgspec.json.encode({"messages": messages})
    return Answer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, status=status, body=body)


async def _listen(socket: ClientWebSocketResponse, listen_s: float) -> list[list[int]]:
    from aiohttp import WSMsgType

    messages: list[list[int]] = []
    try:
        async with asyncio.timeout(listen_s):
            while len(messages) < MESSAGES_MAX:
                async with asyncio.timeout(QUIET_S if messages else None):
                    frame = await socket.receive()
                if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    break
                messages += read(frame.data)
    except TimeoutError:
        pass  # the listening is over
    return messages[-MESSAGES_MAX:]


def read(frame: str | bytes) -> list[list[int]]:
    """One frame -> [sequence number, timestamp, parent block, kind] of each message in it; what cannot be read is left out."""
    try:
        body: Any = msgspec.json.decode(frame)
    except msgspec.DecodeError:
        return []
    rows = body.get("messages") if isinstance(body, dict) else None
    found: list[list[int]] = []
    for row in rows if isinstance(rows, list) else ():
        try:
            header = row["message"]["message"]["header"]
            found.append([int(row["sequenceNumber"]), int(header["timestamp"]), int(header["blockNumber"]), int(header["kind"])])
        except (TypeError, KeyError, ValueError):
            continue
    return found
