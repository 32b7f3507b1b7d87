"""The store with values that others keep, or that stay on their host."""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from tests.deploy.test_deployment import World, deployment_in
from tests.deploy.test_secrets import ALL, API_KEY, KEY, WALLET, chance, store

from cortops.contracts import wallet
from cortops.deploy import deployment as engine
from cortops.deploy.lock import this_process
from cortops.deploy.redact import REDACTED
from cortops.deploy.secrets import SecretStore
from cortops.deploy.wanted import Kind, Outside, Wanted
from cortops.environment.rules import Rules, SecretRules, SecretSource
from cortops.testing.clock import VirtualClock
from cortops.words.errors import BadInput, SecretMissing

OUTSIDE = Wanted(name=API_KEY.name, kind=Kind.TOKEN, outside=Outside(cited="lab.yaml:9", env="LAB_KEY"))
ON_HOST = Wanted(name=WALLET.name, kind=Kind.WALLET, outside=Outside(cited="lab.yaml:10", on_host="/k", address=wallet.address_of(KEY)))


def test_what_others_keep_is_asked_once_seen_in_the_index_and_never_sealed(tmp_path: Path) -> None:
    asked: list[str] = []

    def fetch(want: Wanted) -> str:
        asked.append(want.name)
        return "a value of others"

    wanted = [*(want for want in ALL if want is not API_KEY), OUTSIDE]
    secrets = SecretStore(tmp_path / "secrets", VirtualClock(), chance(), environment="lab", fetch=fetch)
    assert secrets.publics(wanted)[OUTSIDE.name] == "" and asked == []
    assert OUTSIDE.name not in secrets.ensure(wanted)
    view = secrets.view(wanted).for_apply()
    assert view.value(OUTSIDE.name) == "a value of others" and asked == [OUTSIDE.name]
    index = {entry.name: entry for entry in store(tmp_path).index()}
    assert index[OUTSIDE.name].outside and index[OUTSIDE.name].fingerprint and not index[WALLET.name].outside
    with pytest.raises(SecretMissing):
        store(tmp_path).value(OUTSIDE.name)
    store(tmp_path).set("chat", "another")
    assert OUTSIDE.name in store(tmp_path).names(), "as it was last seen"
    assert secrets.redactor().redact("it is a value of others") == f"it is {REDACTED}"


def test_all_that_others_do_not_give_is_named_at_once(tmp_path: Path) -> None:
    def fetch(want: Wanted) -> str:
        raise SecretMissing(f"{want.name} is not to be had", where="lab.yaml:9")

    wanted = [OUTSIDE, Wanted(name="tls/x", kind=Kind.CERTIFICATE, outside=Outside(cited="lab.yaml:11", command=("vault",)))]
    secrets = SecretStore(tmp_path / "secrets", VirtualClock(), chance(), environment="lab", fetch=fetch)
    for ask in (lambda: secrets.view(wanted), lambda: secrets.ensure(wanted)):
        with pytest.raises(SecretMissing, match=r"not given: router-1/api-key, tls/x; the first: .* not to be had"):
            ask()
    assert secrets.redactor(wanted).redact("api_key=abcdefgh") == f"api_key={REDACTED}", "what is known is taken out all the same"


def test_a_value_of_others_must_be_of_its_kind_and_is_not_quoted(tmp_path: Path) -> None:
    want = Wanted(name=WALLET.name, kind=Kind.WALLET, outside=Outside(cited="lab.yaml:9", env="X"))
    secrets = SecretStore(tmp_path / "secrets", VirtualClock(), chance(), environment="lab", fetch=lambda _: "no-key-at-all")
    with pytest.raises(BadInput, match="private key is not 0x") as caught:
        secrets.view([want])
    assert "no-key-at-all" not in "".join(traceback.format_exception(caught.value))


def test_a_key_that_stays_on_its_host_has_an_address_and_signs_nothing_here(tmp_path: Path) -> None:
    view = store(tmp_path).view([ON_HOST]).for_apply()
    assert view.public(ON_HOST.name) == view.shown(ON_HOST.name) == wallet.address_of(KEY)
    assert view.on_host == {WALLET.name: "/k"} and store(tmp_path).ensure([ON_HOST]) == ()
    with pytest.raises(SecretMissing, match="stays on its host") as caught:
        view.value(ON_HOST.name, for_apply=True)
    assert caught.value.where == "lab.yaml:10"


def test_an_error_leaves_without_the_values_of_the_store(tmp_path: Path) -> None:
    secrets = store(tmp_path)
    secrets.set("chat", "one " + "value")
    value = secrets.value("chat")
    with pytest.raises(BadInput) as caught, secrets.hidden_in_errors():
        try:
            raise ValueError(f"inside: {value}")
        except ValueError as error:
            raise BadInput(f"got {value}", why=value, next="do it") from error
    assert value not in "".join(traceback.format_exception(caught.value)) + str(caught.value.as_dict())
    assert caught.value.what == f"got {REDACTED}" and caught.value.next == "do it"


def test_an_apply_that_would_sign_with_a_key_on_its_host_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    world = World()
    made = deployment_in(tmp_path, world)
    source = SecretSource.model_validate({"on-host": "/etc/keys/m1", "address": wallet.address_of(KEY)})
    rules = Rules(secrets=SecretRules.model_validate({"from": {"miner-1/key": source.model_dump(by_alias=True, exclude_none=True)}}))
    declared = replace(made, env=replace(made.env, rules=rules))
    with pytest.raises(SecretMissing, match="miner-1/key stays on its host, so nothing is signed with it here"):
        asyncio.run(engine.apply(declared, apply_id="a1", owner=this_process(), digest=None, report=lambda _: None))
    assert world.made == []
    seen = asyncio.run(engine.look(declared))
    (env_file,) = (item for item in seen.desired if item.resource.id.endswith("/miner-1.env"))
    assert b"NODE_PRIVATE_KEY_FILE=/etc/keys/m1\n" in env_file.payload and KEY[2:].encode() not in env_file.payload


def test_an_error_about_a_place_that_is_no_folder_stays_that_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    secrets = SecretStore(tmp_path / "file" / "secrets", VirtualClock(), chance(), environment="lab")
    assert secrets.names() == ()
    with pytest.raises(BadInput, match="no folder here"), secrets.hidden_in_errors():
        raise BadInput("no folder here")
