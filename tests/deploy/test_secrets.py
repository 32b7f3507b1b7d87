from __future__ import annotations

import hashlib
import json
import stat
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from cortops.contracts import wallet
from cortops.contracts.keccak import keccak_hex
from cortops.deploy import authority
from cortops.deploy.redact import REDACTED
from cortops.deploy.secrets import SecretStore
from cortops.deploy.wanted import RENEW_BEFORE_S, Kind, Wanted
from cortops.testing.clock import START, VirtualClock
from cortops.words.errors import BadInput, PermissionMissing, SecretMissing, StoreUnavailable

WALLET = Wanted(name="router-1/wallet", kind=Kind.WALLET)
API_KEY = Wanted(name="router-1/api-key", kind=Kind.TOKEN)
CA = Wanted(name="ca", kind=Kind.AUTHORITY)
TLS = Wanted(name="tls/gateway", kind=Kind.CERTIFICATE, hosts=("gateway.localhost",), signed_by="ca")
CHAT = Wanted(name="ops-chat", kind=Kind.GIVEN)
ALL = (TLS, WALLET, API_KEY, CA)  # the certificate before its authority: order is the store's concern
KEY = keccak_hex(b"a wallet of this test")


def chance(seed: str = "") -> Callable[[int], bytes]:
    count = 0

    def random_bytes(length: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(f"{seed} {count}".encode()).digest(length)

    return random_bytes


def store(folder: Path, clock: VirtualClock | None = None, seed: str = "") -> SecretStore:
    return SecretStore(folder / "secrets", clock or VirtualClock(), chance(seed), environment="lab")


def later(days: float) -> VirtualClock:
    return VirtualClock(START + days * 86_400)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_all_kinds_are_made_once_and_read_back(tmp_path: Path) -> None:
    secrets = store(tmp_path)
    assert set(secrets.ensure(ALL)) == {want.name for want in ALL}
    view = secrets.view(ALL).for_apply()
    assert view.public(WALLET.name) == wallet.address_of(view.value(WALLET.name))
    assert len(view.value(API_KEY.name)) == 43
    assert authority.issued_by(view.public(TLS.name), view.public(CA.name))
    assert authority.covers(view.public(TLS.name), ["gateway.localhost", "localhost", "127.0.0.1"])
    assert view.value(TLS.name).startswith("-----BEGIN PRIVATE KEY-----")
    again = store(tmp_path, seed="other chance")
    assert again.ensure(ALL) == ()
    assert again.view(ALL) == view
    assert again.value(API_KEY.name) == view.value(API_KEY.name)
    again.generate(API_KEY)
    assert again.value(API_KEY.name) == view.value(API_KEY.name)


def test_the_index_shows_all_but_values(tmp_path: Path) -> None:
    secrets = store(tmp_path)
    assert secrets.index() == secrets.names() == ()
    secrets.ensure(ALL)
    secrets.set("a", "one value")
    secrets.set("b", "one value")
    secrets.set("c", "another value")
    assert secrets.names() == ("a", "b", "c", "ca", "router-1/api-key", "router-1/wallet", "tls/gateway")
    index = {entry.name: entry for entry in secrets.index()}
    assert index[WALLET.name].public == secrets.view(ALL).public(WALLET.name)
    assert index["a"].created_at == START
    assert index["a"].fingerprint == index["b"].fingerprint != index["c"].fingerprint
    assert index["a"].fingerprint not in hashlib.sha256(b"one value").hexdigest()
    text = (tmp_path / "secrets" / "index.json").read_text()
    for name in secrets.names():
        assert secrets.value(name).split("\n")[1 if "\n" in secrets.value(name) else 0] not in text


def test_the_files_are_ours_alone_and_hold_no_value(tmp_path: Path) -> None:
    secrets = store(tmp_path)
    (tmp_path / "secrets").mkdir(mode=0o755)
    secrets.set("a", "one value")
    folder = tmp_path / "secrets"
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir() if path.name != "lock"} == {
        "identity.txt": 0o600,
        "index.json": 0o600,
        "secrets.age": 0o600,
    }
    assert (folder / "secrets.age").read_bytes().startswith(b"age-encryption.org/v1\n")
    assert not any(b"one value" in path.read_bytes() for path in folder.iterdir())
    identity = pyrage.x25519.Identity.from_str((folder / "identity.txt").read_text().strip())
    assert json.loads(pyrage.decrypt((folder / "secrets.age").read_bytes(), [identity]))["a"]["value"] == "one value"


