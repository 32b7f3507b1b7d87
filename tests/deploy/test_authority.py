from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.deploy import authority
from cortops.deploy.authority import Issued, covers, issue, issued_by, make_authority, not_after, read
from cortops.words.errors import BadInput

NOW = 1_800_000_000.0
DAY_S = 86_400


def chance(seed: str) -> Callable[[int], bytes]:
    """Random bytes that a label decides."""
    count = 0

    def random_bytes(length: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(f"{seed} {count}".encode()).digest(length)

    return random_bytes


CA = make_authority("lab", NOW, chance("ca"))


def shake_hands(folder: Path, server: Issued, trusted: str, name: str) -> None:
    """A TLS handshake in memory; raises as a client would that trusts only `trusted`."""
    pem = folder / "server.pem"
    pem.write_text(server.certificate + server.key)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(pem)
    client_context = ssl.create_default_context(cadata=trusted)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    answering = server_context.wrap_bio(to_server, to_client, server_side=True)
    left = [client, answering]
    for _ in range(10):
        for side in tuple(left):
            try:
                side.do_handshake()
                left.remove(side)
            except ssl.SSLWantReadError:
                continue
    assert not left


def test_a_client_that_trusts_the_authority_accepts_the_server_and_no_other_does(tmp_path: Path) -> None:
    now = time.time()
    ours, other = make_authority("ours", now, chance("ours")), make_authority("other", now, chance("other"))
    server = issue(ours, ["gateway.localhost", "*.lab.example"], now, chance("server"))
    for name in ("gateway.localhost", "api.lab.example", "localhost", "127.0.0.1"):
        shake_hands(tmp_path, server, ours.certificate, name)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"unable to get local issuer|self.signed"):
        shake_hands(tmp_path, server, other.certificate, "localhost")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(tmp_path, server, ours.certificate, "elsewhere.example")


def test_an_expired_certificate_is_refused_by_a_client(tmp_path: Path) -> None:
    then = time.time() - 400 * DAY_S
    ours = make_authority("ours", then, chance("ours"))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake_hands(tmp_path, issue(ours, [], then, chance("server")), ours.certificate, "localhost")


def test_validity() -> None:
    assert not_after(CA.certificate) == NOW + 3650 * DAY_S
    assert not_after(issue(CA, [], NOW, chance("a")).certificate) == NOW + 397 * DAY_S
    late = NOW + 3600 * DAY_S
    assert not_after(issue(CA, [], late, chance("a")).certificate) == not_after(CA.certificate)
    with pytest.raises(BadInput, match="has expired"):
        issue(CA, [], NOW + 3651 * DAY_S, chance("a"))


def test_issued_by_follows_the_key_not_the_name() -> None:
    renewed = make_authority("lab", NOW, chance("another"))
    server = issue(CA, ["x.example"], NOW, chance("a"))
    assert issued_by(server.certificate, CA.certificate)
    assert not issued_by(server.certificate, renewed.certificate)
    assert issued_by(CA.certificate, CA.certificate)


def test_equal_chance_gives_equal_keys_and_other_chance_others() -> None:
    assert make_authority("lab", NOW, chance("ca")).key == CA.key
    assert make_authority("lab", NOW, chance("cb")).key != CA.key


@pytest.mark.parametrize(
    ("names", "covered"),
    [
        (["api.lab.example", "127.0.0.1", "localhost", "::1"], True),
        (["API.Lab.Example."], True),
        (["deep.api.lab.example"], False),
        (["wild.test"], False),
        (["a.wild.test", "b.wild.test"], True),
        (["a.b.wild.test"], False),
        (["10.1.2.3"], True),
        (["10.1.2.4"], False),
        (["api.lab.example", "other.example"], False),
        ([], True),
    ],
)
def test_covers(names: list[str], covered: bool) -> None:
    pem = issue(CA, ["api.lab.example", "*.wild.test", "10.1.2.3"], NOW, chance("a")).certificate
    assert covers(pem, names) is covered


def test_an_authority_covers_no_name() -> None:
    assert not covers(CA.certificate, ["localhost"])


@pytest.mark.parametrize("name", ["", "a..b", "-a.example", "a b.example", "ü.example", "a" * 64 + ".example", "*.*.example", "x/y"])
def test_a_name_that_no_host_can_have_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="no host name or IP address"):
        issue(CA, [name], NOW, chance("a"))


label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.lists(label, min_size=2, max_size=4).map(".".join).filter(lambda name: not name.rsplit(".", 1)[-1].isdigit()), max_size=5)
)
def test_what_is_issued_for_names_covers_them(names: list[str]) -> None:
    pem = issue(CA, names, NOW, chance("a")).certificate
    assert covers(pem, [*names, *authority.LOCAL_NAMES])
    assert not covers(pem, ["never.named.example.org"])


def test_read_takes_any_order_and_refuses_what_does_not_belong_together() -> None:
    server = issue(CA, ["x.example"], NOW, chance("a"))
    assert read(server.certificate + server.key) == read("text before\n" + server.key + server.certificate) == server
    with pytest.raises(BadInput, match="does not belong"):
        read(server.certificate + CA.key)
    for text in ("", server.certificate, server.key, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(BadInput, match="no PEM"):
            read(text)


def test_the_key_does_not_show_itself() -> None:
    assert CA.key not in repr(CA)
    assert "PRIVATE" not in repr(CA)
    assert authority.fingerprint(CA.certificate) == hashlib.sha256(ssl.PEM_cert_to_DER_cert(CA.certificate)).hexdigest()
