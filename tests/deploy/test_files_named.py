"""What `validate` says of certificates and zones that stand beside the environment file."""

from __future__ import annotations

from pathlib import Path

from tests.deploy.test_certificates import CHAIN, START

from cortops.deploy.files_named import reasons_of
from cortops.environment.declared import Environment
from cortops.environment.load import load

TEXT = """format: 1
environment: lab
owners: {default: you@lab.example}
hosts: {here: {local: true}}
network: {chain_id: 1, rpc: {url: "http://127.0.0.1:8545"}, contracts: {runtime: "0x00000000000000000000000000000000000000aa"}}
nodes: {}
proxy:
  api.lab.example: {on: here, to: "http://127.0.0.1:9000", tls: {certificate: api.pem, key: {secret: lab/key}}}
  www.lab.example: {on: here, to: "http://127.0.0.1:9000", tls: {certificate: api.pem, key: {secret: lab/key}}}
  ftp.lab.example: {on: here, to: "http://127.0.0.1:9000", tls: {certificate: none.pem, key: {secret: lab/key}}}
dns:
  zones: {lab.example: {zone-file: zone}, eu.example: {octodns: folder}}
  hosts: {here: [203.0.113.7]}
"""


def told(folder: Path, at: float = START) -> list[str]:
    env = load(TEXT, str(folder / "lab.yaml"))
    assert isinstance(env, Environment), env
    return [f"{one.line} {one.path}: {one.what}".replace(f"{folder}/", "") for one in reasons_of(env, at)]


def test_each_is_read_and_all_that_is_wrong_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "api.pem").write_text(CHAIN)
    (tmp_path / "zone").write_text("nothing")
    www, ftp, zone, eu = told(tmp_path)
    covers = "it covers api.lab.example, *.apps.lab.example, localhost"
    assert www == f"9 proxy.www.lab.example.tls.certificate: cannot be used: it does not cover www.lab.example ({covers})"
    assert ftp == "10 proxy.ftp.lab.example.tls.certificate: names none.pem, which cannot be read: No such file or directory"
    assert zone.startswith("12 dns.zones.lab.example.zone-file: zone: this is no zone file of lab.example")
    assert eu == "12 dns.zones.eu.example.octodns: folder/eu.example.yaml cannot be read: No such file or directory"
    assert "8 proxy.api.lab.example.tls.certificate: cannot be used: it ended on 2027-12-29" in told(tmp_path, START + 400 * 86_400)
