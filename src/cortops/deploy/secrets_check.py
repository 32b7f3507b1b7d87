"""Whether the secrets of an environment are well: there, of their kind, ours alone to read, and nowhere else. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cortops.contracts import wallet
from cortops.deploy.secrets_search import Found, Searched
from cortops.deploy.wanted import RENEW_BEFORE_S, Entry, Kind, SecretView, Wanted
from cortops.words.errors import CortopsError

Level = Literal["bad", "attention"]
OTHERS = 0o077  # rights of a file's group and of everyone
IDENTITY = "identity"  # what opens the age file, searched for like a secret
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing that is not well. secret: whose, "" where it is about all of them. next: the command or edit that cures it."""

    level: Level
    secret: str
    where: str
    what: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMode:
    """A file or folder of ours as it lies here; most: the rights that it may have."""

    path: str
    mode: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept here and what others gave. outside: name -> entry or why there is none. older: an age file of before, if one is left.

    unused: names that are sealed here, though their values come from elsewhere now. sealed_for, declared_for: for how many the age file is
    sealed, and how many rules.secrets names; 0 where it is not shared.
    """

    view: SecretView
    outside: Mapping[str, Entry | CortopsError] = field(default_factory=dict)
    files: tuple[FileMode, ...] = ()
    older: str = ""
    unused: tuple[str, ...] = ()
    sealed_for: int = 0
    declared_for: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """Where values may stand. files: (host, path) -> secrets. folders: (host, path) of copies that we made, for root alone."""

    files: Mapping[tuple[str, str], frozenset[str]]
    folders: frozenset[tuple[str, str]] = frozenset()

    def holds(self, found: Found) -> bool:
        """Whether this is a place that must hold it; the mode is another question."""
        if found.where != "file":
            return False
        name = found.secret.partition("@")[0]
        if name in self.files.get((found.host, found.place), frozenset()):
            return True
        return any(found.host == host and found.place.startswith(f"{folder}/") for host, folder in self.folders)


def of_kept(kept: Kept) -> Iterator[Remark]:
    """Everything that can be judged here, without a search."""
    for file in kept.files:
        if file.mode & ~file.most:
            what = f"can be read by others (mode {file.mode:04o})"
            yield Remark(
                level="bad", secret="", where=file.path, what=what, next=f"chmod {file.most:o} {file.path}, then rotate what it opens"
            )
    if kept.older:
        what = "still holds the secrets that were moved"
        yield Remark(level="attention", secret="", where=kept.older, what=what, next="cortops secrets seal")
    if kept.sealed_for != kept.declared_for:
        what = f"is sealed for {kept.sealed_for}, and rules.secrets.recipients names {kept.declared_for}"
        yield Remark(level="attention", secret="", where="the age file", what=what, next="cortops secrets seal")
    for name in kept.unused:
        what = "is sealed here still, and comes from elsewhere"
        yield Remark(level="attention", secret=name, where="the age file", what=what, next=f"cortops secrets remove {name}")
    for want in kept.view.wanted:
        yield from _of_one(kept, want)
    yield from _of_equals(kept.view)


def _of_one(kept: Kept, want: Wanted) -> Iterator[Remark]:
    def remark(level: Level, what: str, cure: str) -> Remark:
        return Remark(level=level, secret=want.name, where=want.outside.cited if want.outside else "", what=what, next=cure)

    given = kept.outside.get(want.name)
    if isinstance(given, CortopsError):
        yield remark("bad", f"{given.what}{f' ({given.why})' if given.why else ''}", given.next)
        return
    entry = kept.view.entries.get(want.name)
    if want.on_host:
        return
    if entry is None:
        yield remark("attention", "is not there yet", "cortops apply makes it" if want.outside is None else "cortops secrets check")
        return
    if why := _ill_formed(want, entry):
        yield remark("bad", why, f"cortops secrets set {want.name}")
        return
    if want.kind in (Kind.AUTHORITY, Kind.CERTIFICATE):
        yield from (remark(level, what, cure) for level, what, cure in _of_certificate(kept.view, want, entry))


def _ill_formed(want: Wanted, entry: Entry) -> str:
    """Why a value is not of its kind, without quoting it."""
    if want.kind not in (Kind.GIVEN, Kind.TOKEN) and entry.kind is not want.kind:
        return f"is kept as {entry.kind.value}, and wanted as {want.kind.value}"
    if want.kind is Kind.WALLET:
        try:
            return "" if wallet.address_of(entry.value) == entry.public else "is not the key of its address"
        except CortopsError as error:
            return error.what
    return ""


def _of_certificate(view: SecretView, want: Wanted, entry: Entry) -> Iterator[tuple[Level, str, str]]:
    from cortops.deploy import authority  # brings cryptography

    left_s = authority.not_after(entry.public) - view.now
    renewing = "cortops apply makes it anew" if want.outside is None else f"renew it where it comes from ({want.outside.told})"
    if left_s < RENEW_BEFORE_S:
        told = f"ended {-left_s / _DAY_S:.0f} days ago" if left_s <= 0 else f"ends in {left_s / _DAY_S:.0f} days"
        yield ("bad" if left_s <= 0 else "attention", told, renewing)
    elif want.outside is None and (why := view.why_missing(want.name)):
        yield ("attention", why, renewing)
    elif missing := [host for host in want.hosts[:1] if not authority.covers(entry.public, [host])]:
        yield ("bad", f"does not cover {missing[0]}", renewing)


def _of_equals(view: SecretView) -> Iterator[Remark]:
    """Two names, one value: whoever has one has both."""
    first: dict[str, str] = {}
    for want in view.wanted:
        entry = None if _is_joined(want) else view.entries.get(want.name)
        if entry is None:
            continue
        other = first.setdefault(entry.value, want.name)
        if other != want.name:
            cure = f"cortops secrets rotate {want.name}" if want.outside is None else "give each a value of its own"
            yield Remark(level="bad", secret=want.name, where="", what=f"has the same value as {other}", next=cure)


def _is_joined(want: Wanted) -> bool:
    """A certificate of files holds the value of its own key's secret."""
    return want.outside is not None and bool(want.outside.parts)


