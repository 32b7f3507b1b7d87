"""The secrets of one environment: one age file, values that others keep, and a public index that never holds a value.

In the folder (0700): index.json (what may be shown), lock; and, unless the environment file declares another place, secrets.age (the
truth) with identity.txt (0600; whoever has it can read all).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from cortops.deploy.redact import Redactor, hide
from cortops.deploy.secrets_made import given, joined, made
from cortops.deploy.secrets_outside import Fetch, fetcher
from cortops.deploy.secrets_sealed import FOLDER_FILE, Sealed, replace_file, sealed_of
from cortops.deploy.wanted import Entry, Kind, Outside, SecretView, Wanted
from cortops.environment.declared import Environment
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, CortopsError, PermissionMissing, SecretMissing

FETCHED_AT_ONCE: Final = 8
OLD_MARK: Final = "@"  # NAME@20261124T201500Z: what NAME was until then


class IndexEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a secret. public: a wallet's address, a certificate's PEM, else empty. created_at: seconds since 1970.

    fingerprint: keyed by the store, so that equal values show as equal here and nobody can try guesses against it.
    outside: whether others keep the value; then created_at is when an apply first had it.
    """

    name: str
    kind: Kind
    public: str
    fingerprint: str
    created_at: float
    outside: bool = False


class _Index(msgspec.Struct, frozen=True, kw_only=True):
    """index.json. of: hash of the age file that it was written with, which another machine may have written anew since."""

    of: str
    entries: tuple[IndexEntry, ...]


