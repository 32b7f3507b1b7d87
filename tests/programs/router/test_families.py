"""One call of every route family: router, miner and oracle on a real chain, with a scripted engine and a scripted search."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from tests.programs.router.spine_rig import KEY, Spine, events_of, free_port, play, spine

from cortops.contracts.network import result_hash
from cortops.testing.chain import wallet_of
from cortops.testing.engine import Say

pytestmark = pytest.mark.real

VALID = Say(pieces=('{"verdict": "VALID", ', '"confidence": 0.9, "reasons": ["It is so."]}'))
INVALID = Say(pieces=('{"verdict": "INVALID", "confidence": 0.8, "reasons": ["It is not."]}',))
CLAIM = {"claim": {"type": "analysis", "description": "Name a river.", "output": "Rhine"}}


async def post(one: Spine, path: str, body: Any, *, key: str = KEY, **headers: str) -> tuple[int, Any, Any]:
    sent = {**({"Authorization": f"Bearer {key}"} if key else {}), **headers}
    async with one.web.post(one.url + path, data=msgspec.json.encode(body), headers=sent) as reply:
        return reply.status, await reply.json(), reply.headers


async def get(one: Spine, path: str) -> Any:
    async with one.web.get(one.url + path, headers={"Authorization": f"Bearer {KEY}"}) as reply:
        assert reply.status == 200, await reply.text()
        return await reply.json()


async def make_sessions(one: Spine, count: int) -> tuple[int, ...]:
    network, made = one.network, []
    for at in range(count):
        await one.chain.do("admin", network.create_session(f"more-{at}"))
        session = await network.session_id(f"more-{at}")
        assert session is not None
        miner, router = wallet_of("miner").address, wallet_of("router").address
        await one.chain.do("admin", network.add_dedicated_node(session, miner), network.add_router(session, router))
        made.append(session)
    return tuple(made)


@asynccontextmanager
async def search() -> AsyncIterator[tuple[str, list[Any]]]:
    """A search that finds one page."""
    asked: list[Any] = []

    async def find(request: web.Request) -> web.Response:
        asked.append((request.headers["Authorization"], await request.json()))
        return web.json_response({"results": [{"title": "Rhine", "url": "https://rivers.example/rhine", "content": "It flows north."}]})

    app = web.Application()
    app.router.add_post("/search", find)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}", asked
    finally:
        await runner.cleanup()


@asynccontextmanager
async def network_of_four() -> AsyncIterator[tuple[Spine, tuple[int, ...], list[Any]]]:
    """A router with every family on: session 1 for single calls, three more for v3."""
    async with search() as (url, asked), spine(start=("miner", "oracle")) as one:
        pool = await make_sessions(one, 3)
        one.overrides["router"] = {
            "sessions": (one.session, *pool),
            "validate_session": one.session,
            "factcheck_sessions": pool,
            "consensus_sessions_3": pool,
            "create_enabled": True,
            "search_key": "search-key",
            "search_url": url,
            "trial_enabled": True,
            "trial_requests_max": 2,
            "trial_completions_session": one.session,
            "trusted_proxies": ("127.0.0.1",),
            "external_domain": "router.lab.example",
            "rest_tls": True,
            "proxy_port": 8443,
        }
        one.start("router")
        await one.all_ok()
        yield one, pool, asked


def test_one_call_of_every_family() -> None:
    async def run() -> None:
        async with network_of_four() as (one, pool, asked):
            await completions(one)
            await delegate(one)
            await validate(one)
            await consensus(one, pool)
            await factcheck(one, pool, asked)
            await trial(one)
            await create(one)
            await reads(one)

    play(run)


async def completions(one: Spine) -> None:
    one.engine.script.extend([Say(pieces=("Hello", " you"))] * 3)
    body = {"session_id": one.session, "prompt": "hello", "max_tokens": 8}
    status, reply, headers = await post(one, "/api/v1/completions", body)
    assert status == 200 and reply["choices"][0]["text"] == "Hello you" and headers["X-Cortensor-Task"] == f"{one.session}/1"
    status, again, _ = await post(one, f"/api/v1/completions/{one.session}", {"prompt": "hello", "client_reference": "r"})
    assert status == 200 and again["task_id"] == 2
    sent = {"Authorization": f"Bearer {KEY}"}
    async with one.web.post(f"{one.url}/api/v1/completions/{one.session}", json={"prompt": "h", "stream": True}, headers=sent) as stream:
        events = await events_of(stream)
    assert "".join(event["choices"][0]["text"] for event in events[:-1]) == "Hello you" and events[-1] == "[DONE]"
    for version in (2, 3):
        for path in (f"/api/v{version}/completions", f"/api/v{version}/completions/{one.session}"):
            status, reply, _ = await post(one, path, body)
            assert (status, reply["error"]["code"], reply["error"]["param"]) == (501, "storage_not_declared", "session_id")


async def delegate(one: Spine) -> None:
    one.engine.script.extend([Say(pieces=("Rhine, Po",))] * 2)
    status, reply, headers = await post(one, "/api/v1/delegate", {"session_id": one.session, "task_request_input": "Name two rivers."})
    assert status == 200 and reply["output"] == "Rhine, Po" and reply["object"] == "delegation" and "consensus" not in reply
    (seen,) = reply["evidence"]
    assert headers["X-Cortensor-Task"] == f"{seen['session_id']}/{seen['task_id']}"
    assert (seen["miner"], seen["result_hash"]) == (wallet_of("miner").address, result_hash("Rhine, Po"))
    body = {
        "session_id": one.session,
        "request_id": "d-1",
        "objective": "Name two rivers.",
        "input": {"kind": "text", "payload": "In Europe."},
    }
    status, reply, _ = await post(one, "/api/v2/delegate", body)
    assert status == 200 and (reply["id"], reply["version"], reply["usage"]["completion_tokens"]) == ("d-1", 2, 1)
    assert one.engine.requests[-1][1]["messages"][0]["content"] == "Name two rivers.\n\nIn Europe."
    before = len(one.engine.requests)
    assert (await post(one, "/api/v2/delegate", body))[1]["evidence"] == reply["evidence"] and len(one.engine.requests) == before
    status, reply, _ = await post(one, "/api/v1/delegate", {"task_request_input": "Name two rivers."})
    assert (status, reply["error"]["code"], reply["error"]["param"]) == (400, "invalid_request", "session_id")


async def validate(one: Spine) -> None:
    one.engine.script.extend([VALID, INVALID, Say(pieces=("It is VALID.",))])
    status, reply, _ = await post(one, "/api/v1/validate", {"task_request_input": "Name a river.", "task_result_output": "Rhine"})
    assert status == 200 and (reply["verdict"], reply["confidence"], reply["reasons"]) == ("VALID", 0.9, ["It is so."])
    status, reply, _ = await post(one, "/api/v2/validate", CLAIM | {"session_id": one.session, "policy": {"rules": ["Of Asia."]}})
    assert (reply["verdict"], reply["evidence"][0]["verdict"], reply["evidence"][0]["readable"]) == ("INVALID", "INVALID", True)
    asked = one.engine.requests[-1][1]
    assert "5. Of Asia." in asked["messages"][0]["content"] and "<<<RESULT>>>\nRhine\n<<<END RESULT>>>" in asked["messages"][1]["content"]
    status, reply, _ = await post(one, "/api/v2/validate", CLAIM)
    assert status == 200 and (reply["verdict"], reply["evidence"][0]["readable"]) == ("RETRY", False)


async def consensus(one: Spine, pool: tuple[int, ...]) -> None:
    one.engine.script.extend([VALID, VALID, INVALID])
    status, reply, _ = await post(one, "/api/v3/validate", CLAIM | {"consensus": {"replicas": 3, "session_pool": [str(pool[0])]}})
    assert status == 200 and (reply["verdict"], reply["confidence"]) == ("VALID", 0.6)
    assert reply["consensus"] == {
        "replicas": 3, "strategy": "majority", "disagreement_policy": "return_all", "reached": True, "votes": {"VALID": 2.0, "INVALID": 1.0}
    }  # fmt: skip
    assert {seen["session_id"] for seen in reply["evidence"]} == set(pool)
    words = [Say(pieces=(text,)) for text in ("Rhine and Po", "the Rhine and the Po", "elephants")]
    one.engine.script.extend(words)
    status, reply, _ = await post(one, "/api/v3/delegate", {"objective": "Name two rivers."})
    assert status == 200 and "Po" in reply["output"] and reply["consensus"]["reached"] and len(reply["consensus"]["agreed"]) == 2
    one.engine.script.extend([Say(pieces=("a",)), Say(pieces=("b",)), Say(status=500)])
    strict = {"objective": "Name two rivers.", "consensus": {"disagreement_policy": "fail_hard"}}
    assert (await post(one, "/api/v3/delegate", strict))[1]["error"]["code"] == "no_consensus"
    for body, code in (
        ({"objective": "x", "consensus": {"replicas": 5}}, "consensus_not_declared"),
        ({"objective": "x", "consensus": {"session_pool": [999]}}, "invalid_request"),
        ({"objective": "x", "session_id": one.session}, "invalid_request"),
    ):
        assert (await post(one, "/api/v3/delegate", body))[1]["error"]["code"] == code


async def factcheck(one: Spine, pool: tuple[int, ...], asked: list[Any]) -> None:
    one.engine.script.extend([VALID, VALID, Say(status=500)])
    status, reply, _ = await post(one, "/api/v1/factcheck", {"claim": "The Rhine flows north."})
    assert status == 200 and (reply["verdict"], reply["mode"], reply["sources"]) == ("VALID", "standard", [])
    assert sorted(seen["status"] for seen in reply["evidence"]) == ["answered", "answered", "failed"]
    assert {seen["session_id"] for seen in reply["evidence"]} == set(pool) and asked == []
    one.engine.script.extend([INVALID] * 3)
    status, reply, _ = await post(one, "/api/v1/fact-check", {"claim": "It flows south.", "mode": "realtime", "session_id": one.session})
    assert (reply["verdict"], reply["sources"]) == ("INVALID", [{"title": "Rhine", "url": "https://rivers.example/rhine"}])
    key, question = asked[0]
    assert key == "Bearer search-key" and question["query"] == "It flows south."
    shown = one.engine.requests[-1][1]
    assert "It flows north." in shown["messages"][1]["content"] and shown["temperature"] > 0  # three runs in one session


async def trial(one: Spine) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.9, 198.51.100.1"}
    one.engine.script.extend([Say(pieces=("free",))] * 3)
    ask = {"prompt": "hello", "session_id": 999}
    assert (await post(one, "/api/v1/trial/completions", {}, key="", **forwarded))[0] == 400  # ran nothing, so it does not count
    for _ in range(2):
        status, reply, _ = await post(one, "/api/v1/trial/completions", ask, key="", **forwarded)
        assert status == 200 and reply["model"] == f"session-{one.session}"
    status, reply, headers = await post(one, "/api/v2/trial/validate", CLAIM, key="", **{"X-Forwarded-For": "192.0.2.1, 198.51.100.1"})
    assert (status, reply["error"]["code"]) == (429, "trial_used_up") and 0 < int(headers["Retry-After"]) <= 900
    assert (await post(one, "/api/v1/trial/completions/1", ask, key="", **{"X-Forwarded-For": "198.51.100.2"}))[0] == 200


async def create(one: Spine) -> None:
    body = {"name": "mine", "min_nodes": 0, "max_nodes": 1, "validator_nodes": 0, "mode": 1}
    replies = await asyncio.gather(*(post(one, "/api/v1/create", body) for _ in range(2)))
    assert [status for status, _, _ in replies] == [200, 200]
    assert len({reply["session_id"] for _, reply, _ in replies}) == 1 and sorted(reply["created"] for _, reply, _ in replies) == [
        False,
        True,
    ]
    session = await one.network.session(replies[0][1]["session_id"])
    assert (session.owner, session.routers) == (wallet_of("router").address, (wallet_of("router").address,))
    assert session.router_metadatas == ("https://router.lab.example:8443",)
    assert (await post(one, "/api/v1/create", body | {"name": "s"}))[1]["error"]["code"] == "name_taken"
    assert (await post(one, "/api/v1/create", body | {"mode": 0, "min_nodes": 1, "name": "pooled"}))[1]["error"]["code"] == "no_free_miners"
    await one.chain.do("router", one.network.add_dedicated_node(session.id, wallet_of("miner").address))
    one.engine.script.append(Say(pieces=("served",)))
    status, reply, _ = await post(one, f"/api/v1/completions/{session.id}", {"prompt": "hello"})
    assert status == 200 and reply["choices"][0]["text"] == "served"
    assert (await post(one, "/api/v1/completions/999", {"prompt": "hello"}))[1]["error"]["code"] == "session_not_found"


async def reads(one: Spine) -> None:
    assert await get(one, "/api/v1/ping") == {"message": "pong"}
    assert (await get(one, "/api/v1/status"))["status"] == "ok"
    info = await get(one, "/api/v1/info")
    assert {"delegate", "validate", "factcheck", "trial", "create"} <= set(info["route_families"])
    assert (await get(one, "/api/v1/about"))["node"] == info["node"] == wallet_of("router").address
    assert [miner["address"] for miner in (await get(one, "/api/v1/miners"))["miners"]] == [wallet_of("miner").address]
    assert len((await get(one, "/api/v1/sessions"))["sessions"]) == 4
    assert (await get(one, f"/api/v1/sessions/{one.session}"))["routers"] == [wallet_of("router").address]
    tasks = (await get(one, f"/api/v1/tasks/{one.session}?before=3"))["tasks"]
    assert [task["task_id"] for task in tasks] == [2, 1]
    task = await get(one, f"/api/v1/tasks/{one.session}/1")
    assert {"assigned_miners", "created_at", "finished_at", "status", "results"} <= set(task) and task["status"] == 4
    assert task["results"] == {"data": ["Hello you"], "miners": [wallet_of("miner").address]}


def test_what_is_not_declared_is_refused_in_words() -> None:
    async def run() -> None:
        async with spine(start=("router",)) as one:
            for path, body, status, code in (
                ("/api/v1/create", {"name": "mine"}, 403, "create_not_enabled"),
                ("/api/v1/factcheck", {"claim": "x", "mode": "realtime", "session_id": 1}, 501, "search_not_declared"),
                ("/api/v1/factcheck", {"claim": "x"}, 400, "invalid_request"),
                ("/api/v3/validate", CLAIM, 501, "consensus_not_declared"),
                ("/api/v1/trial/delegate", {}, 404, "not_found"),
                ("/api/v1/validate", [], 400, "invalid_request"),
            ):
                found, reply, _ = await post(one, path, body)
                assert (found, reply["error"]["code"]) == (status, code), path
            assert (await post(one, "/api/v1/delegate", {}, key=""))[0] == 401

    play(run)
