"""The age file: where it lies, what opens it, for whom it is sealed; written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import pyrage  # type: ignore[import-untyped]

from cortops.deploy.wanted import Entry
from cortops.environment.declared import Environment
from cortops.words.errors import BadInput, PermissionMissing, StoreUnavailable

FILE_MAX_BYTES: Final = 16 * 1024 * 1024
FOLDER_FILE = "secrets.age"
_STANZA = b"-> "  # one a recipient. Source: age-encryption.org/v1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """One age file of all secrets.

    recipients: who can open it; none for the file of this machine's own folder, whose identity is made with it. unsealed: another file
    that holds secrets of this environment still, from before it was declared where they lie.
    """

    file: Path
    identity: Path
    recipients: tuple[str, ...] = ()
    unsealed: Path | None = None

    @property
    def is_shared(self) -> bool:
        """Whether several people open it, each with an identity of their own."""
        return bool(self.recipients)

    def content(self) -> bytes | None:
        """The file as it lies there; None before the first write. Raises as `entries` does."""
        self._demand_moved()
        with self._reading():
            try:
                return self.file.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def entries(self) -> dict[str, Entry]:
        """What is sealed in it, empty before the first write.

        StoreUnavailable when it is damaged or sealed for others, PermissionMissing when it or its identity is not ours alone to read,
        SecretMissing's cure in both. Nothing of what was read is quoted.
        """
        sealed = self.content()
        if sealed is None:
            return {}
        with self._reading():
            return msgspec.json.decode(pyrage.decrypt(sealed, [self._identity()]), type=dict[str, Entry])

    def write(self, entries: Mapping[str, Entry]) -> None:
        """Seal these, for all recipients; BadInput when they are too large, or when we could not open them again."""
        plain = msgspec.json.encode(dict(entries))
        if len(plain) > FILE_MAX_BYTES:
            raise BadInput(f"all secrets together may hold {FILE_MAX_BYTES} bytes")
        with self._reading():
            own = str(self._identity().to_public())
        if self.is_shared and own not in self.recipients:
            cure = f"Add {own} to rules.secrets.recipients, or have one of them do this."
            raise BadInput(f"{self.identity} is of none of the recipients of {self.file}", where=str(self.file), next=cure)
        sealed_for = [pyrage.x25519.Recipient.from_str(one) for one in self.recipients or (own,)]
        replace_file(self.file, pyrage.encrypt(plain, sealed_for))

    def make_identity(self) -> str:
        """The recipient of our identity, which is made when there is none yet."""
        if not self.identity.exists():
            self.identity.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self.identity, f"{pyrage.x25519.Identity.generate()}\n".encode())
        with self._reading():
            return str(self._identity().to_public())

    def key(self) -> bytes:
        """What fingerprints are keyed by: whoever cannot open the file cannot try guesses against them."""
        with self._reading():
            return str(self._identity()).encode()

    def recipients_sealed(self) -> int:
        """For how many it is sealed now, read off its head; 0 before the first write."""
        head = (self.content() or b"").partition(b"\n---")[0]
        return sum(line.startswith(_STANZA) and b"grease" not in line for line in head.splitlines())

    def _demand_moved(self) -> None:
        if self.unsealed is not None and not self.file.exists():
            what = f"the secrets still lie in {self.unsealed}, and not in {self.file}"
            raise StoreUnavailable(what, where=str(self.file), next="Move them there: cortops secrets seal")

    def _identity(self) -> pyrage.x25519.Identity:
        """What opens the age file, as age-keygen writes it too; refuses one that others can read."""
        path = self.identity
        if path.stat().st_mode & 0o077:
            what = f"{path} can be read by others (mode {path.stat().st_mode & 0o777:04o})"
            raise PermissionMissing(what, where=str(path), next=f"Run: chmod 600 {path}; if others may have read it, set new secrets.")
        lines = [line.strip() for line in path.read_text().splitlines()]
        return pyrage.x25519.Identity.from_str(next((line for line in lines if line and not line.startswith("#")), ""))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Failures to read, as what the reader can do about them; the libraries' texts may quote content and are left out."""
        where, folder = str(self.file), self.file.parent
        ask = "Let one of rules.secrets.recipients add what `cortops secrets identity` prints for you, and run: cortops secrets seal"
        try:
            yield
        except FileNotFoundError as error:
            cure = f"Put {error.filename} back from your copy; without it the secrets are lost: then remove {folder}."
            what = f"{self.file.name} is there, but not {error.filename}, which opens it"
            if self.is_shared:
                what, cure = f"there is no identity of yours at {error.filename}, which would open {self.file.name}", ask
            raise StoreUnavailable(what, where=where, next=cure) from error
        except PermissionError as error:
            raise PermissionMissing(f"{error.filename} is not ours to read", where=where) from error
        except (pyrage.DecryptError, pyrage.IdentityError, msgspec.MsgspecError, UnicodeDecodeError):
            cure = f"Put {folder} back from your copy (index.json says which secrets it held)."
            what = f"{where} is damaged, or sealed for another identity"
            raise StoreUnavailable(what, where=where, next=ask if self.is_shared else cure) from None


def sealed_of(env: Environment, folder: Path, environ: Mapping[str, str]) -> Sealed:
    """Where this environment's age file lies: `folder`, of this machine, unless the file declares another.

    environ: CORTOPS_IDENTITY names what opens a declared one; else it is cortops/identity.txt of the configuration folder.
    """
    own = folder / FOLDER_FILE
    rules = env.rules.secrets
    if rules.file is None:
        return Sealed(file=own, identity=folder / "identity.txt")
    return Sealed(
        file=Path(env.file).absolute().parent / rules.file,
        identity=identity_path(environ),
        recipients=rules.recipients,
        unsealed=own if own.exists() else None,
    )


def identity_path(environ: Mapping[str, str]) -> Path:
    """CORTOPS_IDENTITY, else XDG_CONFIG_HOME/cortops/identity.txt, else ~/.config/cortops/identity.txt."""
    if chosen := environ.get("CORTOPS_IDENTITY"):
        return Path(chosen).absolute()
    config = Path(environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return config / "cortops" / "identity.txt"


def replace_file(path: Path, content: bytes) -> None:
    """Write beside (0600), sync, rename, sync: the old content or the new, never half. Under a lock, so one name beside is enough."""
    beside = path.with_name(f".{path.name}.new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(handle)
    beside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
