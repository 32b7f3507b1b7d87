"""Each fault of private payloads has a code and a status of its own, and both stand on the page of error codes."""

from __future__ import annotations

import re
from pathlib import Path

from cortops.programs.miner.private import _fault
from cortops.programs.router.payload_errors import status_of
from cortops.protocol.routes import ErrorBody, error_json
from cortops.words.errors import PAYLOAD_CODES, PayloadError

ROOT = Path(__file__).resolve().parents[3]
KINDS = (PayloadError, *PayloadError.__subclasses__())


def test_each_fault_is_on_the_page_with_its_status() -> None:
    page = (ROOT / "docs" / "reference" / "errors-api.md").read_text()
    text = page.partition("## What is said of private payloads\n")[2].partition("\n## ")[0]
    rows = {code: {int(one) for one in statuses.split(", ")} for code, statuses in re.findall(r"^\| `(\w+)` \| ([\d, ]+) \|", text, re.M)}
    assert rows == {kind.code: {status_of(kind("x")), 502} for kind in KINDS}
    assert set(rows) == PAYLOAD_CODES


def test_a_miner_reads_each_fault_as_the_error_that_it_is() -> None:
    for kind in KINDS:
        body = error_json(ErrorBody(message="why", type="t", code=kind.code))
        found = _fault(status_of(kind("x")), body)
        assert (type(found), found.what) == (kind, "why")
    for body in (b"", b"<html>", b"[]", b'{"error": "no"}', error_json(ErrorBody(message="", type="t", code="nonsense"))):
        found = _fault(418, body)
        assert (type(found), found.what) == (PayloadError, "the router answered HTTP 418")
