"""A name shown to be ours by a record: put into our zone, published, awaited at the servers, taken away again. The servers stand in."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path

import pytest

from cortops.deploy.acme.account import AcmeAccount, account_key
from cortops.deploy.acme.by_dns import SEEN_TIMEOUT_S, Shown
from cortops.deploy.acme.driver import AcmeDriver, ByDns
from cortops.deploy.acme.plan import CERTIFICATE_WELL, PLACE
from cortops.deploy.names import zone_file
from cortops.deploy.names.dns_driver import DnsDriver, ZonePlace
from cortops.deploy.observed import Desired, Step
from cortops.probes.dns import Found
from cortops.testing.acme import acme_server
from cortops.testing.clock import VirtualClock
from cortops.testing.dns_server import dns_server
from cortops.words.change import Action
from cortops.words.clock import SystemClock
from cortops.words.entity import Entity
from cortops.words.errors import StepFailed
from cortops.words.resource import Certificate

ZONE, HOSTNAME, NAME = "lab.example", "api.lab.example", "_acme-challenge.api.lab.example"
TEXT = "$TTL 1h\n@ IN SOA ns1 host 7 3600 600 86400 300\n@ IN NS ns1\nns1 IN A 192.0.2.1\n"
CERTIFICATE = Certificate(place=PLACE, entity=Entity("proxy", HOSTNAME), because="x", hostname=HOSTNAME, secret="tls/x", host="here")


def records(path: Path) -> Mapping[tuple[str, str], Sequence[str]]:
    """What a server that reads the published file answers."""
    return {one.key: one.values for one in zone_file.read(path.read_text(), ZONE) if one.type in ("A", "TXT")}


def zone(folder: Path, publish: str) -> DnsDriver:
    (folder / "zone").write_text(TEXT)
    (folder / "published").write_text(TEXT)
    kept = ZonePlace(zone=ZONE, path=folder / "zone", octodns=False, publish=("/bin/sh", "-c", publish), folder=folder)
    return DnsDriver(f"dns/{ZONE}", kept, "lab", SystemClock())


def test_a_certificate_shown_by_a_record_that_goes_again(tmp_path: Path) -> None:
    asyncio.run(_obtained(tmp_path))


async def _obtained(folder: Path) -> None:
    clock, numbers, kept = SystemClock(), itertools.count(), dict[str, str]()

    def chance(count: int) -> bytes:
        return hashlib.shake_256(f"by dns {next(numbers)}".encode()).digest(count)

    driver = zone(folder, "cp zone published")
    async with (
        dns_server(lambda: records(folder / "published")) as dns,
        acme_server(clock, chance, http_port=9, dns=dns.place) as server,
    ):
        (folder / "root.pem").write_text(server.root.certificate)
        shown = Shown(lambda name: driver, (dns.place,), clock)
        account = partial(AcmeAccount, server.directory, "a token", (), trust=folder / "root.pem", agent="test")
        acme = AcmeDriver({}, account, ByDns(shown.put, shown.drop), kept.__setitem__, clock)
        step = Step(action=Action.CREATE, desired=Desired(resource=CERTIFICATE, attributes=CERTIFICATE_WELL))
        async with aclosing(acme.apply([step], "a1")) as told:
            said = [progress async for progress in told]
        assert [item.event for item in said] == ["begun", "done"], said
        assert (server.signed, server.fetched) == ([(HOSTNAME,)], [f"dns {NAME} TXT"])
        assert f"{NAME} TXT" in dns.asked
        assert kept["tls/x"].count("BEGIN CERTIFICATE") == 2 and "PRIVATE KEY" in kept["tls/x"]
        assert (folder / "published").read_text() == TEXT.replace("host 7", "host 9")  # the record is gone, published so too


def test_a_server_that_never_answers_with_it_is_waited_for_and_named(tmp_path: Path) -> None:
    clock = VirtualClock()

    async def never(server: tuple[str, int], name: str, kind: str, timeout_s: float) -> Found:
        return Found(values=(), ttl_s=0, aliases=())

    async def run() -> None:
        driver = zone(tmp_path, "true")
        shown = Shown(lambda name: driver, (("192.0.2.53", 53),), clock, never)
        with pytest.raises(StepFailed, match=r"192\.0\.2\.53 does not answer with the record of _acme-challenge"):
            await shown.put(NAME, "x" * 43)
        await shown.drop(NAME)

    began = clock.monotonic()
    clock.run(run())
    assert clock.monotonic() - began >= SEEN_TIMEOUT_S
    assert (tmp_path / "zone").read_text() == TEXT.replace("host 7", "host 9")


def test_an_accounts_key_is_peoples_own_or_made_of_its_secret() -> None:
    made = account_key("a token")
    assert made.private_numbers() == account_key("a token").private_numbers() != account_key("another").private_numbers()
    assert made.curve.name == "secp256r1"
    with pytest.raises(StepFailed, match="no P-256 key") as caught:
        account_key("-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n")
    assert "QUJD" not in f"{caught.value.what}{caught.value.why}"
