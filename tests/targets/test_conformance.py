"""What every target must do. A new target is one more row of TARGETS."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, aclosing
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

from cortops.targets.ask import Said, ask
from cortops.targets.bootstrap import BOOTSTRAP, opening
from cortops.targets.conversation import LINE_MAX_KIB
from cortops.targets.local import LocalTarget
from cortops.targets.quoting import command
from cortops.targets.ssh import SshTarget
from cortops.targets.target import Exited, Line, Lost, Target, TimedOut
from cortops.testing.clock import turn_until
from cortops.testing.sshd import MISSING, NO_SUDO, Sshd, as_another_user, fake_sudo, sshd
from cortops.words.clock import SystemClock

T = TypeVar("T")

real_ssh = (pytest.mark.real, pytest.mark.skipif(bool(MISSING), reason=MISSING))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Sshd]]:
    """Kind -> its sshd, started when it is first asked for."""
    folder = tmp_path_factory.mktemp("sshd")
    with ExitStack() as stack:

        @cache
        def start(kind: str) -> Sshd:
            return stack.enter_context(sshd(folder / kind, *SERVERS[kind](folder)))

        yield start


SERVERS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "plain": lambda folder: (),
    "sudo": lambda folder: (as_another_user(folder / "another"),),
    "password": lambda folder: (as_another_user(folder / "asked", sudo=fake_sudo("right")),),
}


def here(servers: Callable[[str], Sshd]) -> Target:
    return LocalTarget("here")


def over_ssh(servers: Callable[[str], Sshd]) -> Target:
    server = servers("plain")
    return SshTarget("h1", server.settings(), server.dialer(), SystemClock())


def over_ssh_by_sudo(servers: Callable[[str], Sshd]) -> Target:
    server = servers("sudo")
    return SshTarget("h1", server.settings(sudo=True), server.dialer(), SystemClock())


def over_ssh_by_sudo_with_a_password(servers: Callable[[str], Sshd]) -> Target:
    server = servers("password")
    return SshTarget("h1", server.settings(sudo=True), server.dialer(), SystemClock(), sudo_password="right")


TARGETS = [
    pytest.param(here, id="local"),
    pytest.param(over_ssh, id="ssh", marks=real_ssh),
    pytest.param(over_ssh_by_sudo, id="ssh-sudo", marks=(*real_ssh, pytest.mark.skipif(NO_SUDO != "", reason=NO_SUDO))),
    pytest.param(over_ssh_by_sudo_with_a_password, id="ssh-sudo-password", marks=real_ssh),
]


@pytest.fixture(params=TARGETS, name="target")
def _target(request: pytest.FixtureRequest, servers: Callable[[str], Sshd]) -> Target:
    make: Callable[[Callable[[str], Sshd]], Target] = request.param
    return make(servers)


def run(target: Target, main: Coroutine[None, None, T]) -> T:
    """In a loop of its own, which a target that keeps a connection leaves at the end."""

    async def whole() -> T:
        try:
            return await main
        finally:
            if isinstance(target, SshTarget):
                await target.close()

    return asyncio.run(whole())


def said(target: Target, program: str, data: bytes = b"", deadline_s: float = 10) -> Said:
    return run(target, ask(target, program, deadline_s, data))


def alive(marker: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if marker.encode() in line:
            found.append(line.decode())
    return found


async def none_stays_alive(marker: str) -> None:
    await turn_until(lambda: not alive(marker))


def test_lines_come_in_order_and_the_last_needs_no_line_break(target: Target) -> None:
    answer = said(target, "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; printf end; echo oops >&2")
    assert answer.out == (*(str(i) for i in range(3000)), "end")
    assert answer.err == ("oops",)
    assert answer.ok


@pytest.mark.parametrize("status", [0, 1, 3, 124, 137])
def test_exit_status_comes_back(target: Target, status: int) -> None:
    assert said(target, f"exit {status}").ending == Exited(status)


def test_binary_data_arrives_whole(target: Target) -> None:
    data = os.urandom(1 << 16) * 128
    answer = said(target, "sha256sum", data)
    assert answer.out == (f"{hashlib.sha256(data).hexdigest()}  -",)


def test_the_program_reads_exactly_what_it_asks_for(target: Target) -> None:
    program = "dd bs=65536 count=100000 iflag=fullblock,count_bytes status=none | sha256sum; cat"
    answer = said(target, program, b"x" * 100_000 + b"the rest")
    assert answer.out == (f"{hashlib.sha256(b'x' * 100_000).hexdigest()}  -", "the rest")


def test_data_that_nobody_reads_does_no_harm(target: Target) -> None:
    assert said(target, "exit 7", b"x" * (4 << 20)).ending == Exited(7)


def test_output_is_lossless_for_a_slow_reader(target: Target) -> None:
    async def main() -> None:
        count = 0
        async with aclosing(target.run("seq 1 40000", nothing(), 10)) as items:
            async for item in items:
                count += isinstance(item, Line)
                if count % 4000 == 0:
                    await asyncio.sleep(0.001)
        assert count == 40_000

    run(target, main())


def test_a_long_line_is_cut_and_the_next_one_is_whole(target: Target) -> None:
    answer = said(target, f"head -c {(LINE_MAX_KIB + 9) * 1024} /dev/zero | tr '\\0' x; echo; echo next")
    assert [len(line) for line in answer.out] == [LINE_MAX_KIB * 1024, 4]


def test_program_text_is_in_no_argument_list(target: Target) -> None:
    answer = said(target, ": marker_in_program_text; cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; echo; ps -ef 2>/dev/null || :")
    assert "marker_in_program" + "_text" not in "\n".join(answer.out)
    assert len(answer.out[0]) > 10


def test_a_program_larger_than_any_argument_list(target: Target) -> None:
    program = "\n".join(f": {'y' * 1000} {i}" for i in range(3000)) + "\necho $(cat)"
    assert said(target, program, b"data after it").out == ("data after it",)


def test_the_deadline_ends_the_whole_group(target: Target) -> None:
    marker = "91.7301"

    async def main() -> None:
        answer = await ask(target, f"sleep {marker} & echo begun; sleep {marker}", 0.1)
        assert answer.out == ("begun",)
        assert answer.ending == TimedOut(0.1)
        await none_stays_alive(marker)

    run(target, main())


def test_closing_early_ends_the_whole_group(target: Target) -> None:
    marker = "91.7302"

    async def main() -> None:
        async with aclosing(target.run(f"sleep {marker} & echo begun; sleep {marker}", nothing(), 30)) as items:
            assert await anext(items) == Line("out", "begun")
            await turn_until(lambda: alive(marker))
        await none_stays_alive(marker)

    run(target, main())


def test_cancelling_ends_the_whole_group(target: Target) -> None:
    marker = "91.7303"

    async def main() -> None:
        task = asyncio.create_task(ask(target, f"sleep {marker} & sleep {marker}", 30))
        await turn_until(lambda: alive(marker))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await none_stays_alive(marker)

    run(target, main())


def test_a_killed_program_is_lost_not_failed(target: Target) -> None:
    answer = said(target, "echo begun; kill -KILL $$")
    assert answer.out == ("begun",)
    assert isinstance(answer.ending, Lost)


def test_data_that_fails_ends_the_program_and_reaches_the_caller(target: Target) -> None:
    marker = "91.7304"

    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise LookupError("the file is gone")

    async def main() -> None:
        with pytest.raises(LookupError, match="the file is gone"):
            async with aclosing(target.run(f"sleep {marker}", broken(), 30)) as items:
                async for _ in items:
                    pass
        await none_stays_alive(marker)

    run(target, main())


def test_two_at_once_do_not_mix(target: Target) -> None:
    async def main() -> None:
        first, second = await asyncio.gather(ask(target, "cat; cat", 10, b"a\n" * 500), ask(target, "cat", 10, b"b\n" * 500))
        assert (set(first.out), set(second.out)) == ({"a"}, {"b"})
        assert len(first.out) == len(second.out) == 500

    run(target, main())


def test_a_child_that_keeps_the_output_open_does_not_hold_us(target: Target) -> None:
    marker = "0.1517"
    answer = said(target, f"setsid sleep {marker} & echo done")
    assert (answer.out, answer.ending) == (("done",), Exited(0))


@pytest.mark.parametrize("name", ["a b", "a'b", 'a"b', "a$b`c", "a\nb", "-n", "*", "é\t\\", ""])
def test_odd_names_stay_as_they_are(target: Target, name: str) -> None:
    answer = said(target, f"set -- {command(name)}; printf '%s|' \"$1\" | od -An -vtx1 | tr -d ' \\n'")
    assert bytes.fromhex("".join(answer.out)) == f"{name}|".encode()


def test_a_program_cut_short_is_not_run() -> None:
    whole = opening("echo harm", 5)
    result = subprocess.run(["sh", "-c", BOOTSTRAP], input=whole[:-3], capture_output=True, check=False)
    assert result.stdout == b""
    assert (result.returncode, result.stderr) == (125, b"the program came incomplete\n")


async def nothing() -> AsyncIterator[bytes]:
    return
    yield b""
