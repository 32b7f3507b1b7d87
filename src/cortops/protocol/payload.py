"""Private payloads, sealed: seeds with versions, one key per session or task, and what is written to the storage. Ours (facts F, J.3).

Router, before a task of a private session is submitted: `named = seal(content, about, seeds.current.key(about), nonce)`; it stores
`named.sealed` at `named.urn.place` and submits `str(named.urn)` in place of the text. Miner, for a task whose text `is_urn`: reads the
object, asks the router for the key of the urn's version (`payload_key`), `open_sealed`s, runs, `seal`s the result with the same key and
`writer` = its own address, and commits the urn. Router, at the commit: `open_sealed` with `seeds.of(urn.version).key(about)`.

Errors tell apart what went wrong: the digest in the name says that bytes were altered, so a key that does not open whole bytes is another
key (wrong seed, or another session, reference, direction or writer than those it was sealed for).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cortops.protocol.payload_urn import VERSION_MAX, Direction, Scope, Urn
from cortops.words.errors import BadInput, PayloadAltered, PayloadTooLarge, SeedMissing, SeedWrong

SEED_KEY = "ENCRYPTION_SEED"  # of an env file: the current seed (facts F); older ones as ENCRYPTION_SEED_V1 ... (ours)
SEED_VERSION_KEY = "ENCRYPTION_SEED_VERSION"  # ours
SEED_BYTES, KEY_BYTES, NONCE_BYTES = 32, 32, 12
SEED_DIFFERENT_BYTES_MIN = 16  # of 32 random bytes nearly all differ: fewer is a placeholder
MAGIC = b"CPP1"  # first bytes of every sealed object: payload, form 1
TAG_BYTES = 16
OBJECT_MIB_MAX = 1.0
_SEED = re.compile(r"(?:0x)?(?P<hex>[0-9a-fA-F]{64})|(?P<token>[A-Za-z0-9_-]{43})")


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What is inside a sealed object. template: of a guided prompt, which may say as much as the prompt itself."""

    text: str
    template: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a payload is sealed for; opened for anything else it stays shut. writer: "" for the router, else the miner's address."""

    environment: str
    session: int
    reference: str
    direction: Direction
    scope: Scope = Scope.TASK
    writer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """One version of the secret that all keys come from. version: from 1. secret: 32 bytes, never shown."""

    version: int
    secret: bytes = field(repr=False)

    def key(self, about: About) -> bytes:
        """The 32 bytes that open payloads of this session, or with Scope.TASK of this reference. Source: RFC 5869 (HKDF-SHA256)."""
        parts = ["key", about.environment, str(about.session), str(about.scope), str(self.version)]
        info = _bound(*parts, *([about.reference] if about.scope is Scope.TASK else []))
        return self._derived(info)

    @property
    def fingerprint(self) -> str:
        """16 digits that two routers with the same seed of this version have in common, and that tell nothing of the seed."""
        return self._derived(_bound("fingerprint", str(self.version)))[:8].hex()

    def _derived(self, info: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=MAGIC, info=info).derive(self.secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """Every version that is held; the one that new payloads are sealed with is `current`."""

    current: Seed
    older: Mapping[int, Seed] = field(default_factory=dict)

    @classmethod
    def read(cls, seed: str, version: int, older: Iterable[tuple[int, str]] = ()) -> Self:
        """As the env file has them: the current one, its version, and those before it. Raises BadInput without quoting a seed."""
        if not 1 <= version <= VERSION_MAX:
            raise BadInput(f"{SEED_VERSION_KEY} is a whole number from 1 to {VERSION_MAX}", where="env file")
        before = {number: read_seed(text, number, key=f"{SEED_KEY}_V{number}") for number, text in older if number != version}
        return cls(current=read_seed(seed, version), older=before)

    @property
    def versions(self) -> tuple[int, ...]:
        return tuple(sorted({self.current.version, *self.older}))

    def of(self, version: int) -> Seed:
        """The seed of this version. Raises SeedMissing."""
        if version == self.current.version:
            return self.current
        if version not in self.older:
            held = ", ".join(map(str, self.versions))
            raise SeedMissing(f"version {version} of the encryption seed is not here; held: {held}")
        return self.older[version]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """An object and its name."""

    urn: Urn
    sealed: bytes = field(repr=False)


def read_seed(text: str, version: int, *, key: str = SEED_KEY) -> Seed:
    """32 bytes as 64 hexadecimal digits, or as 43 of base64url, -> Seed. Raises BadInput, without quoting it, for anything else and for
    what nobody drew by chance.
    """
    found = _SEED.fullmatch(text.strip())
    if found is None:
        raise BadInput(f"{key} is not 64 hexadecimal digits (32 random bytes)", where="env file", next="make one: openssl rand -hex 32")
    secret = bytes.fromhex(found["hex"]) if found["hex"] else base64.urlsafe_b64decode(found["token"] + "=")
    if len(set(secret)) < SEED_DIFFERENT_BYTES_MIN:
        raise BadInput(f"{key} is a placeholder, not 32 random bytes", where="env file", next="make one: openssl rand -hex 32")
    return Seed(version=version, secret=secret)


def seal(content: Content, about: About, version: int, key: bytes, nonce: bytes, *, object_mib_max: float = OBJECT_MIB_MAX) -> Sealed:
    """AES-256-GCM under `key`, bound to `about` and `version`. nonce: 12 bytes of chance, never used twice. Raises PayloadTooLarge."""
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"a nonce has {NONCE_BYTES} bytes")
    sealed = MAGIC + nonce + AESGCM(key).encrypt(nonce, msgspec.json.encode(content), _associated(about, version))
    if len(sealed) > object_mib_max * 2**20:
        raise PayloadTooLarge(f"the sealed {about.direction} has {len(sealed)} bytes, at most {object_mib_max:g} MiB are kept")
    digest = hashlib.sha256(sealed).hexdigest()
    urn = Urn(
        environment=about.environment,
        session=about.session,
        direction=about.direction,
        scope=about.scope,
        version=version,
        digest=digest,
    )
    return Sealed(urn=urn, sealed=sealed)


def open_sealed(urn: Urn, sealed: bytes, about: About, key: bytes) -> Content:
    """What is inside. Raises PayloadAltered (not the bytes that were named), SeedWrong (whole bytes that this key does not open)."""
    if hashlib.sha256(sealed).hexdigest() != urn.digest:
        raise PayloadAltered(f"the object of {urn.direction} {urn.digest[:12]} is not the one that was named", where=urn.place)
    nonce, rest = sealed[len(MAGIC) : len(MAGIC) + NONCE_BYTES], sealed[len(MAGIC) + NONCE_BYTES :]
    if not sealed.startswith(MAGIC) or len(rest) < TAG_BYTES:
        raise PayloadAltered(f"the object of {urn.direction} {urn.digest[:12]} is no sealed payload", where=urn.place)
    try:
        return msgspec.json.decode(AESGCM(key).decrypt(nonce, rest, _associated(about, urn.version)), type=Content)
    except (InvalidTag, msgspec.DecodeError) as error:
        what = f"the key of version {urn.version} does not open {urn.direction} {urn.digest[:12]} of session {urn.session}"
        raise SeedWrong(what, where=urn.place) from error


def _associated(about: About, version: int) -> bytes:
    parts = [about.environment, str(about.session), about.reference, str(about.direction), str(about.scope), str(version)]
    return _bound("payload", *parts, about.writer.lower())


def _bound(*parts: str) -> bytes:
    """One encoding for one list of parts, whatever they hold."""
    return msgspec.json.encode(parts)
