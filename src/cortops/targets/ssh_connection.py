"""Connections to SSH hosts, opened as `ssh` would open them: its configuration, its keys, its agent, its known hosts, its jump hosts.

Keys are used and never read out, an agent is never forwarded, no password is ever tried, and a host key that is not trusted ends the
attempt before anything is sent.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncssh

from cortops.targets import ssh_refusals as refusals
from cortops.targets.ssh_address import SSH_PORT, SshAddress, key_name
from cortops.targets.ssh_hostkeys import HostKeys, Known, Verdict
from cortops.targets.ssh_refusals import Asked
from cortops.words.errors import BadInput

CONNECT_TIMEOUT_S = 10.0  # from the first packet to logged in; ConnectTimeout in the SSH configuration replaces it
KEEPALIVE_S = 5
KEEPALIVES_UNANSWERED_MAX = 2
DEAD_AFTER_S = KEEPALIVE_S * (KEEPALIVES_UNANSWERED_MAX + 1)  # of silence; then the connection is given up
JUMPS_MAX = 4
DIALS_MAX = 16  # at once; the others wait, or their own time would run out while we are busy with keys (15 ms of a core for each)
CLOSE_TIMEOUT_S = 2.0

# Tried first where the configuration names no Ciphers: one call of the library for each packet, where ChaCha20 takes six (a sixth of the
# processor time of asking many hosts).
_FAST_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
_KEY_ROUNDS_MAX = 2  # once to see the host key, once to go in with it


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSettings:
    """How a host is reached.

    sudo: become root there. configs: files in the form of ssh_config, the first that says something wins; those that are not there are
    left out. identities: private key files instead of those that the configuration names. agent: use the one that it, or the shell, names.
    """

    address: SshAddress
    sudo: bool = False
    configs: tuple[Path, ...] = ()
    identities: tuple[Path, ...] = ()
    agent: bool = True


@dataclass(frozen=True, slots=True)
class NoConnection:
    """Why there is none, with what to do next; `passing`: another attempt may succeed by itself."""

    why: str
    passing: bool = False


Dialled = asyncssh.SSHClientConnection | NoConnection


class SshDialer:
    """Opens connections; those to jump hosts are shared by all hosts behind them."""

    def __init__(self, host_keys: HostKeys) -> None:
        self._host_keys = host_keys
        self._jumps: dict[str, asyncio.Task[Dialled]] = {}  # as ProxyJump writes it; one configuration for all of them
        self._waits: dict[str, str] = {}  # jump -> the jump that it waits for
        self._places = asyncio.Semaphore(DIALS_MAX)

    async def dial(self, name: str, settings: SshSettings, *, via: str = "", trail: tuple[str, ...] = ()) -> Dialled:
        """A connection that is logged in, or why there is none.

        name: the target's, for the words. via: jump hosts, instead of those that the configuration names. trail: those that wait for us.
        """
        address = settings.address
        asked = Asked(name=name, address=address, host=address.host, port=address.port or SSH_PORT, user=address.user)
        try:
            # What the configuration says, without touching a key: where it leads, and under which name the host's own keys are known.
            looked_up = asyncssh.SSHClientConnectionOptions(**{**_options(settings), "client_keys": None, "known_hosts": b""})
        except (ValueError, OSError) as error:
            return NoConnection(refusals.unusable(asked, str(error)))
        asked = replace(asked, host=looked_up.host, port=looked_up.port, user=looked_up.username)
        jump = via or (looked_up.tunnel if isinstance(looked_up.tunnel, str) else "")
        tunnel: Dialled | None = None
        if jump:
            if len(trail) >= JUMPS_MAX or self._leads_back(jump, trail):
                return NoConnection(refusals.jump_loop(asked, JUMPS_MAX))
            tunnel = await self._jump(jump, settings, trail)
        if isinstance(tunnel, NoConnection):
            return replace(tunnel, why=f"{name}, by way of {tunnel.why}")
        attempt = _Attempt(self._host_keys, settings, asked, looked_up, tunnel)
        for _ in range(_KEY_ROUNDS_MAX):
            async with self._places:
                found = await attempt.run()
            if found is not None:
                return found
        return NoConnection(refusals.cut_short(asked, "it shows another host key each time"))

    async def close(self) -> None:
        """Close what was opened to jump hosts."""
        for task in self._jumps.values():
            task.cancel()
        for found in await asyncio.gather(*self._jumps.values(), return_exceptions=True):
            if isinstance(found, asyncssh.SSHClientConnection):
                await close(found)
        self._jumps.clear()

    async def _jump(self, spec: str, settings: SshSettings, trail: tuple[str, ...]) -> Dialled:
        """The connection to the last host of `first,second,last`, opened once for all who go that way."""
        task = self._jumps.get(spec)
        if task is None or _is_over(task):
            task = self._jumps[spec] = asyncio.create_task(self._dial_jump(spec, settings, (*trail, spec)))
        if not trail:
            return await asyncio.shield(task)
        self._waits[trail[-1]] = spec
        try:
            return await asyncio.shield(task)
        finally:
            del self._waits[trail[-1]]

    async def _dial_jump(self, spec: str, settings: SshSettings, trail: tuple[str, ...]) -> Dialled:
        before, _, last = spec.rpartition(",")
        try:
            address = SshAddress.read(last.strip())
        except BadInput as error:
            return NoConnection(f"ProxyJump in ~/.ssh/config: {error.what}")
        return await self.dial(last.strip(), replace(settings, address=address, sudo=False), via=before, trail=trail)

    def _leads_back(self, spec: str, trail: tuple[str, ...]) -> bool:
        """Whether the way to `spec` waits, by others or at once, for the one that is asking."""
        while trail and spec and spec != trail[-1]:
            spec = self._waits.get(spec, "")
        return bool(trail and spec)


def _is_over(task: asyncio.Task[Dialled]) -> bool:
    if not task.done():
        return False
    found = None if task.cancelled() else task.result()
    return not isinstance(found, asyncssh.SSHClientConnection) or found.is_closed()


class _Client(asyncssh.SSHClient):
    """Keeps what the host showed, and trusts nothing by itself."""

    def __init__(self) -> None:
        self.offered: asyncssh.SSHKey | None = None
        self.methods: tuple[str, ...] = ()

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connection = conn

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.offered = key
        return False

    def public_key_auth_requested(self) -> None:
        """Called when none of our keys was accepted: there is no other."""
        self.methods = tuple(self._connection.get_server_auth_methods())


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One host, asked once or, after its key was admitted, twice."""

    host_keys: HostKeys
    settings: SshSettings
    asked: Asked
    looked_up: asyncssh.SSHClientConnectionOptions
    tunnel: asyncssh.SSHClientConnection | None

    async def run(self) -> Dialled | None:
        """None: the host's key has just been admitted, ask again."""
        client = _Client()
        known = self._known()
        timeout_s = self.looked_up.connect_timeout or CONNECT_TIMEOUT_S
        options = {**self._options, "tunnel": self.tunnel, "known_hosts": self._trusted, "client_factory": lambda: client}
        options["server_host_key_algs"] = known.kinds
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncssh.connect(**options)
        except TimeoutError:
            return NoConnection(refusals.no_answer(self.asked, timeout_s))
        except asyncssh.HostKeyNotVerifiable as error:
            return await self._judged(client.offered, known, str(error))
        except (asyncssh.Error, OSError, ValueError) as error:
            return self._refused(error, client)

    async def _judged(self, offered: asyncssh.SSHKey | None, known: Known, text: str) -> NoConnection | None:
        """After a host key that is not trusted; None when it is from now on."""
        name, asked = self._name, self.asked
        if offered is None:
            return NoConnection(refusals.key_revoked(asked, name, text))
        fingerprint, kind = offered.get_fingerprint(), offered.get_algorithm()
        file = str(self.host_keys.file)
        try:
            verdict = await self.host_keys.admit(name, offered, self._files)
        except OSError as error:
            return NoConnection(refusals.unusable(asked, f"{file} cannot be written: {error.strerror}"))
        match verdict:
            case Verdict.CHANGED:
                return NoConnection(refusals.key_changed(asked, name, known.fingerprints, fingerprint, file))
            case Verdict.DECLINED:
                return NoConnection(refusals.key_declined(asked, name, fingerprint))
            case Verdict.UNKNOWN:
                return NoConnection(refusals.key_unknown(asked, name, fingerprint, kind, file))
            case _:
                return None

    def _refused(self, error: Exception, client: _Client) -> NoConnection:
        asked, text = self.asked, str(error)
        match error:
            case socket.gaierror():
                return NoConnection(refusals.no_address(asked))
            case OSError():
                return NoConnection(*refusals.not_connected(asked, text, error.errno))
            case asyncssh.ChannelOpenError():
                return NoConnection(refusals.jump_refused(asked, text))
            case asyncssh.ConnectionLost():
                return NoConnection(refusals.cut_short(asked, text), passing=True)
            case asyncssh.Error() if isinstance(error, asyncssh.PermissionDenied) or "authentication" in text.lower():
                full = asyncssh.SSHClientConnectionOptions(**self._options, known_hosts=b"")
                keys, agent = len(full.client_keys or ()), bool(full.agent_path)
                return NoConnection(refusals.not_let_in(asked, keys=keys, agent=agent, methods=client.methods, text=text))
            case asyncssh.Error():
                return NoConnection(refusals.not_ssh(asked, text))
            case _:
                return NoConnection(refusals.unusable(asked, text))

    @property
    def _options(self) -> dict[str, Any]:
        """As ssh does, leave out what IdentityFile names and is not there; the cipher that costs least first."""
        options, config = _options(self.settings), self.looked_up.config
        only = bool(config.get("IdentitiesOnly"))
        if not config.get("Ciphers"):
            options["encryption_algs"] = _FAST_CIPHERS
        if not self.settings.identities and (named := _paths(config, "IdentityFile")):
            options["client_keys"] = [found for path in named if (found := _identity(path, only=only))]
        return options

    @property
    def _name(self) -> str:
        return self.looked_up.host_key_alias or key_name(self.asked.host, self.asked.port)

    @property
    def _files(self) -> tuple[Path, ...]:
        """The known_hosts files that the configuration names, beside the usual ones."""
        config = self.looked_up.config
        return (*_paths(config, "UserKnownHostsFile"), *_paths(config, "GlobalKnownHostsFile"))

    def _known(self) -> Known:
        return self.host_keys.known(self._name, self._files)

    def _trusted(self, host: str, addr: str, port: int | None) -> Sequence[Any]:
        """As asyncssh asks for it. By name only: an address that another host had before is no other host's key."""
        name = self.looked_up.host_key_alias or key_name(host, port or SSH_PORT)
        known = self.host_keys.known(name, self._files)
        return [list(known.keys), list(known.authorities), list(known.revoked), [], [], [], []]


