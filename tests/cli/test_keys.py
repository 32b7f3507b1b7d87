"""`cortops keys`: issue, list, rotate, expire, limit and organisations, for people and as JSON."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cortops.cli import main
from cortops.cli.keys import read_span
from cortops.protocol import keys
from cortops.protocol.limits import Ask, exchange, open_limits, period_of
from cortops.words.clock import SystemClock
from cortops.words.errors import BadInput

SHAPE = {"id", "key", "name", "scopes", "expires_at"}  # DESIGN 9; fields were added


@pytest.fixture(autouse=True)
def keys_db(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setenv("CORTOPS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "__all__")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data" / "local" / "data" / "gateway" / "keys.db"
    keys.open_keys(path).close()
    yield path
    gc.enable()


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(("keys", *words))
    return int(ended.value.code or 0)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """Its result as JSON."""
    assert run(*words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_a_key_with_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "organisation", "acme", "--tokens-per-month", "1000000") == {
        "name": "acme",
        "limits": {"requests_per_min": None, "tokens_per_min": None, "streams_max": None, "tokens_per_month": 1_000_000},
        "created_at": pytest.approx(SystemClock().now(), abs=600),
    }
    words = ("--name", "one", "--organisation", "acme", "--scope", "model:m", "--scope", "portal", "--days", "2", "--streams-max", "3")
    made = told(capsys, "issue", *words)
    assert set(made) > SHAPE and made["key"].startswith("ck_local_")
    assert (made["scopes"], made["organisation"], made["limits"]["streams_max"]) == (["model:m", "portal"], "acme", 3)
    (listed,) = told(capsys, "list")
    assert listed == {name: value for name, value in made.items() if name != "key"} | {
        "created_at": listed["created_at"],
        "revoked_at": None,
    }
    assert run("list") == 0
    text = capsys.readouterr().out
    assert "model:m, portal" in text and "3 streams at once" in text and "valid to " in text and made["key"] not in text


def test_limits_are_changed_and_taken_away(capsys: pytest.CaptureFixture[str]) -> None:
    id = told(capsys, "issue", "--name", "one", "--requests-per-min", "5")["id"]
    assert told(capsys, "limit", id, "--requests-per-min", "none", "--tokens-per-min", "20000")["limits"] == {
        "requests_per_min": None,
        "tokens_per_min": 20_000,
        "streams_max": None,
        "tokens_per_month": None,
    }
    assert run("limit", id) == 0
    assert "may take 20,000 tokens/min." in capsys.readouterr().out, "nothing named: what it is"
    assert run("limit", id, "--streams-max", "0") == 2 and run("limit", "key_none", "--streams-max", "1") == 2


def test_rotate_and_expire(capsys: pytest.CaptureFixture[str]) -> None:
    first = told(capsys, "issue", "--name", "one", "--streams-max", "3")
    second = told(capsys, "rotate", first["id"], "--overlap", "90min")
    assert second["replaces"] == first["id"] and second["limits"] == first["limits"] and second["key"] != first["key"]
    before = SystemClock().now()
    ends = {row["id"]: row["expires_at"] for row in told(capsys, "list")}
    assert ends == {first["id"]: pytest.approx(before + 5400, abs=600), second["id"]: None}
    assert run("rotate", first["id"]) == 2
    assert second["id"] in capsys.readouterr().err
    assert told(capsys, "expire", second["id"], "--after", "7d")["expires_at"] == pytest.approx(before + 7 * 86_400, abs=600)
    assert told(capsys, "expire", second["id"], "--after", "never")["expires_at"] is None
    assert told(capsys, "revoke", second["id"])["id"] == second["id"]
    assert run("list") == 0
    assert "taken back" in capsys.readouterr().out


def test_the_quota_is_shown_beside_what_is_used(keys_db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("organisations") == 0 and run("list") == 0
    assert capsys.readouterr().out.count("next: cortops keys ") == 2
    assert run("organisation", "acme", "--tokens-per-month", "5000") == 0
    assert "The keys of acme together may take 5,000 tokens/month." in capsys.readouterr().out
    with closing(keys.open_keys(keys_db)) as database:
        (organisation,) = keys.list_organisations(database)
    now = SystemClock().now()
    (rule,) = organisation.limits.rules(organisation.counts_as)
    with closing(open_limits(keys_db)) as database:
        exchange(database, "one", [Ask(rule=rule, period=period_of(rule.kind, now)[0], charge=1200)], now)
    assert run("organisations") == 0
    assert "1,200 of 5,000" in capsys.readouterr().out
    assert told(capsys, "organisations")[0]["tokens_this_month"] == 1200


@pytest.mark.parametrize("words", [("list",), ("organisations",), ("issue", "--name", "one"), ("revoke", "key_none")])
def test_before_a_gateway_ran_there_is_no_store_and_that_is_said(
    words: tuple[str, ...], keys_db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys_db.unlink()
    assert run(*words, "--json") == 1
    said = json.loads(capsys.readouterr().out)["error"]
    assert (said["code"], said["what"]) == ("store_missing", "the gateway of local has no store of keys and usage yet")
    assert said["where"] == str(keys_db) and said["next"].startswith("cortops up ") and "unable to open" not in str(said)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("90min", 5400), ("24h", 86_400), ("7d", 604_800), ("0s", 0)])
def test_spans(text: str, seconds: float) -> None:
    assert read_span(text) == seconds


@pytest.mark.parametrize("text", ["", "24", "1 h", "-1h", "h", "1m"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(BadInput):
        read_span(text)
