"""The three ways to ask for a model, over loopback: one answer, one usage row, one request id, whatever happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from gateway_rig import CHAT, MODEL, Rig, issue_key, with_gateway

from cortops.protocol.http import HttpReply

ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/messages": {**CHAT, "max_tokens": 9},
    "/v1/completions": {"model": MODEL, "prompt": "Hi"},
}
EACH_ROUTE = pytest.mark.parametrize("route", ROUTES)


def code_of(route: str, reply: HttpReply) -> str:
    """The error's code, once its body has the route's shape."""
    body = msgspec.json.decode(reply.body)
    assert body["request_id"] == reply.header("x-request-id") != ""
    if route == "/v1/messages":
        assert body["type"] == "error"
        assert reply.status == 413 or reply.header("request-id") == body["request_id"]
    if route == "/v1/completions":
        assert (body["status"], body["data"]) == ("failed", {})
    assert isinstance(body["error"]["message"], str)
    return body["error"]["code"]


def text_of(route: str, body: bytes) -> str:
    """What the model said in a whole answer."""
    found = msgspec.json.decode(body)
    match route:
        case "/v1/chat/completions":
            return found["choices"][0]["message"]["content"]
        case "/v1/messages":
            return found["content"][0]["text"]
    return found["data"]["choices"][0]["text"]


@EACH_ROUTE
def test_a_whole_answer(tmp_path: Path, route: str) -> None:
    async def test(rig: Rig) -> None:
        reply = await rig.ask(route, ROUTES[route], X_Request_ID="mine-1")
        assert (reply.status, reply.header("x-request-id"), text_of(route, reply.body)) == (200, "mine-1", "Hello, world")
        asked = rig.routers[0].asked[0]
        assert asked.path == ("/api/v1/completions/10" if route == "/v1/completions" else "/api/v1/chat/completions/10")
        (row,) = await rig.rows()
        assert row.request_id in reply.body.decode() and asked.headers["x-request-id"] == row.request_id
        assert (row.status, row.client_request_id, row.stream, row.model, row.pool) == ("ok", "mine-1", False, MODEL, "pool-1")
        assert (row.prompt_tokens, row.completion_tokens, row.session, row.task) == (5, 3, 10, 1)

    with_gateway(tmp_path, test)


@EACH_ROUTE
def test_a_stream(tmp_path: Path, route: str) -> None:
    async def test(rig: Rig) -> None:
        reply = await rig.ask(route, {**ROUTES[route], "stream": True})
        assert (reply.status, reply.header("content-type")) == (200, "text/event-stream; charset=utf-8")
        last = b"event: message_stop\n" if route == "/v1/messages" else b"data: [DONE]"
        assert reply.body.rstrip().split(b"\n\n")[-1].startswith(last)
        (row,) = await rig.rows()
        assert (row.status, row.stream, row.prompt_tokens, row.completion_tokens) == ("ok", True, 5, 3)
        assert row.first_token_at is not None

    with_gateway(tmp_path, test)


@EACH_ROUTE
def test_errors_have_the_shape_of_the_route_and_one_row(tmp_path: Path, route: str) -> None:
    async def test(rig: Rig) -> None:
        asks = ROUTES[route]
        found = [
            await rig.ask(route, asks, key="ck_test_wrong"),
            await rig.ask(route, b"{"),
            await rig.ask(route, {**asks, "model": "nope"}),
            await rig.ask(route, asks, key=issue_key(tmp_path, scopes=["family:validate"])),
            await rig.ask(route),
            await rig.ask(route, b"x" * 5_000_000),
        ]
        assert [(reply.status, code_of(route, reply)) for reply in found if reply.status != 405] == [
            (401, "invalid_api_key"),
            (400, "invalid_json"),
            (404, "model_not_found"),
            (401, "invalid_api_key"),  # issued after the keys were read
            (413, "body_too_large"),
        ]
        assert (found[4].status, found[4].header("allow"), code_of("", found[4])) == (405, "POST", "method_not_allowed")
        rig.routers[0].behave(status=500, code="broken")
        assert (await rig.ask(route, asks)).status == 502
        rig.routers[0].behave(error_event=True, code="inner")
        broken = await rig.ask(route, {**asks, "stream": True})
        assert broken.status == 200 and b'"code":"inner"' in broken.body and b"[DONE]" not in broken.body
        assert [row.error for row in await rig.rows()] == ["invalid_json", "model_not_found", "broken", "inner"]

    with_gateway(tmp_path, test)


def test_a_key_in_x_api_key(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        reply = await rig.http.request(
            "POST",
            f"{rig.url}/v1/messages",
            headers=[("x-api-key", rig.key)],
            body=msgspec.json.encode(ROUTES["/v1/messages"]),
            timeout_s=5,
        )
        assert reply.status == 200
        elsewhere = await rig.http.request("POST", f"{rig.url}/v1/completions", headers=[("x-api-key", rig.key)], body=b"{}", timeout_s=5)
        assert elsewhere.status == 401
        twice = [("x-api-key", rig.key), ("x-api-key", "other")]
        assert (await rig.http.request("POST", f"{rig.url}/v1/messages", headers=twice, body=b"{}", timeout_s=5)).status == 400

    with_gateway(tmp_path, test)


def test_a_call_that_is_no_json_object_is_the_members_fault(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.routers[0].behave(calls=(("f", ("[1]",)),))
        reply = await rig.ask("/v1/messages", ROUTES["/v1/messages"])
        assert (reply.status, code_of("/v1/messages", reply)) == (502, "member_broke_off")
        assert (await rig.ask("/v1/chat/completions", CHAT)).status == 200
        assert [row.status for row in await rig.rows()] == ["failed", "ok"]

    with_gateway(tmp_path, test)


def test_pages_answer_head_and_name_what_they_allow(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        for path in ("/health", "/metrics", "/openapi.json"):
            reply = await rig.http.request("HEAD", rig.url + path, timeout_s=5)
            assert (reply.status, reply.body) == (200, b"")
            refused = await rig.ask(path, body={})
            assert (refused.status, refused.header("allow"), code_of("", refused)) == (405, "GET, HEAD", "method_not_allowed")
        assert code_of("/v1/messages", await rig.ask("/v1/messages/count_tokens", body={})) == "not_found"

    with_gateway(tmp_path, test)
