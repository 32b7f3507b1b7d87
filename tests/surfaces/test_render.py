"""What the bundled environment consists of, golden: every resource, what it needs, and every file's text with its secrets as references."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.surfaces.stage import example, site_of

from cortops import surfaces
from cortops.deploy.plan import in_order
from cortops.surfaces.chain import render as chain
from cortops.surfaces.chain.addresses import ARTIFACTS, contract_addresses
from cortops.surfaces.fleet import render as fleet
from cortops.surfaces.gateway import render as gateway
from cortops.surfaces.monitoring import render as monitoring
from cortops.surfaces.nodes import render as nodes
from cortops.surfaces.portal import render as portal
from cortops.surfaces.proxy import render as proxy
from cortops.surfaces.services import render as services
from cortops.words.resource import Contract, Directory, File, Resource, SecretRef, Service

GOLDEN = Path(__file__).with_name("local.golden")
ENV = example()
SITE = site_of(ENV)
RESOURCES = surfaces.render(ENV, SITE)


def told(resource: Resource) -> str:
    """A resource as the golden file shows it."""
    lines = [f"{resource.key}   for {resource.entity}, {resource.because}"]
    lines += [f"  needs {need}" for need in resource.needs]
    if isinstance(resource, Service):
        lines += [f"  runs {' '.join(resource.argv)}", f"  ports {resource.ports}, owner {resource.owner}"]
    if isinstance(resource, File):
        text = "".join(f"{{{{secret {part.name}}}}}" if isinstance(part, SecretRef) else part for part in resource.content)
        lines += [f"  mode {resource.mode:o}", *(f"  | {line}".rstrip() for line in text.splitlines())]
    return "\n".join(lines)


def test_the_bundled_environment_renders_as_recorded() -> None:
    """After a change that is meant: CORTOPS_WRITE_GOLDEN=1 pytest tests/surfaces, then read the difference."""
    text = "\n".join(told(resource) for resource in in_order(RESOURCES)) + "\n"
    if os.environ.get("CORTOPS_WRITE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_every_surface_gives_its_part_and_none_twice() -> None:
    parts = [tuple(one.render(ENV, SITE)) for one in (fleet, nodes, chain, gateway, portal, proxy, monitoring)]
    assert all(parts)
    keys = [resource.key for part in parts for resource in part]
    assert len(keys) == len(set(keys)) == len(RESOURCES)


def test_a_service_is_restarted_or_reloaded_by_what_it_reads_and_by_nothing_else() -> None:
    by_key = {resource.key: resource for resource in RESOURCES}
    for resource in RESOURCES:
        if isinstance(resource, Service):
            taken = {*resource.restart_on, *(resource.reload.on if resource.reload else ())}
            assert taken and taken <= set(resource.needs)
            paths = {getattr(by_key[key], "path", "") for key in taken}
            assert any(path in resource.argv for path in paths), resource.name


def test_what_holds_a_secret_is_readable_by_its_owner_only() -> None:
    for resource in RESOURCES:
        if isinstance(resource, File) and any(isinstance(part, SecretRef) and not part.is_public for part in resource.content):
            assert resource.mode == 0o600, resource.path
        assert "\x00" not in str(resource), "a secret's mark was left in a text"


def test_nodes_start_only_when_the_chain_knows_them() -> None:
    router = next(item for item in RESOURCES if item.key == "here service:router-1")
    assert "chain contract-state:router-1 registered" in router.needs


def test_contracts_lie_where_their_code_says_and_another_salt_moves_them() -> None:
    addresses = contract_addresses(ENV, SITE)
    found = {item.name: item.address for item in RESOURCES if isinstance(item, Contract)}
    assert found == {name: getattr(addresses, artifact) for name, artifact in ARTIFACTS.items()}
    assert len(set(found.values())) == 7


def test_data_and_logs_are_kept_when_they_are_no_longer_declared() -> None:
    kept = {item.path for item in RESOURCES if isinstance(item, Directory) and item.keep}
    assert {"/srv/local/data", "/srv/local/log", "/srv/local/data/chain-1", "/srv/local/data/gateway"} <= kept


@pytest.mark.parametrize("mark", ["{{", "secret"])
def test_the_golden_file_names_secrets_and_holds_none(mark: str) -> None:
    text = GOLDEN.read_text()
    assert mark in text
    assert "PRIVATE KEY" not in text
    assert all(
        line.split("=", 1)[1].startswith("{{secret ") for line in text.splitlines() if "NODE_PRIVATE_KEY=" in line or "  | API_KEY=" in line
    )


def test_a_foreign_program_runs_on_a_leash_and_ours_asks_by_itself() -> None:
    host = SITE.hosts["here"]
    assert services.own_program(host, "router", "/e") == ("/py/bin/python", "-m", "cortops.programs.router", "/e")
    assert services.foreign_program(host, "/py/nginx", "-c") == ("/py/bin/python", "-m", "cortops.programs.leash", "/py/nginx", "-c")
