"""What is asked of a hostname, and what is made of the answers; with a real nginx: test_measured_nginx."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.surfaces.stage import example

from cortops.environment.declared import Environment
from cortops.environment.traffic import Route
from cortops.probes.front import Heard
from cortops.surfaces.proxy.asks import FLOOD_MAX, HELD_MAX, NOWHERE, RATE_MAX, STREAMED_TOKENS, Ask, Push, asks, body_max, pushes
from cortops.surfaces.proxy.measured import OFF, OK, UNSEEN, Pushed, Row, most_let, rows
from cortops.surfaces.proxy.nginx import NO_ROUTE, ClientLimit

ENV = example()
GATEWAY = "gateway.localhost"
NO_SUCH = json.dumps({"error": {"message": NO_ROUTE, "code": "not_found"}}).encode()


def routed(**body: Any) -> Environment:
    return replace(ENV, proxy={"x.lab.example": Route.model_validate({"on": "here", "tls": "local-ca", **body})})


def well(ask: Ask) -> Heard:
    """The answer of a hostname at which all is as declared."""
    shown = {"x-request-id": dict(ask.headers)["X-Request-ID"]}
    if ask.part == "closed":
        return Heard(status=404, headers=shown, body=NO_SUCH)
    if ask.part in ("over", "fits"):
        return Heard(status=413, headers=shown) if ask.part == "over" else Heard(status=100)
    if ask.part == "stream":
        return Heard(status=200, headers=shown, parts=9, first_s=0.1, last_s=0.9)
    return Heard(status=401, headers=shown)


def seen(
    env: Environment,
    answer: Callable[[Ask], Heard] = well,
    *,
    key: str = "",
    pushed: tuple[Pushed, ...] = (),
    pending: Any = (),
    days: Any = 30.0,
) -> dict[str, Row]:
    (hostname,) = env.proxy if len(env.proxy) == 1 else (GATEWAY,)
    return {row.what: row for row in rows(env, hostname, [(ask, answer(ask)) for ask in asks(env, hostname, key)], pushed, days, pending)}


def test_paths_are_asked_by_get_without_a_key_and_bodies_never_sent() -> None:
    found = asks(ENV, GATEWAY)
    assert {ask.method for ask in found if ask.part in ("open", "closed")} == {"GET"}
    assert [ask.path for ask in found if ask.part == "open"][:3] == ["/v1/chat/completions", "/v1/completions", "/v1/messages"]
    assert not [ask for ask in found if ask.body or "authorization" in str(ask.headers).lower()]
    assert [ask.claims - body_max(ENV, GATEWAY, "completion") for ask in found if ask.claims >= 0] == [1, 0]
    assert [ask.path for ask in found if ask.part == "closed"][-1] == NOWHERE
    shut = {ask.family for ask in found if ask.part == "closed" and ask.family}
    assert {"delegate", "trial", "x402", "mcp", "a2a", "payloads", "info"} <= shut and "completion" not in shut
    assert len({dict(ask.headers)["X-Request-ID"] for ask in found}) == len(found)


def test_a_key_asks_for_one_short_stream() -> None:
    (stream,) = (ask for ask in asks(ENV, GATEWAY, "ck_x") if ask.part == "stream")
    body = json.loads(stream.body)
    assert (stream.path, body["stream"], body["max_tokens"]) == ("/v1/chat/completions", True, STREAMED_TOKENS)
    assert "ck_x" not in repr(stream)
    assert not [ask for ask in asks(ENV, "router.localhost", "ck_x") if ask.part == "stream"]


def test_the_console_lets_all_paths_through_and_the_chain_one() -> None:
    assert not [ask for ask in asks(ENV, "console.localhost") if ask.part == "closed" and ask.family]
    (chain,) = (ask for ask in asks(ENV, "rpc.localhost") if ask.part == "open")
    assert (chain.method, chain.path, json.loads(chain.body)["method"]) == ("POST", "/", "eth_chainId")


def test_what_can_be_reached_is_pushed_and_the_rest_is_not_tried() -> None:
    def sizes(**limits: int) -> list[tuple[str, int]]:
        env = routed(to="pool/smollm2", per_client=limits)
        return [(push.part, push.size) for push in pushes(env, "x.lab.example")]

    assert sizes(requests_per_min=60, burst=5, at_once=3) == [("held", 4), ("rate", FLOOD_MAX)]
    assert sizes(requests_per_min=60, burst=3, at_once=3) == [("held", 0), ("rate", FLOOD_MAX)], "the rate comes first"
    assert sizes(requests_per_min=RATE_MAX + 1) == [("rate", 0)]
    assert sizes(at_once=HELD_MAX) == [("held", 0)]
    assert sizes() == []


def test_all_is_well() -> None:
    found = seen(ENV, key="ck_x")
    assert {row.state for what, row in found.items() if what != "client address"} == {OK}
    assert found["completion"].measured == "5 of 5 paths"
    assert found["streaming"].measured == "first bytes after 0.10 s, the last after 0.90 s, in 9 parts"
    assert found["timeout"].measured == "480 s in the running configuration"
    assert found["client address"].state == UNSEEN


def but(part: str, **changes: Any) -> Callable[[Ask], Heard]:
    """As `well`, but for one part."""
    return lambda ask: replace(well(ask), **changes) if ask.part == part else well(ask)


@pytest.mark.parametrize(
    ("answer", "what", "measured", "cause"),
    [
        (but("open", status=404, body=NO_SUCH), "completion", "0 of 5 paths", "404 at /v1/chat/completions, /v1/completions, "),
        (but("open", status=502), "completion", "0 of 5 paths", "the gateway does not answer"),
        (but("open", status=0, why="reset"), "completion", "0 of 5 paths", "/v1/chat/completions: reset"),
        (but("closed", status=200, body=b""), "mcp", "2 of 2 paths answer", "/mcp answers 200, /mcp/messages answers 200"),
        (but("closed", status=404, body=b"<html>"), "a2a", "3 of 3 paths answer", "answers 404"),
        (but("over", status=100), "body", "one byte more: 100; that much: taken", "another limit"),
        (but("fits", status=413), "body", "one byte more: 413; that much: 413", "another limit"),
        (but("stream", status=200, parts=1, first_s=0.9, last_s=0.9), "streaming", "in 1 parts", "as from a buffer"),
        (but("stream", status=401, body=b'{"error": {"code": "invalid_api_key"}}'), "streaming", "401", "invalid_api_key"),
        (but("open", headers={}), "request id", " answers", "not at /v1/chat/completions (401)"),
    ],
)  # fmt: skip
def test_what_is_off_has_its_cause_and_the_next_command(answer: Callable[[Ask], Heard], what: str, measured: str, cause: str) -> None:
    row = seen(ENV, answer, key="ck_x")[what]
    assert row.state == OFF
    assert measured in row.measured and cause in row.cause
    assert row.next.startswith("cortops ")


def test_a_limit_that_came_first_is_no_fault_of_the_body_limit() -> None:
    assert seen(ENV, but("over", status=429))["body"].state == UNSEEN


def test_the_certificate_and_what_runs() -> None:
    assert seen(ENV, days=3.0)["certificate"].state == OFF
    assert seen(ENV, days="expired")["certificate"].cause == "expired"
    assert seen(ENV, pending="nobody looked")["timeout"].state == UNSEEN
    assert seen(ENV, pending=("file:/x/nginx.conf: sha256 a -> b",))["timeout"].cause == "file:/x/nginx.conf: sha256 a -> b"


LIMIT = ClientLimit(name="x.lab.example", per_min=60, burst=5, at_once=3)
HELD = Push(part="held", limit=LIMIT, path="/", method="POST", most=4)
RATE = Push(part="rate", limit=LIMIT, path="/", method="POST", most=7)
REFUSED = Heard(status=429, headers={"retry-after": "1"})


def test_limits_of_one_client_are_where_they_are_declared() -> None:
    env = routed(to="pool/smollm2", per_client={"requests_per_min": 60, "burst": 5, "at_once": 3})
    assert most_let(RATE, 0) == 7 and most_let(RATE, 2.5) == 10

    def pushed(held: int, rate: int, heard: Heard | None = REFUSED, took_s: float = 0.0) -> dict[str, str]:
        pair = (Pushed(push=HELD, refused_at=held, heard=heard, took_s=0), Pushed(push=RATE, refused_at=rate, heard=heard, took_s=took_s))
        found = seen(env, pushed=pair)
        return {what: found[what].state for what in ("at once", "rate", "client address")}

    assert pushed(4, 6) == {"at once": OK, "rate": OK, "client address": OK}
    assert pushed(3, 9, took_s=2.5) == {"at once": OFF, "rate": OK, "client address": OK}
    assert pushed(4, 8) == {"at once": OK, "rate": OFF, "client address": OK}
    assert pushed(0, 0) == {"at once": OFF, "rate": OFF, "client address": UNSEEN}, "a proxy that believes us shows by its limits"
    assert pushed(4, 6, Heard(status=429))["rate"] == OFF, "it does not say when to come again"
    believing = routed(to="pool/smollm2", trusted_proxies=["127.0.0.0/8"])
    found = seen(believing, pushed=(Pushed(push=RATE, refused_at=0, heard=REFUSED, took_s=0),))
    assert found["client address"].state == UNSEEN
