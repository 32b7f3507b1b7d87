"""Which host keys are trusted: what known_hosts says, and what a person says, asked once for each host. A changed key never is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import asyncssh

Confirm = Callable[[str, str], Awaitable[bool]]  # (host, fingerprint) -> whether it is the host's own key

FILE_MAX_MIB = 16  # of one known_hosts file; the rest is not read
# In the order of ssh, so that the key first shown is the one that ssh would show.
KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
CERTIFICATES = tuple(f"{kind}-cert-v01@openssh.com" for kind in KINDS if not kind.startswith("sk-"))


class Verdict(StrEnum):
    """What to do with the key that a host shows."""

    TRUST = "trust"
    ADD = "add"  # accepted by its fingerprint: trust it and write it down
    ASK = "ask"
    UNKNOWN = "unknown"  # and nobody to ask
    DECLINED = "declined"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What known_hosts has under one name."""

    keys: tuple[asyncssh.SSHKey, ...] = ()
    authorities: tuple[asyncssh.SSHKey, ...] = ()
    revoked: tuple[asyncssh.SSHKey, ...] = ()

    @property
    def fingerprints(self) -> tuple[str, ...]:
        return tuple(key.get_fingerprint() for key in self.keys)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What to ask the host for: kinds of keys that are known first, all others after them, so that a changed key is seen as such."""
        known = {key.get_algorithm() for key in self.keys}
        plain = sorted(KINDS, key=lambda kind: ("ssh-rsa" if kind.startswith("rsa-") else kind) not in known)
        return (*(CERTIFICATES if self.authorities else ()), *plain)


def judge(known: Sequence[str], offered: str, *, accepted: frozenset[str], declined: bool, can_ask: bool) -> Verdict:
    """The verdict on the fingerprint `offered`; `known`: those of the same host.

    What is known and differs is refused before anything that was accepted is looked at.
    """
    if offered in known:
        return Verdict.TRUST
    if known:
        return Verdict.CHANGED
    if offered in accepted:
        return Verdict.ADD
    if declined:
        return Verdict.DECLINED
    return Verdict.ASK if can_ask else Verdict.UNKNOWN


class HostKeys:
    """The host keys of one command, whatever the number of its hosts.

    file: known_hosts of the user, where new keys are written; it need not exist. others: read only.
    confirm: asked once for each host, one question at a time; None where there is nobody to ask. accepted: fingerprints, `SHA256:…`.
    """

    def __init__(
        self, file: Path, *, others: Sequence[Path] = (), confirm: Confirm | None = None, accepted: frozenset[str] = frozenset()
    ) -> None:
        self.file = file
        self._confirm = confirm
        self._accepted = accepted
        self._read = {path: _read(path) for path in (file, *others)}
        self._added = asyncssh.import_known_hosts("")
        self._declined: set[tuple[str, str]] = set()
        self._asking = asyncio.Lock()

    def known(self, name: str, files: Sequence[Path] = ()) -> Known:
        """What is known under `name` (see ssh_address.key_name); `files` are looked at too."""
        for path in files:
            if path not in self._read:
                self._read[path] = _read(path)
        places = [self._added, *self._read[self.file], *(part for path, parts in self._read.items() if path != self.file for part in parts)]
        found = [place.match(name, "", None) for place in places]
        return Known(
            keys=tuple(key for match in found for key in match[0]),
            authorities=tuple(key for match in found for key in match[1]),
            revoked=tuple(key for match in found for key in match[2]),
        )

    async def admit(self, name: str, key: asyncssh.SSHKey, files: Sequence[Path] = ()) -> Verdict:
        """Decide on a key that is not known, ask if need be, and write it down when it is to be trusted from now on."""
        fingerprint = key.get_fingerprint()
        async with self._asking:
            verdict = judge(
                self.known(name, files).fingerprints,
                fingerprint,
                accepted=self._accepted,
                declined=(name, fingerprint) in self._declined,
                can_ask=self._confirm is not None,
            )
            if verdict is Verdict.ASK and self._confirm is not None:
                verdict = Verdict.ADD if await self._confirm(name, fingerprint) else Verdict.DECLINED
            if verdict is Verdict.DECLINED:
                self._declined.add((name, fingerprint))
            if verdict is Verdict.ADD:
                self._add(name, key)
        return verdict

    def _add(self, name: str, key: asyncssh.SSHKey) -> None:
        kind, data = key.export_public_key("openssh").decode().split()[:2]
        line = f"{name} {kind} {data}\n"
        self._added.load(line)
        append(self.file, line)


def append(file: Path, line: str) -> None:
    """Add one line to known_hosts in one write, readable by its owner only when it is new. OSError when it cannot be written."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        gap = b"" if not size or os.pread(descriptor, 1, size - 1) == b"\n" else b"\n"
        os.write(descriptor, gap + line.encode())
    finally:
        os.close(descriptor)


def _read(path: Path) -> tuple[asyncssh.SSHKnownHosts, ...]:
    """The file, its lines that cannot be read left out as ssh does; nothing when it is not there."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_MAX_MIB << 20).decode("utf-8", "replace")
    except OSError:
        return ()
    try:
        return (asyncssh.import_known_hosts(text),)
    except ValueError:
        return tuple(_lines(text))


def _lines(text: str) -> Sequence[asyncssh.SSHKnownHosts]:
    whole = asyncssh.import_known_hosts("")
    for line in text.splitlines():
        try:
            whole.load(line)
        except ValueError:
            continue
    return (whole,)
