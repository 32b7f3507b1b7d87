"""`cortops notify`: a channel is tried before it is kept, and its secret is in no file, argument, output or message."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.incidents.services import MailService, WebService, listening
from tests.incidents.test_channels import DISCORD, ROUTING
from tests.surfaces.stage import EXAMPLE

from cortops.cli import main

KEY = "k3y-in-the-path-of-a-hook"


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CORTOPS_DATA", str(tmp_path))


class Served:
    """A service in a loop of its own, so that a verb may run here."""

    def __init__(self, service: WebService | MailService) -> None:
        self.service = service
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    async def _serve(self) -> None:
        async with listening(self.service):
            self._ready.set()
            await self._done.wait()

    def __enter__(self) -> None:
        self._thread.start()
        assert self._ready.wait(5)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def web() -> Iterator[WebService]:
    service = WebService()
    with Served(service):
        yield service


def run(*words: str, stdin: str = "", terminal: bool = False) -> int:
    class Input(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.stdin", Input(stdin))
        main(("notify", *words))
    return int(ended.value.code or 0)


def hook(web: WebService) -> str:
    return f"http://127.0.0.1:{web.port}/{KEY}"


def kept(folder: Path) -> str:
    return " ".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())


def test_a_channel_is_tried_kept_listed_tested_and_removed(web: WebService, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("add", "webhook", str(EXAMPLE), "--name", "ops", stdin=hook(web) + "\n") == 0
    said = capsys.readouterr().out
    assert "Sent “local: test message of cortops” to 127.0.0.1 at " in said and "Kept as the secret notify/ops of local" in said
    assert json.loads(web.posts[0].body)["title"] == "local: test message of cortops" and web.posts[0].path == f"/{KEY}"
    assert run("list", str(EXAMPLE)) == 0
    assert "ops   webhook  127.0.0.1  20" in capsys.readouterr().out
    assert run("test", str(EXAMPLE), "--name", "ops") == 0
    assert "● sent      ops  to 127.0.0.1 at" in capsys.readouterr().out and len(web.posts) == 2
    assert KEY not in kept(tmp_path)
    assert run("remove", "ops", str(EXAMPLE)) == 0
    assert run("list", str(EXAMPLE), "--json") == 0
    assert "[]" in capsys.readouterr().out


def test_a_channel_that_does_not_arrive_is_not_kept(web: WebService, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    web.status, web.body = 404, f"no hook {KEY}".encode()
    assert run("add", "webhook", str(EXAMPLE), stdin=hook(web)) == 1
    said = capsys.readouterr()
    assert "no message reached 127.0.0.1: the channel is not kept" in said.err and "it answers 404 no hook <redacted>" in said.err
    assert "next:  The webhook is gone" in said.err and KEY not in said.out + said.err
    assert run("list", str(EXAMPLE)) == 0
    assert "has no channel: nobody is told" in capsys.readouterr().out
    assert run("add", "webhook", str(EXAMPLE), "--no-test", stdin=hook(web)) == 0
    assert "Nothing was sent." in capsys.readouterr().out
    assert run("test", str(EXAMPLE), "--json") == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert row["sent"] is False and row["name"] == "webhook" and KEY not in str(row)


def test_a_terminal_is_asked_for_what_is_missing_and_the_secret_is_not_echoed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def getpass(prompt: str) -> str:
        asked.append(prompt)
        return "p@ss:w/rd%41"

    monkeypatch.setattr("getpass.getpass", getpass)
    mail = MailService(users={"cortops": "p@ss:w/rd%41"})
    with Served(mail):
        answers = f"me@lab.example\n127.0.0.1:{mail.port}\ncortops\n"
        words = ("--to", "ops@lab.example", "--mode", "none", "--json")
        assert run("add", "email", str(EXAMPLE), *words, stdin=answers, terminal=True) == 0
    said = capsys.readouterr()
    assert asked == ["password (not shown): "]
    assert said.err == "address to write from: mail server (HOST or HOST:PORT): user of the mail server: "
    row = json.loads(said.out)
    assert row == {"name": "email", "kind": "email", "to": f"ops@lab.example through 127.0.0.1:{mail.port}", "sent": True, "at": row["at"]}
    assert mail.logins == [("cortops", "p@ss:w/rd%41")] and "p@ss" not in said.out + said.err


@pytest.mark.parametrize(
    ("words", "stdin", "says"),
    [
        (("add", "telegram"), "1:x", "chat id is missing"),
        (("add", "telegram", "--chat", "1"), "no-token", "this is no bot token"),
        (("add", "discord", "--chat", "1"), DISCORD, "discord takes no --chat"),
        (("add", "pagerduty", "--region", "mars"), ROUTING, "is no region"),
        (("add", "webhook", "--name", "A B"), "https://x.example", "is no name for a channel"),
        (("remove", "ops"), "", "has no channel ops"),
        (("test", "--name", "ops"), "", "has no channel ops"),
        (("test",), "", "has no channel"),
    ],
)
def test_what_does_not_fit_is_bad_input_and_nothing_is_kept(
    words: tuple[str, ...], stdin: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = 2 if words[0] in ("add", "remove") else 1
    assert run(*words[:place], str(EXAMPLE), *words[place:], "--json", stdin=stdin) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert says in error["what"] and error["next"]
    assert not list(tmp_path.iterdir())


def test_a_name_is_taken_once(web: WebService, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("add", "webhook", str(EXAMPLE), "--no-test", stdin=hook(web)) == 0
    assert run("add", "webhook", str(EXAMPLE), "--no-test", stdin=hook(web)) == 2
    assert "next:  Give --name, or first: cortops notify remove webhook" in capsys.readouterr().err
