"""SshTarget against a real sshd: who is trusted, what a refusal says, and what happens when a connection or a host goes away."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from cortops.targets import ssh, ssh_connection
from cortops.targets.ask import ask, once
from cortops.targets.ssh import SESSIONS_MAX, SshTarget
from cortops.targets.ssh_address import SshAddress
from cortops.targets.target import Line, Lost
from cortops.testing.clock import turn_until
from cortops.testing.sshd import MISSING, Sshd, run, said, sshd, why

pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd") / "plain") as made:
        yield made


def test_programs_share_one_connection_that_opens_again_when_it_is_gone(server: Sshd) -> None:
    async def main(it: SshTarget) -> None:
        program = "echo $SSH_CONNECTION"
        first, second = await asyncio.gather(ask(it, program, 20), ask(it, program, 20))
        assert first.ok and first.out == second.out == (await ask(it, program, 20)).out
        for pid in server.sessions():
            os.kill(pid, signal.SIGKILL)
        after = await ask(it, program, 20)
        assert after.ok and after.out != first.out

    run(main, server.target())


def test_more_programs_than_sessions_wait_for_each_other(server: Sshd) -> None:
    async def main(it: SshTarget) -> None:
        answers = await asyncio.gather(*(ask(it, f"sleep 0.1; echo {number}", 30) for number in range(3 * SESSIONS_MAX)))
        assert [answer.out for answer in answers] == [(str(number),) for number in range(3 * SESSIONS_MAX)]
        assert len(server.sessions()) == 1

    run(main, server.target())


def test_ending_programs_early_works_when_all_sessions_are_taken(server: Sshd) -> None:
    async def main(it: SshTarget) -> None:
        tasks = [asyncio.create_task(ask(it, "echo begun; sleep 93.71", 60)) for _ in range(SESSIONS_MAX)]
        await turn_until(lambda: len([pid for pid in server.processes() if "93.71" in _command(pid)]) == SESSIONS_MAX)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await turn_until(lambda: not [pid for pid in server.processes() if "93.71" in _command(pid)])
        assert (await ask(it, "echo still here", 20)).out == ("still here",)

    run(main, server.target())


def test_one_that_is_cancelled_before_it_began_leaves_nothing(server: Sshd) -> None:
    async def main(it: SshTarget) -> None:
        assert (await ask(it, "echo hello", 20)).ok
        for turns in (0, 1, 2, 4, 8, 16, 32, 64):
            task = asyncio.create_task(ask(it, "sleep 93.72", 60))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        await turn_until(lambda: not [pid for pid in server.processes() if pid not in server.sessions()])
        assert (await ask(it, "echo still here", 20)).out == ("still here",)

    run(main, server.target())


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def test_a_connection_cut_in_the_middle_is_lost_and_said(server: Sshd) -> None:
    async def main(it: SshTarget) -> None:
        async with aclosing(it.run("echo begun; sleep 93.73", once(b""), 3)) as items:
            assert await anext(items) == Line("out", "begun")
            for pid in server.sessions():
                os.kill(pid, signal.SIGKILL)
            (ending,) = [item async for item in items]
        assert isinstance(ending, Lost) and ending.why.startswith("the connection to h1 was lost")

    run(main, server.target())


def test_a_host_that_falls_silent_is_given_up(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_connection, "KEEPALIVE_S", 0.1)

    async def main(it: SshTarget) -> None:
        async with aclosing(it.run("echo begun; sleep 93.74", once(b""), 60)) as items:
            assert await anext(items) == Line("out", "begun")
            stopped = [pid for pid in server.processes() if "sshd" in _command(pid)]
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            (ending,) = [item async for item in items]
            for pid in server.processes():
                os.kill(pid, signal.SIGKILL)
        assert isinstance(ending, Lost) and "has not answered for" in ending.why

    run(main, server.target())


def test_a_name_of_the_ssh_configuration(server: Sshd, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(f"Host lab\n  Hostname 127.0.0.1\n  Port {server.port}\n  IdentityFile {server.folder}/user_key\n")
    made = server.target(address=SshAddress("lab"), configs=(config, tmp_path / "not there"), identities=())
    assert said(made).out == ("hello",)


def test_a_key_of_the_agent(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = str(tmp_path / "agent")
    with subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.DEVNULL) as agent:
        try:
            monkeypatch.setenv("SSH_AUTH_SOCK", place)
            asyncio.run(turn_until(lambda: Path(place).exists()))
            subprocess.run(["ssh-add", "-q", str(server.folder / "user_key")], check=True, capture_output=True)
            (tmp_path / "config").write_text(f"Host *\n  IdentityFile {tmp_path}/none\n")
            made = server.target(configs=(tmp_path / "config",), identities=(), agent=True)
            assert said(made).out == ("hello",)
        finally:
            agent.terminate()


def test_a_jump_host_is_one_connection_for_all_behind_it(server: Sshd, tmp_path: Path) -> None:
    with sshd(tmp_path / "jump") as jump:
        config, known = tmp_path / "config", tmp_path / "known_hosts"
        (jump.folder / "authorized_keys").write_text((server.folder / "user_key.pub").read_text())
        known.write_text(server.known_hosts.read_text() + jump.known_hosts.read_text())
        config.write_text(
            f"Host bastion second\n  Hostname 127.0.0.1\n  Port {jump.port}\n"
            f"Host a b\n  ProxyJump bastion\nHost c\n  ProxyJump bastion,second\n"
            f"Host a b c\n  Hostname 127.0.0.1\n  Port {server.port}\n"
        )
        dialer = server.dialer(known=known)
        targets = [server.target(dialer=dialer, address=SshAddress(name), configs=(config,)) for name in ("a", "b", "c")]

        async def main(_: SshTarget) -> None:
            answers = await asyncio.gather(*(ask(one, "echo hello", 20) for one in targets))
            assert [answer.out for answer in answers] == [("hello",)] * 3
            assert len(jump.sessions()) == 2, "one to bastion, and one through it to second"
            await asyncio.gather(*(one.close() for one in targets))

        run(main, targets[0], dialer)


def test_jump_hosts_in_a_circle_end(server: Sshd, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Host *\n  ProxyJump bastion\n")
    dialer = server.dialer()
    assert "more than 4 jump hosts one behind the other, or in a circle" in why(
        server.target(dialer=dialer, configs=(tmp_path / "config",)), dialer
    )


def test_a_jump_host_that_cannot_go_on_is_named(server: Sshd, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        f"Host bastion\n  Hostname 127.0.0.1\n  Port {server.port}\nHost far\n  Hostname 127.0.0.1\n  Port 1\n  ProxyJump bastion\n"
    )
    dialer = server.dialer()
    made = server.target(dialer=dialer, address=SshAddress("far"), configs=(tmp_path / "config",))
    assert why(made, dialer).startswith("h1: the jump host cannot reach 127.0.0.1 port 1")


def asked(answer: bool, questions: list[tuple[str, str]]) -> Callable[[str, str], Coroutine[None, None, bool]]:
    async def confirm(host: str, fingerprint: str) -> bool:
        questions.append((host, fingerprint))
        return answer

    return confirm


def test_an_unknown_host_is_refused_with_the_command_that_cures_it(server: Sshd, tmp_path: Path) -> None:
    told = why(server.target(dialer=server.dialer(known=tmp_path / "known_hosts")))
    assert f"the host key of [127.0.0.1]:{server.port} is not known: {server.fingerprint} (ssh-ed25519)" in told
    assert f"--accept-host-key {server.fingerprint}" in told
    assert f"ssh-keyscan -p {server.port} 127.0.0.1 >> {tmp_path}/known_hosts" in told
    assert not (tmp_path / "known_hosts").exists()


def test_an_unknown_host_is_asked_about_once_and_known_from_then_on(server: Sshd, tmp_path: Path) -> None:
    known, questions = tmp_path / "known_hosts", []
    dialer = server.dialer(known=known, confirm=asked(True, questions))
    assert said(server.target(dialer=dialer)).out == ("hello",)
    assert questions == [(f"[127.0.0.1]:{server.port}", server.fingerprint)]
    assert said(server.target(dialer=server.dialer(known=known))).out == ("hello",)


def test_a_no_is_final_for_this_command(server: Sshd, tmp_path: Path) -> None:
    questions: list[tuple[str, str]] = []
    dialer = server.dialer(known=tmp_path / "known_hosts", confirm=asked(False, questions))

    async def main(it: SshTarget) -> None:
        for _ in range(2):
            ending = (await ask(it, "echo hello", 20)).ending
            assert isinstance(ending, Lost) and "was not accepted" in ending.why

    run(main, server.target(dialer=dialer))
    assert len(questions) == 1


def test_a_fingerprint_given_before_is_accepted(server: Sshd, tmp_path: Path) -> None:
    dialer = server.dialer(known=tmp_path / "known_hosts", accepted=frozenset({server.fingerprint}))
    assert said(server.target(dialer=dialer)).out == ("hello",)
    assert "ssh-ed25519" in (tmp_path / "known_hosts").read_text()


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
def test_a_changed_host_key_is_refused_whatever_was_accepted(server: Sshd, tmp_path: Path, kind: str) -> None:
    old = asyncssh.generate_private_key(kind).export_public_key().decode()
    (tmp_path / "known_hosts").write_text(before := f"[127.0.0.1]:{server.port} {old}")
    questions: list[tuple[str, str]] = []
    dialer = server.dialer(known=tmp_path / "known_hosts", confirm=asked(True, questions), accepted=frozenset({server.fingerprint}))
    told = why(server.target(dialer=dialer))
    assert f"the host key of [127.0.0.1]:{server.port} has CHANGED" in told and "ssh-keygen -R" in told
    assert questions == [] and (tmp_path / "known_hosts").read_text() == before


def test_switching_host_keys_off_in_the_configuration_does_not_switch_them_off_here(server: Sshd, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Host *\n  UserKnownHostsFile none\n  StrictHostKeyChecking no\n")
    made = server.target(dialer=server.dialer(known=tmp_path / "known_hosts"), configs=(tmp_path / "config",))
    assert "is not known" in why(made)


def _unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


REFUSED: Mapping[str, Callable[[Sshd, Path], tuple[dict[str, Any], str]]] = {
    "nothing listens": lambda server, folder: (
        {"address": SshAddress("127.0.0.1", port=_unused_port())},
        "h1: nothing listens at 127.0.0.1 port",
    ),
    "several addresses": lambda server, folder: (
        {"address": SshAddress("localhost", port=_unused_port())},
        "h1: nothing listens at localhost",
    ),
    "no such name": lambda server, folder: (
        {"address": SshAddress("no-such-host.invalid")},
        "h1: no address is known for no-such-host.invalid",
    ),
    "no key": lambda server, folder: (
        {"identities": (_new_key(folder),)},
        f"accepts none of our keys for user {getpass.getuser()} (we have 1 key file, no agent",
    ),
    "a key with a passphrase, and no agent": lambda server, folder: (
        {"identities": (), "configs": (_written(folder / "config", f"Host *\n  IdentityFile {_new_key(folder, 'secret')}\n"),)},
        "(a key with a passphrase belongs in an agent: ssh-add)",
    ),
    "a configuration that cannot be read": lambda server, folder: (
        {"configs": (_written(folder / "config", "Host *\n  Port many\n"),)},
        f"our own SSH configuration cannot be used: {folder}/config line 2: Invalid Port integer value: many",
    ),
    "a key that is no key": lambda server, folder: (
        {"identities": (_written(folder / "key", "?"),)},
        "our own SSH configuration cannot be used",
    ),
}


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _new_key(folder: Path, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(folder / "key")], check=True)
    return folder / "key"


@pytest.mark.parametrize("case", REFUSED)
def test_a_host_that_cannot_be_asked_says_what_to_do(server: Sshd, tmp_path: Path, case: str) -> None:
    changes, holds = REFUSED[case](server, tmp_path)
    assert holds in why(server.target(**changes))


@pytest.mark.parametrize(
    ("greeting", "holds"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "hung up before we were in"),
        (b"SSH-1.5-old\r\n", "does not speak SSH as we know it"),
        (b"", "hung up before we were in"),
        (b"SSH-2.0-x\r\n" + b"\xff" * 64, "does not speak SSH as we know it"),
    ],
)
def test_what_is_no_sshd_is_found_out(server: Sshd, monkeypatch: pytest.MonkeyPatch, greeting: bytes, holds: str) -> None:
    monkeypatch.setattr(ssh, "RECONNECT_PAUSE_S", 0)
    callers: list[int] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(1)
        writer.write(greeting)
        await writer.drain()
        await reader.read(1)
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(greet, "127.0.0.1", 0) as other:
            made = server.target(address=SshAddress("127.0.0.1", port=other.sockets[0].getsockname()[1]))
            ending = (await ask(made, "echo hello", 20)).ending
            assert isinstance(ending, Lost) and holds in ending.why
        assert len(callers) == (1 + ssh.RECONNECTS_MAX if "hung up" in holds else 1)

    asyncio.run(main())


def test_one_that_never_greets_is_waited_for_no_longer_than_the_limit(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_connection, "CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        made = server.target(address=SshAddress("127.0.0.1", port=silent.getsockname()[1]))
        assert "no answer from 127.0.0.1 port" in why(made)


def test_the_way_to_a_port_there_is_a_socket_that_only_we_may_open(server: Sshd) -> None:
    async def main(it: SshTarget) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as there:
            port = there.sockets[0].getsockname()[1]
            path, nothing = await it.way(port)
            assert nothing == 0 and (path, 0) == await it.way(port), "opened once"
            assert Path(path).parent.stat().st_mode & 0o077 == 0
            assert await through(path) == b"hello\n"
            for pid in server.sessions():
                os.kill(pid, signal.SIGKILL)
            await ask(it, "true", 20)
            again, _ = await it.way(port)
            assert again != path and await through(again) == b"hello\n", "a new connection has a way of its own"
        assert await through(again) == b"", "nobody listens there any more"
        await it.close()
        assert not Path(path).parent.exists()

    async def through(path: str) -> bytes:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"hello\n")
        try:
            return await reader.read()
        finally:
            writer.close()

    run(main, server.target())


def test_a_host_that_cannot_be_reached_has_no_way(server: Sshd, tmp_path: Path) -> None:
    async def main(it: SshTarget) -> None:
        with pytest.raises(OSError, match="is not known: SHA256"):
            await it.way(80)

    (tmp_path / "nobody").write_text("")
    run(main, server.target(dialer=server.dialer(known=tmp_path / "nobody")))
