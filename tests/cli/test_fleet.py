"""Many hosts asked at once: what one of them does never hides another, and people are asked as little as possible."""

from __future__ import annotations

import asyncio
import getpass
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from cortops.cli import fleet as subject
from cortops.cli.common import Common
from cortops.cli.fleet import Fleet, fleet, hosts_of, on_terminal, read_password
from cortops.environment.model import Host
from cortops.testing.clock import turn_until
from cortops.testing.sshd import MISSING, Sshd, as_another_user, fake_sudo, sshd
from cortops.words.errors import BadInput
from cortops.words.question import Answer, NoAnswer, Reply, Shell


def needs_sshd(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.real(pytest.mark.skipif(bool(MISSING), reason=MISSING)(test))


def asked(hosts: Mapping[str, Host] | list[str], *questions: Shell, common: Common = Common(), **how: object) -> Mapping[str, Reply]:  # noqa: B008
    async def main() -> Mapping[str, Reply]:
        async with fleet(hosts, common, **how) as place:  # type: ignore[arg-type]
            return await place.ask(questions)

    return asyncio.run(main())


def shell(target: str, script: str = "echo hello", name: str = "q") -> Shell:
    return Shell(id=f"{target} {name}", target=target, script=script, timeout_s=20)


def text(reply: Reply) -> str:
    assert isinstance(reply, Answer), reply
    return reply.text


def why(reply: Reply) -> str:
    assert isinstance(reply, NoAnswer), reply
    return reply.why


@pytest.fixture(name="home")
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's home with an empty ~/.ssh, and no agent."""
    (tmp_path / ".ssh").mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


@contextmanager
def served(home: Path, *lines: str, config: str = "", known: bool = True) -> Iterator[Sshd]:
    """An sshd that ~/.ssh/config calls `lab`, whose key this person has, and whose host key is known or not."""
    with sshd(home / "sshd", *lines) as server:
        (home / ".ssh" / "config").write_text(
            f"{config}Host lab*\n  Hostname 127.0.0.1\n  Port {server.port}\n  IdentityFile {server.folder}/user_key\n"
        )
        if known:
            (home / ".ssh" / "known_hosts").write_text(server.known_hosts.read_text())
        yield server


def test_names_as_people_write_them() -> None:
    assert hosts_of(["me@h1:2222", "local"], sudo=True) == {"me@h1:2222": Host(ssh="me@h1:2222", sudo=True), "local": Host(local=True)}
    with pytest.raises(BadInput, match="'-oProxyCommand=x' is no SSH host"):
        hosts_of(["-oProxyCommand=x"])


def test_this_machine_needs_no_ssh() -> None:
    code = (
        "import asyncio, sys\n"
        "from cortops.cli.common import Common\n"
        "from cortops.cli.fleet import fleet\n"
        "async def main():\n"
        "    async with fleet(['local'], Common()) as place:\n"
        "        print(list(place.targets))\n"
        "asyncio.run(main())\n"
        "print('asyncssh' in sys.modules)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "['local']\nFalse\n"


def test_sudo_on_this_machine_is_said_to_be_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BadInput, match=r"hosts\.here wants sudo on this machine"):
        asked({"here": Host(local=True, sudo=True)}, shell("here"))


def test_no_more_hosts_at_once_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "HOSTS_AT_ONCE_MAX", 2)
    names = [f"h{number}" for number in range(6)]
    script = f"mkdir {tmp_path}/$$; ls {tmp_path} | wc -l; sleep 0.1; rmdir {tmp_path}/$$"
    replies = asked({name: Host(local=True) for name in names}, *(shell(name, script) for name in names))
    assert {text(reply) for reply in replies.values()} <= {"1", "2"}


def test_a_host_that_speaks_nonsense_answers_for_itself_only(monkeypatch: pytest.MonkeyPatch) -> None:
    real = subject.ask_shell

    async def odd(target: object, questions: object, clock: object) -> object:
        if target.name == "h1":  # type: ignore[attr-defined]
            raise ValueError("invalid literal for int()")
        return await real(target, questions, clock)  # type: ignore[arg-type]

    monkeypatch.setattr(subject, "ask_shell", odd)
    replies = asked({"h1": Host(local=True), "h2": Host(local=True)}, shell("h1"), shell("h2"))
    assert why(replies["h1 q"]) == "h1: its answer cannot be read: invalid literal for int()"
    assert text(replies["h2 q"]) == "hello"


@needs_sshd
def test_every_host_answers_for_itself_and_in_one_run(home: Path) -> None:
    hosts = {"h1": Host(ssh="lab1"), "h2": Host(ssh="lab2"), "h3": Host(ssh="127.0.0.1:1"), "here": Host(local=True)}
    with served(home) as server:
        questions = [shell(name, "echo $SSH_CONNECTION $PPID", part) for name in hosts for part in ("first", "second")]
        replies = asked(hosts, *questions)
    assert text(replies["h1 first"]) == text(replies["h1 second"]) != text(replies["h2 first"]) == text(replies["h2 second"])
    assert f" {server.port} " in text(replies["h1 first"])
    assert why(replies["h3 first"]) == why(replies["h3 second"]) and "nothing listens at 127.0.0.1 port 1" in why(replies["h3 first"])
    assert text(replies["here first"])


