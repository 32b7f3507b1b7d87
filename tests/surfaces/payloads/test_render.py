"""What private sessions add to an environment, and that one without them is as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.surfaces.stage import EXAMPLE, site_of

from cortops.contracts.privacy import list_hash
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.wanted import Kind
from cortops.environment.declared import Environment
from cortops.environment.graph import depends_on, entities
from cortops.environment.load import load
from cortops.environment.private import private_miners, private_routers
from cortops.protocol.envfile import parse
from cortops.protocol.settings import MinerSettings, RouterSettings
from cortops.surfaces import render as render_all
from cortops.surfaces.gateway.render import config
from cortops.surfaces.payloads.render import contract_address, render
from cortops.words.entity import Entity
from cortops.words.resource import Contract, ContractState, Directory, File, SecretRef

SESSION = "    3: {name: private, model: smollm2, nodes: [miner-1, miner-2], routers: [router-1, router-2]}\n"


def private(section: str = "{sessions: {3: {miners: [miner-1]}}}", session: str = SESSION) -> Environment:
    """The bundled environment with one private session, served by both routers."""
    text = EXAMPLE.read_text()
    text = text.replace("\nnodes:\n", f"{session}\nnodes:\n", 1)
    text = text.replace("sessions: {smollm2: [1]}", "sessions: {smollm2: [1, 3]}", 1)
    text = text.replace("sessions: {smollm2: [2]}", "sessions: {smollm2: [2, 3]}", 1)
    text = text.replace("\nmonitor:", f"\npayloads: {section}\n\nmonitor:", 1)
    loaded = load(text, "local.yaml")
    assert isinstance(loaded, Environment), loaded.text
    return loaded


ENV = private()
SITE = site_of(ENV)
BUCKET = private("{sessions: {3: {}}, seeds: {2: {secret: s/two}, 1: {secret: s/one}}, allowlist: list, bucket: {name: lab, prefix: p}}")


def env_file(env: Environment, name: str) -> dict[str, str]:
    """A node's env file, a secret as <its name>."""
    (file,) = (item for item in render_all(env, SITE) if isinstance(item, File) and item.path.endswith(f"/{name}.env"))
    return parse("".join(f"<{part.name}>" if isinstance(part, SecretRef) else part for part in file.content))


def test_the_list_stands_on_chain_whole() -> None:
    folder, contract, state = render(ENV, SITE)
    assert isinstance(folder, Directory) and (folder.path, folder.mode, folder.keep) == ("/srv/local/data/payloads", 0o700, True)
    assert isinstance(contract, Contract) and contract.address == contract_address(ENV, SITE)
    assert isinstance(state, ContractState)
    miner = SITE.public["miner-1/key"]
    assert state.to == contract.address and state.needs == (contract.key,) and state.expect == list_hash([miner])
    assert miner[2:].lower() in state.write
    everyone = private("{sessions: {3: {}}}")
    *_, of_all = render(everyone, SITE)
    assert isinstance(of_all, ContractState) and of_all.expect == list_hash([miner, SITE.public["miner-2/key"]])
    assert of_all.id == state.id, "another list is a change of the same value"


def test_a_router_is_told_what_it_keeps_private() -> None:
    found = env_file(ENV, "router-1")
    settings = RouterSettings.from_env(found)
    assert (settings.private_sessions, settings.seed, settings.seed_version) == ((3,), "<payloads/seed-1>", 1)
    assert (settings.allow_by_contract, settings.privacy_contract, settings.allowed_list) == (True, contract_address(ENV, SITE), "")
    assert (settings.payload_storage, settings.payload_environment) == ("/srv/local/data/payloads", "local")
    rotated = env_file(BUCKET, "router-2")
    assert (rotated["ENCRYPTION_SEED"], rotated["ENCRYPTION_SEED_VERSION"], rotated["ENCRYPTION_SEED_V1"]) == ("<s/two>", "2", "<s/one>")
    addresses = sorted(SITE.public[f"{name}/key"].lower() for name in ("miner-1", "miner-2"))
    assert rotated["ENCRYPTION_ALLOWED_LIST"] == f"3:{','.join(addresses)}"
    assert rotated["PAYLOAD_STORAGE"] == "s3://lab/p" and rotated["PAYLOAD_STORAGE_SECRET"] == "<payloads/secret-key>"
    assert "ENCRYPTION_ALLOWLIST_USE_CONTRACT" not in rotated


def test_a_miner_is_told_where_objects_and_keys_are_and_no_seed() -> None:
    found = env_file(ENV, "miner-2")
    settings = MinerSettings.from_env(found)
    assert settings.payload_routers == ("http://127.0.0.1:5010", "http://127.0.0.1:5011")
    assert settings.payload_storage == "/srv/local/data/payloads"
    assert not [key for key in found if key.startswith("ENCRYPTION")]


def test_who_has_no_part_is_told_nothing() -> None:
    for name in ("miner-3", "oracle-1", "validator-1"):
        assert not [key for key in env_file(ENV, name) if key.startswith(("PAYLOAD", "ENCRYPTION"))]
    bare = replace(ENV, payloads=None)
    assert list(render(bare, SITE)) == []
    assert not [key for key in env_file(bare, "router-1") if key.startswith(("PAYLOAD", "ENCRYPTION", "CONTRACT_ADDRESS_P"))]
    assert private_routers(bare) == {} and private_miners(bare) == {}
    assert [type(item) for item in render(BUCKET, SITE)] == []


def test_the_gateway_has_no_part_in_it() -> None:
    assert ENV.gateway is not None
    configs = [config(ENV, ENV.gateway, SITE.hosts["here"], each) for each in ENV.gateway.instances()]
    assert {member.sessions for one in configs for pool in one.pools.values() for member in pool.members} == {(1,), (2,)}
    settings = RouterSettings.from_env(env_file(ENV, "router-1"))
    assert settings.sessions == (1, 3), "the router serves it all the same"


def test_entities_and_what_they_need() -> None:
    edges = depends_on(ENV)
    found = [entity for entity in entities(ENV) if entity.kind == "payloads"]
    assert found == [Entity("payloads", "allowlist"), Entity("payloads", "router-1"), Entity("payloads", "router-2")]
    assert edges[found[0]] == (Entity("rpc", "chain-1"),)
    assert edges[found[1]] == (Entity("router", "router-1"), found[0])
    assert [entity for entity in entities(BUCKET) if entity.kind == "payloads"] == found[1:]


def test_seeds_are_made_and_credentials_are_given() -> None:
    kinds = {want.name: want.kind for want in secrets_of(BUCKET)}
    assert kinds["s/two"] is kinds["s/one"] is Kind.TOKEN
    assert kinds["payloads/key-id"] is kinds["payloads/secret-key"] is Kind.GIVEN
    assert "payloads/key-id" not in {want.name for want in secrets_of(ENV)}


@pytest.mark.parametrize("name", ["router-1", "router-2", "miner-1"])
def test_what_is_written_is_what_programs_read(name: str) -> None:
    kind = RouterSettings if name.startswith("router") else MinerSettings
    for env in (ENV, BUCKET):
        found = env_file(env, name)
        assert kind.from_env(found).to_env() == found
