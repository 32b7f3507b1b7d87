"""Certificates that others made: all that is wrong is told at once; and when it is time for a new one."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cortops.deploy import authority, certificates
from cortops.deploy.authority import Issued
from cortops.deploy.secrets import SecretStore
from cortops.deploy.secrets_made import joined
from cortops.deploy.wanted import Kind, Outside, Wanted
from cortops.testing.clock import VirtualClock
from cortops.words.errors import BadInput, SecretMissing

START = 1_795_800_000.0
DAY_S = 86_400
NAME = "api.lab.example"


def seed(text: str) -> authority.RandomBytes:
    return lambda count: hashlib.shake_256(text.encode()).digest(count)


CA = authority.make_authority("lab", START, seed("ca"))
OTHER_CA = authority.make_authority("other", START, seed("other"))
GOOD = authority.issue(CA, [NAME, "*.apps.lab.example"], START, seed("good"))
CHAIN = GOOD.certificate + CA.certificate


def rsa_pair(bits: int) -> Issued:
    """Signed by itself; made anew, since RSA has no key of a seed."""
    key = rsa.generate_private_key(65537, bits)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rsa")])
    builder = x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=1)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    begins = datetime.datetime.fromtimestamp(START - 60, datetime.UTC)
    built = builder.not_valid_before(begins).not_valid_after(begins + datetime.timedelta(days=90)).sign(key, hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return Issued(certificate=built.public_bytes(serialization.Encoding.PEM).decode(), key=pem.decode())


@pytest.mark.parametrize(
    ("chain", "key", "names", "at", "reasons"),
    [
        (CHAIN, GOOD.key, [NAME], START, ()),
        (CHAIN, GOOD.key, ["one.apps.lab.example"], START, ()),
        (
            CHAIN,
            GOOD.key,
            ["two.one.apps.lab.example", "apps.lab.example"],
            START,
            ("it does not cover two.one", "apps.lab.example (it covers"),
        ),
        (CHAIN, CA.key, [NAME], START, ("the private key does not belong to the certificate",)),
        (CHAIN, "", [NAME], START, ("the key is no PEM private key without a password",)),
        ("nothing", "nothing", [NAME], START, ("the key is no PEM private key", "there is no PEM certificate in it")),
        (GOOD.certificate + OTHER_CA.certificate, GOOD.key, [NAME], START, ("the chain is broken: CN=api.lab.example is not signed by",)),
        (CHAIN, GOOD.key, [NAME], START + 400 * DAY_S, ("it ended on 2027-12-29",)),
        (CHAIN, GOOD.key, [NAME], START - DAY_S, ("it begins on 2026-11-27",)),
        (
            CHAIN,
            CA.key,
            ["x.example"],
            START + 4000 * DAY_S,
            ("does not belong", "does not cover x.example", "it ended", "in its chain ended"),
        ),
        (GOOD.certificate * 11, GOOD.key, [NAME], START, ("its chain has 11 certificates, at most 10 are read",)),
    ],
)
def test_every_reason_at_once(chain: str, key: str, names: list[str], at: float, reasons: tuple[str, ...]) -> None:
    found = certificates.why_not(chain, key, names, at)
    told = "; ".join(found)
    assert bool(found) == bool(reasons)
    assert [reason for reason in reasons if reason not in told] == []


def test_rsa_is_read_where_it_is_long_enough() -> None:
    good, short = rsa_pair(2048), rsa_pair(1024)
    assert certificates.why_not(good.certificate, good.key, [NAME], START) == ()
    assert "BEGIN PRIVATE KEY" in certificates.pair(good.key + good.certificate).key
    assert certificates.why_not(short.certificate, short.key, [NAME], START) == ("the key is RSA of 1024 bits, at least 2048 are needed",)


def test_a_pair_keeps_its_chain_and_no_error_quotes_a_key() -> None:
    assert certificates.pair(GOOD.key + CHAIN) == Issued(certificate=CHAIN, key=GOOD.key)
    with pytest.raises(BadInput, match="does not belong"):
        certificates.pair(CA.key + CHAIN)
    broken = GOOD.key.replace("\n", "\nZZZZ", 2)
    with pytest.raises(BadInput) as caught:
        certificates.pair(broken + CHAIN)
    assert GOOD.key.splitlines()[1][:20] not in f"{caught.value.what}{caught.value.why}"


@pytest.mark.parametrize(("day", "due"), [(0, ""), (264, ""), (266, "131 of 397"), (398, "0 of 397")])
def test_less_than_a_third_of_its_life_is_time_for_a_new_one(day: int, due: str) -> None:
    assert certificates.due(GOOD.certificate, START + day * DAY_S) == due


def test_a_certificate_of_files_is_put_together_from_file_and_secret(tmp_path: Path) -> None:
    path = tmp_path / "api.pem"
    key = Wanted(name="api/tls-key", kind=Kind.GIVEN)
    outside = Outside(cited="lab.yaml:9", file=str(path), parts=(key,))
    want = Wanted(name=f"tls/{NAME}", kind=Kind.CERTIFICATE, hosts=(NAME,), outside=outside)
    store = SecretStore(tmp_path / "secrets", VirtualClock(start=START), seed("store"), environment="lab")
    with pytest.raises(SecretMissing, match="api/tls-key is not set"):
        store.view([key, want])
    store.set(key.name, GOOD.key)
    store = SecretStore(tmp_path / "secrets", VirtualClock(start=START), seed("store"), environment="lab")
    with pytest.raises(BadInput, match=r"api\.pem cannot be read"):
        store.view([key, want])
    path.write_text(CHAIN)
    store = SecretStore(tmp_path / "secrets", VirtualClock(start=START), seed("store"), environment="lab")
    view = store.view([key, want])
    assert (view.public(want.name), view.value(want.name)) == (CHAIN, "")  # the key has a name of its own
    assert (view.missing, view.unset) == ((), ())
    store.ensure([key, want])
    assert store.publics([want]) == {want.name: CHAIN}  # as it was last seen, without opening anything
    assert store.names() == (key.name, want.name)
    path.write_text(OTHER_CA.certificate)
    with pytest.raises(BadInput, match=rf"{NAME} cannot be used: the private key does not belong to the certificate; it does not cover"):
        joined(want, outside, [GOOD.key], START)
