"""Records of our zones: which names get which, and in what order they are made."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.surfaces.stage import example, site_of

from cortops.environment.declared import Environment
from cortops.environment.dns import Dns, records_of, server_place, zone_of
from cortops.surfaces.dns import checks as dns_checks
from cortops.surfaces.dns.render import render
from cortops.surfaces.proxy.certificates import render as certificates
from cortops.words.question import Dns as Asked
from cortops.words.resource import DnsRecord

DNS = Dns.model_validate(
    {
        "zones": {"lab.example": {"zone-file": "lab"}, "eu.lab.example": {"octodns": "config"}},
        "hosts": {"here": ["2001:DB8::7", "203.0.113.8", "203.0.113.7"]},
        "ttl_s": "60",
        "servers": ["192.0.2.53", "[2001:db8::53]:5353"],
    }
)


def declared(dns: Dns | None = DNS) -> Environment:
    env = example()
    names = ("api.lab.example", "www.eu.lab.example", "router.localhost", "portal.localhost", "console.localhost")
    return replace(env, dns=dns, proxy=dict(zip(names, env.proxy.values(), strict=True)))


def rendered(env: Environment) -> list[DnsRecord]:
    return [one for one in render(env, site_of(example())) if isinstance(one, DnsRecord)]


def test_each_name_leads_to_its_host_in_the_longest_zone_that_holds_it() -> None:
    found = {one.key: one.values for one in rendered(declared())}
    assert found == {
        "dns/lab.example record:api.lab.example/A": ("203.0.113.7", "203.0.113.8"),
        "dns/lab.example record:api.lab.example/AAAA": ("2001:db8::7",),
        "dns/eu.lab.example record:www.eu.lab.example/A": ("203.0.113.7", "203.0.113.8"),
        "dns/eu.lab.example record:www.eu.lab.example/AAAA": ("2001:db8::7",),
    }
    assert {(one.ttl_s, one.needs) for one in rendered(declared())} == {(60, ("here service:proxy",))}  # a name leads to what serves it
    assert rendered(declared(None)) == []


def test_a_host_that_is_a_name_elsewhere_gives_an_alias() -> None:
    dns = DNS.model_copy(update={"hosts": {"here": ("edge.provider.example",)}})
    assert [(one.type, one.values) for one in records_of(dns, "api.lab.example", "here")] == [("CNAME", ("edge.provider.example",))]
    assert records_of(dns, "api.lab.example", "h2") == ()


def test_a_zone_holds_its_own_name_and_those_below() -> None:
    names = ("lab.example", "a.lab.example", "a.eu.lab.example", "eu.lab.example", "xlab.example", "example")
    assert [zone_of(DNS, name) for name in names] == ["lab.example", "lab.example", "eu.lab.example", "eu.lab.example", "", ""]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
        ("ns1.example", None),
        ("192.0.2.53:0", None),
        ("192.0.2.53:http", None),
        ("", None),
    ],
)
def test_where_a_server_is(text: str, place: tuple[str, int] | None) -> None:
    assert server_place(text) == place


def test_names_of_our_zones_are_asked_of_the_declared_servers_and_others_of_this_machine() -> None:
    env = declared()
    asked = [one for one in dns_checks.questions(env, site_of(example())) if isinstance(one, Asked)]
    assert [one.name for one in asked if one.server is None] == ["router.localhost", "portal.localhost", "console.localhost"]
    assert [one.server for one in asked if one.name == "api.lab.example"] == [("192.0.2.53", 53), ("2001:db8::53", 5353)]
    without = declared(None)
    assert [one.server for one in dns_checks.questions(without, site_of(example())) if isinstance(one, Asked)] == [None] * 5


def test_no_certificate_is_asked_for_where_nothing_says_acme() -> None:
    assert [*certificates(declared(), site_of(example()))] == []
