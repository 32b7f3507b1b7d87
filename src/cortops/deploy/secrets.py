"""The secrets of one environment: one age file, the identity that opens it, and a public index that never holds a value.

In the folder (0700): secrets.age (the truth), identity.txt (0600; whoever has it can read all), index.json (what may be shown), lock.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pyrage  # type: ignore[import-untyped]

from cortops.contracts import wallet
from cortops.deploy.redact import Redactor
from cortops.deploy.wanted import Entry, Kind, SecretView, Wanted
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, PermissionMissing, SecretMissing, StoreUnavailable

VALUE_MAX_BYTES: Final = 64 * 1024
FILE_MAX_BYTES: Final = 16 * 1024 * 1024
TOKEN_BYTES: Final = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")


class IndexEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a secret. public: a wallet's address, a certificate's PEM, else empty. created_at: seconds since 1970.

    fingerprint: keyed by the store, so that equal values show as equal here and nobody can try guesses against it.
    """

    name: str
    kind: Kind
    public: str
    fingerprint: str
    created_at: float


class SecretStore:
    """Secrets by name. Reading takes no lock (files are replaced whole); writing takes the folder's."""

    def __init__(self, folder: Path, clock: Clock, random_bytes: Callable[[int], bytes], *, environment: str) -> None:
        """folder: made (0700) at the first write. environment: its name, in stand-ins and in the authority's name."""
        self._folder = folder
        self._clock = clock
        self._random_bytes = random_bytes
        self._environment = environment

    def __repr__(self) -> str:
        return f"SecretStore({str(self._folder)!r})"

    def names(self) -> tuple[str, ...]:
        """All names, sorted; from the index, so without opening the age file."""
        return tuple(entry.name for entry in self.index())

    def index(self) -> tuple[IndexEntry, ...]:
        """What may be shown of each secret, sorted by name; empty before the first write."""
        with self._reading("index.json"):
            try:
                return msgspec.json.decode((self._folder / "index.json").read_bytes(), type=tuple[IndexEntry, ...])
            except FileNotFoundError:
                return ()

    def value(self, name: str) -> str:
        """The value itself; SecretMissing when there is none."""
        entries = self._entries()
        if name not in entries:
            raise SecretMissing(f"the secret {name} is not set", where=str(self._folder), next=f"Set it with: cortops secrets set {name}")
        return entries[name].value

    def set(self, name: str, value: str, kind: Kind = Kind.GIVEN) -> None:
        """Keep a value that comes from outside, in place of an older one. BadInput when the name or the value is not of its kind.

        value: a wallet's 0x… private key; for `authority` and `certificate` one PEM text with certificate and key; else any text.
        """
        entry = self._given(name, value, kind)
        with self._writing() as entries:
            entries[name] = entry

    def remove(self, name: str) -> None:
        """Forget a secret; SecretMissing when there is none."""
        with self._writing() as entries:
            if name not in entries:
                raise SecretMissing(f"the secret {name} is not set", where=str(self._folder), next="Nothing is left to remove.")
            del entries[name]

    def generate(self, wanted: Wanted) -> None:
        """Make this secret if it is missing or must be renewed; a good one stays as it is. SecretMissing for what only people can set."""
        self.ensure([wanted])

    def ensure(self, wanted: Sequence[Wanted]) -> tuple[str, ...]:
        """Make all that are missing or must be renewed, in one write; returns the names made.

        SecretMissing, and nothing made, when people must set some first.

        Two at once make each secret once: the second finds it there.
        """
        made: list[str] = []
        with self._writing() as entries:
            view = self._view(entries, wanted)
            if view.unset:
                raise _unset(view.unset)
            for want in sorted(wanted, key=lambda want: want.kind is Kind.CERTIFICATE):  # after the authority that signs them
                if self._view(entries, wanted).why_missing(want.name):
                    entries[want.name] = self._made(want, entries)
                    made.append(want.name)
        return tuple(made)

    def view(self, wanted: Sequence[Wanted]) -> SecretView:
        """The wanted secrets as they are now, with stand-ins for those that the next apply makes."""
        return self._view(self._entries(), wanted)

    def publics(self, wanted: Sequence[Wanted]) -> dict[str, str]:
        """Name -> public part, stand-ins included; from the index alone, so that looking opens no secret."""
        known = {entry.name: entry.public for entry in self.index()}
        empty = self._view({}, wanted)
        return {want.name: known[want.name] if want.name in known else empty.public(want.name) for want in wanted}

    def redactor(self) -> Redactor:
        """Takes every value of this store, and what looks like a secret, out of a text."""
        return Redactor(entry.value for entry in self._entries().values())

    def _view(self, entries: Mapping[str, Entry], wanted: Sequence[Wanted]) -> SecretView:
        return SecretView(environment=self._environment, wanted=tuple(wanted), entries=dict(entries), now=self._clock.now())

    def _made(self, wanted: Wanted, entries: Mapping[str, Entry]) -> Entry:
        from cortops.deploy import authority  # brings cryptography, which reading does without

        now = self._clock.now()
        if wanted.kind is Kind.WALLET:
            key = wallet.new_private_key(self._random_bytes(32))
            return Entry(value=key, kind=wanted.kind, public=wallet.address_of(key), created_at=now)
        if wanted.kind is Kind.TOKEN:
            token = base64.urlsafe_b64encode(self._random_bytes(TOKEN_BYTES)).decode().rstrip("=")
            return Entry(value=token, kind=wanted.kind, public="", created_at=now)
        if wanted.kind is Kind.AUTHORITY:
            issued = authority.make_authority(self._environment, now, self._random_bytes)
        else:
            signer = entries.get(wanted.signed_by)
            if signer is None:
                raise SecretMissing(
                    f"the certificate {wanted.name} needs the authority {wanted.signed_by or '(none named)'}, which is not there"
                )
            issued = authority.issue(authority.Issued(certificate=signer.public, key=signer.value), wanted.hosts, now, self._random_bytes)
        return Entry(value=issued.key, kind=wanted.kind, public=issued.certificate, created_at=now)

    def _given(self, name: str, value: str, kind: Kind) -> Entry:
        from cortops.deploy import authority

        if not _NAME.fullmatch(name) or ".." in name:
            raise BadInput(f"{name!r} is no name for a secret: letters, digits, and . _ / - between them, at most 128")
        if not 0 < len(value.encode()) <= VALUE_MAX_BYTES:
            raise BadInput(f"the value of {name} must hold 1 to {VALUE_MAX_BYTES} bytes")
        public = ""
        if kind is Kind.WALLET:
            public = wallet.address_of(value)
        elif kind in (Kind.AUTHORITY, Kind.CERTIFICATE):
            issued = authority.read(value)
            value, public = issued.key, issued.certificate
        return Entry(value=value, kind=kind, public=public, created_at=self._clock.now())

    def _entries(self) -> dict[str, Entry]:
        """The age file, opened; empty when there is none yet."""
        path = self._folder / "secrets.age"
        with self._reading("secrets.age"):
            try:
                sealed = path.read_bytes()
            except FileNotFoundError:
                return {}
            return msgspec.json.decode(pyrage.decrypt(sealed, [self._identity()]), type=dict[str, Entry])

    def _identity(self) -> pyrage.x25519.Identity:
        """What opens the age file; refuses one that others can read."""
        path = self._folder / "identity.txt"
        if path.stat().st_mode & 0o077:
            what = f"{path} can be read by others (mode {path.stat().st_mode & 0o777:04o})"
            raise PermissionMissing(what, where=str(path), next=f"Run: chmod 600 {path}; if others may have read it, set new secrets.")
        return pyrage.x25519.Identity.from_str(path.read_text().strip())

    @contextlib.contextmanager
    def _reading(self, file: str) -> Iterator[None]:
        """Failures to read, as what the reader can do about them; the libraries' texts may quote content and are left out."""
        where = str(self._folder / file)
        try:
            yield
        except FileNotFoundError as error:
            cure = f"Put {error.filename} back from your copy; without it the secrets are lost: then remove {self._folder}."
            raise StoreUnavailable(f"{file} is there, but not {error.filename}, which opens it", where=where, next=cure) from error
        except PermissionError as error:
            raise PermissionMissing(f"{error.filename} is not ours to read", where=where) from error
        except (pyrage.DecryptError, pyrage.IdentityError, msgspec.MsgspecError, UnicodeDecodeError):
            cure = f"Put {self._folder} back from your copy (index.json says which secrets it held)."
            raise StoreUnavailable(f"{where} is damaged, or sealed for another identity", where=where, next=cure) from None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[dict[str, Entry]]:
        """The entries, to be changed, under the folder's lock (held for milliseconds); written when the block ends well."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            with (self._folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                before = self._entries()
                entries = dict(before)
                yield entries
                self._write(entries, changed=entries != before)
        except PermissionError as error:
            raise PermissionMissing(f"{error.filename} is not ours to write", where=str(self._folder)) from error

    def _write(self, entries: Mapping[str, Entry], *, changed: bool) -> None:
        """Identity, then secrets, then index: killed between, the secrets are whole and the next write mends the index."""
        identity_path = self._folder / "identity.txt"
        if not identity_path.exists():
            self._replace(identity_path, f"{pyrage.x25519.Identity.generate()}\n".encode())
        identity = self._identity()
        if changed:
            plain = msgspec.json.encode(dict(entries))
            if len(plain) > FILE_MAX_BYTES:
                raise BadInput(f"all secrets together may hold {FILE_MAX_BYTES} bytes")
            self._replace(self._folder / "secrets.age", pyrage.encrypt(plain, [identity.to_public()]))
        index = _index(entries, str(identity))
        index_path = self._folder / "index.json"
        if not index_path.exists() or index_path.read_bytes() != index:
            self._replace(index_path, index)

    def _replace(self, path: Path, content: bytes) -> None:
        """Write beside, sync, rename, sync: the old content or the new, never half. Under the lock, so one name beside is enough."""
        beside = path.with_name(f".{path.name}.new")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        beside.rename(path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _index(entries: Mapping[str, Entry], identity: str) -> bytes:
    """The public index as its file holds it, sorted by name."""
    key = hashlib.sha256(b"cortops index\0" + identity.encode()).digest()
    index = [
        IndexEntry(
            name=name,
            kind=entry.kind,
            public=entry.public,
            fingerprint=hmac.new(key, entry.value.encode(), hashlib.sha256).hexdigest()[:16],
            created_at=entry.created_at,
        )
        for name, entry in sorted(entries.items())
    ]
    return msgspec.json.format(msgspec.json.encode(index)) + b"\n"


def _unset(names: Sequence[str]) -> SecretMissing:
    return SecretMissing(f"not set: {', '.join(names)}", next="Set each with: cortops secrets set NAME")


__all__ = ["Entry", "IndexEntry", "Kind", "Redactor", "SecretStore", "SecretView", "Wanted"]
