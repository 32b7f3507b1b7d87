"""What of an HTTP/1.1 request follows from its URL and headers alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from cortops.words.errors import BadInput

BEHIND = ".ssh"  # NAME.ssh in a URL: loopback of the host NAME, which is reached by a way only
AUTHORITY = re.compile(r"[A-Za-z]+://[^/?#]*")

Headers = Sequence[tuple[str, str]]


def split_url(url: str) -> tuple[bool, str, int, str, str]:
    """http(s) URL -> (TLS?, host, port, Host header, request target). Raises BadInput."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise BadInput(f"not a http or https URL: {url!r}")
    found = AUTHORITY.match(url)
    secure, host, port, shown = _split_authority(found[0] if found else url)
    target = url[found.end() :].partition("#")[0] if found else ""
    return secure, host, port, shown, target if target.startswith("/") else f"/{target}"


@lru_cache(maxsize=1024)
def _split_authority(url: str) -> tuple[bool, str, int, str]:
    """Of a URL without its path, of which a server has one however many paths are asked."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadInput(f"not a URL: {url!r} ({error})") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"not a http or https URL: {url!r}")
    secure = parts.scheme == "https"
    shown = parts.netloc.rpartition("@")[2]
    if parts.hostname.endswith(BEHIND):  # who listens on loopback knows itself by that name only
        shown = f"127.0.0.1:{port}" if port else "127.0.0.1"
    return secure, parts.hostname, port or (443 if secure else 80), shown


def request_head(method: str, target: str, host: str, headers: Headers, body_length: int | None) -> bytes:
    """The head of a request; Host and Content-Length are ours. Raises BadInput for a line break inside a header."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body_length is not None:
        lines.append(f"Content-Length: {body_length}")
    return encoded("\r\n".join(lines) + "\r\n\r\n", len(lines) + 1)


def encoded(head: str, lines: int) -> bytes:
    """A head that must be of so many lines, its empty one included. Raises BadInput for a line break inside a header."""
    if head.count("\n") != lines or head.count("\r") != lines or "\0" in head:
        raise BadInput("a request header holds a line break")
    try:
        return head.encode("latin-1")
    except UnicodeEncodeError as error:
        raise BadInput("a request header is not Latin-1") from error
