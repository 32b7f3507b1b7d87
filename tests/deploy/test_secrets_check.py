"""What is remarked of secrets, and of the places where a search found them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from tests.deploy.test_secrets import KEY, chance

from cortops.contracts import wallet
from cortops.deploy import authority
from cortops.deploy.secrets_check import Allowed, FileMode, Kept, Remark, of_kept, of_search
from cortops.deploy.secrets_search import Found, KeyFile, Searched
from cortops.deploy.wanted import Entry, Kind, Outside, SecretView, Wanted
from cortops.testing.clock import START
from cortops.words.errors import CortopsError, SecretMissing

DAY_S = 86_400
CA = authority.make_authority("lab", START, chance("ca"))
TLS = authority.issue(CA, ["api.lab.example"], START, chance("tls"))
VAULT = Outside(cited="lab.yaml:9", command=("/usr/bin/vault", "kv", "get"))
WANTED = (
    Wanted(name="m1/key", kind=Kind.WALLET),
    Wanted(name="r1/api-key", kind=Kind.TOKEN),
    Wanted(name="ca", kind=Kind.AUTHORITY),
    Wanted(name="tls/api", kind=Kind.CERTIFICATE, hosts=("api.lab.example",), signed_by="ca"),
)
ENTRIES = {
    "m1/key": Entry(value=KEY, kind=Kind.WALLET, public=wallet.address_of(KEY), created_at=START),
    "r1/api-key": Entry(value="a-token-of-this-test", kind=Kind.TOKEN, public="", created_at=START),
    "ca": Entry(value=CA.key, kind=Kind.AUTHORITY, public=CA.certificate, created_at=START),
    "tls/api": Entry(value=TLS.key, kind=Kind.CERTIFICATE, public=TLS.certificate, created_at=START),
}


def kept(
    entries: Mapping[str, Entry] = ENTRIES,
    wanted: Sequence[Wanted] = WANTED,
    days: float = 0,
    outside: Mapping[str, Entry | CortopsError] | None = None,
) -> Kept:
    view = SecretView(environment="lab", wanted=tuple(wanted), entries=entries, now=START + days * DAY_S)
    return Kept(view=view, outside=outside or {})


def told(kept: Kept) -> list[tuple[str, str, str]]:
    return [(remark.level, remark.secret, remark.what) for remark in of_kept(kept)]


def test_of_good_secrets_nothing_is_remarked() -> None:
    files = (FileMode(path="/s", mode=0o700, most=0o700), FileMode(path="/s/identity.txt", mode=0o400, most=0o600))
    assert told(replace(kept(), files=files, sealed_for=2, declared_for=2)) == []


def test_what_others_can_read_what_is_left_and_who_is_missing_is_remarked() -> None:
    files = (FileMode(path="/s/identity.txt", mode=0o640, most=0o600),)
    remarks = list(of_kept(replace(kept(), files=files, older="/s/secrets.age", sealed_for=2, declared_for=3)))
    assert [(remark.level, remark.where) for remark in remarks] == [
        ("bad", "/s/identity.txt"),
        ("attention", "/s/secrets.age"),
        ("attention", "the age file"),
    ]
    assert remarks[0].next.startswith("chmod 600 /s/identity.txt")
    assert {remark.next for remark in remarks[1:]} == {"cortops secrets seal"}


@pytest.mark.parametrize(
    ("name", "entry", "what"),
    [
        ("m1/key", Entry(value="0x12", kind=Kind.WALLET, public="0x", created_at=0), "the private key is not 0x"),
        ("m1/key", Entry(value=KEY, kind=Kind.WALLET, public="0x" + "1" * 40, created_at=0), "is not the key of its address"),
        ("m1/key", Entry(value=KEY, kind=Kind.GIVEN, public="", created_at=0), "is kept as given, and wanted as wallet"),
    ],
)
def test_a_value_that_is_not_of_its_kind_is_bad_and_not_quoted(name: str, entry: Entry, what: str) -> None:
    (remark,) = of_kept(kept({**ENTRIES, name: entry}))
    assert (remark.level, remark.secret, remark.next) == ("bad", name, f"cortops secrets set {name}")
    assert remark.what.startswith(what) and entry.value not in remark.what


@pytest.mark.parametrize(
    ("days", "level", "what"),
    [(360, None, ""), (380, "attention", "ends in 17 days"), (400, "bad", "ended 3 days ago")],
)
def test_the_days_of_a_certificate_are_counted_whoever_keeps_it(days: float, level: str | None, what: str) -> None:
    outside = replace(WANTED[3], outside=VAULT)
    for want, cure in ((WANTED[3], "cortops apply makes it anew"), (outside, "renew it where it comes from (command vault)")):
        remarks = list(of_kept(kept(wanted=[want, WANTED[2]], days=days)))
        assert [(remark.level, remark.what) for remark in remarks] == ([(level, what)] if level else [])
        assert all(remark.next == cure for remark in remarks)


def test_a_certificate_of_others_for_another_name_is_bad() -> None:
    want = Wanted(name="tls/api", kind=Kind.CERTIFICATE, hosts=("other.lab.example",), outside=VAULT)
    assert told(kept(wanted=[want])) == [("bad", "tls/api", "does not cover other.lab.example")]


def test_equal_values_under_two_names_are_bad() -> None:
    same = {**ENTRIES, "m2/key": ENTRIES["m1/key"]}
    wanted = [*WANTED, Wanted(name="m2/key", kind=Kind.WALLET)]
    assert told(kept(same, wanted)) == [("bad", "m2/key", "has the same value as m1/key")]


def test_what_is_not_there_yet_and_what_others_do_not_give_is_told_apart() -> None:
    error = SecretMissing("m1/key comes from the command vault, which ended with status 2", why="permission denied", next="Run it by hand.")
    wanted = [replace(WANTED[0], outside=VAULT), WANTED[1]]
    remarks = list(of_kept(kept({}, wanted, outside={"m1/key": error})))
    assert [(remark.level, remark.secret, remark.next) for remark in remarks] == [
        ("bad", "m1/key", "Run it by hand."),
        ("attention", "r1/api-key", "cortops apply makes it"),
    ]
    assert remarks[0].what.endswith("status 2 (permission denied)") and remarks[0].where == "lab.yaml:9"


ALLOWED = Allowed(
    files={("h1", "/etc/m1.env"): frozenset({"m1/key"}), ("h1", "/home/me/.env"): frozenset({"m7 NODE_PRIVATE_KEY"})},
    folders=frozenset({("h1", "/var/lib/cortops/lab/adopted")}),
)


def found(secret: str, place: str, mode: int = 0o600, where: str = "file") -> Found:
    return Found(host="h1", where=where, secret=secret, place=place, mode=mode)  # type: ignore[arg-type]


def remarks(*places: Found) -> list[Remark]:
    return list(of_search([Searched(host="h1", found=places)], ALLOWED, ()))


@pytest.mark.parametrize(
    "place",
    [
        found("m1/key", "/etc/m1.env"),
        found("m1/key@20261127T000000Z", "/etc/m1.env"),
        found("m7 NODE_PRIVATE_KEY", "/home/me/.env"),
        found("m7 NODE_PRIVATE_KEY", "/var/lib/cortops/lab/adopted/m7/env"),
    ],
)
def test_a_place_that_must_hold_it_is_well_unless_others_can_read_it(place: Found) -> None:
    assert remarks(place) == []
    (remark,) = remarks(replace(place, mode=0o640))
    assert (remark.level, remark.what) == ("attention", "others can read it (mode 0640)")
    assert remark.next == f"chmod 600 {place.place} on h1"


@pytest.mark.parametrize(
    ("place", "where", "cure"),
    [
        (found("r1/api-key", "/etc/m1.env"), "h1:/etc/m1.env", "cortops secrets rotate r1/api-key"),
        (found("m1/key", "/var/log/x.log"), "h1:/var/log/x.log", "remove it there, then cortops secrets rotate m1/key"),
        (found("m7 NODE_PRIVATE_KEY", "/home/ops/.env"), "h1:/home/ops/.env", "a new key"),
        (found("m1/key", "pid 7 (sh)", where="process"), "pid 7 (sh) on h1", "start it without the value in its arguments"),
        (found("m1/key", "the journal", where="journal"), "the journal on h1", "it stays in old logs"),
        (found("m1/key", "/var/lib/cortops/lab/adopted2/x"), "h1:/var/lib/cortops/lab/adopted2/x", "remove it there"),
    ],
)
def test_every_other_place_is_bad_and_says_what_to_do(place: Found, where: str, cure: str) -> None:
    (remark,) = remarks(place)
    assert (remark.level, remark.where) == ("bad", where) and cure in remark.next


def test_one_that_others_keep_is_made_anew_there_and_not_left_here() -> None:
    want = Wanted(name="m1/key", kind=Kind.WALLET, outside=VAULT)
    (remark,) = of_search([Searched(host="h1", found=(found("m1/key", "/tmp/x"),))], ALLOWED, [want])
    assert remark.next == "remove it there, then make it anew where it comes from (command vault)"
    (left,) = of_kept(replace(kept(wanted=[want]), unused=("m1/key",)))
    assert (left.level, left.next) == ("attention", "cortops secrets remove m1/key")


def test_a_machine_that_could_not_be_searched_is_no_good_machine() -> None:
    want = Wanted(name="m1/key", kind=Kind.WALLET, outside=Outside(cited="x", on_host="/k", address="0x"))
    searched = [
        Searched(host="h1", unread=("m7",), keys=(KeyFile(secret="m1/key", mode=0o600, fits=False),)),
        Searched(host="h2", keys=(KeyFile(secret="m1/key", mode=0o644, fits=True), KeyFile(secret="m2/key", mode=0o640, fits=True))),
        Searched(host="h9", why="connection timed out"),
    ]
    assert [(remark.level, remark.secret, remark.where) for remark in of_search(searched, ALLOWED, [want])] == [
        ("attention", "m7", "h1"),
        ("bad", "m1/key", "h1:/k"),
        ("bad", "m1/key", "h2:/k"),
        ("attention", "", "h9"),
    ]
