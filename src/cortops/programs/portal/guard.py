"""What every request passes first, and what every answer carries: names of ours only, no page of others, a request id, a strict policy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cortops.protocol.openai import ApiError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
OWN_SITES = ("same-origin", "none")  # Sec-Fetch-Site, where the browser says it
SAFE_METHODS = ("GET", "HEAD")
COUNTED = "/portal"
_HOST = re.compile(r"(\[(?P<ip6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(:[0-9]{1,5})?")  # RFC 9110 7.2, RFC 3986 3.2.2
_SHOWN_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")  # the client's own, or nginx's: it goes into headers, pages and the log
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
ALWAYS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer browsers would send `Origin: null` with our own forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

OTHER_NAME = ApiError(status=421, code="wrong_host", message="The portal does not answer to this host name: call it by its own.")
OTHER_SITE = ApiError(status=403, code="other_site", message="The portal does not answer to pages of other sites: open the portal itself.")


class Guard:
    """ASGI middleware. hostnames: under which the portal may be called, beside those of loopback. new_id: of a request that brings none."""

    def __init__(self, app: ASGIApp, hostnames: Iterable[str], new_id: Callable[[], str]) -> None:
        self._app = app
        self._names = frozenset((*LOOPBACK_NAMES, *(name.lower() for name in hostnames)))
        self._new_id = new_id
        self.answered: dict[int, int] = {}  # HTTP status -> answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get("x-request-id", "")
        request_id = told if _SHOWN_ID.fullmatch(told) else self._new_id()
        scope["state"] = {**scope.get("state", {}), "request_id": request_id}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                if scope["path"].startswith(COUNTED):
                    status = int(message["status"])
                    self.answered[status] = self.answered.get(status, 0) + 1
                headers = MutableHeaders(scope=message)
                for name, value in ALWAYS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
                headers["x-request-id"] = request_id
            await send(message)

        refused = self._refusal(scope)
        await (refusal(refused, request_id) if refused else self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> ApiError | None:
        headers = Headers(scope=scope)
        if host_name(headers.getlist("host")) not in self._names:
            return OTHER_NAME
        safe = scope["method"] in SAFE_METHODS
        if headers.get("sec-fetch-site", "none") not in OWN_SITES and not (safe and headers.get("sec-fetch-mode") == "navigate"):
            return OTHER_SITE
        origin = headers.get("origin")  # browsers send it with every form, also those that say nothing of the site
        if not safe and origin is not None and origin.partition("://")[2] != headers.get("host"):
            return OTHER_SITE
        return None


def host_name(values: list[str]) -> str:
    """The name in the Host header, without port, in lower case; "" when there is none, more than one, or one that is malformed."""
    found = _HOST.fullmatch(values[0].strip().lower()) if len(values) == 1 else None
    return (found["ip6"] or found["name"]) if found else ""


def refusal(error: ApiError, request_id: str) -> Response:
    """An error for programs, in the one shape."""
    headers = {"retry-after": str(error.retry_after_s)} if error.retry_after_s is not None else {}
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(error.body(request_id), status_code=error.status, media_type="application/json", headers=headers)
