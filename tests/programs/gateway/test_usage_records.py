"""Usage, asked by one request: sums by organisation, and pages that come over as lines."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from cortops.programs.gateway.usage_records import Page, Sums, folded, page, sums
from cortops.protocol import keys, usage
from cortops.protocol.usage import UsageRow, UsageSum
from cortops.words.errors import StoreUnavailable


def a_sum(of: str, requests: int, last_at: float = 1.0) -> UsageSum:
    counts = {"ok": requests, "failed": 0, "refused": 0, "client_gone": 0, "prompt_tokens": 10, "completion_tokens": 1}
    return UsageSum(of=of, requests=requests, last_at=last_at, **counts)


def test_keys_of_one_organisation_count_together() -> None:
    named = [("a", a_sum("k1", 1)), ("", a_sum("k2", 5, last_at=9.0)), ("a", a_sum("k3", 2, last_at=7.0))]
    one, other = folded(named)
    assert (one.of, one.requests) == ("", 5)
    assert other == msgspec.structs.replace(a_sum("a", 3, last_at=7.0), prompt_tokens=20, completion_tokens=2)


def test_an_organisation_is_looked_up_by_key_where_both_lie(tmp_path: Path) -> None:
    place = str(tmp_path / "both.db")
    with closing(keys.open_keys(place)) as database:
        keys.put_organisation(database, "acme", {}, now=1.0)
        made = keys.issue(database, environment="lab", name="k", now=1.0, random_bytes=bytes, organisation="acme")
    with closing(usage.open_usage(place)) as database:
        usage.insert(database, [UsageRow(request_id="a", key_id=made.row.id, finished_at=1.0), UsageRow(request_id="b", key_id="x")])
    found = sums(Sums(usage_db=place, keys_db=place, by="organisation", since=0.0, until=9.0))
    assert [(item.of, item.requests) for item in found] == [("", 1), ("acme", 1)]


def test_a_page_comes_over_in_lines_that_are_short(tmp_path: Path) -> None:
    place = str(tmp_path / "usage.db")
    rows = [UsageRow(request_id=f"r{number:04}", key_id="k" * 60, finished_at=1.0) for number in range(900)]
    with closing(usage.open_usage(place)) as database:
        usage.insert(database, rows)
    request = Page(usage_db=place, since=0.0, until=9.0)
    argv = [sys.executable, "-m", "cortops.programs.gateway.records"]
    done = subprocess.run(argv, input=msgspec.json.encode(msgspec.to_builtins(request)), capture_output=True, timeout=60, check=True)
    assert len(done.stdout) > 64 * 1024 and max(map(len, done.stdout.splitlines())) < 1000
    joined = b"".join(done.stdout.splitlines())
    assert msgspec.convert(msgspec.json.decode(joined)["answer"], list[UsageRow]) == rows == page(request)


def test_a_database_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        page(Page(usage_db=str(tmp_path / "none.db"), since=0.0, until=9.0))
