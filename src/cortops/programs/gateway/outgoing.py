"""The text of an answer's head and of a stream's chunks."""

from __future__ import annotations

from http import HTTPStatus

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"
END = b"0\r\n\r\n"
_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


def head(status: int, date: str, content_type: str, shown_id: str, rest: str, *, keep: bool) -> bytes:
    """`date` and `rest` are whole lines, each ended by CR LF; `keep`: the connection stays open after it."""
    connection = "keep-alive" if keep else "close"
    return (
        f"{_STATUS[status]}{date}Content-Type: {content_type}\r\nX-Request-ID: {shown_id}\r\n{rest}Connection: {connection}\r\n\r\n"
    ).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """A part of a body whose length nobody knows; nothing for nothing, which would end it. RFC 9112, 7.1."""
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""
