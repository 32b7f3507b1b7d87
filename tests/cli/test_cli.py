"""The command line as a whole: help, exit statuses, results on stdout, one error shape."""

from __future__ import annotations

import gc
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cortops.cli import main
from cortops.cli.output import Progress, joined, table

GOOD = Path(__file__).resolve().parents[2] / "examples" / "local.yaml"


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing of the person who runs the tests is read or written, and what a short-lived process may switch off is on again after."""
    monkeypatch.setenv("CORTOPS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CORTOPS_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "__all__")  # main sets it; here it goes away with the test
    monkeypatch.chdir(tmp_path)
    yield
    gc.enable()


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    text = capsys.readouterr().out
    for verb in ("up", "down", "status", "logs", "validate", "schema", "plan", "apply", "task", "keys", "secrets"):
        assert f"│ {verb} " in text


@pytest.mark.parametrize("words", [("frob",), ("up", "--frob"), ("keys", "issue"), ("task", "show"), ("logs",)])
def test_words_that_do_not_fit_are_bad_input(words: tuple[str, ...]) -> None:
    assert run(*words) == 2


def test_a_good_file_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("validate", str(GOOD)) == 0
    assert "is valid: environment local" in capsys.readouterr().out


def test_without_a_file_the_own_one_is_taken_else_the_bundled_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("validate") == 0
    Path("cortops.yaml").write_text(GOOD.read_text().replace("environment: local", "environment: mine"))
    assert run("validate") == 0
    assert "environment mine" in capsys.readouterr().out.splitlines()[-1]


def test_a_bad_file_is_bad_input_with_every_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    bad = GOOD.read_text().replace("host: here, port: 5010", "host: there, port: 5010").replace("pool: smollm2", "pool: none")
    Path("bad.yaml").write_text(bad)
    assert run("validate", "bad.yaml", "--json") == 2
    found = json.loads(capsys.readouterr().out)
    assert not found["valid"] and len(found["reasons"]) >= 2 and all(reason["line"] > 1 for reason in found["reasons"])
    for verb in ("plan", "up", "status", "apply"):
        assert run(verb, "bad.yaml") == 2
    text = capsys.readouterr()
    assert text.out == "" and "bad.yaml:" in text.err and "next:" in text.err
    assert not Path("data").exists(), "nothing was written"


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("validate", "none.yaml", "--json"), 2, "bad_input"),
        (("task", "show", "one/two", "--json"), 2, "bad_input"),
        (("logs", "nobody", str(GOOD), "--json"), 2, "unknown_name"),
        (("apply", str(GOOD), "--plan", "12", "--json"), 2, "bad_input"),
        (("up", str(GOOD), "--port-base", "60000", "--json"), 2, "bad_input"),
        (("keys", "list", str(GOOD), "--json"), 1, "store_missing"),
    ],
)
def test_an_error_has_one_shape_and_says_what_next(
    words: tuple[str, ...], status: int, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == status
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == code and error["what"] and error["next"]


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema") == 0
    assert json.loads(capsys.readouterr().out)["type"] == "object"


def test_down_of_what_is_not_there_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("down", str(GOOD)) == 0
    assert "Nothing to do" in capsys.readouterr().out


def test_columns_are_aligned_and_long_lists_cut() -> None:
    assert table([("a", "bb", "c"), ("aaa", "b", "")]) == "a    bb  c\naaa  b"
    assert table([]) == ""
    assert joined(["a", "b"]) == "a, b"
    assert joined("abcdef", most=2) == "a, b and 4 more"


def test_in_a_pipe_progress_is_plain_lines_and_on_a_terminal_the_last_is_overwritten() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    pipe, terminal = io.StringIO(), Terminal()
    for stream in (pipe, terminal):
        progress = Progress(stream)
        progress.now("working")
        progress.say("done")
    assert pipe.getvalue() == "done\n"
    assert terminal.getvalue() == "\r\x1b[Kworking\r\x1b[Kdone\n"
