"""What stands between the login and the program: login scripts, accounts without a shell, sudo and its password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cortops.targets import ssh
from cortops.targets.ask import ask
from cortops.targets.target import Exited
from cortops.testing.sshd import MISSING, as_another_user, fake_sudo, run, said, sshd, why

pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


def served(folder: Path, command: str) -> Any:
    return sshd(folder / "served", f"ForceCommand {command}")


def test_what_login_scripts_write_is_not_the_programs(tmp_path: Path) -> None:
    with served(tmp_path, 'echo Welcome; echo careful >&2; exec sh -c "$SSH_ORIGINAL_COMMAND"') as server:
        answer = said(server.target(), "echo hello; echo oops >&2")
    assert (answer.out, answer.err, answer.ending) == (("hello",), ("oops",), Exited(0))


def test_an_account_without_a_shell_says_its_words(tmp_path: Path) -> None:
    with served(tmp_path, "echo This account is closed.; exit 1") as server:
        assert why(server.target()).endswith("This account is closed.")


def test_a_login_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "START_TIMEOUT_S", 0.3)
    monkeypatch.setattr(ssh, "END_TIMEOUT_S", 0.1)
    with served(tmp_path, "echo mounting; exec sleep 5") as server:
        assert "no program began within 0.3 s (last words: mounting)" in why(server.target())


def test_a_login_that_never_stops_talking_is_given_up(tmp_path: Path) -> None:
    with served(tmp_path, "exec yes") as server:
        assert "write more than 64 KiB before a program can begin" in why(server.target())


@pytest.mark.parametrize(
    ("sudo", "password", "holds"),
    [
        (fake_sudo("right"), "", "sudo asks"),
        (fake_sudo("right"), "wrong", "sudo does not accept that password"),
        ("echo ops is not in the sudoers file. >&2; exit 1", "right", "may not become root by sudo"),
        ("exec sleep 5", "right", "no program began within 0.5 s"),
    ],
)
def test_sudo_that_refuses_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sudo: str, password: str, holds: str) -> None:
    monkeypatch.setattr(ssh, "START_TIMEOUT_S", 0.5)
    monkeypatch.setattr(ssh, "END_TIMEOUT_S", 0.1)
    with sshd(tmp_path / "served", as_another_user(tmp_path / "bin", sudo=sudo)) as server:
        assert holds in why(server.target(sudo=True, password=password))


def test_a_password_that_sudo_does_not_ask_for_reaches_nobody(tmp_path: Path) -> None:
    """As with NOPASSWD, or right after it was given: the program must read its own data and nothing else."""
    with sshd(tmp_path / "served", as_another_user(tmp_path / "bin", sudo='while [ "$1" != sh ]; do shift; done; exec "$@"')) as server:
        made = server.target(sudo=True, password="the password")
        answer = run(lambda it: ask(it, "cat; tr '\\0' ' ' </proc/$PPID/cmdline; env", 20, b"data\n"), made)
    assert answer.out[0] == "data"
    assert "the password" not in "\n".join(answer.out + answer.err)


def test_the_password_is_in_no_argument_list_and_no_environment(tmp_path: Path) -> None:
    with sshd(tmp_path / "served", as_another_user(tmp_path / "bin", sudo=fake_sudo_without_value(tmp_path))) as server:
        made = server.target(sudo=True, password="pass" + "word-of-ops")
        answer = said(made, "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'")
    assert answer.ok and len(answer.out) > 50
    assert "password" + "-of-ops" not in "\n".join(answer.out)


def fake_sudo_without_value(folder: Path) -> str:
    """The same, its password in a file: the text of the stand-in itself must not hold it."""
    (folder / "expected").write_text("pass" + "word-of-ops")
    return fake_sudo(f"$(cat {folder}/expected)")
