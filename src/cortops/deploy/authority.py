"""The local certificate authority: what browsers and clients of this machine's environment trust. Time and randomness are arguments.

Only an ECDSA signature draws randomness of its own, inside the library.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cortops.environment.certificates import STAND_IN
from cortops.words.errors import BadInput

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 397  # the longest that browsers accept
BACKDATED_S = 3600  # for clients whose clock is a little slow
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")  # always in a server certificate
STAND_IN_DAYS = 90
_DAY_S = 86_400
_COMMON_NAME_MAX = 64  # RFC 5280, ub-common-name
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256. Source: FIPS 186-4 D.1.2.3

RandomBytes = Callable[[int], bytes]
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate (PEM, public) and its private key (PEM, PKCS 8, never shown)."""

    certificate: str
    key: str = field(repr=False)


def make_authority(environment: str, now: float, random_bytes: RandomBytes) -> Issued:
    """A certificate authority for one environment, valid 10 years from `now` (seconds since 1970)."""
    key = new_key(random_bytes)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"cortops local CA {environment}"[:_COMMON_NAME_MAX])])
    builder = _builder(name, name, key, now, now + AUTHORITY_DAYS * _DAY_S, random_bytes)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return Issued(certificate=_pem(builder.sign(key, hashes.SHA256())), key=_key_pem(key))


def issue(authority: Issued, names: Sequence[str], now: float, random_bytes: RandomBytes) -> Issued:
    """A server certificate for DNS names (a `*.` first label is allowed) and IP addresses, and always for this machine's own names.

    Valid 397 days from `now`, never longer than the authority. BadInput for a name that is neither, or an authority that has expired.
    """
    signer = x509.load_pem_x509_certificate(authority.certificate.encode())
    signer_key = _load_key(authority.key)
    ends = min(now + CERTIFICATE_DAYS * _DAY_S, not_after(authority.certificate))
    if ends <= now:
        raise BadInput("the certificate authority has expired", next="Remove it, and the next apply makes a new one.")
    wanted = list(dict.fromkeys([*names, *LOCAL_NAMES]))
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in wanted])
    key = new_key(random_bytes)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted[0][:_COMMON_NAME_MAX])])
    builder = _builder(subject, signer.subject, key, now, ends, random_bytes)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(alternatives, critical=False)
    known = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key())
    builder = builder.add_extension(known, critical=False)
    return Issued(certificate=_pem(builder.sign(signer_key, hashes.SHA256())), key=_key_pem(key))


def stand_in(names: Sequence[str], now: float, random_bytes: RandomBytes) -> Issued:
    """What nginx serves until an authority gives a certificate: signed by itself, so trusted by nobody. Its text begins with STAND_IN."""
    key = new_key(random_bytes)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cortops stand-in")])
    builder = _builder(subject, subject, key, now, now + STAND_IN_DAYS * _DAY_S, random_bytes)
    builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    return Issued(certificate=f"{STAND_IN}\n{_pem(builder.sign(key, hashes.SHA256()))}", key=_key_pem(key))


def not_after(pem: str) -> float:
    """When a certificate ends, in seconds since 1970. BadInput when it is no certificate."""
    return _load(pem).not_valid_after_utc.timestamp()


def covers(pem: str, names: Iterable[str]) -> bool:
    """Whether the certificate is valid for every one of the names (DNS, exact or by its wildcard; or IP). Source: RFC 6125 6.4.3."""
    try:
        alternatives = _load(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    hosts = {name.lower() for name in alternatives.get_values_for_type(x509.DNSName)}
    addresses = {address for address in alternatives.get_values_for_type(x509.IPAddress) if isinstance(address, _Address)}
    return all(_covered(name.lower().rstrip("."), hosts, addresses) for name in names)


def issued_by(pem: str, authority_pem: str) -> bool:
    """Whether the authority's key signed the certificate."""
    try:
        _load(pem).verify_directly_issued_by(_load(authority_pem))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def read(text: str) -> Issued:
    """PEM text with one certificate and its private key, in any order -> Issued. BadInput when they do not belong together."""
    certificate = _load(text)
    key = _load_key(text)
    if certificate.public_key() != key.public_key():
        raise BadInput("the private key does not belong to the certificate")
    return Issued(certificate=_pem(certificate), key=_key_pem(key))


def fingerprint(pem: str) -> str:
    """SHA-256 of the certificate's DER form, hex: what `openssl x509 -fingerprint -sha256` shows."""
    return _load(pem).fingerprint(hashes.SHA256()).hex()


def _covered(name: str, hosts: set[str], addresses: set[_Address]) -> bool:
    address = _address(name)
    if address is not None:
        return address in addresses
    _, dot, parent = name.partition(".")
    return name in hosts or (bool(dot) and f"*.{parent}" in hosts)


def _address(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _general_name(name: str) -> x509.GeneralName:
    address = _address(name)
    if address is not None:
        return x509.IPAddress(address)
    host = name.removeprefix("*.")
    labels = host.split(".")
    if len(name) > 253 or not all(_is_label(label) for label in labels):
        raise BadInput(f"{name!r} is no host name or IP address")
    return x509.DNSName(name.lower())


def _is_label(label: str) -> bool:
    return 0 < len(label) <= 63 and label.isascii() and label.replace("-", "a").replace("_", "a").isalnum() and label.strip("-") == label


def new_key(random_bytes: RandomBytes) -> ec.EllipticCurvePrivateKey:
    """A P-256 key from 48 random bytes: 128 bits more than needed, so that the remainder is even. Source: FIPS 186-5 A.2.1."""
    number = int.from_bytes(random_bytes(48)) % (_ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: float, ends: float, random_bytes: RandomBytes
) -> x509.CertificateBuilder:
    serial = int.from_bytes(random_bytes(19)) + 1  # positive and at most 20 bytes. Source: RFC 5280 4.1.2.2
    return (
        x509.CertificateBuilder(issuer_name=issuer, subject_name=subject, public_key=key.public_key(), serial_number=serial)
        .not_valid_before(time_of(now - BACKDATED_S))
        .not_valid_after(time_of(ends))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def time_of(seconds: float) -> datetime.datetime:
    """Seconds since 1970 as certificates have them."""
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def _load(pem: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise BadInput("this is no PEM certificate", why=str(error)) from error


def _load_key(pem: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:  # the library's text may quote the key: not repeated
        raise BadInput("this is no PEM private key without a password") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadInput("the private key is not an elliptic-curve key", next="Make one with: openssl ecparam -name prime256v1 -genkey")
    return key
