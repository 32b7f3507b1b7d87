"""Where programs reach each other, where they listen, and where we ask; and that a whole render follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.surfaces.stage import EXAMPLE, site_of

from cortops import surfaces
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.surfaces.reach import from_here, from_host, listens_on, place
from cortops.surfaces.site import RuntimeArchive, Site
from cortops.words.question import Http, Rpc, Tls
from cortops.words.resource import Blob, File, Resource, SecretRef, Service, Tree

HOSTS = """hosts:
  here: {local: true}
  h1: {ssh: root@h1.example, address: 10.0.0.1}
  h2: {ssh: root@h2.example, address: 10.0.0.2}
"""
MOVED = {
    **dict.fromkeys(("chain-1", "oracle-1", "validator-1"), "h1"),
    **dict.fromkeys(("engine-1", "miner-", "gateway:", "portal:", "router-", ".localhost:"), "h2"),
}


def spread() -> Environment:
    """The bundled environment with chain, oracle and validator on h1, the watch here, and the rest on h2."""
    lines = []
    for line in EXAMPLE.read_text().replace("  here: {local: true}                        # this machine\n", "").splitlines():
        on = next((host for name, host in MOVED.items() if name in line.partition("{")[0] and "console" not in line), "here")
        lines.append(HOSTS if line == "hosts:" else line.replace(": here", f": {on}"))
    found = load("\n".join(lines) + "\n", "lab.yaml")
    assert isinstance(found, Environment), found.text
    return found


ENV = spread()


def site() -> Site:
    one = site_of(ENV)
    here = one.hosts["here"]
    archive = RuntimeArchive(sha256="a" * 64, size=4096, python="3.11", machine="x86_64")
    away = {name: replace(here, name=name, root=f"/var/{name}", runtime=archive) for name in ("h1", "h2")}
    return Site(hosts={"here": here, **away}, public=one.public)


SITE = site()
RESOURCES = {resource.key: resource for resource in surfaces.render(ENV, SITE)}


def text_of(resource: Resource) -> str:
    assert isinstance(resource, File)
    return "".join("*" if isinstance(part, SecretRef) else part for part in resource.content)


def env_of(host: str, node: str) -> Mapping[str, str]:
    text = text_of(RESOURCES[f"{host} file:/var/{host}/etc/{node}.env"])
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_within_a_host_over_loopback_else_by_address() -> None:
    assert from_host(ENV, "h1", "h1") == "127.0.0.1" and from_host(ENV, "h1", "h2") == "10.0.0.1"
    assert from_here(ENV, "here") == "127.0.0.1" and from_here(ENV, "h1") == "h1.ssh"
    seen = replace(ENV, stands_on="h1")
    assert from_here(seen, "h1") == "127.0.0.1" and from_here(seen, "here") == "here.ssh"
    assert place("10.0.0.1", 80) == "10.0.0.1:80" and place("fd00::1", 80) == "[fd00::1]:80"


@pytest.mark.parametrize(
    ("program", "host", "links", "ips"),
    [
        ("chain-1", "h1", False, ("127.0.0.1", "10.0.0.1")),
        ("oracle-1", "h1", False, ("127.0.0.1",)),
        ("router-1", "h2", False, ("127.0.0.1",)),
        ("router-1", "h2", True, ("127.0.0.1",)),
        ("gateway", "h2", False, ("127.0.0.1",)),
    ],
)
def test_a_program_listens_beyond_loopback_where_another_host_needs_it(program: str, host: str, links: bool, ips: tuple[str, ...]) -> None:
    assert listens_on(ENV, program, host, links=links) == ips


def test_env_files_say_where_others_are() -> None:
    assert env_of("h2", "router-1")["HOST"] == "http://10.0.0.1:8545" and env_of("h1", "oracle-1")["HOST"] == "http://127.0.0.1:8545"
    assert env_of("h1", "chain-1")["DEVCHAIN_BIND_IP"] == "127.0.0.1,10.0.0.1"
    assert env_of("h2", "router-1")["ROUTER_REST_BIND_IP"] == "127.0.0.1"
    assert env_of("h2", "miner-1")["WS_ROUTERS"] == "127.0.0.1:9001,127.0.0.1:9002"


def test_nginx_listens_on_the_address_and_leads_to_the_chain_there() -> None:
    conf = text_of(RESOURCES["h2 file:/var/h2/etc/nginx.conf"])
    assert "listen 127.0.0.1:8443 ssl;\n        listen 10.0.0.2:8443 ssl;" in conf
    assert "server 10.0.0.1:8545" in conf and "server 127.0.0.1:8400" in conf
    console = text_of(RESOURCES["here file:/srv/local/etc/nginx.conf"])
    assert "server_name console.localhost" in console and "10.0.0" not in console, "the console has no login"


def test_everything_is_asked_on_loopback_of_its_host() -> None:
    questions = surfaces.questions(ENV, SITE)
    asked = {question.id: question for question in questions}
    http = {question.id: question.url for question in questions if isinstance(question, Http)}
    assert http["health:oracle-1"] == "http://h1.ssh:5201/health" and http["gateway:health:gateway-1"] == "http://h2.ssh:8400/health"
    assert http["monitor:health"] == "http://127.0.0.1:8500/health"
    assert {question.url for question in questions if isinstance(question, Rpc)} == {"http://h1.ssh:8545"}
    tls, route = asked["tls:gateway.localhost"], asked["route:gateway.localhost"]
    assert isinstance(tls, Tls) and (tls.host, tls.ca_file) == ("h2.ssh", "") and tls.ca_pem == SITE.public["local-ca"]
    assert isinstance(route, Http) and route.connect_to == ("h2.ssh", 8443) and route.url.startswith("https://gateway.localhost:8443/")
    own = asked["tls:console.localhost"]
    assert isinstance(own, Tls) and own.host == "127.0.0.1" and own.ca_file and not own.ca_pem


def test_programs_elsewhere_need_the_archive_that_is_sent_there() -> None:
    trees = {resource.place: resource for resource in RESOURCES.values() if isinstance(resource, Tree)}
    assert set(trees) == {"h1", "h2"}, "this machine runs what is here"
    tree = trees["h1"]
    blob = RESOURCES[f"h1 blob:{tree.archive}"]
    assert isinstance(blob, Blob) and blob.sha256 == tree.sha256 and blob.key in tree.needs
    for resource in RESOURCES.values():
        if isinstance(resource, Service) and resource.place != "here":
            assert trees[resource.place].key in resource.needs


def test_names_that_lead_elsewhere_are_bad_only_where_that_can_be_known() -> None:
    checks = {str(check.entity) for check in surfaces.checks(ENV, SITE) if check.name == "resolves"}
    assert checks == {f"dns/{name}.localhost" for name in ("gateway", "router", "portal", "rpc", "console")}
