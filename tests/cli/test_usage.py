"""`cortops usage`: the table, sums as JSON, every row as CSV or lines of JSON, in pages."""

from __future__ import annotations

import csv
import gc
import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cortops.cli import main, usage
from cortops.protocol import keys
from cortops.protocol import usage as stored
from cortops.protocol.usage import UsageRow
from cortops.words.errors import BadInput

if TYPE_CHECKING:
    from cortops.testing.postgresql import Postgresql

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "local.yaml"
DAY_S = 86_400.0
TOLD = """\
usage of local by {by} · 1970-01-01 00:00 UTC to 1970-01-11 00:00 UTC
{table}
"""


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("CORTOPS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "__all__")
    monkeypatch.chdir(tmp_path)
    yield
    gc.enable()


@pytest.fixture
def counted(tmp_path: Path) -> dict[str, str]:
    """A gateway's stores with a few rows; name -> id of its keys."""
    folder = tmp_path / "data" / "local" / "data" / "gateway"
    return filled(folder / "keys.db", folder / "usage.db")


def filled(keys_db: Path, usage_db: Path) -> dict[str, str]:
    numbers = iter(range(1, 9))
    with closing(keys.open_keys(keys_db)) as database:
        known = {"environment": "local", "now": 1.0, "random_bytes": lambda count: next(numbers).to_bytes(count, "big")}
        keys.put_organisation(database, "acme", {}, now=1.0)
        ids = {name: keys.issue(database, name=name, organisation=org, **known).row.id for name, org in (("one", "acme"), ("two", ""))}  # type: ignore[arg-type]
    with closing(stored.open_usage(usage_db)) as database:
        stored.insert(database, rows(ids))
    return ids


def rows(ids: dict[str, str]) -> list[UsageRow]:
    known: dict[str, Any] = {"model": "smollm2", "member": "router-1", "prompt_tokens": 1000, "completion_tokens": 7}
    return [
        *(UsageRow(request_id=f"a{at}", key_id=ids["one"], finished_at=at * 1.5 + 1, stream=True, **known) for at in range(5)),
        UsageRow(request_id="b", key_id=ids["two"], finished_at=DAY_S, status="failed", first_token_at=DAY_S - 0.5, **known),
        UsageRow(request_id="c", key_id=ids["two"], finished_at=2 * DAY_S, status="refused", model="=1+1", error="queue_full"),
        UsageRow(request_id="d", key_id="key_gone", finished_at=2 * DAY_S + 1, status="client_gone", **known),
    ]


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(("usage", *words, "--since", "1970-01-01", "--until", "1970-01-11"))
    return int(ended.value.code or 0)


def test_people_get_a_table(counted: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--by", "day") == 0
    table = """\
DAY         REQUESTS  OK  FAILED  REFUSED  LEFT  TOKENS IN  TOKENS OUT  LAST
1970-01-01         5   5       0        0     0      5,000          35  1970-01-01 00:00 UTC
1970-01-02         1   0       1        0     0      1,000           7  1970-01-02 00:00 UTC
1970-01-03         2   0       0        1     1      1,000           7  1970-01-03 00:00 UTC
all                8   5       1        1     1      7,000          49  1970-01-03 00:00 UTC"""
    assert capsys.readouterr().out == TOLD.format(by="day", table=table)
    assert run() == 0
    told = capsys.readouterr().out
    assert f"{counted['one']}  one" in told and "key_gone " in told


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        ("organisation", {"acme": 5, "(none)": 3}),
        ("model", {"smollm2": 7, "=1+1": 1}),
        ("member", {"router-1": 7, "(no member)": 1}),
        ("day", {"1970-01-01": 5, "1970-01-02": 1, "1970-01-03": 2}),
    ],
)
def test_programs_get_sums(counted: dict[str, str], capsys: pytest.CaptureFixture[str], by: str, wanted: dict[str, int]) -> None:
    assert run("--by", by, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert ({item["of"]: item["requests"] for item in told["sums"]}, told["by"], told["until"]) == (wanted, by, 10 * DAY_S)


@pytest.mark.real
def test_a_declared_database_is_read_by_the_address_that_the_apply_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], postgresql: Postgresql
) -> None:
    address = tmp_path / "data" / "local" / "etc" / "gateway-store.url"
    address.parent.mkdir(parents=True)
    address.write_text(postgresql.create("cli_usage"))
    ids = filled(address, address)
    text = EXAMPLE.read_text().replace("gateway: {on: here,", "gateway: {on: here, store: {url: {secret: gateway/store}},")
    Path("lab.yaml").write_text(text)
    assert run("lab.yaml", "--by", "organisation", "--json") == 0
    assert {item["of"]: item["requests"] for item in json.loads(capsys.readouterr().out)["sums"]} == {"acme": 5, "(none)": 3}
    assert run("lab.yaml", "--jsonl", "-") == 0
    assert [UsageRow(**json.loads(line)) for line in capsys.readouterr().out.splitlines()] == rows(ids)
    postgresql.stop()
    try:
        assert run("lab.yaml") == 1
    finally:
        postgresql.start()
    said = capsys.readouterr().err
    assert "cannot be used" in said and postgresql.password not in said


