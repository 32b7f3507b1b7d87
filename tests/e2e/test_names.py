"""Names and certificates through the command line: a zone file that a DNS server of ours answers from, and an ACME authority of ours that
asks the real nginx. Both stand in for those of others, on loopback.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cortops.deploy import authority
from cortops.deploy.names import zone_file
from cortops.testing.acme import AcmeServer, Manner, acme_server
from cortops.testing.dns_server import DnsServer, dns_server
from cortops.testing.local import SMALL, Place, place
from cortops.words.clock import SystemClock

pytestmark = pytest.mark.proof

ZONE = """$TTL 1h
@    IN SOA ns1 host ( 7 3600 600 86400 300 )
     IN NS  ns1
ns1  IN A   127.0.0.1
mail IN A   192.0.2.5 ; not ours
"""
TEXT = """format: 1
environment: names
owners: {{default: you@localhost}}
hosts: {{here: {{local: true}}}}
{releases}
network: {{chain_id: 31339, development: true, rpc: chain-1, contracts: {{runtime: deploy}}}}
nodes:
  chain-1: {{role: chain, host: here, port: 8545, health_port: 8546, release: anvil}}
proxy:
  api.lab.example: {{on: here, port: 8443, to: rpc, tls: acme, read_timeout_s: 60}}
dns:
  zones: {{lab.example: {{zone-file: lab.zone}}}}
  hosts: {{here: [127.0.0.1]}}
  servers: ["127.0.0.1:{dns_port}"]
