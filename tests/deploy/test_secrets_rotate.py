"""A secret made anew: what is kept of the old one, and what follows at the next apply."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.deploy.test_secrets import ALL, API_KEY, CA, CHAT, KEY, TLS, WALLET, later, store
from tests.deploy.test_secrets_kept_elsewhere import ON_HOST, OUTSIDE
from tests.surfaces.stage import example, site_of

from cortops import surfaces
from cortops.deploy import authority
from cortops.deploy.kinds import desire
from cortops.deploy.observed import Desired
from cortops.deploy.redact import REDACTED
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.secrets_rotate import follows, notes
from cortops.deploy.wanted import Kind, SecretView, Wanted
from cortops.environment.declared import Environment
from cortops.targets.supervisord import Supervisord
from cortops.words.entity import Entity
from cortops.words.errors import BadInput, SecretMissing
from cortops.words.resource import Content, Directory, SecretRef


def test_a_secret_made_anew_keeps_the_old_one_until_everything_uses_the_new(tmp_path: Path) -> None:
    secrets = store(tmp_path)
    secrets.ensure(ALL)
    before = secrets.view(ALL)
    later_on = store(tmp_path, later(1), seed="anew")
    for want in (API_KEY, WALLET):
        assert later_on.rotated(ALL, want.name)[0] == later_on.view(ALL), "looking changes nothing"
        made = later_on.rotate(ALL, want.name)
        assert made.value != before.value(want.name) and later_on.value(want.name) == made.value
    old = [name for name in later_on.names() if "@" in name]
    assert [name.partition("@")[0] for name in old] == [API_KEY.name, WALLET.name]
    assert [later_on.value(name) for name in old] == [before.value(API_KEY.name), before.value(WALLET.name)]
    assert later_on.redactor().redact(f"x {before.value(API_KEY.name)}") == f"x {REDACTED}", "programs have it until the next apply"
    assert later_on.replaced() == (API_KEY.name,)
    assert later_on.forget_replaced() == (old[0],)
    assert later_on.replaced() == later_on.forget_replaced() == ()
    assert later_on.value(old[1]) == before.value(WALLET.name), "a wallet may hold gas"
    later_on.remove(old[1])
    assert set(later_on.names()) == {want.name for want in ALL}


def test_an_authority_made_anew_takes_its_certificates_along(tmp_path: Path) -> None:
    store(tmp_path).ensure(ALL)
    secrets = store(tmp_path, later(1), seed="anew")
    secrets.rotate(ALL, CA.name)
    assert secrets.view(ALL).missing == (TLS.name,)
    assert secrets.ensure(ALL) == (TLS.name,)
    view = secrets.view(ALL).for_apply()
    assert authority.issued_by(view.public(TLS.name), view.public(CA.name))


def test_a_wallet_that_is_set_anew_keeps_the_old_key_too(tmp_path: Path) -> None:
    secrets = store(tmp_path)
    secrets.ensure([WALLET])
    old = secrets.value(WALLET.name)
    secrets.set(WALLET.name, KEY, Kind.WALLET)
    secrets.set(WALLET.name, KEY, Kind.WALLET)
    (kept,) = (name for name in secrets.names() if "@" in name)
    assert secrets.value(kept) == old


@pytest.mark.parametrize(
    ("want", "told"),
    [(OUTSIDE, "it comes from env LAB_KEY"), (ON_HOST, "it comes from on-host /k"), (CHAT, "is made by others"), (WALLET, "there is no")],
)
def test_what_is_not_ours_to_make_is_not_made_anew(tmp_path: Path, want: Wanted, told: str) -> None:
    with pytest.raises((BadInput, SecretMissing), match=told):
        store(tmp_path).rotate([want], want.name)
    with pytest.raises(BadInput, match="wants no secret other"):
        store(tmp_path).rotate([want], "other")


def desired(env: Environment, view: SecretView) -> tuple[Desired, ...]:
    """The files and services of this machine, as an apply would compare them."""
    site = site_of(env)
    resources = surfaces.render(env, type(site)(hosts=site.hosts, public={want.name: view.public(want.name) for want in view.wanted}))

    def fill(content: Content) -> bytes:
        return "".join(view.filled(part) if isinstance(part, SecretRef) else part for part in content).encode()

    return desire([item for item in resources if item.place == "here"], fill, Supervisord("/srv/local", "/py/bin/python"))


def test_what_follows_is_what_the_next_apply_changes(tmp_path: Path) -> None:
    env = example()
    wanted = secrets_of(env)
    secrets = store(tmp_path)
    secrets.ensure(wanted)
    anew = store(tmp_path, later(1), seed="anew")

    def told(name: str) -> list[tuple[str, str]]:
        before, after = anew.rotated(wanted, name)
        return [(one.what, one.resource.rpartition("/")[2]) for one in follows(desired(env, before), desired(env, after))]

    assert told("miner-1/key") == [("changed", "miner-1.env"), ("restarted", "service:miner-1")]
    token = told("smollm2/api-key")
    assert {what for what, _ in token} == {"changed", "restarted"}
    assert {"service:gateway-1", "service:smollm2"} & {name for _, name in token}
    assert ("restarted", "service:proxy") in told("local-ca") and ("changed", "ca.pem") in told("local-ca")


def test_what_comes_and_goes_is_told_as_that() -> None:
    one, other = (Directory(place="here", entity=Entity("host", "here"), because="x:1", path=path) for path in ("/a", "/b"))
    before, after = (Desired(resource=item, attributes={"mode": "755"}) for item in (one, other))
    assert [(item.what, item.resource) for item in follows([before], [after])] == [("made", "directory:/b"), ("deleted", "directory:/a")]
    assert follows([before], [before]) == ()


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("miner-1/key", Kind.WALLET, "miner-1 has a new address, which the apply funds and registers."),
        ("deployer/key", Kind.WALLET, "Every contract of ours is deployed anew"),
        ("local-ca", Kind.AUTHORITY, "Whoever trusts the old authority"),
        ("smollm2/api-key", Kind.TOKEN, ""),
    ],
)
def test_what_no_plan_shows_is_said(name: str, kind: Kind, told: str) -> None:
    said = notes(example(), Wanted(name=name, kind=kind))
    assert (not said) if not told else said[0].startswith(told)
    elsewhere = replace(example(), network=example().network.model_copy(update={"development": False}))
    if name == "miner-1/key":
        assert "must be funded and registered before it earns" in notes(elsewhere, Wanted(name=name, kind=kind))[0]
