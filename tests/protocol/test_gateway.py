"""GatewayConfig: there and back, and every reason at once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cortops.protocol.gateway import IN_FLIGHT_MAX, SESSION_MAX, GatewayConfig, Listen, Member, Pool, Store
from cortops.words.errors import BadInput

CONFIG = GatewayConfig(
    listen=Listen(port=8080),
    models={"oss-20b": "pool-1"},
    pools={"pool-1": Pool(members=(Member(name="r1", url="http://127.0.0.1:5010", sessions=(3, 4), api_key="member-key"),))},
    store=Store(keys_db="/x/keys.db", usage_db="/x/usage.db", spool_folder="/x/spool"),
)


def raw() -> dict[str, Any]:
    return msgspec.json.decode(CONFIG.to_json())


def reasons(value: object) -> str:
    with pytest.raises(BadInput) as caught:
        GatewayConfig.from_json(msgspec.json.encode(value), where="g.json")
    return caught.value.what


def test_there_and_back() -> None:
    assert GatewayConfig.from_json(CONFIG.to_json()) == CONFIG
    assert CONFIG.to_json().endswith(b"}\n")
    minimal = {key: raw()[key] for key in ("listen", "models", "pools", "store")}
    assert GatewayConfig.from_json(msgspec.json.encode(minimal)) == CONFIG


def test_a_session_is_a_place_in_the_slot_file_and_bounded_like_one() -> None:
    value = raw()
    value["pools"]["pool-1"]["members"][0]["sessions"] = [SESSION_MAX]
    value["pools"]["pool-1"]["in_flight_per_session"] = IN_FLIGHT_MAX
    assert GatewayConfig.from_json(msgspec.json.encode(value)).pools["pool-1"].members[0].sessions == (SESSION_MAX,)
    value["pools"]["pool-1"]["members"][0]["sessions"] = [SESSION_MAX + 1]
    value["pools"]["pool-1"]["in_flight_per_session"] = IN_FLIGHT_MAX + 1
    found = reasons(value)
    assert "$.pools.pool-1.members[0].sessions[0]: " in found and "$.pools.pool-1.in_flight_per_session: " in found


def test_secrets_are_not_in_repr() -> None:
    assert "member-key" not in repr(CONFIG) and "r1" in repr(CONFIG)


def test_every_reason_at_once_with_its_place() -> None:
    value = raw()
    value["listen"] = {"ips": 1, "port": 70_000, "colour": "red"}
    value["pools"]["pool-1"]["members"].append({"name": "bad name", "url": "ftp://x", "sessions": [], "api_key": "a b"})
    value["pools"]["pool-1"]["queue_wait_s"] = -1
    value["limits"]["body_max_mib"] = "4"
    value["store"]["spool_fsync"] = "sometimes"
    del value["models"]
    found = reasons(value)
    for place in (
        "$.listen.colour: no such field",
        "$.listen.ips: Expected `array`",
        "$.listen.port: Expected",
        "$.pools.pool-1.members[1].name: ",
        "$.pools.pool-1.members[1].url: ",
        "$.pools.pool-1.members[1].sessions: ",
        "$.pools.pool-1.members[1].api_key: ",
        "$.pools.pool-1.queue_wait_s: ",
        "$.limits.body_max_mib: ",
        "$.store.spool_fsync: ",
        "$.models: missing",
    ):
        assert place in found
    assert found.startswith("g.json: ") and found.count("; ") == 11 and "member-key" not in found


def test_contradictions_at_once() -> None:
    value = raw()
    value["models"]["other"] = "nowhere"
    value["pools"]["pool-2"] = value["pools"]["pool-1"]
    value["pools"]["pool-2"]["members"] *= 2
    found = reasons(value)
    assert "$.models.other: there is no pool 'nowhere'" in found
    assert "two members are named 'r1'" in found
    assert "session 3 is served by both pool-1/r1 and pool-2/r1" in found


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b"[]", b"null"])
def test_what_is_no_configuration(text: bytes) -> None:
    with pytest.raises(BadInput):
        GatewayConfig.from_json(text)
