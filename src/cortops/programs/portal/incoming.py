"""What is read off a request: a bounded body, where it comes from, and whether a person's browser asks or a program."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from cortops.protocol.openai import ApiError

BODY_MAX_KIB = 32
BODY_TIMEOUT_S = 10.0
ADDRESS_CHARS_MAX = 64

TOO_LARGE = ApiError(status=413, code="body_too_large", message=f"The body is larger than {BODY_MAX_KIB} KiB.")
TOO_SLOW = ApiError(status=408, code="request_timeout", message=f"The body did not arrive within {BODY_TIMEOUT_S:.0f} s.")


async def body_of(request: Request) -> bytes | ApiError:
    """The whole body, never more than BODY_MAX_KIB of it in memory."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > BODY_MAX_KIB << 10:
                    return TOO_LARGE
    except (TimeoutError, ClientDisconnect):
        return TOO_SLOW
    return b"".join(parts)


def address_of(request: Request) -> str:
    """The client's address as nginx tells it, which writes that header anew; without nginx, the other side's own."""
    told = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return (told or (request.client.host if request.client else ""))[:ADDRESS_CHARS_MAX]


def is_page(request: Request) -> bool:
    """Browsers ask for HTML and send no key; all others get JSON."""
    return "text/html" in request.headers.get("accept", "") and "authorization" not in request.headers


def bearer(request: Request) -> str | None:
    """The key in the Authorization header, "" for what holds none; None without that header."""
    found = request.headers.get("authorization")
    if found is None:
        return None
    scheme, _, key = found.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def request_id_of(request: Request) -> str:
    """The id that Guard gave it."""
    return str(request.scope["state"]["request_id"])
