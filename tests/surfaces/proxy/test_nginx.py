"""nginx.conf from values: what each hostname gets, and that nginx itself takes the text."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import crossplane
import pytest

from cortops.deploy import authority
from cortops.local.here import host_here
from cortops.surfaces.proxy.nginx import ALWAYS, FAMILIES, NginxSite, ServerName, render
from cortops.targets.supervisord import Supervisord
from cortops.testing.clock import START

ONE = ServerName(
    hostname="api.lab-1.example",
    listen="127.0.0.1:8443",
    certificate="/tls/one.pem",
    certificate_key="/tls/one.key",
    families=("completion",),
    upstream="127.0.0.1:8400",
    body_max_kib=4096,
    read_timeout_s=480,
)
TWO = replace(ONE, hostname="eu.example", families=(), body_max_kib=1, read_timeout_s=5)
SITE = NginxSite(run_folder="/run/proxy", user="", servers=(ONE, TWO))

Block = dict[str, Any]


def parsed(text: str, folder: Path) -> list[Block]:
    path = folder / "nginx.conf"
    path.write_text(text)
    found = crossplane.parse(str(path))
    assert found["errors"] == []
    return list(found["config"][0]["parsed"])


def inside(blocks: list[Block], name: str) -> list[Block]:
    return [block for block in blocks if block["directive"] == name]


def value(blocks: list[Block], name: str) -> list[str]:
    (block,) = inside(blocks, name)
    return list(block["args"])


def servers(text: str, folder: Path) -> list[list[Block]]:
    (http,) = inside(parsed(text, folder), "http")
    return [block["block"] for block in inside(http["block"], "server")]


def test_each_hostname_has_its_own_limits_and_way(tmp_path: Path) -> None:
    one, two = servers(render(SITE), tmp_path)
    for block, name in ((one, ONE), (two, TWO)):
        assert value(block, "server_name") == [name.hostname]
        assert value(block, "listen") == [name.listen, "ssl"]
        assert value(block, "ssl_certificate") == [name.certificate]
        assert value(block, "ssl_certificate_key") == [name.certificate_key]
        assert value(block, "client_max_body_size") == [f"{name.body_max_kib}k"]
        ways = [way for way in inside(block, "location") if inside(way["block"], "proxy_pass")]
        assert [" ".join(way["args"]) for way in ways] == [*ALWAYS, *(path for family in name.families for path in FAMILIES[family])]
        assert {value(way["block"], "proxy_read_timeout")[0] for way in ways} == {f"{name.read_timeout_s}s"}


def test_a_way_leads_to_the_hostnames_own_upstream_unbuffered_and_is_never_tried_twice(tmp_path: Path) -> None:
    (http,) = inside(parsed(render(SITE), tmp_path), "http")
    upstreams = {block["args"][0]: value(block["block"], "server") for block in inside(http["block"], "upstream")}
    assert upstreams == {"to_api_lab_1_example": ["127.0.0.1:8400", "max_fails=0"], "to_eu_example": ["127.0.0.1:8400", "max_fails=0"]}
    for server in inside(http["block"], "server"):
        name = "to_" + value(server["block"], "server_name")[0].replace(".", "_").replace("-", "_")
        for way in inside(server["block"], "location"):
            if inside(way["block"], "proxy_pass"):
                assert value(way["block"], "proxy_pass") == [f"http://{name}"]
                assert value(way["block"], "proxy_buffering") == ["off"]
                assert value(way["block"], "proxy_next_upstream") == ["off"]
                told = {" ".join(header["args"]) for header in inside(way["block"], "proxy_set_header")}
                assert "X-Forwarded-For $remote_addr" in told, "the client's own word on its address is not passed on"


def test_what_nginx_refuses_by_itself_has_the_gateways_error_shape(tmp_path: Path) -> None:
    one, _ = servers(render(SITE), tmp_path)
    bodies = {}
    for way in inside(one, "location"):
        if way["args"][0].startswith("@refused_"):
            status, body = value(way["block"], "return")
            bodies[int(status)] = json.loads(body)["error"]
    assert {status: (error["code"], error["type"]) for status, error in bodies.items()} == {
        404: ("not_found", "invalid_request_error"),
        413: ("request_too_large", "invalid_request_error"),
        502: ("upstream_unavailable", "api_error"),
        504: ("upstream_timeout", "api_error"),
    }
    assert all(set(error) == {"message", "type", "code", "param"} and error["message"] for error in bodies.values())
    assert {(page["args"][0], page["args"][1]) for page in inside(one, "error_page")} == {
        (str(status), f"@refused_{status}") for status in bodies
    }


@pytest.mark.parametrize(("user", "first"), [("", "daemon off;"), ("root", "user root;")])
def test_workers_are_given_a_user_only_where_nginx_starts_as_root(user: str, first: str) -> None:
    assert render(replace(SITE, user=user)).splitlines()[0] == first


@pytest.mark.real
def test_nginx_takes_the_text(tmp_path: Path) -> None:
    def seed(count: int) -> bytes:
        return bytes(range(1, count + 1))

    issued = authority.issue(authority.make_authority("test", START, seed), [ONE.hostname, TWO.hostname], START, seed)
    (tmp_path / "c.pem").write_text(issued.certificate)
    (tmp_path / "c.key").write_text(issued.key)
    files = {"certificate": str(tmp_path / "c.pem"), "certificate_key": str(tmp_path / "c.key")}
    text = render(NginxSite(run_folder=str(tmp_path), user="", servers=(replace(ONE, **files), replace(TWO, **files))))
    (tmp_path / "nginx.conf").write_text(text)
    nginx = host_here("here", tmp_path, Supervisord(str(tmp_path), sys.executable)).nginx
    done = subprocess.run(
        [nginx, "-t", "-p", tmp_path, "-e", "stderr", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, timeout=10
    )
    assert done.returncode == 0 and "test is successful" in done.stderr, done.stderr
    assert "warn" not in done.stderr
