"""The usage ledger: how it is compared, and a small one under fire."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cortops.testing import ledger
from cortops.testing.ledger import Answered, Books, Counted, Scale, compared, read

if TYPE_CHECKING:
    from cortops.testing.postgresql import Postgresql

OK = Answered(code="", request_id="r1")


def row(client: str, *, own: str = "r1", status: str = "ok") -> Counted:
    return Counted(request_id=own, client_request_id=client, status=status)


def test_books_that_agree() -> None:
    seen = {
        "a": OK,
        "b": Answered(code=None),
        "c": Answered(code=None),
        "d": Answered(code="queue_full"),
        "e": Answered(code="invalid_api_key"),
    }
    rows = [row("a"), row("b", own="r2"), row("d", status="refused")]
    assert compared(seen, rows) == Books(lost=(), double=(), strange=())


@pytest.mark.parametrize(
    ("answered", "rows", "fault"),
    [
        (OK, [], "lost"),
        (Answered(code="member_broke_off"), [], "lost"),
        (OK, [row("a"), row("a", own="r2")], "double"),
        (Answered(code=None), [row("a"), row("a", own="r2")], "double"),
        (OK, [row("a", status="failed")], "strange"),
        (OK, [row("a", own="r2")], "strange"),
        (OK, [row("a"), row("b", own="r2")], "strange"),
    ],
)
def test_books_that_do_not(answered: Answered, rows: list[Counted], fault: str) -> None:
    found = compared({"a": answered}, rows)
    assert getattr(found, fault) and (fault == "lost" or not found.lost)


@pytest.mark.parametrize(
    ("status", "body", "stream", "code"),
    [
        (200, b'{"id":"chatcmpl-r1"}', False, ""),
        (200, b'data: {"id":"chatcmpl-r1"}\n\ndata: [DONE]\n\n', True, ""),
        (200, b'data: {"id":"chatcmpl-r1"}\n\n', True, None),
        (503, b'{"error":{"code":"no_member"}}', True, "no_member"),
        (502, b"<html>", False, "HTTP 502"),
    ],
)
def test_what_an_answer_says(status: int, body: bytes, stream: bool, code: str | None) -> None:
    assert read(status, body, stream=stream).code == code


@pytest.mark.proof
def test_no_row_is_lost_or_double_while_everything_is_killed(tmp_path: Path, postgresql: Postgresql) -> None:
    scale = Scale(requests=1000, clients=8, kill_every=(30, 150), outages=((0.3, 1.0),), seed=7)
    found = asyncio.run(ledger.run(tmp_path, postgresql, scale))
    assert found.books == Books(lost=(), double=(), strange=())
    assert found.requests == 1000 and found.ok <= found.rows and found.kills["outage"] == 1
    assert found.in_outages > 0 and sum(found.kills.values()) >= 4
    said = "".join(path.read_text() for path in tmp_path.iterdir() if path.suffix in (".log", ".json"))
    assert "usage_not_shipped" in said and postgresql.password not in said
