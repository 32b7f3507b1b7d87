"""Certificates that others made: PEM chain and key, every reason why they cannot be used at once, and whether it is time for new ones.

Time is an argument; nothing here quotes a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cortops.deploy.authority import Issued, covers
from cortops.words.errors import BadInput

CHAIN_MAX = 10
RSA_BITS_MIN = 2048
RENEW_BELOW_FRACTION = 1 / 3  # of its life left: time for a new one. Source: RFC 8555 has none; what authorities ask of clients
_DAY_S = 86_400

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def pair(text: str) -> Issued:
    """PEM text with a private key and its certificate, then those above it -> Issued. BadInput with every reason why it is none."""
    chain, key = _chain(text), _key(text)
    found = [one for one in (chain, key) if isinstance(one, str)]
    if isinstance(chain, str) or isinstance(key, str):
        raise BadInput("; ".join(found))
    if chain[0].public_key() != key.public_key():
        raise BadInput("the private key does not belong to the certificate")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Issued(certificate="".join(_pem(one) for one in chain), key=pem.decode())


def why_not(chain_pem: str, key_pem: str | None, hostnames: Sequence[str], now: float) -> tuple[str, ...]:
    """Every reason why this certificate cannot serve these names now; () where it can. key_pem: None where the key is not looked at.

    now: seconds since 1970.
    """
    return tuple(_reasons(_chain(chain_pem), _key(key_pem) if key_pem is not None else None, hostnames, now))


def _reasons(chain: Sequence[x509.Certificate] | str, key: Key | str | None, hostnames: Sequence[str], now: float) -> Iterator[str]:
    if isinstance(key, str):
        yield key
    if isinstance(chain, str):
        yield chain
        return
    first = chain[0]
    if key is not None and not isinstance(key, str) and first.public_key() != key.public_key():
        yield "the private key does not belong to the certificate"
    if missing := [name for name in hostnames if not covers(_pem(first), [name])]:
        yield f"it does not cover {', '.join(missing)} (it covers {', '.join(_names(first)[:5]) or 'no name'})"
    yield from _dates(first, now)
    for upper, lower in zip(chain[1:], chain, strict=False):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature):
            yield f"the chain is broken: {_called(lower)} is not signed by {_called(upper)}, which comes after it"
        if upper.not_valid_after_utc.timestamp() <= now:
            yield f"{_called(upper)} in its chain ended on {upper.not_valid_after_utc:%Y-%m-%d}"


def due(chain_pem: str, now: float) -> str:
    """Why it is time for a new certificate: `29 of 90`, the days left; "" while a third of its life or more is left."""
    found = x509.load_pem_x509_certificate(chain_pem.encode())
    begins, ends = found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
    if ends - now >= (ends - begins) * RENEW_BELOW_FRACTION:
        return ""
    return f"{max(ends - now, 0) / _DAY_S:.0f} of {(ends - begins) / _DAY_S:.0f}"


def _dates(one: x509.Certificate, now: float) -> Iterator[str]:
    if one.not_valid_before_utc.timestamp() > now:
        yield f"it begins on {one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC only"
    if one.not_valid_after_utc.timestamp() <= now:
        yield f"it ended on {one.not_valid_after_utc:%Y-%m-%d}"


def _chain(text: str) -> list[x509.Certificate] | str:
    try:
        chain = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        return "there is no PEM certificate in it"
    return chain if len(chain) <= CHAIN_MAX else f"its chain has {len(chain)} certificates, at most {CHAIN_MAX} are read"


def _key(text: str) -> Key | str:
    at = max(text.find("-----BEGIN PRIVATE"), text.find("-----BEGIN EC PRIVATE"), text.find("-----BEGIN RSA PRIVATE"))
    try:
        key = serialization.load_pem_private_key(text[max(at, 0) :].encode(), password=None)
    except (ValueError, TypeError):  # the library's text may quote the key: not repeated
        return "the key is no PEM private key without a password"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < RSA_BITS_MIN:
        return f"the key is RSA of {key.key_size} bits, at least {RSA_BITS_MIN} are needed"
    if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        return key
    return "the key is of a kind that nginx does not take: make an elliptic-curve or RSA key"


def _names(one: x509.Certificate) -> list[str]:
    try:
        return one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        return []


def _called(one: x509.Certificate) -> str:
    return one.subject.rfc4514_string()[:80] or "a certificate without a name"


def _pem(one: x509.Certificate) -> str:
    return one.public_bytes(serialization.Encoding.PEM).decode()