def test_every_row_goes_to_a_spreadsheet(
    counted: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "PAGE_ROWS", 3)
    Path("rows.csv").write_text("what was there")
    assert run("--csv", "rows.csv") == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "8 rows written to rows.csv\n")
    found = list(csv.DictReader(io.StringIO(Path("rows.csv").read_text())))
    assert [row["request_id"] for row in found] == ["a0", "a1", "a2", "a3", "a4", "b", "c", "d"]
    assert (found[1]["finished_at"], found[1]["stream"], found[1]["first_token_at"]) == ("1970-01-01T00:00:02.500Z", "1", "")
    assert found[6]["model"] == "'=1+1", "no formula"
    assert {path.name for path in Path.cwd().iterdir()} == {"data", "rows.csv"}, "nothing half written is left"


def test_every_row_goes_to_a_program(counted: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PAGE_ROWS", 3)
    assert run("--jsonl", "-") == 0
    assert [UsageRow(**json.loads(line)) for line in capsys.readouterr().out.splitlines()] == rows(counted)


def test_what_cannot_be_is_said(counted: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--csv", "none/rows.csv") == 1
    assert "none/rows.csv cannot be written" in capsys.readouterr().err
    assert run("--csv", "-", "--jsonl", "-") == 2
    assert run("--csv", "--json") == 2
    with pytest.raises(SystemExit) as ended:
        main(("usage", "--since", "1h", "--until", "2h"))
    assert ended.value.code == 2


def test_nothing_counted_is_said(counted: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(("usage", "--since", "2000-01-01", "--until", "2000-01-02"))
    assert capsys.readouterr().out.endswith("No request was counted in that time.\n")


def test_without_a_store_it_says_why_where_it_looked_and_what_makes_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 1
    said = capsys.readouterr().err
    assert "the gateway of local has no store of keys and usage yet" in said and "gateway/usage.db" in said
    assert "it makes one when it first starts" in said and "cortops up " in said


@pytest.mark.parametrize(
    ("text", "at"),
    [("24h", 10 * DAY_S - 86_400), ("7d", 3 * DAY_S), ("90m", 10 * DAY_S - 5400), ("99999d", 0.0), ("1970-01-02T00:00:01", DAY_S + 1),
     ("1970-01-02T01:00+01:00", DAY_S)],
)  # fmt: skip
def test_moments(text: str, at: float) -> None:
    assert usage.moment(text, 10 * DAY_S) == at


@pytest.mark.parametrize("text", ["", "yesterday", "0h", "24", "2026-13-01", "h", "9999999d"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(BadInput):
        usage.moment(text, DAY_S)
