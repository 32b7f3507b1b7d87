"""Which secrets an environment needs, and where each comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.surfaces.stage import EXAMPLE, site_of

from cortops import surfaces
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.wanted import Kind, Outside
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.environment.reason import Invalid
from cortops.testing.chain import wallet_of
from cortops.words.resource import File, SecretRef

ADDRESS = wallet_of("secrets of").address


def declared(rules: str) -> Environment:
    loaded = load(EXAMPLE.read_text() + f"\nrules:\n  secrets:\n    from:\n{rules}", "lab.yaml")
    assert isinstance(loaded, Environment), loaded
    return loaded


def outside(env: Environment) -> dict[str, Outside | None]:
    return {want.name: want.outside for want in secrets_of(env)}


def test_without_the_section_all_are_kept_here() -> None:
    loaded = load(EXAMPLE.read_text(), "lab.yaml")
    assert isinstance(loaded, Environment)
    assert set(outside(loaded).values()) == {None}


def test_a_star_stands_for_one_part_and_the_name_that_says_most_wins() -> None:
    env = declared(
        '      "*/key": {command: [vault, kv, get, -field=key, "lab/{*}"]}\n'
        '      "miner-*/key": {command: [sops, "{*}.yaml"]}\n'
        "      miner-2/key: {env: MINER_TWO}\n"
        '      "tls/*": {env: TLS}\n'
    )
    found = outside(env)
    assert found["oracle-1/key"] is not None and found["oracle-1/key"].command == ("vault", "kv", "get", "-field=key", "lab/oracle-1")
    assert found["miner-1/key"] is not None and found["miner-1/key"].command == ("sops", "1.yaml")
    assert found["miner-2/key"] is not None and (found["miner-2/key"].env, found["miner-2/key"].told) == ("MINER_TWO", "env MINER_TWO")
    assert found["smollm2/api-key"] is None and found["local-ca"] is None
    assert found["tls/gateway.localhost"] is not None and found["tls/gateway.localhost"].cited.startswith("lab.yaml:")
    assert "lab/" not in found["oracle-1/key"].told, "arguments are not told"


@pytest.mark.parametrize(
    ("rule", "told", "instead"),
    [
        ("nobody/key: {env: X}", "gives the value of no secret: none is called nobody/key", "Known here: deployer/key,"),
        ("miner-1/kye: {env: X}", "gives the value of no secret", "Did you mean miner-1/key?"),
        (f'deployer/key: {{on-host: /k, address: "{ADDRESS}"}}', "is no wallet of one node", "Give env or command."),
        (f'smollm2/api-key: {{on-host: /k, address: "{ADDRESS}"}}', "is no wallet of one node", "Give env or command."),
    ],
)
def test_a_source_that_cannot_be_is_refused_at_its_line(rule: str, told: str, instead: str) -> None:
    loaded = load(EXAMPLE.read_text() + f"\nrules:\n  secrets:\n    from:\n      {rule}\n", "lab.yaml")
    assert isinstance(loaded, Invalid)
    (reason,) = loaded.reasons
    assert told in reason.what and instead in reason.instead
    assert (reason.line, reason.column) == (EXAMPLE.read_text().count("\n") + 5, 7)


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("from: {a: {}}", "names no source"),
        ("from: {a: {env: X, command: [x]}}", "names env and command"),
        ("from: {a: {on-host: /k}}", "has an on-host key and no address"),
        (f'from: {{a: {{env: X, address: "{ADDRESS}"}}}}', "has an address without an on-host key"),
        (f'from: {{"*/key": {{on-host: /k, address: "{ADDRESS}"}}}}', "gives one address to all"),
        ('from: {"*/*": {env: X}}', "has more than one *"),
        ("file: a.age", "names a file and nobody who can open it"),
        (f"recipients: [age1{'q' * 58}]", "names recipients and no file"),
        (f"file: a.age, recipients: [age1{'q' * 58}, age1{'q' * 58}]", "names a recipient twice"),
        (f"file: ../a.age, recipients: [age1{'q' * 58}]", ""),
    ],
)
def test_rules_that_contradict_themselves_are_named(rules: str, told: str) -> None:
    loaded = load(EXAMPLE.read_text() + f"\nrules: {{secrets: {{{rules}}}}}\n", "lab.yaml")
    assert isinstance(loaded, Invalid)
    assert [reason for reason in loaded.reasons if told in reason.what], loaded.reasons


def test_a_key_on_its_host_is_a_path_in_the_nodes_env_file_and_never_a_value(tmp_path: Path) -> None:
    env = declared(f'      miner-1/key: {{on-host: /etc/keys/m1, address: "{ADDRESS}"}}\n')
    (want,) = (want for want in secrets_of(env) if want.name == "miner-1/key")
    assert want.kind is Kind.WALLET and want.on_host == "/etc/keys/m1"
    site = site_of(env)
    site = type(site)(hosts=site.hosts, public=site.public, on_host={want.name: want.on_host})
    files = {item.path: item for item in surfaces.render(env, site) if isinstance(item, File)}
    content = next(item.content for path, item in files.items() if path.endswith("/miner-1.env"))
    assert SecretRef("miner-1/key") not in content
    text = "".join(part for part in content if isinstance(part, str))
    assert "NODE_PRIVATE_KEY_FILE=/etc/keys/m1\n" in text and "NODE_PRIVATE_KEY=" not in text
    assert ADDRESS in text
