"""Many hosts by SSH in one process: each lets its key in, takes a program as a host does, and answers its looks with "not there".

What an observe costs whoever asks is real: connections, keys, sessions, programs sent, answers read. What it costs a host is not there.
`python -m cortops.testing.simulated_hosts COUNT FOLDER`: writes an ssh configuration, a key and known hosts there, then `ready`, and
serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from cortops.targets.ssh_session import START

HOSTS_MAX = 1000
FIRST_PORT = 21_000
LOGIN_TIMEOUT_S = 120.0
_ALIAS = "simulated"
_LOOK = re.compile(rb"^look_[a-z_]+ '?(\d+)'? ", re.MULTILINE)


def answer(program: bytes) -> bytes:
    """What such a host says to a program: of each look that nothing is there, and to anything else nothing."""
    return b"".join(b"%s\tabsent\t\n" % index for index in _LOOK.findall(program))


async def serve_program(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """One session: begun as the bootstrap begins, read by length, answered."""
    start = f"{START} {os.getpid()}\n".encode()
    process.stdout.write(start)
    process.stderr.write(start)
    try:
        size, _, _ = (await process.stdin.readline()).partition(b" ")
        program = await process.stdin.readexactly(int(size))
        process.stdout.write(answer(program))
        process.exit(0)
    except (asyncio.IncompleteReadError, ValueError):
        process.exit(125)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedHosts:
    """Each is `ops@127.0.0.1:PORT`, on consecutive ports. home: with .ssh in it, for HOME of whoever asks."""

    first_port: int
    count: int
    home: Path


@contextmanager
def simulated_hosts(count: int, home: Path) -> Iterator[SimulatedHosts]:
    """So many (up to HOSTS_MAX), served by a process of its own."""
    assert 0 < count <= HOSTS_MAX
    folder = home / ".ssh"
    folder.mkdir(mode=0o700)
    argv = [sys.executable, "-m", __name__, str(count), str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin and server.stdout
        word, _, port = server.stdout.readline().partition(b" ")
        assert word == b"ready", "the simulated hosts did not start"
        try:
            yield SimulatedHosts(first_port=int(port), count=count, home=home)
        finally:
            server.stdin.close()


async def _serve(count: int, folder: Path) -> None:
    host_key, user_key = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    (folder / "id").write_bytes(user_key.export_private_key())
    (folder / "id").chmod(0o600)
    (folder / "known_hosts").write_text(f"{_ALIAS} {host_key.export_public_key().decode()}")
    words = {"HostKeyAlias": _ALIAS, "IdentityFile": folder / "id", "IdentitiesOnly": "yes", "UserKnownHostsFile": folder / "known_hosts"}
    (folder / "config").write_text("Host 127.0.0.1\n" + "".join(f"  {word} {value}\n" for word, value in words.items()))
    (folder / "allowed").write_bytes(user_key.export_public_key())
    for first in range(FIRST_PORT, FIRST_PORT + 100 * HOSTS_MAX, HOSTS_MAX):
        servers = await _listening(range(first, first + count), host_key, folder / "allowed")
        if servers:
            break
    else:
        raise SystemExit("no room for so many ports in a row")
    sys.stdout.write(f"ready {first}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.read)
    for server in servers:
        server.close()


async def _listening(ports: range, host_key: asyncssh.SSHKey, allowed: Path) -> list[asyncssh.SSHAcceptor]:
    """A server on each port; none at all where one of them is taken."""
    servers: list[asyncssh.SSHAcceptor] = []
    try:
        for port in ports:
            server = await asyncssh.listen(
                "127.0.0.1",
                port,
                server_host_keys=[host_key],
                authorized_client_keys=str(allowed),
                process_factory=serve_program,
                encoding=None,
                login_timeout=LOGIN_TIMEOUT_S,
            )
            servers.append(server)
    except OSError:
        for server in servers:
            server.close()
        return []
    return servers


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
