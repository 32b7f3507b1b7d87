"""Resolve a name as programs on this machine do: through the system's resolver, hosts file included."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from cortops.words.clock import Clock
from cortops.words.question import Answer, Dns, NoAnswer, Reply, Silence

Resolve = Callable[[str], Awaitable[Sequence[Any]]]  # name -> rows as getaddrinfo gives them

LOOPBACK_NAME = "localhost"
LOOPBACK = "127.0.0.1"
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}  # nor an address of it


async def system_resolver(name: str) -> Sequence[Any]:
    """getaddrinfo in a thread. Raises socket.gaierror, and UnicodeError for what is no name."""
    return await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)


async def ask_dns(question: Dns, clock: Clock, resolve: Resolve = system_resolver) -> Reply:
    """Dns -> Answer with addresses in the resolver's order, or NoAnswer when it cannot tell.

    A name under .localhost is loopback whatever the resolver says of not knowing it (RFC 6761 section 6.3), as in curl and browsers.
    """
    at, begun = clock.now(), clock.monotonic()

    def answer(addresses: Sequence[str], by: str) -> Answer:
        body = json.dumps({"addresses": list(addresses), "by": by}).encode()
        return Answer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, status=0, body=body)

    def silent(silence: Silence, why: str) -> Reply:
        if is_loopback_name(question.name):
            return answer((LOOPBACK,), "rfc6761")
        return NoAnswer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, silence=silence, why=why)

    try:
        async with asyncio.timeout(question.timeout_s):
            rows = await resolve(question.name)
    except TimeoutError:
        return silent(Silence.TIMEOUT, f"the resolver said nothing of {question.name} within {question.timeout_s:g} s")
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME and not is_loopback_name(question.name):
            return answer((), "resolver")
        return silent(Silence.UNRESOLVED, f"the resolver failed on {question.name}: {error.strerror or error}")
    except OSError as error:
        return silent(Silence.LOST, f"the resolver could not be asked: {error.strerror or error}")
    except UnicodeError:  # an empty label or one of more than 63 characters: nobody can have such a name
        return answer((), "resolver")
    return answer(tuple(dict.fromkeys(str(row[4][0]) for row in rows)), "resolver")


def is_loopback_name(name: str) -> bool:
    """`localhost`, or a name under it, with or without the final dot."""
    plain = name.lower().removesuffix(".")
    return plain == LOOPBACK_NAME or plain.endswith(f".{LOOPBACK_NAME}")
