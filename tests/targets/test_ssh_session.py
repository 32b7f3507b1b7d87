from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.targets.bootstrap import opening
from cortops.targets.ssh_session import PROMPT, START, Prelude, remote_command


def fed(chunks: list[bytes]) -> tuple[bytes, Prelude]:
    prelude = Prelude()
    return b"".join(prelude.feed(chunk) for chunk in chunks), prelude


@given(data=st.data(), before=st.binary(max_size=40).filter(lambda text: START.encode() not in text), after=st.binary(max_size=40))
def test_the_programs_bytes_are_those_after_the_start_however_they_are_cut(data: st.DataObject, before: bytes, after: bytes) -> None:
    whole = before + f"{START} 4711\n".encode() + after
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    chunks = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    passed, prelude = fed(chunks)
    assert passed == after
    assert (prelude.before, prelude.word) == (before, "4711")


def test_a_second_start_line_is_the_programs_own() -> None:
    passed, prelude = fed([f"{START} 7\n{START} 8\n".encode()])
    assert (passed, prelude.word) == (f"{START} 8\n".encode(), "7")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("Welcome\n\n  \n", "Welcome"),
        (f"lecture\n{PROMPT}Sorry, try again.\n{PROMPT}", "Sorry, try again."),
        ("x" * 999, "x" * 200),
    ],
)
def test_the_last_words_before_the_start(text: str, words: str) -> None:
    _, prelude = fed([text.encode()])
    assert prelude.word is None and prelude.last_words == words


SHELLS = [name for name in ("sh", "dash", "bash", "zsh", "fish", "csh", "tcsh", "ksh") if shutil.which(name)]


@pytest.mark.parametrize("shell", SHELLS)
def test_any_login_shell_starts_the_bootstrap(shell: str) -> None:
    done = subprocess.run(
        [shell, "-c", remote_command(sudo=False, password=False)],
        input=opening('echo "it\'s $LANG in $PWD"; exit 3', 10),
        capture_output=True,
        timeout=20,
        check=False,
    )
    start, *rest = done.stdout.decode().splitlines()
    assert start.startswith(f"{START} ") and rest == ["it's C.UTF-8 in /"]
    assert done.returncode == 3


def test_sudo_is_told_not_to_ask_unless_there_is_a_password() -> None:
    assert "sudo -n sh" in remote_command(sudo=True, password=False)
    assert f"sudo -S -p {PROMPT} sh" in remote_command(sudo=True, password=True)
    assert "sudo" not in remote_command(sudo=False, password=True)