acme: {{directory: "{directory}", agree: true, http_port: 8480, trust: root.pem}}
"""
OLD = Manner(life_days=29, begun_days=61)  # less than a third is left


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """An environment's place, and the two servers of others."""

    where: Place
    folder: Path
    authority: AcmeServer
    dns: DnsServer

    def ok(self, *words: str, status: int = 0) -> str:
        done = self.where.run(*words)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def set_secret(self, name: str, value: str) -> None:
        """As people do: the value by standard input."""
        words = (sys.executable, "-m", "cortops.cli", "secrets", "set", name, self.where.env.file)
        done = subprocess.run(words, env=self.where.environ, input=value, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def served_days(self) -> int:
        """Days left of the certificate that clients see, trusted by the authority."""
        context = ssl.create_default_context(cafile=str(self.folder / "root.pem"))
        address = ("127.0.0.1", self.where.env.proxy["api.lab.example"].port)
        with socket.create_connection(address, 10) as raw, context.wrap_socket(raw, server_hostname="api.lab.example") as shaken:
            ends = str((shaken.getpeercert() or {})["notAfter"])
        return round((ssl.cert_time_to_seconds(ends) - time.time()) / 86_400)


@contextmanager
def others(zone: Path) -> Iterator[tuple[AcmeServer, DnsServer]]:
    """Both servers, in a thread of their own."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    made: list[tuple[AcmeServer, DnsServer]] = []
    end = asyncio.Event()

    def records() -> Mapping[tuple[str, str], Sequence[str]]:
        return {record.key: record.values for record in zone_file.read(zone.read_text(), "lab.example") if record.type in ("A", "TXT")}

    async def serve() -> None:
        async with dns_server(records) as dns, acme_server(SystemClock(), secrets.token_bytes, http_port=0, dns=dns.place) as authority:
            made.append((authority, dns))
            ready.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(20)
    try:
        yield made[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        loop.close()


@pytest.fixture
def lab() -> Iterator[Lab]:
    releases = re.search(r"^releases:.*?(?=^  smollm2:)", SMALL.read_text(), re.MULTILINE | re.DOTALL)
    assert releases is not None
    with tempfile.TemporaryDirectory(prefix="cortops-names-") as name:
        folder = Path(name)
        (folder / "lab.zone").write_text(ZONE)
        with others(folder / "lab.zone") as (authority, dns):
            (folder / "root.pem").write_text(authority.root.certificate)
            file = folder / "names.yaml"
            file.write_text(TEXT.format(releases=releases[0].rstrip(), dns_port=dns.port, directory=authority.directory))
            with place(file=file) as where:
                assert where.env.acme is not None
                authority.http_port = where.env.acme.http_port
                yield Lab(where=where, folder=folder, authority=authority, dns=dns)


def test_a_name_and_its_certificate_from_nothing_to_renewed(lab: Lab) -> None:
    planned = lab.ok("plan", status=3)
    for line in ("record:api.lab.example/A", "certificate:api.lab.example", "cannot be taken back: record:", "--accept-irreversible"):
        assert line in planned, planned
    assert "must be accepted by name" in lab.ok("apply", status=1)
    assert (lab.authority.signed, (lab.folder / "lab.zone").read_text()) == ([], ZONE)

    lab.authority.manner = OLD
    assert "every entity is well" in lab.ok("apply", "--accept-irreversible")
    assert (lab.folder / "lab.zone").read_text().endswith("api.lab.example.\t300\tIN\tA\t127.0.0.1 ; cortops names\n")
    assert (lab.served_days(), lab.authority.signed) == (29, [("api.lab.example",)])
    state = {item["entity"]: item for item in lab.where.status()["entities"]}
    assert (state["dns/api.lab.example"]["state"], state["proxy/api.lab.example"]["state"]) == ("ok", "ok"), state
    pid = lab.where.services()["proxy"]

    lab.authority.manner = Manner()
    renewal = lab.ok("plan", status=3)
    assert "certificate:api.lab.example  days_left 29 of 90 -> enough" in renewal and "cannot be taken back" not in renewal
    assert "every entity is well" in lab.ok("apply")  # nothing that must be accepted: the name is in public logs since the first
    assert lab.where.services()["proxy"] == pid, "nginx was reloaded, not restarted"
    assert (lab.served_days(), lab.authority.signed) == (90, [("api.lab.example",)] * 2)
    assert "Nothing to do" in lab.ok("plan")

    file = Path(lab.where.env.file)
    file.write_text(file.read_text().replace("hosts: {here: [127.0.0.1]}", "hosts: {here: [127.0.0.2]}"))
    assert "leads 127.0.0.1 -> 127.0.0.2" in lab.ok("plan", status=3)
    lab.ok("apply", "--accept-irreversible")
    text = (lab.folder / "lab.zone").read_text()
    assert text.endswith("IN\tA\t127.0.0.2 ; cortops names\n") and "mail IN A   192.0.2.5 ; not ours" in text and "( 9 3600" in text
    assert {f"api.lab.example {kind}" for kind in ("A", "AAAA")} <= set(lab.dns.asked)
    assert lab.authority.fetched[0].startswith("http://api.lab.example/.well-known/acme-challenge/")

    back = lab.ok("rollback", status=3)
    assert "leads 127.0.0.2 -> 127.0.0.1" in back and "--accept-irreversible" in back
    lab.ok("rollback", "--yes", "--accept-irreversible")
    assert (lab.folder / "lab.zone").read_text().endswith("IN\tA\t127.0.0.1 ; cortops names\n")
    assert lab.served_days() == 90, "going back uses the certificate of today"

    own_certificate(lab, file)
    bad = lab.ok("validate", status=2)
    assert "cannot be used: it does not cover api.lab.example (it covers www.lab.example, localhost)" in bad
    issued = authority.issue(lab.authority.root, ["*.lab.example"], time.time(), secrets.token_bytes)
    (lab.folder / "own.pem").write_text(issued.certificate + lab.authority.root.certificate)
    assert "the private key does not belong to the certificate" in lab.ok("plan", status=2)
    lab.set_secret("own/key", issued.key)
    assert "is valid" in lab.ok("validate")
    assert "every entity is well" in lab.ok("apply", "--accept-irreversible")  # the file still leads to 127.0.0.2
    assert (lab.served_days(), lab.where.services()["proxy"]) == (397, pid)
    checked = lab.ok("secrets", "check", status=3)
    assert "!" not in checked and "cortops secrets remove tls/api.lab.example" in checked  # what the authority gave lies here still


def own_certificate(lab: Lab, file: Path) -> None:
    """The file with a certificate of our own in the place of the authority's: at first one for another name."""
    text = re.sub(r"^acme:.*\n", "", file.read_text(), flags=re.MULTILINE)
    file.write_text(text.replace("tls: acme", "tls: {certificate: own.pem, key: {secret: own/key}, trust: root.pem}"))
    other = authority.issue(lab.authority.root, ["www.lab.example"], time.time(), secrets.token_bytes)
    (lab.folder / "own.pem").write_text(other.certificate)
    lab.set_secret("own/key", other.key)