def _paths(config: Any, option: str) -> tuple[Path, ...]:
    found = config.get(option)
    return tuple(Path(str(path)).expanduser() for path in found if path != "none") if isinstance(found, list | tuple) else ()


def _identity(path: Path, *, only: bool) -> str:
    """The key file; with IdentitiesOnly its public half is enough to choose a key of the agent. "" for none."""
    public = path if path.suffix == ".pub" else path.with_name(f"{path.name}.pub")
    if path != public and path.is_file():
        return str(path)
    return str(public) if only and public.is_file() else ""


def _options(settings: SshSettings) -> dict[str, Any]:
    """As asyncssh takes them."""
    address = settings.address
    return {
        "host": address.host,
        "port": address.port or (),
        "username": address.user or (),
        "config": [str(path) for path in settings.configs if path.is_file()],
        "client_keys": [str(path) for path in settings.identities] or (),
        "ignore_encrypted": True,
        "agent_path": () if settings.agent else None,
        "agent_forwarding": False,
        "preferred_auth": ("publickey",),
        "password_auth": False,
        "kbdint_auth": False,
        "host_based_auth": False,
        "gss_host": None,
        "x509_trusted_certs": None,
        "keepalive_interval": KEEPALIVE_S,
        "keepalive_count_max": KEEPALIVES_UNANSWERED_MAX,
    }


async def close(connection: asyncssh.SSHClientConnection) -> None:
    """Say goodbye, and wait no longer than CLOSE_TIMEOUT_S for it."""
    connection.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await connection.wait_closed()
    connection.abort()
