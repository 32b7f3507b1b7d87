"""`rollback` in words: what would go back, what stays, and how it ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.fleet_stage import LAB
from tests.deploy.waves.records import history

from cortops.cli import main
from cortops.cli.rollback import Back, Found, _ended, _size
from cortops.deploy.limits import over_limits
from cortops.deploy.waves.back import Goals, goals_of
from cortops.deploy.waves.history import HostHistory
from cortops.environment.rules import ApplyRules
from cortops.words.change import Action, Change, Reversal
from cortops.words.errors import NoSafeMoment, StepFailed, Stopped

DOWN = HostHistory(host="h3", silent="no answer within 10 s")


def goals(*, silent: bool = False) -> Goals:
    return goals_of([history({"a": "XY", "b": "XY", "c": "XX"}), *([DOWN] if silent else [])], nodes={}, hosts=(), to=None)


def found(*, silent: bool = False) -> Found:
    changes = tuple(
        Change(target="h1", resource=f"node-program:{name}", action=Action.RESTART, reason="runs yyyyyy", reversal=Reversal.RESTORE, wave=1)
        for name in ("a", "b")
    )
    return Found(goals=goals(silent=silent), changes=changes, digest="5c1e" * 16)


def test_what_would_go_back_and_what_stays() -> None:
    assert found(silent=True).as_text("cortops rollback").splitlines() == [
        "  h1  a  restart  runs yyyyyy",
        "  h1  b  restart  runs yyyyyy",
        "stays as it is: c: it has run only xxxxxx since it was adopted",
        "h3 could not be asked: no answer within 10 s",
        "digest 5c1e5c1e5c1e    next: cortops rollback --plan 5c1e5c1e5c1e",
    ]
    nothing = Found(goals=goals_of([history({"c": "XX"})], nodes={}, hosts=(), to=None), changes=(), digest="0")
    assert nothing.as_text("").splitlines()[-1] == "Nothing to do."
    told = found(silent=True).as_json()
    assert [one["node"] for one in told["goals"]] == ["a", "b"]  # type: ignore[attr-defined]
    assert told["silent"] == [{"host": "h3", "why": "no answer within 10 s"}]


def test_a_rollback_over_a_limit_names_the_flag_and_asks_nobody() -> None:
    changes = [change("RESTART", f"h{number}") for number in range(60)]
    size = _size(changes, {"h0": history({"a": "XY"})})
    assert (size.hosts[-1], len(size.stops[0]), size.running) == ("h59", 60, 1)
    over = over_limits(size, ApplyRules())
    text = replace(found(), over=over).as_text("cortops rollback").splitlines()
    assert [line.partition(":")[0] for line in text[-3:-1]] == ["over a limit", "over a limit"]
    assert text[-1] == "digest 5c1e5c1e5c1e    next: cortops rollback --plan 5c1e5c1e5c1e --accept-large"


def change(action: str, host: str) -> Change:
    return Change(target=host, resource="node-program:a", action=Action[action], reason="", reversal=Reversal.RESTORE, wave=1)


def ended(results: dict[str, object], *, silent: bool = False) -> Back:
    return _ended(found(silent=silent), results, {"a", "b"}, 9.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("back", "status", "lines"),
    [
        (
            ended({"a": None, "b": None}),
            0,
            ["2 nodes back, in 9 s.", "c: it has run only xxxxxx since it was adopted", "next: cortops nodes"],
        ),
        (
            ended({"a": None, "b": NoSafeMoment("not restarted: it precommitted")}),
            3,
            [
                "1 node back, in 9 s.",
                "b: not restarted: it precommitted; --now does not wait",
                "c: it has run only xxxxxx since it was adopted",
            ],
        ),
        (
            ended({"a": Stopped("x")}),
            3,
            [
                "Nothing was changed.",
                "b: not begun",
                "a: stopped before anything was changed",
                "c: it has run only xxxxxx since it was adopted",
            ],
        ),
        (ended({"a": None, "b": StepFailed("disk full")}), 1, ["1 node back, in 9 s.", "b: disk full"]),
        (ended({"a": None, "b": None}, silent=True), 1, ["2 nodes back, in 9 s.", "h3: could not be asked: no answer within 10 s"]),
    ],
)
def test_how_it_ended(back: Back, status: int, lines: list[str]) -> None:
    assert back.status == status
    assert back.as_text().splitlines()[: len(lines)] == lines
    assert set(back.as_json()) == {"back", "failed", "left", "still", "took_s"}


def test_a_word_that_is_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text(LAB)
    for words in (("rollback", "m99", "lab.yaml"), ("generations", "h9", "lab.yaml"), ("rollback", "lab.yaml", "--plan", "12")):
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 2
    assert "m99 is no node or host of lab.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("rollback", "m07", "--ours", "lab.yaml"), "m07 and --ours are two things to go back"),
        (("rollback", "--accept-large", "lab.yaml"), "--accept-large accepts one plan, so it needs --plan DIGEST"),
        (("apply", "--accept-large", "lab.yaml"), "--accept-large accepts one plan, so it needs --plan DIGEST"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    words: tuple[str, ...], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text(LAB)
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2 and what in capsys.readouterr().err
