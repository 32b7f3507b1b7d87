"""Wanted secrets against those that are there: what a plan may know of each, and what the next apply must make. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from cortops.contracts.keccak import checksummed
from cortops.environment.crosscheck_secrets import AUTHORITY
from cortops.words.errors import BadInput, SecretMissing, UnknownName
from cortops.words.resource import PUBLIC, SecretRef

RENEW_BEFORE_S = 30 * 86_400  # a certificate with less time left is made anew


class Kind(StrEnum):
    """What a secret is, so how it is made and what of it is public."""

    WALLET = "wallet"  # secp256k1 key, 0x…; public part: its address
    TOKEN = "token"  # 32 random bytes, url-safe; no public part
    AUTHORITY = "authority"  # key of a local certificate authority, PEM; public part: its certificate
    CERTIFICATE = "certificate"  # key of a server certificate, PEM; public part: the certificate
    GIVEN = "given"  # only people can set it


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Where a value comes from that we do not keep: a variable, what a command prints, or a file that stays on its host.

    cited: where that is declared. address: of a wallet whose key stays on its host.
    parts: of a certificate, the secrets that it is put together from: its chain, where that is no file, and its key. file: the chain's.
    """

    cited: str
    env: str = ""
    command: tuple[str, ...] = ()
    on_host: str = ""
    address: str = ""
    file: str = ""
    parts: tuple[Wanted, ...] = ()

    @property
    def told(self) -> str:
        """In words; of a command only the program, since its arguments may say more than people want to show."""
        if self.on_host:
            return f"on-host {self.on_host}"
        if self.parts:
            return f"file {self.file.rpartition('/')[2]}" if self.file else f"secret {self.parts[0].name}"
        return f"env {self.env}" if self.env else f"command {self.command[0].rpartition('/')[2]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A secret that the environment needs. hosts, signed_by (an authority's name): of a certificate only. outside: of one not kept here.

    acme: of a certificate that an authority gives; what is made here stands in until then.
    """

    name: str
    kind: Kind
    hosts: tuple[str, ...] = ()
    signed_by: str = ""
    acme: bool = False
    outside: Outside | None = None

    @property
    def on_host(self) -> str:
        """The path at which its value stays, "" for one that comes here."""
        return self.outside.on_host if self.outside else ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A secret as the age file keeps it; created_at in seconds since 1970."""

    value: str
    kind: Kind
    public: str
    created_at: float

    def __repr__(self) -> str:
        return f"Entry(kind={self.kind.value}, value=<redacted>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretView:
    """The wanted secrets at one moment; a missing one shows as a stand-in, the same at every plan and refused for an apply."""

    environment: str
    wanted: tuple[Wanted, ...]
    entries: Mapping[str, Entry] = field(repr=False)
    now: float

    @property
    def missing(self) -> tuple[str, ...]:
        """Names that the next apply makes, new or anew, in the order wanted."""
        return tuple(want.name for want in self.wanted if not _by_people(want) and self.why_missing(want.name))

    @property
    def unset(self) -> tuple[str, ...]:
        """Names that people must set first."""
        return tuple(want.name for want in self.wanted if _by_people(want) and self.why_missing(want.name))

    @property
    def on_host(self) -> dict[str, str]:
        """Name -> the path on its host, of those whose value never comes here."""
        return {want.name: want.on_host for want in self.wanted if want.on_host}

    @property
    def complete(self) -> bool:
        return not (self.missing or self.unset)

    def value(self, name: str, *, for_apply: bool = False) -> str:
        """The value, or a stand-in while planning. SecretMissing for a stand-in with `for_apply`, and for what people have not set."""
        want = self._want(name)
        if want.outside and want.on_host:
            cure = "Let its own host sign: register the node from there; what is registered already, an apply leaves alone."
            raise SecretMissing(f"the key {name} stays on its host, so nothing is signed with it here", where=want.outside.cited, next=cure)
        return self.entries[name].value if self._is_there(name, for_apply) else self._stand_in(name)

    def public(self, name: str, *, for_apply: bool = False) -> str:
        """The public part (an address, a certificate), or a stand-in; raises as `value` does."""
        want = self._want(name)
        if want.outside and want.on_host:
            return want.outside.address
        return self.entries[name].public if self._is_there(name, for_apply) else self._stand_in_public(name)

    def filled(self, ref: SecretRef) -> str:
        """What stands in a file where `ref` does: the value, or the public part; a stand-in while planning."""
        return self.public(ref.name.removeprefix(PUBLIC)) if ref.is_public else self.value(ref.name)

    def shown(self, name: str) -> str:
        """The public part as far as it is known here, else a stand-in; for looking, so nothing missing is an error."""
        want, entry = self._want(name), self.entries.get(name)
        if want.outside and want.on_host:
            return want.outside.address
        return entry.public if entry is not None else self._stand_in_public(name)

    def for_apply(self) -> SecretView:
        """This view if it is complete; SecretMissing naming all that is not there otherwise."""
        if not self.complete:
            raise SecretMissing(f"not there: {', '.join((*self.missing, *self.unset))}", next="Run the apply again: it makes what it can.")
        return self

    def why_missing(self, name: str) -> str:
        """Why the secret must be made, for the plan's reason; empty when it is there and good.

        UnknownName when it is not wanted, BadInput when it is kept as another kind: what people set is never replaced.
        """
        want = self._want(name)
        entry = self.entries.get(name)
        if want.on_host:
            return ""
        if entry is None:
            return "not set" if _by_people(want) else "made by the first apply"
        if entry.kind is not want.kind and want.kind not in (Kind.GIVEN, Kind.TOKEN):  # those two take any text
            cure = f"Set it again: cortops secrets set {name} --kind {want.kind.value}"
            raise BadInput(f"the secret {name} is kept as {entry.kind.value}, but wanted as {want.kind.value}", next=cure)
        if want.outside:  # whoever keeps it renews it; `secrets check` counts its days
            return ""
        if want.acme:  # what an authority gave stays until a new one is obtained
            return self._why_no_longer(entry)
        if want.kind is Kind.AUTHORITY:
            return _ending(entry.public, self.now)
        if want.kind is Kind.CERTIFICATE:
            return self._why_reissue(want, entry)
        return ""

    def _why_no_longer(self, entry: Entry) -> str:
        from cortops.deploy import authority

        signer = self.entries.get(AUTHORITY)
        ours = signer is not None and authority.issued_by(entry.public, signer.public)
        return f"signed by {AUTHORITY}, and no longer wanted so" if ours else ""

    def _why_reissue(self, want: Wanted, entry: Entry) -> str:
        from cortops.deploy import authority  # brings cryptography (45 ms), which `status` does without

        if want.signed_by:
            signer = self.entries.get(want.signed_by)
            if signer is None or _ending(signer.public, self.now) or not authority.issued_by(entry.public, signer.public):
                return f"{want.signed_by} is new: signed anew"
        if not authority.covers(entry.public, want.hosts):
            return f"does not cover {', '.join(host for host in want.hosts if not authority.covers(entry.public, [host]))}"
        return _ending(entry.public, self.now)

    def _is_there(self, name: str, for_apply: bool) -> bool:
        why = self.why_missing(name)
        given = _by_people(self._want(name))
        if why and (for_apply or given):
            cure = f"Set it with: cortops secrets set {name}" if given else "Run the apply again: it makes this secret first."
            raise SecretMissing(f"the secret {name} is not there ({why})", next=cure)
        return not why

    def _want(self, name: str) -> Wanted:
        for want in self.wanted:
            if want.name == name:
                return want
        known = ", ".join(want.name for want in self.wanted) or "none"
        raise UnknownName(f"no secret {name} is wanted by {self.environment} (wanted: {known})")

    def _stand_in(self, name: str) -> str:
        return f"stand-in-{self._digest(name).hex()[:32]}"

    def _stand_in_public(self, name: str) -> str:
        """An address that nobody has the key of, or a text in a certificate's place."""
        kind = self._want(name).kind
        if kind is Kind.WALLET:
            return checksummed(self._digest(name)[:20])
        return self._stand_in(name) if kind in (Kind.AUTHORITY, Kind.CERTIFICATE) else ""

    def _digest(self, name: str) -> bytes:
        return hashlib.sha256(f"cortops stand-in\0{self.environment}\0{name}".encode()).digest()


def _by_people(want: Wanted) -> bool:
    """Whether we never make it."""
    return want.kind is Kind.GIVEN or want.outside is not None


def _ending(pem: str, now: float) -> str:
    from cortops.deploy import authority

    left_s = authority.not_after(pem) - now
    return f"ends in {max(left_s, 0) / 86_400:.0f} days: made anew" if left_s < RENEW_BEFORE_S else ""
