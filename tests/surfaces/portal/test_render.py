"""The portal's configuration and service, and where its hostname leads."""

from __future__ import annotations

from dataclasses import replace

from tests.surfaces.stage import EXAMPLE, site_of

from cortops.environment.declared import Environment, shift_ports
from cortops.environment.graph import depends_on, entities
from cortops.environment.load import load
from cortops.protocol.portal import PortalConfig
from cortops.surfaces.gateway.render import store
from cortops.surfaces.portal.render import PORTAL, render
from cortops.surfaces.proxy.curls import curls
from cortops.surfaces.proxy.nginx import Open
from cortops.surfaces.proxy.ways import way
from cortops.words.entity import Entity
from cortops.words.resource import File, SecretRef, Service

HOSTNAME = "portal.localhost"


def with_portal() -> Environment:
    """The bundled environment with the two lines that add a portal."""
    text = EXAMPLE.read_text()
    if "\nportal:" not in text:
        text = text.replace("\nproxy:", "\nportal: {on: here, port: 8700}\n\nproxy:", 1)
        text = text.replace("  rpc.localhost:", f"  {HOSTNAME}: {{on: here, port: 8443, to: portal, tls: local-ca}}\n  rpc.localhost:", 1)
    loaded = load(text, "local.yaml")
    assert isinstance(loaded, Environment), loaded
    return loaded


ENV = with_portal()
SITE = site_of(ENV)


def test_it_reads_what_the_gateway_keeps() -> None:
    file, service = render(ENV, SITE)
    assert isinstance(file, File) and isinstance(service, Service)
    assert (file.path, file.mode) == ("/srv/local/etc/portal.json", 0o600)
    assert [part for part in file.content if isinstance(part, SecretRef)] == [SecretRef("portal/session-key")]
    found = PortalConfig.from_json("".join("s" * 32 if isinstance(part, SecretRef) else part for part in file.content))
    assert ENV.gateway is not None
    books = store(ENV.gateway, SITE.hosts["here"].root)
    assert (found.keys, found.usage) == (books.keys_db, books.usage_db)
    assert (found.hostnames, found.gateway_url, found.own_authority) == ((HOSTNAME,), "https://gateway.localhost:8443", True)
    assert (found.models, found.owner, found.session_max_h) == (("smollm2",), "you@localhost", 12.0)
    assert service.argv[-3:] == ("-m", "cortops.programs.portal", file.path)
    assert (service.name, service.ports, service.restart_on) == ("portal", (8700,), (file.key,))


def test_it_is_part_of_the_graph() -> None:
    edges = depends_on(ENV)
    assert PORTAL in entities(ENV) and edges[PORTAL] == (Entity("host", "here"),)
    assert PORTAL in edges[Entity("proxy", HOSTNAME)]
    assert ENV.owner_of(PORTAL) == "you@localhost"
    moved = shift_ports(ENV, 1000)
    assert moved.portal is not None and moved.portal.port == 9700


def test_its_hostname_lets_its_pages_through_and_no_metrics() -> None:
    found = way(ENV, HOSTNAME)
    assert {one.match for one in found.locations if isinstance(one, Open)} == {"= /", "= /portal", "/portal/", "= /health"}
    assert [upstream.servers for upstream in found.upstreams] == [("127.0.0.1:8700",)]
    assert found.who == "the portal"
    (line,) = (item for item in curls(ENV, "ca.pem", "KEY") if item.hostname == HOSTNAME)
    assert "/portal/" in line.text and "KEY" not in line.text


def test_without_one_there_is_nothing() -> None:
    assert list(render(replace(ENV, portal=None), SITE)) == []
