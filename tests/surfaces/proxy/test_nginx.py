"""nginx.conf from values: what each hostname gets, and that nginx itself takes the text."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import crossplane
import pytest
from tests.surfaces.proxy.nginx_rig import nginx_program, seed

from cortops.deploy import authority
from cortops.surfaces.proxy.nginx import (
    FAILED_FOR_S,
    KEPT_MAX,
    ZONE_MIB,
    ClientLimit,
    Closed,
    NginxSite,
    Open,
    Refusal,
    ServerName,
    Upstream,
    render,
)
from cortops.testing.clock import START

ONE = ServerName(
    hostname="api.lab-1.example",
    listen=("127.0.0.1:8443",),
    certificate="/tls/one.pem",
    certificate_key="/tls/one.key",
    who="the gateway",
    upstreams=(Upstream(name="to_api.lab-1.example", servers=("127.0.0.1:8400", "127.0.0.1:8401")),),
    locations=(
        Open(match="= /v1/models", upstream="to_api.lab-1.example"),
        Open(match="= /about", upstream="to_api.lab-1.example", asks="/api/v1/about"),
        Closed(match="/v2/", refusal=Refusal(status=404, code="not_yet", message="not yet", param="version")),
    ),
    body_max_kib=4096,
    read_timeout_s=480,
)
TWO = replace(
    ONE,
    hostname="api-lab.1.example",
    who="the chain",
    upstreams=(Upstream(name="to_api-lab.1.example", servers=("127.0.0.1:8545",)),),
    locations=(Open(match="/", upstream="to_api-lab.1.example"),),
    methods=("GET", "HEAD"),
    body_max_kib=1,
    read_timeout_s=5,
)
SITE = NginxSite(run_folder="/run/proxy", user="", servers=(ONE, TWO))

Block = dict[str, Any]


def parsed(text: str, folder: Path) -> list[Block]:
    path = folder / "nginx.conf"
    path.write_text(text)
    found = crossplane.parse(str(path), check_ctx=True)
    assert found["errors"] == []
    return list(found["config"][0]["parsed"])


def inside(blocks: list[Block], name: str) -> list[Block]:
    return [block for block in blocks if block["directive"] == name]


def value(blocks: list[Block], name: str) -> list[str]:
    (block,) = inside(blocks, name)
    return list(block["args"])


def http(text: str, folder: Path) -> list[Block]:
    (block,) = inside(parsed(text, folder), "http")
    return list(block["block"])


def servers(text: str, folder: Path) -> list[list[Block]]:
    return [block["block"] for block in inside(http(text, folder), "server")]


def locations(server: list[Block]) -> dict[str, list[Block]]:
    return {" ".join(block["args"]): block["block"] for block in inside(server, "location")}


def test_each_hostname_has_its_own_limits_and_ways(tmp_path: Path) -> None:
    one, two = servers(render(SITE), tmp_path)
    for block, name in ((one, ONE), (two, TWO)):
        assert value(block, "server_name") == [name.hostname]
        assert value(block, "listen") == [*name.listen, "ssl"]
        assert value(block, "http2") == ["on"]
        assert value(block, "ssl_certificate") == [name.certificate]
        assert value(block, "ssl_certificate_key") == [name.certificate_key]
        assert value(block, "client_max_body_size") == [f"{name.body_max_kib}k"]
        assert value(block, "proxy_read_timeout") == [f"{name.read_timeout_s}s"]
    assert {match: value(way, "proxy_pass") for match, way in locations(one).items() if inside(way, "proxy_pass")} == {
        "= /v1/models": ["http://to_api.lab-1.example"],
        "= /about": ["http://to_api.lab-1.example/api/v1/about"],
    }
    status, body = value(locations(one)["/v2/"], "return")
    assert (status, json.loads(body)["error"]["param"]) == ("404", "version")
    assert value(locations(one)["/"], "return") == ["404"], "what is not let through"
    assert value(locations(two)["/"], "proxy_pass") == ["http://to_api-lab.1.example"]


def test_of_several_the_least_busy_is_asked_and_one_that_failed_is_left_out_for_a_moment(tmp_path: Path) -> None:
    groups = {block["args"][0]: block["block"] for block in inside(http(render(SITE), tmp_path), "upstream")}
    assert list(groups) == ["to_api.lab-1.example", "to_api-lab.1.example"], "names that differ in dots and dashes only stay apart"
    several, single = groups.values()
    assert [line["args"] for line in inside(several, "server")] == [
        ["127.0.0.1:8400", "max_fails=1", f"fail_timeout={FAILED_FOR_S}s"],
        ["127.0.0.1:8401", "max_fails=1", f"fail_timeout={FAILED_FOR_S}s"],
    ]
    names = [line["directive"] for line in several]
    assert names.index("least_conn") < names.index("keepalive"), "keepalive wraps the way of choosing before it"
    assert [line["args"] for line in inside(single, "server")] == [["127.0.0.1:8545", "max_fails=0"]]
    assert not inside(single, "least_conn")


@pytest.mark.parametrize(
    ("servers", "kept"),
    [
        (("127.0.0.1:8400", "127.0.0.1:8401"), KEPT_MAX),
        (("127.0.0.1:8400", "10.0.0.2:8400"), 0),
        (("10.0.0.2:8400",), KEPT_MAX),
    ],
)
def test_no_connection_is_kept_where_one_of_several_may_vanish_with_its_host(servers: tuple[str, ...], kept: int, tmp_path: Path) -> None:
    one = replace(ONE, upstreams=(replace(ONE.upstreams[0], servers=servers), *ONE.upstreams[1:]))
    (group, *_) = inside(http(render(replace(SITE, servers=(one,))), tmp_path), "upstream")
    assert value(group["block"], "keepalive") == [str(kept)]


def test_nothing_is_buffered_nor_sent_twice_and_the_client_is_not_believed(tmp_path: Path) -> None:
    blocks = http(render(SITE), tmp_path)
    assert value(blocks, "proxy_buffering") == ["off"]
    assert value(blocks, "proxy_next_upstream") == ["error", "timeout"], "non_idempotent would send a POST again"
    told = {" ".join(header["args"]) for header in inside(blocks, "proxy_set_header")}
    known = {"Connection ", "Host $http_host", "X-Forwarded-For $remote_addr", "X-Forwarded-Proto https", "X-Request-ID $shown_id"}
    assert told == known
    for server in inside(blocks, "server"):
        everything = [*server["block"], *(line for way in inside(server["block"], "location") for line in way["block"])]
        assert not [line for line in everything if line["directive"] in ("proxy_set_header", "proxy_next_upstream", "proxy_buffering")]
        assert not [line for line in everything if line["directive"] in ("set_real_ip_from", "real_ip_header")]


def test_what_nginx_refuses_by_itself_has_the_one_error_shape_and_says_who(tmp_path: Path) -> None:
    one, two = servers(render(SITE), tmp_path)
    for block, name in ((one, ONE), (two, TWO)):
        found = {match.removeprefix("= /refused/"): way for match, way in locations(block).items() if match.startswith("= /refused/")}
        told = {of: (value(way, "return")[0], json.loads(value(way, "return")[1])) for of, way in found.items()}
        assert {of: (status, body["error"]["code"]) for of, (status, body) in told.items()} == {
            "400": ("400", "bad_request"),
            "404": ("404", "not_found"),
            **({"405": ("405", "method_not_allowed")} if name.methods else {}),
            "413": ("413", "request_too_large"),
            "414": ("414", "address_too_long"),
            "494": ("431", "header_too_large"),
            "497": ("400", "tls_needed"),
            "502": ("502", "upstream_unavailable"),
            "504": ("504", "upstream_timeout"),
        }
        for status, body in told.values():
            assert set(body) == {"error", "request_id"} and body["request_id"] == "$shown_id"
            assert set(body["error"]) == {"message", "type", "code", "param"} and body["error"]["message"]
            assert body["error"]["type"] == ("invalid_request_error" if int(status) < 500 else "api_error")
        assert all(name.who in told[of][1]["error"]["message"] for of in ("502", "504"))
        assert [(page["args"][0], page["args"][-1]) for page in inside(block, "error_page")] == [(of, f"/refused/{of}") for of in found]
        assert all(inside(way, "internal") for way in found.values()), "nobody asks for a refusal by its address"


def test_a_hostname_may_take_some_methods_only(tmp_path: Path) -> None:
    one, two = servers(render(SITE), tmp_path)
    assert not inside(locations(one)["= /v1/models"], "if")
    assert value(locations(two)["/"], "if") == ["$request_method", "!~", "^(GET|HEAD)$"]
    assert ["Allow", "GET, HEAD", "always"] in [line["args"] for line in inside(locations(two)["= /refused/405"], "add_header")]


def test_a_place_has_its_own_timeout_body_and_limits_and_the_refusal_says_when_to_come_again(tmp_path: Path) -> None:
    slow = ClientLimit(name="api.lab-1.example_trial", per_min=4, burst=2, at_once=3)
    place = Open(match="= /trial", upstream=ONE.upstreams[0].name, read_timeout_s=30, body_max_kib=9, limit=slow)
    text = render(replace(SITE, servers=(replace(ONE, locations=(*ONE.locations, place, replace(place, match="= /again"))), TWO)))
    blocks = http(text, tmp_path)
    assert value(blocks, "limit_req_zone") == ["$binary_remote_addr", f"zone=rate_{slow.name}:{ZONE_MIB}m", "rate=4r/m"], "once for both"
    assert value(blocks, "limit_conn_zone") == ["$binary_remote_addr", f"zone=open_{slow.name}:{ZONE_MIB}m"]
    assert (value(blocks, "limit_req_status"), value(blocks, "limit_conn_status")) == (["429"], ["429"])
    one, two = servers(text, tmp_path)
    own = locations(one)["= /trial"]
    assert value(own, "limit_req") == [f"zone=rate_{slow.name}", "burst=2", "nodelay"]
    assert value(own, "limit_conn") == [f"open_{slow.name}", "3"]
    assert (value(own, "proxy_read_timeout"), value(own, "client_max_body_size")) == (["30s"], ["9k"])
    assert not inside(locations(one)["= /v1/models"], "limit_req")
    refused = locations(one)["= /refused/429"]
    assert json.loads(value(refused, "return")[1])["error"]["retry_after_s"] == 15
    assert [line["args"][:2] for line in inside(refused, "add_header")] == [["Retry-After", "15"], ["X-Request-ID", "$shown_id"]]
    assert "= /refused/429" not in locations(two)


def test_only_declared_networks_are_believed_about_the_clients_address(tmp_path: Path) -> None:
    one, two = servers(render(replace(SITE, servers=(replace(ONE, believes=("10.0.0.0/24", "fd00::/8")), TWO))), tmp_path)
    assert [line["args"] for line in inside(one, "set_real_ip_from")] == [["10.0.0.0/24"], ["fd00::/8"]]
    assert (value(one, "real_ip_header"), value(one, "real_ip_recursive")) == (["X-Forwarded-For"], ["on"])
    assert not inside(two, "set_real_ip_from")


@pytest.mark.parametrize(("user", "first"), [("", "daemon off;"), ("root", "user root;")])
def test_workers_are_given_a_user_only_where_nginx_starts_as_root(user: str, first: str) -> None:
    assert render(replace(SITE, user=user)).splitlines()[0] == first


def certified(site: NginxSite, folder: Path) -> NginxSite:
    """The same site with files that are there."""
    issued = authority.issue(authority.make_authority("test", START, seed), [server.hostname for server in site.servers], START, seed)
    (folder / "c.pem").write_text(issued.certificate)
    (folder / "c.key").write_text(issued.key)
    files = {"certificate": str(folder / "c.pem"), "certificate_key": str(folder / "c.key")}
    return replace(site, run_folder=str(folder), servers=tuple(replace(server, **files) for server in site.servers))


@pytest.mark.real
def test_nginx_takes_the_text(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text(render(certified(SITE, tmp_path)))
    done = subprocess.run(
        [nginx_program(tmp_path), "-t", "-p", tmp_path, "-e", "stderr", "-c", tmp_path / "nginx.conf"],
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert done.returncode == 0 and "test is successful" in done.stderr, done.stderr
    assert "warn" not in done.stderr