class SecretStore:
    """Secrets by name. Reading takes no lock (files are replaced whole); writing takes the folder's."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        *,
        environment: str,
        sealed: Sealed | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        """folder: made (0700) at the first write. environment: its name, in stand-ins and in the authority's name.

        sealed: the age file, else the folder's own. fetch: asks whoever keeps a value; each is asked once.
        """
        self._folder = folder
        self._clock = clock
        self._random_bytes = random_bytes
        self._environment = environment
        self._fetch = fetch or fetcher({})
        self._fetched: dict[str, Entry | CortopsError] = {}
        self.sealed = sealed or Sealed(file=folder / FOLDER_FILE, identity=folder / "identity.txt")

    def __repr__(self) -> str:
        return f"SecretStore({str(self._folder)!r})"

    @property
    def folder(self) -> Path:
        """Where the index lies."""
        return self._folder

    def names(self) -> tuple[str, ...]:
        """All names, sorted; from the index, so without opening the age file."""
        return tuple(entry.name for entry in self.index())

    def index(self) -> tuple[IndexEntry, ...]:
        """What may be shown of each secret, sorted by name; empty before the first write. Opens the age file only if that is newer."""
        kept, content = self._index(), self.sealed.content()
        if kept is not None and kept.of == _hash(content):
            return kept.entries
        if content is None:
            return ()
        return tuple(sorted(self._indexed(self.sealed.entries(), kept), key=lambda entry: entry.name))

    def value(self, name: str) -> str:
        """The value itself, of one that is kept here; SecretMissing when there is none."""
        entries = self.sealed.entries()
        if name not in entries:
            raise SecretMissing(f"the secret {name} is not set", where=str(self._folder), next=f"Set it with: cortops secrets set {name}")
        return entries[name].value

    def set(self, name: str, value: str, kind: Kind = Kind.GIVEN) -> None:
        """Keep a value that comes from outside, in place of an older one. BadInput when the name or the value is not of its kind.

        value: a wallet's 0x… private key; for `authority` and `certificate` one PEM text with certificate and key; else any text.
        """
        entry = given(name, value, kind, self._clock.now())
        with self._writing() as entries:
            self._keep_old(entries, name, entry)
            entries[name] = entry

    def obtained(self, name: str, value: str) -> None:
        """Keep a certificate that an authority gave, PEM with its key, in place of an older one, of which nothing is kept."""
        entry = given(name, value, Kind.CERTIFICATE, self._clock.now())
        with self._writing() as entries:
            entries[name] = entry

    def remove(self, name: str) -> None:
        """Forget a secret; SecretMissing when there is none."""
        with self._writing() as entries:
            if name not in entries:
                raise SecretMissing(f"the secret {name} is not set", where=str(self._folder), next="Nothing is left to remove.")
            del entries[name]

    def rotated(self, wanted: Sequence[Wanted], name: str) -> tuple[SecretView, SecretView]:
        """The view as it is and as it would be with `name` made anew; nothing is written. Raises as `rotate` does."""
        want = self._ours_to_make(name, wanted)
        entries = self._all(wanted)
        return self._view(entries, wanted), self._view(entries | {name: self._anew(want, entries)}, wanted)

    def rotate(self, wanted: Sequence[Wanted], name: str) -> Entry:
        """Make `name` anew: a token, wallet, authority or certificate. The old value is kept beside it, as NAME@TIME.

        BadInput for one that people set or others keep, SecretMissing for one that is not there yet.
        """
        want, outside = self._ours_to_make(name, wanted), self._outside(wanted)
        with self._writing() as entries:
            made = self._anew(want, {**entries, **outside})
            self._keep_old(entries, name, made)
            entries[name] = made
            return made

    def replaced(self) -> tuple[str, ...]:
        """Names whose old value is kept until everything uses the new one; not of wallets, whose old keys stay."""
        old = (entry.name for entry in self.index() if OLD_MARK in entry.name and entry.kind is not Kind.WALLET)
        return tuple(dict.fromkeys(name.partition(OLD_MARK)[0] for name in old))

    def forget_replaced(self) -> tuple[str, ...]:
        """Once everything uses the new values: forget old ones. Wallets stay: an old one may hold gas, and is registered."""
        if not self.replaced():
            return ()
        with self._writing() as entries:
            gone = tuple(name for name, entry in entries.items() if OLD_MARK in name and entry.kind is not Kind.WALLET)
            for name in gone:
                del entries[name]
        return gone

    def seal(self, source: Sealed | None = None) -> tuple[str, ...]:
        """Write the age file anew, for those who may open it now, with what lies in an older place; the names that came from there.

        source: another age file; else the folder's own, which is removed once the declared one holds all that it held.
        """
        older = source or Sealed(file=self._folder / FOLDER_FILE, identity=self._folder / "identity.txt")
        taking = older.file.exists() and older.file != self.sealed.file
        moved = older.entries() if taking else {}
        self.sealed = Sealed(file=self.sealed.file, identity=self.sealed.identity, recipients=self.sealed.recipients)
        with self._writing(always=True) as entries:
            came = tuple(name for name in moved if name not in entries)
            entries.update({name: moved[name] for name in came})
        if taking and source is None:
            older.file.unlink()
        return came

    def ensure(self, wanted: Sequence[Wanted]) -> tuple[str, ...]:
        """Make all that are missing or must be renewed, in one write; returns the names made.

        SecretMissing, and nothing made, when people must set some first.

        Two at once make each secret once: the second finds it there.
        """
        made: list[str] = []
        outside = self._outside(wanted)
        with self._writing() as entries:
            view = self._view({**entries, **outside}, wanted)
            if view.unset:
                raise _unset(view.unset)
            for want in sorted(wanted, key=lambda want: want.kind is Kind.CERTIFICATE):  # after the authority that signs them
                if self._view({**entries, **outside}, wanted).why_missing(want.name):
                    entries[want.name] = self._made(want, {**entries, **outside})
                    made.append(want.name)
        return tuple(made)

    def generate(self, wanted: Wanted) -> None:
        """Make this secret if it is missing or must be renewed; a good one stays as it is. SecretMissing for what only people can set."""
        self.ensure([wanted])

    def view(self, wanted: Sequence[Wanted]) -> SecretView:
        """The wanted secrets as they are now, with stand-ins for those that the next apply makes.

        SecretMissing when others keep some and do not give them. May take seconds: not for an event loop.
        """
        return self._view(self._all(wanted), wanted)

    def publics(self, wanted: Sequence[Wanted]) -> dict[str, str]:
        """Name -> public part, stand-ins included; from the index alone, so that looking opens no secret."""
        known = {entry.name: entry.public for entry in self.index()}
        empty = self._view({}, wanted)
        return {want.name: known[want.name] if want.name in known else empty.shown(want.name) for want in wanted}

    def redactor(self, wanted: Sequence[Wanted] = ()) -> Redactor:
        """Takes every value of this store, those of `wanted` that others give us, and what looks like a secret, out of a text."""
        own = [entry.value for entry in self.sealed.entries().values()]
        self.look_outside(wanted)
        return Redactor([*own, *(entry.value for entry in self._fetched.values() if isinstance(entry, Entry))])

    @contextlib.contextmanager
    def hidden_in_errors(self) -> Iterator[None]:
        """What is raised inside leaves without the values that are kept here, or that others gave us meanwhile."""
        try:
            yield
        except Exception as error:
            with contextlib.suppress(CortopsError, OSError):  # of what cannot be opened nothing can stand in the error
                hide(error, self.redactor().redact)
            raise

    def look_outside(self, wanted: Sequence[Wanted]) -> Mapping[str, Entry | CortopsError]:
        """Name -> what whoever keeps it gave us, or why not. Each is asked once, eight at a time."""
        asked = [want for want in wanted if want.outside and not want.on_host and want.name not in self._fetched]
        if asked:
            from concurrent.futures import ThreadPoolExecutor  # most environments ask nobody

            with ThreadPoolExecutor(min(len(asked), FETCHED_AT_ONCE)) as threads:
                found = zip(asked, threads.map(self._ask_outside, asked), strict=True)
                self._fetched.update({want.name: entry for want, entry in found})
        names = {want.name for want in wanted if want.outside}
        return {name: entry for name, entry in self._fetched.items() if name in names}

    def _ask_outside(self, want: Wanted) -> Entry | CortopsError:
        try:
            if want.outside is not None and want.outside.parts:
                return self._of_parts(want, want.outside)
            return given(want.name, self._fetch(want), want.kind, self._clock.now())
        except CortopsError as error:
            return error

    def _of_parts(self, want: Wanted, outside: Outside) -> Entry:
        values = [self._fetch(part) if part.outside else self.value(part.name) for part in outside.parts]
        return joined(want, outside, values, self._clock.now())

    def _outside(self, wanted: Sequence[Wanted]) -> dict[str, Entry]:
        """What others keep; SecretMissing, naming all that they did not give."""
        found = self.look_outside(wanted)
        failed = [error for error in found.values() if isinstance(error, CortopsError)]
        if len(failed) == 1:
            raise failed[0]
        if failed:
            names = ", ".join(name for name, entry in found.items() if isinstance(entry, CortopsError))
            raise SecretMissing(f"not given: {names}; the first: {failed[0].what}", where=failed[0].where, next="cortops secrets check")
        return {name: entry for name, entry in found.items() if isinstance(entry, Entry)}

    def _all(self, wanted: Sequence[Wanted]) -> dict[str, Entry]:
        return {**self.sealed.entries(), **self._outside(wanted)}

    def _view(self, entries: Mapping[str, Entry], wanted: Sequence[Wanted]) -> SecretView:
        return SecretView(environment=self._environment, wanted=tuple(wanted), entries=dict(entries), now=self._clock.now())

    def _made(self, wanted: Wanted, entries: Mapping[str, Entry]) -> Entry:
        return made(wanted, entries, self._environment, self._clock.now(), self._random_bytes)

    def _ours_to_make(self, name: str, wanted: Sequence[Wanted]) -> Wanted:
        want = next((want for want in wanted if want.name == name), None)
        if want is None:
            raise BadInput(f"{self._environment} wants no secret {name}", next=f"It wants: {', '.join(want.name for want in wanted)}")
        if want.outside is not None:
            cure = "Make it anew there; the next apply puts it where it is used."
            raise BadInput(f"{name} is not kept here: it comes from {want.outside.told}", where=want.outside.cited, next=cure)
        if want.kind is Kind.GIVEN:
            raise BadInput(f"{name} is made by others", next=f"Set a new one with: cortops secrets set {name}")
        return want

    def _anew(self, want: Wanted, entries: Mapping[str, Entry]) -> Entry:
        if want.name not in entries:
            raise SecretMissing(f"there is no {want.name} yet", next="The next apply makes it: cortops apply")
        return self._made(want, entries)

    def _keep_old(self, entries: dict[str, Entry], name: str, new: Entry) -> None:
        """The value before, under NAME@TIME: the programs have it until the next apply, and a wallet's may hold gas."""
        old = entries.get(name)
        if old is not None and old.kind is not Kind.GIVEN and old.value != new.value:
            stamp = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y%m%dT%H%M%SZ")
            entries[f"{name}{OLD_MARK}{stamp}"] = old

    def _index(self) -> _Index | None:
        """The index as it was written; None when there is none that can be read."""
        try:
            return msgspec.json.decode((self._folder / "index.json").read_bytes(), type=_Index)
        except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        except PermissionError as error:
            raise PermissionMissing(f"{error.filename} is not ours to read", where=str(self._folder)) from error

    def _indexed(self, entries: Mapping[str, Entry], before: _Index | None) -> list[IndexEntry]:
        """Of our own entries, and of those of others as they were last seen."""
        seen = {entry.name: entry for entry in before.entries if entry.outside} if before else {}
        key = hashlib.sha256(b"cortops index\0" + self.sealed.key()).digest() if entries or self._fetched else b""
        given = {name: entry for name, entry in self._fetched.items() if isinstance(entry, Entry)}
        for name, entry in given.items():
            now = _index_entry(name, entry, key, outside=True)
            was = seen.get(name)
            seen[name] = was if was is not None and was.fingerprint == now.fingerprint else now
        own = {name: _index_entry(name, entry, key) for name, entry in entries.items()}
        return list((seen | own).values())

    @contextlib.contextmanager
    def _writing(self, *, always: bool = False) -> Iterator[dict[str, Entry]]:
        """The entries, to be changed, under the folder's lock (held for milliseconds); written when the block ends well."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            with (self._folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                before = self.sealed.entries()
                entries = dict(before)
                yield entries
                self._write(entries, changed=always or entries != before)
        except PermissionError as error:
            raise PermissionMissing(f"{error.filename} is not ours to write", where=str(self._folder)) from error

    def _write(self, entries: Mapping[str, Entry], *, changed: bool) -> None:
        """Identity, then secrets, then index: killed between, the secrets are whole and the next write mends the index."""
        if not self.sealed.is_shared:
            self.sealed.make_identity()
        if changed:
            self.sealed.write(entries)
        indexed = sorted(self._indexed(entries, self._index()), key=lambda entry: entry.name)
        index = _Index(of=_hash(self.sealed.content()), entries=tuple(indexed))
        text = msgspec.json.format(msgspec.json.encode(index)) + b"\n"
        path = self._folder / "index.json"
        if not path.exists() or path.read_bytes() != text:
            replace_file(path, text)


def store_of(env: Environment, folder: Path, environ: Mapping[str, str], clock: Clock, random_bytes: Callable[[int], bytes]) -> SecretStore:
    """The store of a declared environment; `folder` is its own on this machine."""
    sealed = sealed_of(env, folder, environ)
    return SecretStore(folder, clock, random_bytes, environment=env.name, sealed=sealed, fetch=fetcher(environ))


def _index_entry(name: str, entry: Entry, key: bytes, *, outside: bool = False) -> IndexEntry:
    digest = hmac.new(key, entry.value.encode(), hashlib.sha256).hexdigest()[:16]
    made = entry.created_at
    return IndexEntry(name=name, kind=entry.kind, public=entry.public, fingerprint=digest, created_at=made, outside=outside)


def _hash(content: bytes | None) -> str:
    return "" if content is None else hashlib.sha256(content).hexdigest()


def _unset(names: Sequence[str]) -> SecretMissing:
    return SecretMissing(f"not set: {', '.join(names)}", next="Set each with: cortops secrets set NAME")


__all__ = ["Entry", "IndexEntry", "Kind", "Redactor", "SecretStore", "SecretView", "Wanted", "store_of"]
