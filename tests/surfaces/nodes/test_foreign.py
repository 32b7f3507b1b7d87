"""What becomes of a program of others: its settings, files and secrets on the host, and the service that starts it."""

from __future__ import annotations

import pytest
from tests.surfaces.stage import site_of

from cortops import surfaces
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.wanted import Kind
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.protocol.foreign import parse
from cortops.surfaces.nodes.foreign import copies
from cortops.words.resource import Blob, Directory, File, Resource, SecretRef, Service

TEXT = """format: 1
environment: lab
owners: {default: ops@lab.example, database: dba@lab.example}
hosts: {here: {local: true}}
releases:
  minio: {from: "pip:some-store==1.0.0", archive_sha256: ARCHIVE, file: bin/minio, sha256: FILE, size: 10}
network: testnet-0
nodes:
  db-1:
    {role: database, host: here, port: 5432, program: /usr/bin/postgres, user: postgres, data: /var/lib/db/,
     first_start: [/usr/bin/initdb, "{data}", "{files}/password"], arguments: [-D, "{data}", -p, "{port}", -h, "{address}"],
     secrets: {PASSWORD: {secret: db-1/password}, OTHER: {secret: other}}, stop_timeout_s: 60,
     files: {password: "{PASSWORD}", all.conf: "data={data} a {b} {OTHER}{PASSWORD} port={port} {PASSWORDS}"}}
  store-1: {role: object-store, host: here, port: 9000, release: minio, depends_on: [db-1], user: nobody, data: /var/lib/store,
            arguments: ["{db-1}"], env: {AT: "{data}:{port}"}}
  ipfs-1: {role: ipfs, host: here, port: 5001, release: minio}
""".replace("ARCHIVE", "a" * 64).replace("FILE", "b" * 64)


@pytest.fixture(scope="module")
def env() -> Environment:
    found = load(TEXT, "lab.yaml")
    assert isinstance(found, Environment)
    return found


@pytest.fixture(scope="module")
def made(env: Environment) -> dict[str, Resource]:
    return {resource.id: resource for resource in surfaces.render(env, site_of(env))}


def file_of(made: dict[str, Resource], path: str) -> File:
    found = made[f"file:{path}"]
    assert isinstance(found, File) and found.mode == 0o600
    return found


def test_settings_hold_no_secret_and_leave_the_data_folder_open(made: dict[str, Resource]) -> None:
    settings = parse(str(file_of(made, "/srv/local/etc/db-1.json").content[0]), where="test")
    assert settings.argv == ("/usr/bin/postgres", "-D", "{data}", "-p", "5432", "-h", "127.0.0.1")
    assert settings.first_start == ("/usr/bin/initdb", "{data}", "/var/lib/db/files/password"), "the first start has another folder"
    assert (settings.folder, settings.user, settings.stop_signal) == ("/var/lib/db", "postgres", "INT")
    assert settings.files == {"password": "/srv/local/etc/db-1/password", "all.conf": "/srv/local/etc/db-1/all.conf"}
    assert settings.secrets == {"PASSWORD": "/srv/local/etc/db-1/.env-PASSWORD", "OTHER": "/srv/local/etc/db-1/.env-OTHER"}
    store = parse(str(file_of(made, "/srv/local/etc/store-1.json").content[0]), where="test")
    assert (store.argv, store.env) == (("/var/lib/store/minio-" + "b" * 16, "127.0.0.1:5432"), {"AT": "{data}:9000"})


def test_files_hold_secrets_as_references_and_any_other_braces_as_they_are(made: dict[str, Resource]) -> None:
    first, second = SecretRef("db-1/password"), SecretRef("other")
    assert file_of(made, "/srv/local/etc/db-1/password").content == (first,)
    content = ("data=/var/lib/db/data a {b} ", second, first, " port=5432 {PASSWORDS}")
    assert file_of(made, "/srv/local/etc/db-1/all.conf").content == content
    assert file_of(made, "/srv/local/etc/db-1/.env-OTHER").content == (second,)


def test_the_service_is_one_as_all_others(made: dict[str, Resource], env: Environment) -> None:
    service = made["service:db-1"]
    assert isinstance(service, Service)
    assert service.argv == ("/py/bin/python", "-m", "cortops.programs.foreign", "/srv/local/etc/db-1.json")
    assert (service.owner, service.ports, service.stop_signal, service.stop_timeout_s) == ("dba@lab.example", (5432,), "INT", 60)
    assert (service.log_path, service.log_max_mib, service.log_keep) == ("/srv/local/log/db-1.log", 20, 3)
    assert len(service.restart_on) == 5 and set(service.restart_on) <= set(service.needs)
    assert "here service:db-1" in made["service:store-1"].needs
    folder = made["directory:/var/lib/db"]
    assert isinstance(folder, Directory) and folder.keep and folder.key in service.needs


def test_its_release_lies_where_its_account_can_enter(made: dict[str, Resource]) -> None:
    blobs = sorted(resource.path for resource in made.values() if isinstance(resource, Blob))
    assert blobs == [f"/srv/local/data/ipfs-1/minio-{'b' * 16}", f"/var/lib/store/minio-{'b' * 16}"]


def test_its_secrets_are_made_by_the_first_apply(env: Environment) -> None:
    assert {want.name: want.kind for want in secrets_of(env)} == {"db-1/password": Kind.TOKEN, "other": Kind.TOKEN}


def test_the_copies_that_its_starter_makes_are_known_to_whoever_searches_for_secrets(env: Environment) -> None:
    assert copies(env, site_of(env)) == {
        ("here", "/var/lib/db/files/password"): frozenset({"db-1/password"}),
        ("here", "/var/lib/db/files/all.conf"): frozenset({"db-1/password", "other"}),
    }