def test_a_missing_secret_says_how_to_set_it(tmp_path: Path) -> None:
    with pytest.raises(SecretMissing, match="ops-chat is not set") as caught:
        store(tmp_path).value("ops-chat")
    assert caught.value.next == "Set it with: cortops secrets set ops-chat"
    assert not (tmp_path / "secrets").exists()


@pytest.mark.parametrize("name", ["", "-x", "a b", "../x", "a/../b", "x" * 129, "a\nb", "ü"])
def test_a_name_must_be_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="no name for a secret"):
        store(tmp_path).set(name, "value")


@pytest.mark.parametrize(("kind", "value"), [(Kind.GIVEN, ""), (Kind.GIVEN, "x" * 65_537), (Kind.WALLET, "0x1234"), (Kind.AUTHORITY, KEY)])
def test_a_value_must_be_of_its_kind_and_is_not_quoted(tmp_path: Path, kind: Kind, value: str) -> None:
    secrets = store(tmp_path)
    with pytest.raises(BadInput) as caught:
        secrets.set("a", value, kind)
    assert not value or value not in "".join(traceback.format_exception(caught.value))
    assert secrets.names() == ()


def test_what_people_set_is_taken_as_it_is(tmp_path: Path) -> None:
    secrets = store(tmp_path)
    secrets.set(WALLET.name, KEY, Kind.WALLET)
    secrets.set(API_KEY.name, "my own key", Kind.GIVEN)
    made = authority.make_authority("elsewhere", START, chance("elsewhere"))
    secrets.set(CA.name, made.key + made.certificate, Kind.AUTHORITY)
    assert secrets.ensure(ALL) == (TLS.name,)
    view = secrets.view(ALL).for_apply()
    assert view.value(WALLET.name) == KEY
    assert view.value(API_KEY.name) == "my own key"
    assert authority.issued_by(view.public(TLS.name), made.certificate)


