from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.contracts import wallet
from cortops.deploy.wanted import Entry, Kind, SecretView, Wanted
from cortops.words.errors import BadInput, SecretMissing, UnknownName

NOW = 1_800_000_000.0
WANTED = tuple(Wanted(name=f"a/{kind.value}", kind=kind) for kind in Kind)
GENERATED = tuple(want for want in WANTED if want.kind is not Kind.GIVEN)


def view(wanted: Sequence[Wanted] = WANTED, environment: str = "lab", **values: str) -> SecretView:
    entries = {name: Entry(value=value, kind=Kind.TOKEN, public="", created_at=NOW) for name, value in values.items()}
    return SecretView(environment=environment, wanted=tuple(wanted), entries=entries, now=NOW)


def test_an_empty_store_misses_all_and_says_why() -> None:
    empty = view()
    assert empty.missing == tuple(want.name for want in GENERATED)
    assert empty.unset == ("a/given",)
    assert not empty.complete
    assert empty.why_missing("a/wallet") == "made by the first apply"
    assert empty.why_missing("a/given") == "not set"
    with pytest.raises(SecretMissing, match="a/wallet, a/token, a/authority, a/certificate, a/given"):
        empty.for_apply()


@pytest.mark.parametrize("want", GENERATED)
def test_a_stand_in_is_the_same_at_every_plan_and_useless(want: Wanted) -> None:
    stand_in = view().value(want.name)
    assert stand_in == view().value(want.name)
    assert stand_in.startswith("stand-in-")
    assert stand_in != view(environment="other").value(want.name)
    assert view().public(want.name) == view().public(want.name)
    with pytest.raises(BadInput):
        wallet.address_of(stand_in)


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_stand_ins_differ_by_environment_and_name(environment: str, name: str, other_environment: str, other_name: str) -> None:
    def shown(in_environment: str, of: str) -> tuple[str, str]:
        one = view([Wanted(name=of, kind=Kind.WALLET)], in_environment)
        return one.value(of), one.public(of)

    same = (environment, name) == (other_environment, other_name)
    clash = f"{environment}\0{name}" == f"{other_environment}\0{other_name}"  # names hold no zero byte; see SecretStore.set
    assert (shown(environment, name) == shown(other_environment, other_name)) is (same or clash)


@pytest.mark.parametrize("want", WANTED)
def test_a_stand_in_never_reaches_a_host(want: Wanted) -> None:
    for ask in (view().value, view().public):
        with pytest.raises(SecretMissing, match=want.name):
            ask(want.name, for_apply=True)


def test_a_wallets_stand_in_address_looks_like_one() -> None:
    address = view().public("a/wallet")
    assert len(bytes.fromhex(address[2:])) == 20
    assert address != view(environment="other").public("a/wallet")


def test_what_is_there_is_given_for_an_apply() -> None:
    complete = view([Wanted(name="key", kind=Kind.TOKEN), Wanted(name="word", kind=Kind.GIVEN)], key="k", word="w")
    assert complete.complete
    assert complete.for_apply() is complete
    assert complete.value("key", for_apply=True) == "k"
    assert complete.value("word") == "w"
    assert complete.public("key", for_apply=True) == ""


def test_a_name_that_nobody_wants_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"no secret other is wanted by lab \(wanted: a/wallet"):
        view().value("other")
