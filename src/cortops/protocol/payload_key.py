"""How a miner asks a router for a payload's key, and how it hands in a sealed result: bodies, what is signed, and the key's own seal.

Ours (facts J.3, J.4). The miner makes an X25519 pair for this one request and signs its public half with its node's key (EIP-191). The
router answers with the payload's key sealed to that half, so neither a proxy nor a log on the way sees it. A repeated request is refused
by its nonce, a stale one by its time; a stolen answer opens nothing without the private half, which never leaves the miner.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from cortops.protocol.payload_urn import SESSION_MAX, VERSION_MAX, Scope
from cortops.words.errors import BadInput, PayloadAltered

FRESH_S = 60.0  # a request may be this old, and this far in the future
RESULT_ROUTE = "/api/v3/offchain/result"
KEY_ROUTES = {scope: f"/api/v1/auth/payload_enc_key/{scope}" for scope in Scope}
_NO_NONCE = bytes(12)  # the wrapping key is used once: its other half is made for this answer

_Id = Annotated[int, msgspec.Meta(ge=0, le=SESSION_MAX)]
_Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Address = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-fA-F]{40}$")]
_Signature = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-fA-F]{130}$")]


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """What every signed request has. at: seconds since 1970. nonce: 32 random bytes, hex. signature: EIP-191 over `signed_text`."""

    address: _Address
    session: _Id
    task: _Id
    at: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    nonce: _Hex32
    signature: _Signature = "0x" + "0" * 130


class KeyAsked(Signed, frozen=True, kw_only=True):
    """POST /api/v1/auth/payload_enc_key/{session,task}: the key of this seed version, sealed to `public_key` (X25519, hex).

    With scope session `task` is the one that the miner wants it for; the key opens every payload of the session.
    """

    version: Annotated[int, msgspec.Meta(ge=1, le=VERSION_MAX)]
    public_key: _Hex32


class KeyGiven(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: the router's half of this exchange, and the key under both, hex."""

    version: int
    public_key: str
    sealed: str


class ResultHanded(Signed, frozen=True, kw_only=True):
    """POST /api/v3/offchain/result: the sealed object that `urn` names, base64 in JSON."""

    urn: Annotated[str, msgspec.Meta(max_length=256)]
    sealed: bytes


def key_text(environment: str, scope: Scope, asked: KeyAsked) -> str:
    """What the miner signs; names purpose and environment, so that a signature serves nowhere else."""
    what = (scope, str(asked.session), str(asked.task), str(asked.version), asked.public_key)
    return ":".join(("cortops-payload-key", environment, *what, asked.address.lower(), asked.nonce, str(asked.at)))


def result_text(environment: str, handed: ResultHanded) -> str:
    """What the miner signs; the name holds the object's digest."""
    parts = (str(handed.session), str(handed.task), handed.urn, handed.address.lower(), handed.nonce, str(handed.at))
    return ":".join(("cortops-payload-result", environment, *parts))


def is_fresh(at: int, now: float) -> bool:
    """Whether a request of this time may still be answered."""
    return abs(now - at) <= FRESH_S


def public_half(private: bytes) -> str:
    """32 random bytes as the private half -> the public half, hex. Source: RFC 7748."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw().hex()


def wrap_key(key: bytes, text: str, asked: KeyAsked, private: bytes) -> KeyGiven:
    """The key for the one who signed `text`. private: 32 random bytes, for this answer only. Raises BadInput for a half that is none."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    ours = public_half(private)
    wrapping = _wrapping(private, asked.public_key, text, ours)
    return KeyGiven(version=asked.version, public_key=ours, sealed=AESGCM(wrapping).encrypt(_NO_NONCE, key, text.encode()).hex())


def unwrap_key(given: KeyGiven, text: str, private: bytes) -> bytes:
    """The key. Raises PayloadAltered for an answer that is not for this request, or not whole."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        wrapping = _wrapping(private, given.public_key, text, given.public_key)
        return AESGCM(wrapping).decrypt(_NO_NONCE, bytes.fromhex(given.sealed), text.encode())
    except (InvalidTag, ValueError, BadInput) as error:
        raise PayloadAltered("the router's answer holds no key for this request") from error


def _wrapping(private: bytes, public: str, text: str, router_half: str) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    try:
        shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(public)))
    except ValueError as error:
        raise BadInput("public_key is no X25519 public key - at `$.public_key`") from error
    return HKDF(algorithm=SHA256(), length=32, salt=bytes.fromhex(router_half), info=text.encode()).derive(shared)
