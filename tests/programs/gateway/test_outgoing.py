"""The text of an answer: heads and chunks."""

from __future__ import annotations

from cortops.programs.gateway.outgoing import END, chunk, head


def test_a_head_has_its_lines_in_order_and_says_whether_the_connection_stays() -> None:
    lines = head(429, "Date: now\r\n", "application/json", "req_1", "Retry-After: 2\r\n", keep=True)
    assert lines == (
        b"HTTP/1.1 429 Too Many Requests\r\nDate: now\r\nContent-Type: application/json\r\nX-Request-ID: req_1\r\nRetry-After: 2\r\n"
        b"Connection: keep-alive\r\n\r\n"
    )
    assert head(200, "", "a/b", "x", "", keep=False).endswith(b"Connection: close\r\n\r\n")


def test_an_empty_part_is_no_chunk_because_that_would_be_the_end() -> None:
    assert chunk(b"a" * 26) == b"1a\r\n" + b"a" * 26 + b"\r\n"
    assert chunk(b"") == b"" and END == b"0\r\n\r\n"
