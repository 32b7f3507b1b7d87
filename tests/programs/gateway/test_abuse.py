"""Ten thousand bad requests, and clients that keep a connection without asking: each gets its answer, and the gateway stays well."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from bad_requests import NAMES, Bad, Wrong
from gateway_rig import Rig, with_gateway

from cortops.protocol.gateway import GatewayConfig
from cortops.words.errors import BadInput

BAD_REQUESTS = 10_000
HERE = str(Path(__file__).resolve().parents[3]).encode()
AT_ONCE = 20  # connections
PIPELINED = 10  # requests of one connection


def answers(received: bytes) -> Iterator[tuple[int, dict[str, str], bytes]]:
    """(status, headers, body) of each answer on a connection."""
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        start, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        size = int(headers["content-length"])
        yield int(start.split(" ")[1]), headers, rest[:size]
        received = rest[size:]


def judge(status: int, headers: dict[str, str], body: bytes) -> str:
    """The code of one refusal; AssertionError for what no client should get."""
    assert 400 <= status < 500, (status, body)
    page = msgspec.json.decode(body)
    assert page["request_id"] == headers["x-request-id"] != ""
    assert page["error"]["message"] and "set-cookie" not in headers and "x-evil" not in headers
    assert b"Traceback" not in body and b".py" not in body and HERE not in body
    return page["error"]["code"]


async def converse(rig: Rig, asked: list[Bad]) -> list[str]:
    """All of them on one connection at once; the codes of the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    try:
        writer.write(b"".join([bad.text for bad in asked]))
        received = await reader.read(-1)
    finally:
        writer.close()
    codes = [judge(*answer) for answer in answers(received)]
    assert len(codes) == len(asked), ([bad.kind for bad in asked], codes, asked[-1].text[:200])
    return codes


async def ask_all(rig: Rig, seed: int, count: int) -> Counter[str]:
    """`count` bad requests; how often each code was the answer."""
    wrong, found, left = Wrong(seed, rig.key), Counter[str](), count // PIPELINED

    async def client() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            found.update(await converse(rig, [*(wrong.request() for _ in range(PIPELINED - 1)), wrong.ending()]))

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(client())
    return found


@pytest.mark.real
def test_ten_thousand_bad_requests_are_refused_and_do_no_harm(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        found = await ask_all(rig, seed=2, count=BAD_REQUESTS)
        assert found.total() == BAD_REQUESTS
        assert {"invalid_http", "invalid_body", "invalid_json", "model_not_found", "invalid_api_key", "body_too_large"} <= set(found)
        assert not rig.routers[0].asked and rig.routers[0].connections <= 1  # of the health probe
        assert (await rig.ask("/health")).status == 200 and (await rig.chat()).status == 200
        assert not [line for line in rig.logged() if line["level"] == "error"]
        rows = await rig.rows()
        assert Counter(row.status for row in rows)["ok"] == 1
        assert {row.status for row in rows} == {"ok", "refused"} and len({row.request_id for row in rows}) == len(rows)

    with_gateway(tmp_path, test)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("router-1", "pool-1", "OSS-20B")])
def test_no_name_of_the_configuration_leads_elsewhere(name: str) -> None:
    member = {"name": "m", "url": "http://127.0.0.1:1", "sessions": [1], "api_key": "k"}
    store = {"keys_db": "k", "usage_db": "u", "spool_folder": "s"}
    good = {"listen": {"port": 0}, "models": {"a": "p"}, "pools": {"p": {"members": [member]}}, "store": store}
    for changes in (
        {"pools": {"p": {"members": [{**member, "name": name}]}}},
        {"pools": {name: {"members": [member]}}, "models": {"a": name}},
        {"models": {name: "p"}},
    ):
        with pytest.raises(BadInput):
            GatewayConfig.from_json(msgspec.json.encode({**good, **changes}))
    assert GatewayConfig.from_json(msgspec.json.encode(good)).models == {"a": "p"}
