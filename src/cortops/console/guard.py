"""What every request passes first, and what every answer carries: the console reads only, and talks to its own pages only."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cortops.words.errors import CortopsError, Refused

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1", "console.localhost")
_HOST = re.compile(r"(\[(?P<ip6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(:[0-9]{1,5})?")  # RFC 9110 7.2, RFC 3986 3.2.2
OWN_SITES = ("same-origin", "none")  # Sec-Fetch-Site, where the browser says it; a page of others could hold all streams
METHODS = ("GET", "HEAD")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ALWAYS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """ASGI middleware. hostnames: under which the console may be called, beside the names of loopback.

    A page elsewhere can make its own name resolve to this machine (DNS rebinding); then the Host header still tells that name.
    """

    def __init__(self, app: ASGIApp, hostnames: Iterable[str]) -> None:
        self._app = app
        self._names = frozenset((*LOOPBACK_NAMES, *(name.lower() for name in hostnames)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ALWAYS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        answer = self._refusal(scope)
        await (answer or self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if host_name(headers.getlist("host")) not in self._names:
            why = "a page of another site may be behind this request"
            return refusal(421, Refused("the console does not answer to this host name", why=why, next="use http://127.0.0.1:PORT/"))
        if headers.get("sec-fetch-site", "none") not in OWN_SITES and headers.get("sec-fetch-mode") != "navigate":
            return refusal(403, Refused("the console does not answer to pages of other sites", next="open the console itself"))
        if scope["method"] not in METHODS:
            return refusal(405, Refused("the console only reads", next="use GET"), {"allow": ", ".join(METHODS)})
        return None


def host_name(values: list[str]) -> str:
    """The name in the Host header, without port, in lower case; "" when there is none, more than one, or one that is malformed."""
    found = _HOST.fullmatch(values[0].strip().lower()) if len(values) == 1 else None
    return (found["ip6"] or found["name"]) if found else ""


def refusal(status: int, error: CortopsError, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error for programs, in the one shape."""
    return JSONResponse({"error": error.as_dict()}, status_code=status, headers=headers)