@needs_sshd
def test_targets_run_programs_too_and_are_closed_at_the_end(home: Path) -> None:
    async def main(server: Sshd) -> None:
        async with fleet({"h1": Host(ssh="lab")}, Common()) as place:
            assert isinstance(place, Fleet) and place.clock.now() > 0
            assert text((await place.ask([shell("h1")]))["h1 q"]) == "hello"
            assert len(server.sessions()) == 1
        await turn_until(lambda: not server.sessions())

    with served(home) as server:
        asyncio.run(main(server))


@needs_sshd
def test_without_a_terminal_an_unknown_host_is_refused_and_a_fingerprint_cures_it(home: Path) -> None:
    with served(home, known=False) as server:
        refused = asked({"h1": Host(ssh="lab")}, shell("h1"))
        assert f"--accept-host-key {server.fingerprint}" in why(refused["h1 q"])
        accepted = asked({"h1": Host(ssh="lab")}, shell("h1"), common=Common(accept_host_key=(server.fingerprint,)))
        assert text(accepted["h1 q"]) == "hello"
        assert text(asked({"h1": Host(ssh="lab")}, shell("h1"))["h1 q"]) == "hello"


@needs_sshd
def test_a_person_is_asked_once_for_two_names_of_one_host_and_others_go_on(home: Path) -> None:
    questions: list[str] = []
    went_on = asyncio.Event()

    async def confirm(host: str, fingerprint: str) -> bool:
        questions.append(fingerprint)
        await went_on.wait()
        return True

    async def main() -> Mapping[str, Reply]:
        async with fleet({"h1": Host(ssh="lab1"), "h2": Host(ssh="lab2"), "here": Host(local=True)}, Common(), confirm=confirm) as place:
            waiting = asyncio.create_task(place.ask([shell("h1"), shell("h2")]))
            await turn_until(lambda: questions)
            assert text((await place.ask([shell("here")]))["here q"]) == "hello"
            went_on.set()
            return await waiting

    with served(home, known=False) as server:
        replies = asyncio.run(main())
    assert questions == [server.fingerprint]
    assert [text(reply) for reply in replies.values()] == ["hello", "hello"]


@needs_sshd
def test_known_hosts_may_be_another_file(home: Path) -> None:
    file = home / "mine"
    with served(home, known=False) as server:
        replies = asked({"h1": Host(ssh="lab")}, shell("h1"), common=Common(accept_host_key=(server.fingerprint,)), known_hosts=file)
    assert text(replies["h1 q"]) == "hello"
    assert file.exists() and not (home / ".ssh" / "known_hosts").exists()


@pytest.fixture(autouse=True)
def forget_password() -> Iterator[None]:
    """It is kept as long as a verb runs, which here is the test."""
    yield
    read_password.cache_clear()


@needs_sshd
def test_the_sudo_password_is_read_once_for_all_hosts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts: list[str] = []

    def typed(prompt: str, stream: object = None) -> str:
        prompts.append(prompt)
        return "right"

    monkeypatch.setattr(getpass, "getpass", typed)
    monkeypatch.setattr(sys, "stdin", _Terminal())
    hosts = {"h1": Host(ssh="lab1", sudo=True), "h2": Host(ssh="lab2", sudo=True), "h3": Host(ssh="lab3")}
    with served(home, as_another_user(home / "bin", sudo=fake_sudo("right"))):
        for _ in range(2):  # some verbs connect more than once
            replies = asked(hosts, *(shell(name) for name in hosts), common=Common(ask_sudo=True))
        assert [text(reply) for reply in replies.values()] == ["hello"] * 3
        refused = asked({"h1": Host(ssh="lab1", sudo=True)}, shell("h1"))
    assert "--ask-sudo" in why(refused["h1 q"])
    assert len(prompts) == 1


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_password_is_not_asked_for_when_no_host_wants_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getpass", lambda *_: pytest.fail("asked"))
    assert text(asked({"here": Host(local=True)}, shell("here"), common=Common(ask_sudo=True))["here q"]) == "hello"


def test_a_password_without_a_terminal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("the password\n"))
    with pytest.raises(BadInput, match="from a terminal"):
        read_password()


@pytest.mark.parametrize(("typed", "answer"), [("yes\n", True), ("Y\n", True), ("no\n", False), ("\n", False), ("\x04", False)])
def test_a_person_answers_on_the_terminal(
    typed: str, answer: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    person, terminal = os.openpty()
    with os.fdopen(terminal) as stdin, os.fdopen(person, "w") as keys:
        monkeypatch.setattr(sys, "stdin", stdin)

        async def main() -> bool:
            asking = asyncio.create_task(on_terminal("h1", "SHA256:abc"))
            await asyncio.sleep(0)
            keys.write(typed)
            keys.flush()
            return await asking

        assert asyncio.run(main()) is answer
    said = capsys.readouterr().err
    assert "h1 is not known yet. Its host key is SHA256:abc" in said and "yes or no" in said
