"""Certificates as resources, what a hostname is trusted by, and what nginx shows an authority."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.surfaces.proxy.test_checks import NOW, answer
from tests.surfaces.stage import EXAMPLE, example, site_of

from cortops.environment.certificates import STAND_IN
from cortops.environment.declared import Environment, port_uses, shift_ports
from cortops.environment.load import load
from cortops.surfaces.monitoring.render import render as monitoring
from cortops.surfaces.proxy import checks as proxy
from cortops.surfaces.proxy.certificates import render, trust_file
from cortops.surfaces.proxy.curls import curls
from cortops.surfaces.proxy.render import render as proxy_render
from cortops.surfaces.site import Site
from cortops.words.question import Tls
from cortops.words.resource import Certificate, File, Service

HOSTNAME = "api.lab.example"
ACME = "\nacme: {directory: 'https://acme.example/directory', agree: true, http_port: 8480%s}\n"
DNS = "dns: {zones: {lab.example: {zone-file: x}}, hosts: {here: [203.0.113.7, '2001:db8::7']}}\n"


def declared(more: str = "", file: str = "/etc/lab/lab.yaml", trust: str | None = None) -> Environment:
    """The bundled environment with one hostname whose certificate an authority gives. trust: of that authority."""
    rest = "{on: here, port: 8443, to: gateway, tls:"
    text = EXAMPLE.read_text().replace(f"gateway.localhost: {rest} local-ca", f"{HOSTNAME}: {rest} acme")
    loaded = load(text + ACME % more, file)
    assert isinstance(loaded, Environment) and loaded.acme is not None, loaded
    return replace(loaded, acme=loaded.acme.model_copy(update={"trust": trust}))


def site(env: Environment, public: str) -> Site:
    base = site_of(example())
    return replace(base, public={**base.public, f"tls/{HOSTNAME}": public})


def asked(env: Environment, public: str) -> tuple[str, str]:
    (one,) = (one for one in proxy.questions(env, site(env, public)) if isinstance(one, Tls) and one.server_name == HOSTNAME)
    return one.ca_file, one.ca_pem


FILES = EXAMPLE.read_text().replace(
    "to: rpc, tls: local-ca", "to: rpc, tls: {certificate: certificates/rpc.pem, key: {secret: rpc/tls-key}}"
)
BY_SECRET = FILES.replace("certificate: certificates/rpc.pem", "certificate: {secret: rpc/tls}")


@pytest.mark.parametrize(
    ("text", "hostname", "cure"),
    [
        (EXAMPLE.read_text(), "rpc.localhost", "cortops apply"),
        (FILES, "rpc.localhost", "put a new one at certificates/rpc.pem, then: cortops apply"),
        (BY_SECRET, "rpc.localhost", "put a new one into the secret rpc/tls, then: cortops apply"),
        (declared().text, HOSTNAME, "cortops apply"),
        (declared(", renew: watch").text, HOSTNAME, "cortops logs watch says why (renewal_failed); at once: cortops apply"),
    ],
)
def test_one_that_should_have_been_renewed_names_what_renews_it(text: str, hostname: str, cure: str) -> None:
    env = load(text, "/etc/lab/lab.yaml")
    assert isinstance(env, Environment), env.text
    kept = site(env, "a certificate")
    kept = replace(kept, public={**kept.public, "tls/rpc.localhost": "a certificate"})
    judged = {check.name: check.judge for check in proxy.checks(env, kept) if str(check.entity) == f"proxy/{hostname}"}
    asked = {f"tls:{hostname}": answer({"not_after": NOW + 6 * 86_400}, 0)}
    assert judged["renewal"](asked, NOW).text == f"valid for 6 more days only, and not renewed: {cure}"
    assert judged["certificate"](asked, NOW).text == f"valid for 6 more days only: {cure}"


def test_one_waits_for_its_nginx_and_for_the_names_records() -> None:
    found = [*render(declared(), site_of(example()))]
    assert [(one.id, one.place, one.needs) for one in found] == [(f"certificate:{HOSTNAME}", "acme", ("here service:proxy",))]
    text = declared()
    with_dns = load(text.text + DNS, "lab.yaml")
    assert isinstance(with_dns, Environment)
    (one,) = render(with_dns, site_of(example()))
    assert isinstance(one, Certificate)
    records = tuple(f"dns/lab.example record:{HOSTNAME}/{kind}" for kind in ("A", "AAAA"))
    assert one.needs == ("here service:proxy", *records)


def test_nginx_answers_the_authority_in_plain_http_and_nothing_else_there() -> None:
    env = declared()
    found = {one.id: one for one in proxy_render(env, site(env, "stand-in"))}
    conf = found["file:/srv/local/etc/nginx.conf"]
    assert isinstance(conf, File)
    block = str(conf.content[0]).partition("certificates: what authorities ask for")[2].partition("ssl")[0]
    lines = [line.strip() for line in block.splitlines() if line.strip()]
    assert lines[:6] == [
        "server {",
        "listen 127.0.0.1:8480;",
        f"server_name {HOSTNAME};",
        "location /.well-known/acme-challenge/ {",
        "alias /srv/local/run/proxy/acme/;",
        "default_type text/plain;",
    ]
    service = found["service:proxy"]
    assert isinstance(service, Service) and 8480 in service.ports
    assert "directory:/srv/local/run/proxy/acme" in found
    assert env.acme is not None
    dns_01 = replace(env, acme=env.acme.model_copy(update={"challenge": "dns-01"}))
    assert "acme-challenge" not in str([one for one in proxy_render(dns_01, site(env, "stand-in")) if isinstance(one, File)])


def test_its_port_is_one_of_the_environments() -> None:
    env = declared()
    assert [use.port for use in port_uses(env) if use.path == ("acme", "http_port")] == [8480]
    assert [use.port for use in port_uses(shift_ports(env, 100)) if use.path == ("acme", "http_port")] == [8580]


@pytest.mark.parametrize(
    ("trust", "public", "expected"),
    [
        (None, f"{STAND_IN}\n-----BEGIN", ("", f"{STAND_IN}\n-----BEGIN")),
        (None, "-----BEGIN", ("", "")),
        ("root.pem", "-----BEGIN", ("/etc/lab/root.pem", "")),
        ("/etc/root.pem", "-----BEGIN", ("/etc/root.pem", "")),
    ],
)
def test_what_it_is_trusted_by(trust: str | None, public: str, expected: tuple[str, str]) -> None:
    assert asked(declared(trust=trust), public) == expected


def test_a_path_is_seen_from_the_environment_file() -> None:
    beside = declared(file="lab.yaml", trust="root.pem")
    assert trust_file(beside, beside.proxy[HOSTNAME]) == "root.pem"
    shown = {curl.hostname: curl.text for curl in curls(declared(), "~/ca.pem", "KEY")}
    assert "--cacert" not in shown[HOSTNAME] and "--cacert ~/ca.pem" in shown["router.localhost"]


def test_the_watch_begins_anew_once_there_is_one() -> None:
    env = declared()

    def told(public: str) -> list[tuple[object, ...]]:
        files = [one for one in monitoring(env, site(env, public)) if isinstance(one, File) and one.path.endswith("watch.certificates")]
        (watch,) = (one for one in monitoring(env, site(env, public)) if isinstance(one, Service))
        return [(one.content, one.key in watch.restart_on) for one in files]

    assert told(f"{STAND_IN}\n") == told("stand-in-00ff") == [((f"{HOSTNAME} stands in\n",), True)]
    assert told("-----BEGIN") == [((f"{HOSTNAME} obtained\n",), True)]


def test_what_stands_in_is_told_and_is_not_well() -> None:
    env = declared()
    (check,) = (one for one in proxy.checks(env, site(env, f"{STAND_IN}\n")) if one.entity.name == HOSTNAME and one.name == "certificate")
    found = check.judge({check.asks[0]: answer({"not_after": NOW + 80 * 86_400}, 0)}, NOW)
    assert (found.outcome, "no certificate has been obtained yet" in found.text) == ("bad", True)
