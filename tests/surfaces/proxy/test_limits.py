"""What nginx itself does with requests that are wrong, forged, or too slow: one nginx, asked byte by byte."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.surfaces.proxy.nginx_rig import Behind, Front, front

from cortops.surfaces.proxy.nginx import ClientLimit, Open, ServerName, Upstream

pytestmark = pytest.mark.real
ONE, TWO = "one.lab.example", "two.lab.example"
OURS = "lab:1.2-a_B"


def named(behind: Behind, *more: Open) -> ServerName:
    places = (Open(match="/", upstream="behind"), *more)
    upstreams = (Upstream(name="behind", servers=(behind.address,)),)
    return ServerName(
        hostname=ONE,
        listen=(),
        certificate="",
        certificate_key="",
        who="it",
        upstreams=upstreams,
        locations=places,
        body_max_kib=64,
        read_timeout_s=30,
    )


async def said(nginx: Front, data: bytes, *, tls: bool = True) -> tuple[int, dict[str, str], dict[str, object]]:
    """Status, headers, body of the answer to these bytes."""
    name = ONE if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", nginx.port, ssl=nginx.tls if tls else None, server_hostname=name)
    writer.write(data)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers["content-length"]))
    writer.close()
    return int(head[0].split(" ")[1]), headers, json.loads(body)


def request(*headers: str, path: str = "/a") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {ONE}", "Connection: close", *headers, "", ""]).encode()


@pytest.mark.parametrize(
    ("data", "tls", "status", "code"),
    [
        (b"\x00\x01nonsense\r\n\r\n", True, 400, "bad_request"),
        (b"GET / HTTP/1.1\r\n\r\n", True, 400, "bad_request"),
        (request("Content-Length: 1", "Content-Length: 2"), True, 400, "bad_request"),
        (request("Transfer-Encoding: chunked", "Content-Length: 3"), True, 400, "bad_request"),
        (request("X: " + "a" * 20_000), True, 431, "header_too_large"),
        (request(path="/" + "a" * 20_000), True, 414, "address_too_long"),
        (request(), False, 400, "tls_needed"),
    ],
    ids=["nonsense", "no host", "two lengths", "length and chunks", "header", "address", "no TLS"],
)
def test_what_cannot_be_read_is_refused_in_our_shape(data: bytes, tls: bool, status: int, code: str, tmp_path: Path) -> None:
    behind = Behind("it")

    async def run() -> None:
        async with behind, front(tmp_path, named(behind)) as nginx:
            found, headers, body = await said(nginx, data, tls=tls)
            error = body["error"]
            assert isinstance(error, dict)
            assert (found, error["code"]) == (status, code)
            assert body["request_id"] == headers["x-request-id"] and re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])
            assert not behind.asked

    asyncio.run(run())


def test_the_clients_address_and_request_id_are_told_and_believed_only_as_declared(tmp_path: Path) -> None:
    behind = Behind("it")
    second = replace(named(behind), hostname=TWO, upstreams=(), believes=("127.0.0.0/8",))

    async def run() -> None:
        async with behind, front(tmp_path, named(behind), second) as nginx:
            _, _, told = await said(nginx, request("X-Forwarded-For: 192.0.2.7", f"X-Request-ID: {OURS}"))
            seen = told["headers"]
            assert isinstance(seen, dict)
            assert (seen["x-forwarded-for"], seen["x-request-id"]) == ("127.0.0.1", OURS)
            for bad in ("", "a b", "x" * 65, 'a"b', "a\tb"):
                _, headers, told = await said(nginx, request(f"X-Request-ID: {bad}"))
                seen = told["headers"]
                assert isinstance(seen, dict)
                assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"]) and seen["x-request-id"] == headers["x-request-id"]
            chain = request("X-Forwarded-For: 198.51.100.9, 192.0.2.7, 127.0.0.9").replace(ONE.encode(), TWO.encode())
            _, _, told = await said(nginx, chain)
            seen = told["headers"]
            assert isinstance(seen, dict) and seen["x-forwarded-for"] == "192.0.2.7", "the last that is none of ours"

    asyncio.run(run())


def test_a_place_that_waits_too_long_and_one_asked_too_often_say_so(tmp_path: Path) -> None:
    behind = Behind("it", "hold")
    slow = Open(match="= /slow", upstream="behind", read_timeout_s=1)
    rare = Open(match="= /rare", upstream="behind", limit=ClientLimit(name="rare", per_min=1, burst=1))

    async def run() -> None:
        async with behind, front(tmp_path, named(behind, slow, rare)) as nginx:
            status, _, body = await said(nginx, request(path="/slow"))
            assert (status, body["error"]) == (
                504,
                {"message": "it did not answer in time", "type": "api_error", "code": "upstream_timeout", "param": None},
            )
            behind.go.set()
            found = [await said(nginx, request(path="/rare")) for _ in range(3)]
            assert [status for status, _, _ in found] == [200, 200, 429]
            _, headers, body = found[-1]
            assert (headers["retry-after"], body["request_id"]) == ("60", headers["x-request-id"])

    asyncio.run(run())


def test_no_way_of_writing_a_path_leads_out_of_what_is_let_through(tmp_path: Path) -> None:
    behind = Behind("it")
    server = replace(named(behind), locations=(Open(match="/v1/models/", upstream="behind"),))
    ways = ("/v1/models/../../metrics", "/v1/models/%2e%2e/%2e%2e/metrics", "//metrics", "/v1/models/..%2f..%2fmetrics", "/%76%31/x")

    async def run() -> None:
        async with behind, front(tmp_path, server) as nginx:
            assert [(await said(nginx, request(path=path)))[0] for path in ways] == [404] * len(ways)
            assert not behind.asked
            assert (await said(nginx, request(path="/v1/models/x")))[0] == 200

    asyncio.run(run())