def of_search(searched: Iterable[Searched], allowed: Allowed, wanted: Sequence[Wanted]) -> Iterator[Remark]:
    """What the machines told: values where they must not be, or where others can read them, and what could not be searched."""
    elsewhere = {want.name: want.outside.told for want in wanted if want.outside is not None}
    for one in searched:
        if one.why:
            yield Remark(
                level="attention", secret="", where=one.host, what=f"could not be searched: {one.why}", next="cortops secrets check"
            )
        for name in one.unread:
            what = f"could not be read on {one.host}, so nothing was searched for it there"
            yield Remark(level="attention", secret=name, where=one.host, what=what, next=f"set hosts.{one.host}.sudo: true")
        for found in one.found:
            yield from _of_place(found, allowed, elsewhere)
        for key in one.keys:
            path = next((want.on_host for want in wanted if want.name == key.secret), "")
            if key.mode & 0o007:  # its program refuses it too
                what = f"every user there can read it (mode {key.mode:04o})"
                yield Remark(level="bad", secret=key.secret, where=f"{one.host}:{path}", what=what, next=f"chmod 600 {path} on {one.host}")
            if not key.fits:
                what = "does not hold one key and nothing else"
                yield Remark(level="bad", secret=key.secret, where=f"{one.host}:{path}", what=what, next="put there 0x and 64 hex digits")


def _of_place(found: Found, allowed: Allowed, elsewhere: Mapping[str, str]) -> Iterator[Remark]:
    where = f"{found.host}:{found.place}" if found.where == "file" else f"{found.place} on {found.host}"
    if not allowed.holds(found):
        what = "its value stands where it should not"
        yield Remark(level="bad", secret=found.secret, where=where, what=what, next=_cure(found, elsewhere))
    elif found.mode & OTHERS:
        what = f"others can read it (mode {found.mode:04o})"
        yield Remark(level="attention", secret=found.secret, where=where, what=what, next=f"chmod 600 {found.place} on {found.host}")


def _cure(found: Found, elsewhere: Mapping[str, str]) -> str:
    again = f"cortops secrets rotate {found.secret.partition('@')[0]}"
    if found.secret in elsewhere:
        again = f"make it anew where it comes from ({elsewhere[found.secret]})"
    elif " " in found.secret or found.secret == IDENTITY:
        again = "a new key"
    if found.where == "process":
        return f"start it without the value in its arguments, then {again}"
    return f"remove it there, then {again}" if found.where == "file" else f"it stays in old logs: {again}"