def test_a_removed_secret_is_gone_from_file_and_index(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.set(CHAT.name, "a-chat-token")
    kept.set("other", "another-value")
    kept.remove(CHAT.name)
    assert kept.names() == ("other",) and kept.value("other") == "another-value"
    with pytest.raises(SecretMissing, match="ops-chat is not set"):
        kept.remove(CHAT.name)


def test_a_value_of_another_kind_is_never_replaced(tmp_path: Path) -> None:
    secrets = store(tmp_path)
    secrets.set(WALLET.name, "some words")
    with pytest.raises(BadInput, match="kept as given, but wanted as wallet"):
        secrets.ensure(ALL)
    assert secrets.value(WALLET.name) == "some words"
    assert secrets.names() == (WALLET.name,)


def test_what_only_people_can_set_stops_an_apply_before_anything_is_made(tmp_path: Path) -> None:
    secrets = store(tmp_path)
    view = secrets.view([*ALL, CHAT])
    assert view.unset == (CHAT.name,)
    assert CHAT.name not in view.missing
    for ask in (
        lambda: view.value(CHAT.name),
        lambda: view.for_apply(),
        lambda: secrets.ensure([*ALL, CHAT]),
        lambda: secrets.generate(CHAT),
    ):
        with pytest.raises(SecretMissing, match=CHAT.name):
            ask()
    assert secrets.names() == ()


def test_a_certificate_is_made_anew_when_it_must_be_and_its_key_too(tmp_path: Path) -> None:
    store(tmp_path).ensure(ALL)
    before = store(tmp_path).view(ALL)
    for days, made in [(0, ()), (300, ()), (397 - RENEW_BEFORE_S / 86_400 + 1, (TLS.name,))]:
        secrets = store(tmp_path, later(days), seed=f"chance {days}")
        assert secrets.view(ALL).missing == made
        assert secrets.ensure(ALL) == made
    assert store(tmp_path, later(370)).view(ALL).public(TLS.name) != before.public(TLS.name)
    assert store(tmp_path, later(370)).view(ALL).value(CA.name) == before.value(CA.name)
    wider = Wanted(name=TLS.name, kind=TLS.kind, hosts=("gateway.localhost", "api.lab.example"), signed_by="ca")
    secrets = store(tmp_path, later(370), seed="wider")
    assert secrets.view([wider]).why_missing(TLS.name) == "does not cover api.lab.example"
    assert secrets.ensure([CA, wider]) == (TLS.name,)


def test_a_new_authority_signs_its_certificates_in_the_same_write(tmp_path: Path) -> None:
    store(tmp_path).ensure(ALL)
    secrets = store(tmp_path, later(3650), seed="ten years later")
    assert secrets.ensure(ALL) == (CA.name, TLS.name)
    view = secrets.view(ALL).for_apply()
    assert authority.issued_by(view.public(TLS.name), view.public(CA.name))


def test_a_certificate_needs_its_authority(tmp_path: Path) -> None:
    with pytest.raises(SecretMissing, match="needs the authority ca"):
        store(tmp_path).ensure([TLS])


def test_an_identity_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secrets = store(tmp_path)
    secrets.set("a", "one value")
    (tmp_path / "secrets" / "identity.txt").chmod(0o644)
    with pytest.raises(PermissionMissing, match=r"can be read by others \(mode 0644\)") as caught:
        secrets.value("a")
    assert "chmod 600" in caught.value.next


def test_a_lost_or_damaged_file_is_said_and_nothing_is_written_over_it(tmp_path: Path) -> None:
    secrets = store(tmp_path)
    secrets.set("a", "one value")
    folder = tmp_path / "secrets"
    sealed, identity = (folder / "secrets.age").read_bytes(), (folder / "identity.txt").read_bytes()

    def refused(told: str) -> None:
        for act in (lambda: secrets.value("a"), lambda: secrets.ensure(ALL), lambda: secrets.set("b", "x"), lambda: secrets.view(ALL)):
            with pytest.raises(StoreUnavailable, match=told) as caught:
                act()
            assert str(folder) in caught.value.next

    (folder / "secrets.age").write_bytes(sealed[:-1])
    refused("is damaged")
    (folder / "secrets.age").write_bytes(pyrage.encrypt(b"{}", [pyrage.x25519.Identity.generate().to_public()]))
    refused("sealed for another identity")
    (folder / "secrets.age").write_bytes(sealed)
    (folder / "identity.txt").unlink()
    refused("identity.txt, which opens it")
    (folder / "identity.txt").touch(0o600)
    refused("is damaged")
    (folder / "identity.txt").write_bytes(identity)
    assert secrets.value("a") == "one value"


def test_an_index_that_a_kill_left_behind_is_mended_by_the_next_write(tmp_path: Path) -> None:
    secrets = store(tmp_path)
    secrets.set("a", "one value")
    path = tmp_path / "secrets" / "index.json"
    good = path.read_bytes()
    for bad in (b"[]\n", b"{half", None):
        path.unlink() if bad is None else path.write_bytes(bad)
        secrets.ensure([])
        assert path.read_bytes() == good


@pytest.mark.parametrize("file", ["secrets.age", "index.json", "identity.txt"])
def test_half_written_files_are_never_read(tmp_path: Path, file: str) -> None:
    """What a kill before the rename leaves is a file beside, which the next write replaces."""
    secrets = store(tmp_path)
    secrets.set("a", "one value")
    (tmp_path / "secrets" / f".{file}.new").write_bytes(b"half")
    assert secrets.value("a") == "one value"
    secrets.set("b", "another")
    assert secrets.value("b") == "another"


WRITER = """
    import os, sys
    from pathlib import Path
    from cortops.deploy.secrets import SecretStore
    from cortops.deploy.wanted import Kind, Wanted
    from cortops.words.clock import SystemClock
    secrets = SecretStore(Path(sys.argv[1]), SystemClock(), os.urandom, environment="lab")
    for number in range(20):
        secrets.ensure([Wanted(name=f"shared-{number}", kind=Kind.TOKEN)])
        print(secrets.value(f"shared-{number}"))
        secrets.generate(Wanted(name=f"own-{sys.argv[2]}-{number}", kind=Kind.WALLET))
"""


@pytest.mark.real
def test_several_processes_at_once_lose_nothing_and_agree(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path / "secrets")]
    writers = [subprocess.Popen([*argv, str(number)], stdout=subprocess.PIPE, text=True) for number in range(3)]
    outputs = [writer.communicate(timeout=60)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert len(set(outputs)) == 1
    assert len(outputs[0].split()) == 20
    assert len(store(tmp_path).names()) == 80


def test_nothing_shows_a_value_by_itself(tmp_path: Path) -> None:
    secrets = store(tmp_path)
    secrets.set(WALLET.name, KEY, Kind.WALLET)
    view = secrets.view([WALLET])
    shown = f"{secrets!r} {view!r} {view} {view.entries!r} {secrets.index()!r}"
    assert KEY[2:] not in shown
    assert secrets.redactor().redact(f"signed by {KEY}") == f"signed by {REDACTED}"
