"""A gateway on two hosts: one store for both, sessions divided between them, nginx in front of all its processes."""

from __future__ import annotations

from dataclasses import replace

from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.wanted import Kind
from cortops.environment.declared import Environment
from cortops.environment.dials import dials
from cortops.environment.graph import depends_on
from cortops.environment.load import load
from cortops.local.there import extras_of
from cortops.protocol.gateway import GatewayConfig
from cortops.surfaces.gateway.checks import checks, questions
from cortops.surfaces.gateway.render import render, store
from cortops.surfaces.portal import render as portal
from cortops.surfaces.proxy.ways import way
from cortops.surfaces.site import HostSite, Site
from cortops.words.resource import File, SecretRef, Service

TEXT = """
format: 1
environment: lab
owners: {default: ops@lab.example}
hosts:
  here: {local: true, address: 10.0.0.1}
  there: {ssh: root@there.lab.example, address: 10.0.0.2}
releases:
  anvil: {from: "npm:anvil@1.7.1", archive_sha256: HASH, file: bin/anvil, sha256: HASH, size: 4096}
  small: {from: "pip:small==1.0", archive_sha256: HASH, file: small/model.gguf, sha256: HASH, size: 8192}
network:
  chain_id: 31338
  rpc: {url: "https://rpc.lab.example"}
  contracts: {runtime: deploy}
  sessions:
    1: {name: small, model: small, nodes: [miner-1], routers: [router-1]}
    2: {name: small-2, model: small, nodes: [miner-1], routers: [router-1]}
nodes:
  engine-1: {role: engine, host: here, port: 8090, release: small, model: small}
  router-1: {role: router, host: here, port: 5010, ws_port: 9001, sessions: {small: [1, 2]}}
  miner-1:  {role: miner, host: here, port: 5101, engine: engine-1, routers: [router-1]}
  oracle-1: {role: oracle, host: here, port: 5201}
pools:
  small: {members: [router-1], queue_max: 10}
gateway: {on: [here, there], port: 8400, processes: 2, models: {small: {pool: small}}, store: {url: {secret: gateway/store}}}
proxy:
  api.lab.example: {on: here, port: 8443, to: gateway, tls: local-ca}
portal: {on: there, port: 8601}
rules: {secrets: {from: {gateway/store: {env: GATEWAY_STORE}}}}
"""
LOADED = load(TEXT.replace("HASH", 32 * "a1"), "lab.yaml")
assert isinstance(LOADED, Environment)
ENV = LOADED
NAMES = ["gateway-1", "gateway-2", "gateway-there-1", "gateway-there-2"]
ADDRESS = "/srv/etc/gateway-store.url"


def host(name: str) -> HostSite:
    return HostSite(name=name, root="/srv", python="/py", nginx="/nginx", machine="x86_64", user="ops", services_script="")


SITE = Site(hosts={name: host(name) for name in ENV.hosts}, public={})
RESOURCES = list(render(ENV, SITE))


def configs() -> dict[str, GatewayConfig]:
    files = [item for item in RESOURCES if isinstance(item, File) and item.path.endswith(".json")]
    assert not any(SecretRef("gateway/store") in item.content for item in files), "the address stands in its own file only"
    texts = ["".join("a-key" if isinstance(part, SecretRef) else part for part in item.content) for item in files]
    return {found.name: found for found in map(GatewayConfig.from_json, texts)}


def test_each_host_has_its_processes_and_the_address_of_the_store() -> None:
    services = [item for item in RESOURCES if isinstance(item, Service)]
    assert [(item.name, item.place, item.ports) for item in services] == [
        ("gateway-1", "here", (8400,)),
        ("gateway-2", "here", (8401,)),
        ("gateway-there-1", "there", (8400,)),
        ("gateway-there-2", "there", (8401,)),
    ]
    addresses = [item for item in RESOURCES if isinstance(item, File) and item.path == ADDRESS]
    assert [(item.place, item.content, item.mode) for item in addresses] == [
        (name, (SecretRef("gateway/store"),), 0o600) for name in ("here", "there")
    ]
    assert all(f"{item.place} file:{ADDRESS}" in item.restart_on for item in services), "another address is another start"
    assert {(found.store.keys_db, found.store.usage_db) for found in configs().values()} == {(ADDRESS, ADDRESS)}
    assert ENV.gateway is not None and store(ENV.gateway, "/srv").keys_db == ADDRESS


def test_sessions_are_divided_between_hosts_and_shared_within_one() -> None:
    sessions = {name: found.pools["small"].members[0].sessions for name, found in configs().items()}
    assert sessions == {"gateway-1": (1,), "gateway-2": (1,), "gateway-there-1": (2,), "gateway-there-2": (2,)}
    assert [found.pools["small"].queue_max for found in configs().values()] == [4, 2, 2, 2]
    spools = {name: found.store.spool_folder.rpartition("/")[2] for name, found in configs().items()}
    assert list(spools.values()) == ["spool-1", "spool-2"] * 2


def test_nginx_spreads_over_all_of_them_and_each_is_asked() -> None:
    assert {server for upstream in way(ENV, "api.lab.example").upstreams for server in upstream.servers} == {
        "127.0.0.1:8400",
        "127.0.0.1:8401",
        "10.0.0.2:8400",
        "10.0.0.2:8401",
    }
    assert configs()["gateway-there-1"].listen.ips == ("127.0.0.1", "10.0.0.2")
    assert configs()["gateway-1"].listen.ips == ("127.0.0.1",), "nginx is on its own host"
    assert [question.id for question in questions(ENV, SITE)] == [f"gateway:health:{name}" for name in NAMES]
    assert {check.entity.name for check in checks(ENV, SITE)} == set(NAMES)


def test_the_address_is_a_secret_that_people_set_and_hosts_get_what_speaks_to_it() -> None:
    assert [want.kind for want in secrets_of(ENV) if want.name == "gateway/store"] == [Kind.GIVEN]
    assert "postgresql" in extras_of(ENV, "there")
    assert ENV.gateway is not None
    without = replace(ENV, gateway=ENV.gateway.model_copy(update={"store": None}))
    assert "postgresql" not in extras_of(without, "there")


def test_each_process_depends_on_its_own_host_and_members_are_dialled_from_each() -> None:
    needs = {entity.name: [other.name for other in others if other.kind == "host"] for entity, others in depends_on(ENV).items()}
    assert [needs[name] for name in NAMES] == [["here"], ["here"], ["there"], ["there"]]
    assert {dial.at for dial in dials(ENV) if dial.who == "gateway"} == {"here", "there"}


def test_a_portal_beside_the_gateway_reads_the_same_address() -> None:
    assert [item.path for item in portal.render(ENV, SITE) if isinstance(item, File)] == ["/srv/etc/portal.json"]
    assert ENV.gateway is not None
    alone = replace(ENV, gateway=ENV.gateway.model_copy(update={"hosts": ("here",)}))
    assert [item.path for item in portal.render(alone, SITE) if isinstance(item, File)] == ["/srv/etc/portal.json", ADDRESS]
