"""Key pairs for SSH, made for one run."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """private: the text of an OpenSSH key file. public: `ssh-ed25519 AAAA...`."""

    private: str
    public: str


def new_pair() -> KeyPair:
    """A new ed25519 pair, without a passphrase."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return KeyPair(private=private, public=key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())
