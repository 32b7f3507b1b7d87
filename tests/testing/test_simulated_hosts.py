"""Simulated hosts answer a real observe as a host with nothing of ours would."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cortops.deploy.kinds import desire
from cortops.deploy.observed import Absent
from cortops.deploy.target_driver import TargetDriver
from cortops.targets.ssh import SshTarget
from cortops.targets.ssh_address import SshAddress
from cortops.targets.ssh_connection import SshDialer, SshSettings
from cortops.targets.ssh_hostkeys import HostKeys
from cortops.targets.systemd import Systemd
from cortops.testing.simulated_hosts import answer, simulated_hosts
from cortops.words.clock import SystemClock
from cortops.words.entity import Entity
from cortops.words.resource import Blob, Directory, File, Resource

THINGS: tuple[Resource, ...] = (
    Directory(place="h", entity=Entity("host", "h"), because="t:1", path="/srv/a"),
    File(place="h", entity=Entity("host", "h"), because="t:1", path="/srv/a/it's", content=("x",), needs=("h directory:/srv/a",)),
)


MANAGER = Systemd("/var/lib/x", prefix="x-")


def no_file(blob: Blob) -> Path:
    raise AssertionError(blob)


def test_each_look_of_a_program_is_answered() -> None:
    target = SshTarget("h", SshSettings(address=SshAddress.read("h")), SshDialer(HostKeys(Path("/none"))), SystemClock())
    program = TargetDriver(target, MANAGER, no_file).observe_program(desire(THINGS, lambda content: b"x", MANAGER))
    assert answer(program.encode()) == b"0\tabsent\t\n1\tabsent\t\n"
    assert answer(b"umask 077; cat journal") == b""


@pytest.mark.real
def test_they_are_asked_over_real_connections(tmp_path: Path) -> None:
    async def ask(first_port: int, count: int) -> list[bool]:
        folder = tmp_path / ".ssh"
        dialer = SshDialer(HostKeys(folder / "known_hosts"))
        found = []
        for port in range(first_port, first_port + count):
            settings = SshSettings(address=SshAddress.read(f"ops@127.0.0.1:{port}"), configs=(folder / "config",), agent=False, sudo=True)
            target = SshTarget("h", settings, dialer, SystemClock())
            driver = TargetDriver(target, MANAGER, no_file)
            seen = await driver.observe(desire(THINGS, lambda content: b"x", MANAGER))
            found += [isinstance(one, Absent) for one in seen.values()]
            await target.close()
        await dialer.close()
        return found

    with simulated_hosts(3, tmp_path) as many:
        assert asyncio.run(ask(many.first_port, many.count)) == [True] * 6
