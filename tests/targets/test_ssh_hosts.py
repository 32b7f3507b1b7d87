"""SshTarget on whole hosts: real users, real sudo, a network that goes away, a host that reboots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

import pytest

from cortops.targets import ssh_connection
from cortops.targets.ask import Said, ask, once
from cortops.targets.ssh import SshTarget
from cortops.targets.ssh_address import SshAddress
from cortops.targets.ssh_connection import SshDialer, SshSettings
from cortops.targets.ssh_hostkeys import HostKeys
from cortops.targets.target import Line, Lost
from cortops.words.clock import SystemClock

if TYPE_CHECKING:
    from cortops.testing.hosts import Fleet

T = TypeVar("T")
pytestmark = pytest.mark.real


def run(fleet: Fleet, main: Callable[[SshTarget], Coroutine[None, None, T]], user: str, *, sudo: bool = False, password: str = "") -> T:
    """`main` with the first host as this user."""
    settings = SshSettings(
        address=SshAddress(fleet["h1"].address, user), sudo=sudo, configs=(fleet.config,), identities=(fleet.key,), agent=False
    )
    dialer = SshDialer(HostKeys(fleet.known_hosts))
    target = SshTarget("h1", settings, dialer, SystemClock(), sudo_password=password)

    async def whole() -> T:
        try:
            return await main(target)
        finally:
            await target.close()
            await dialer.close()

    return asyncio.run(whole())


def said(fleet: Fleet, user: str, program: str = "id -un", *, sudo: bool = False, password: str = "") -> Said:
    return run(fleet, lambda target: ask(target, program, 20), user, sudo=sudo, password=password)


def why(answer: Said) -> str:
    assert isinstance(answer.ending, Lost), answer
    return answer.ending.why


def test_users_and_what_sudo_lets_them_do(test_hosts: Fleet) -> None:
    assert said(test_hosts, "me").out == ("me",)
    assert said(test_hosts, "me", sudo=True).out == ("root",)
    assert said(test_hosts, "root", sudo=True).out == ("root",)
    assert said(test_hosts, "asks", sudo=True, password=test_hosts.password).out == ("root",)
    assert "sudo asks asks for a password" in why(said(test_hosts, "asks", sudo=True))
    assert "--ask-sudo" in why(said(test_hosts, "plain", sudo=True))
    assert "sudo does not accept that password for asks" in why(said(test_hosts, "asks", sudo=True, password="another"))
    assert "accepts none of our keys for user nobody-here" in why(said(test_hosts, "nobody-here"))


def test_the_password_leaves_no_trace_there(test_hosts: Fleet) -> None:
    program = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; journalctl --no-pager -q"
    answer = said(test_hosts, "asks", program, sudo=True, password=test_hosts.password)
    assert answer.ok and len(answer.out) > 50
    assert test_hosts.password not in "\n".join(answer.out + answer.err)


@pytest.mark.parametrize(("user", "sudo"), [("me", False), ("me", True)])
def test_a_program_that_nobody_wants_any_more_is_ended_with_all_it_started(test_hosts: Fleet, user: str, sudo: bool) -> None:
    host = test_hosts["h1"]

    async def main(target: SshTarget) -> None:
        async with aclosing(target.run("sleep 94.71 & echo begun; sleep 94.71", once(b""), 60)) as items:
            assert await anext(items) == Line("out", "begun")
            assert alive() == 2
        assert alive() == 0

    def alive() -> int:
        return int(host.do("grep -l '94.7[1]' /proc/[0-9]*/cmdline 2>/dev/null | wc -l"))

    run(test_hosts, main, user, sudo=sudo)


def test_a_cable_that_is_pulled_is_lost_and_the_host_is_asked_again_when_it_is_back(
    test_hosts: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_connection, "KEEPALIVE_S", 0.2)
    monkeypatch.setattr(ssh_connection, "CONNECT_TIMEOUT_S", 0.5)
    host = test_hosts["h1"]

    async def main(target: SshTarget) -> None:
        async with aclosing(target.run("echo begun; sleep 2", once(b""), 2)) as items:
            assert await anext(items) == Line("out", "begun")
            with host.cut_off():
                (ending,) = [item async for item in items]
                assert isinstance(ending, Lost) and "has not answered for" in ending.why
                assert "no answer from" in why(await ask(target, "true", 20))
        monkeypatch.setattr(ssh_connection, "CONNECT_TIMEOUT_S", 10.0)
        assert (await ask(target, "echo back", 20)).out == ("back",)

    run(test_hosts, main, "me")


def test_a_host_that_reboots_is_reached_again(test_hosts: Fleet) -> None:
    host = test_hosts["h1"]

    async def main(target: SshTarget) -> None:
        assert (await ask(target, "true", 20)).ok
        await asyncio.to_thread(host.reboot)
        assert (await ask(target, "echo back", 20)).out == ("back",)

    run(test_hosts, main, "me")
