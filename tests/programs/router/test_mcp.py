"""Tools by the official client over streamable HTTP, their sessions, their payments, and what the advertisement does not say."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from tests.programs.router.agents_rig import BEARER, PAY_TO, Doors, doors, play, without_answer
from tests.programs.router.test_x402 import header, required, signed

from cortops.programs.router.mcp_tools import TOOLS, TRIAL_TOOLS
from cortops.programs.router.offers import Family
from cortops.testing.clock import turn_until
from cortops.words.errors import BadInput

PROMPT = {"prompt": "Why is the sky blue?"}
INTERNAL = ("127.0.0.1", "localhost", "0.0.0.0", "[::1]")


@asynccontextmanager
async def session(door: Doors, headers: dict[str, str] = BEARER, path: str = "/mcp") -> AsyncIterator[ClientSession]:
    async with (
        httpx2.AsyncClient(headers=headers, timeout=10) as http,
        streamable_http_client(door.mcp + path, http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as one,
    ):
        await one.initialize()
        yield one


def said(result: Any) -> Any:
    (part,) = result.content
    return msgspec.json.decode(part.text)


@pytest.mark.parametrize("path", ["/mcp", "/mcp/messages"])
def test_the_official_client_lists_and_calls_the_public_tools(path: str) -> None:
    async def test() -> None:
        async with doors(mcp_default_session=1) as door, session(door, path=path) as client:
            listed = (await client.list_tools()).tools
            assert [tool.name for tool in listed] == [tool.name for tool in TOOLS]
            assert "payment" in listed[0].input_schema["properties"]
            result = await client.call_tool("cortensor_completions", PROMPT)
            assert not result.is_error and said(result)["choices"][0]["text"] == "Hello."
            (asked,) = door.offers.asked
            assert (asked.family, asked.session, asked.stream, asked.timeout_s) == (Family.COMPLETIONS, 1, False, 300.0)

    play(test)


CALLS = [
    ("cortensor_completions", PROMPT, Family.COMPLETIONS, 1, 2),
    ("cortensor_delegate", {"objective": "x"}, Family.DELEGATE, 2, 3),
    ("cortensor_delegate_v1", {"task_request_input": "x"}, Family.DELEGATE, 1, 3),
    ("cortensor_validate", {"claim": {}}, Family.VALIDATE, 2, 1),
    ("cortensor_validate_v1", {"task_request_input": "x", "task_result_output": "y"}, Family.VALIDATE, 1, 1),
    ("cortensor_factcheck", {"claim": "x"}, Family.FACTCHECK, 1, 1),
    ("cortensor_tasks", {"task_id": 4}, Family.TASKS, 1, None),
    ("cortensor_miners", {}, Family.MINERS, 1, None),
    ("cortensor_sessions", {}, Family.SESSIONS, 1, None),
    ("cortensor_info", {}, Family.INFO, 1, None),
    ("cortensor_status", {}, Family.STATUS, 1, None),
    ("cortensor_about", {}, Family.ABOUT, 1, None),
    ("cortensor_ping", {}, Family.PING, 1, None),
]


def test_each_tool_asks_its_family_in_its_session() -> None:
    async def test() -> None:
        sessions = {"mcp_default_session": 1, "mcp_completion_session": 2, "mcp_delegate_session": 3, "mcp_tasks_session": 4}
        async with doors(**sessions) as door, session(door) as client:
            for name, arguments, family, version, bound in CALLS:
                assert not (await client.call_tool(name, arguments)).is_error, name
                asked = door.offers.asked[-1]
                assert (asked.family, asked.version, asked.session) == (family, version, bound), name
            tasks = next(asked for asked in door.offers.asked if asked.family is Family.TASKS)
            assert tasks.body == {"task_id": 4, "session_id": 4}

    play(test)


@pytest.mark.parametrize(("fixed", "ran_in"), [(True, 2), (False, 1)])
def test_a_fixed_session_wins_over_the_callers(fixed: bool, ran_in: int) -> None:
    async def test() -> None:
        async with doors(mcp_completion_session=2, mcp_fixed_sessions=fixed) as door, session(door) as client:
            await client.call_tool("cortensor_completions", PROMPT | {"session_id": 1})
            assert door.offers.asked[-1].session == ran_in

    play(test)


def test_what_cannot_be_called_is_an_error_in_our_shape() -> None:
    async def test() -> None:
        async with doors() as door, session(door) as client:
            for name, arguments, code in (
                ("cortensor_create_session", {"name": "x"}, "not_offered"),
                ("cortensor_nothing", {}, "unknown_tool"),
                ("cortensor_trial_completions", PROMPT, "unknown_tool"),
                ("cortensor_completions", PROMPT | {"session_id": "one"}, "invalid_request"),
                ("cortensor_completions", PROMPT | {"session_id": 0}, "invalid_request"),
            ):
                result = await client.call_tool(name, arguments)
                assert result.is_error and said(result)["error"]["code"] == code, name
            assert door.offers.asked == []
            door.offers.refuse = without_answer(404, "session_not_found")
            result = await client.call_tool("cortensor_completions", PROMPT | {"session_id": 9})
            assert result.is_error and said(result)["error"]["code"] == "session_not_found"

    play(test)


def test_who_has_no_key_may_only_ask_whether_it_is_well() -> None:
    async def test() -> None:
        async with doors(x402=False) as door, session(door, {}) as client:
            for tool in TOOLS:
                result = await client.call_tool(tool.name, {})
                open_to_all = tool.name in ("cortensor_status", "cortensor_about", "cortensor_ping")
                assert result.is_error != open_to_all, tool.name
                if result.is_error:
                    assert said(result)["error"]["code"] == "invalid_api_key"
            result = await client.call_tool("cortensor_completions", PROMPT | {"payment": "x"})
            assert said(result)["error"]["code"] == "payments_not_taken"

    play(test)


def test_a_payment_argument_pays_and_the_receipt_comes_back() -> None:
    async def test() -> None:
        async with doors(mcp_default_session=1) as door, session(door, {}) as client:
            unpaid = await client.call_tool("cortensor_completions", PROMPT)
            assert unpaid.is_error and said(unpaid)["accepts"][0]["payTo"] == PAY_TO
            need = await required(door)
            for arguments, meta in (
                (PROMPT | {"payment": header(signed(need))}, None),
                (PROMPT | {"payment": signed(need)}, None),
                (PROMPT, {"x402/payment": signed(need)}),
            ):
                result = await client.call_tool("cortensor_completions", arguments, meta=meta)
                assert not result.is_error, said(result)
                assert result.meta is not None
                assert msgspec.json.decode(base64.b64decode(result.meta["x402/payment-response"]))["success"]
                assert "payment" not in door.offers.asked[-1].body
            used = await client.call_tool("cortensor_completions", arguments, meta=meta)
            assert used.is_error and said(used)["error"].startswith("payment_used")

    play(test)


@pytest.mark.parametrize("key", ["mcp_force_x402", "mcp_stream_force_x402"])
def test_where_payment_is_forced_a_key_does_not_do(key: str) -> None:
    async def test() -> None:
        async with doors(**{key: True, "mcp_default_session": 1}) as door, session(door) as client:
            result = await client.call_tool("cortensor_completions", PROMPT)
            assert result.is_error and said(result)["x402Version"] == 1
            assert not (await client.call_tool("cortensor_miners", {})).is_error

    play(test)


def test_free_tools_count_by_client() -> None:
    async def test() -> None:
        free = {"trial_enabled": True, "trial_completions_session": 2, "x402": False}
        async with doors(**free) as door, session(door, {}) as client:
            assert {tool.name for tool in TRIAL_TOOLS} < {tool.name for tool in (await client.list_tools()).tools}
            assert not (await client.call_tool("cortensor_trial_completions", PROMPT)).is_error
            assert door.offers.asked[-1].session == 2
            again = await client.call_tool("cortensor_trial_completions", PROMPT)
            assert again.is_error and said(again)["error"]["code"] == "trial_used_up"

    play(test)


def test_the_advertisement_has_the_public_keys_and_no_internal_address() -> None:
    async def test() -> None:
        async with doors(mcp_default_session=1, mcp_factcheck_single_session=65, mcp_fixed_sessions=True, trial_enabled=True) as door:
            status, body = await door.get(f"{door.mcp}/mcp/messages")
            assert status == 200
            assert set(body) == {
                "message", "version", "description", "transport", "endpoints", "protocol", "router_proxy", "session_policy",
                "advertisement",
            }  # fmt: skip
            assert body["session_policy"]["mode"] == "fixed_configured_sessions"
            assert set(body["session_policy"]["tool_defaults"]) == {
                "completion", "delegate", "validate", "tasks", "factcheck_single", "factcheck_consensus",
            }  # fmt: skip
            assert body["session_policy"]["tool_defaults"]["factcheck_single"] == 65
            assert body["endpoints"]["mcp"] == "https://router.lab.example/mcp"
            text = msgspec.json.encode(body).decode()
            assert [word for word in (*INTERNAL, door.mcp, door.url, door.paid.url) if word in text] == []
        async with doors(external_domain="", external_ip="10.0.0.11") as door:
            text = msgspec.json.encode((await door.get(f"{door.mcp}/mcp/messages"))[1]).decode()
            assert "10.0.0.11" not in text and "127.0.0.1" not in text and '"/mcp"' in text
        async with doors(mcp_advertised=False) as door:
            assert (await door.get(f"{door.mcp}/mcp/messages"))[0] == 404

    play(test)


@pytest.mark.parametrize("own", ["[]", "{", '{"a": ["http://10.0.0.11:8001/x"]}', '{"a": {"b": "router.lan:80"}}', '{"a": "localhost"}'])
def test_an_advertisement_of_ones_own_names_no_internal_address_either(own: str) -> None:
    async def test() -> None:
        with pytest.raises((BadInput, ExceptionGroup)) as raised:
            async with doors(mcp_advertisement=own):
                raise AssertionError("not reached")
        assert "MCP_ADVERTISE_JSON" in str(raised.value)

    play(test)


def test_an_old_client_is_given_a_session_id_and_pages_of_others_are_refused() -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "old", "version": "0"}},
    }
    json = {"Content_Type": "application/json", "Accept": "application/json, text/event-stream"}

    async def test() -> None:
        async with doors() as door:
            url = f"{door.mcp}/mcp"
            status, body, headers = await door.post(url, hello, **json)
            assert status == 200 and body["result"]["protocolVersion"] == "2024-11-05"
            ping = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "cortensor_ping", "arguments": {}}}
            status, body, _ = await door.post(url, ping, **json, Mcp_Session_Id=headers["Mcp-Session-Id"])
            assert status == 200 and body["result"]["content"][0]["type"] == "text"
            assert (await door.post(url, hello, **json, Origin="https://evil.example"))[0] == 403
            assert (await door.post(url, hello, **json, Origin="https://router.lab.example"))[0] == 200
            assert (await door.post(url, b"{" + b" " * 2**20, **json))[0] == 413
            assert (await door.post(url, b"{", **json))[0] == 400
            assert (await door.post(url, b"[" * 100_000, **json))[0] in (400, 413)
            assert (await door.get(url))[0] == 405
            assert (await door.get(f"{door.mcp}/about"))[0] == 200
            async with door.web.delete(url) as reply:
                assert reply.status == 204

    play(test)


def test_a_client_that_leaves_ends_its_call() -> None:
    async def test() -> None:
        async with doors(mcp_default_session=1) as door:
            door.offers.hold = asyncio.Event()

            async def call() -> None:
                async with session(door) as client:
                    await client.call_tool("cortensor_completions", PROMPT)

            calling = asyncio.ensure_future(call())
            await turn_until(lambda: door.offers.asked)
            calling.cancel()
            await turn_until(lambda: door.offers.left)

    play(test)
