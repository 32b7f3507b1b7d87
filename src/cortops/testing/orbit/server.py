"""The world of `world.py` behind real sockets: JSON-RPC for each endpoint, the feed as a websocket, the explorer's page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from cortops.testing.orbit.world import OrbitWorld

ENDPOINTS = ("main", "fallback", "reference", "parent", "parent-reference", "sequencer")
LATE_S = 0.25
TOO_MANY, REVERTED, NOT_FOUND = -32_005, 3, -32_601
_RATE = {"main": "rate-limit", "parent": "parent-rate-limit"}
_DOWN = {"main": "main-down", "parent": "parent-down"}


class OrbitServer:
    """Made by `serving`; `url` of each of ENDPOINTS, of `feed` and of `explorer`. requests: how many HTTP requests each has taken."""

    def __init__(self, world: OrbitWorld) -> None:
        self.world = world
        self.url: dict[str, str] = {}
        self.requests: dict[str, int] = dict.fromkeys(ENDPOINTS, 0)

    async def rpc(self, endpoint: str, request: web.Request) -> web.StreamResponse:
        """One HTTP request: a call or a batch."""
        self.requests[endpoint] += 1
        if endpoint in _DOWN and self.world.has(_DOWN[endpoint]):
            assert request.transport is not None
            request.transport.abort()
            return web.Response(status=500)
        if endpoint == "main" and self.world.has("latency"):
            await asyncio.sleep(LATE_S)
        asked = msgspec.json.decode(await request.read())
        if not isinstance(asked, list):
            return _json(self._one(endpoint, asked))
        answers = [self._one(endpoint, one) for one in asked]
        if endpoint == "main" and self.world.has("half-batch"):
            answers = answers[: len(answers) // 2]
        return _json(answers)

    def _one(self, endpoint: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        if endpoint in _RATE and self.world.has(_RATE[endpoint]):
            return _error(asked, TOO_MANY, "too many requests")
        method, params = asked["method"], asked.get("params") or []
        world = self.world
        match method:
            case "eth_chainId":
                return _result(asked, hex(world.chain_id(endpoint)))
            case "eth_blockNumber":
                return _result(asked, hex(world.head(endpoint)))
            case "eth_getBlockByNumber":
                number = self._number(endpoint, params[0])
                return _result(asked, world.block(endpoint, number) if number <= world.head(endpoint) else None)
            case "eth_gasPrice":
                return _result(asked, hex(10**8 * (1_000 if world.has("fees-high") else 1)))
            case "eth_getCode":
                return _result(asked, world.code(endpoint, params[0]))
            case "eth_getStorageAt":
                return _result(asked, "0x" + "0" * 64)
            case "eth_getBalance":
                return _result(asked, hex(world.balance(endpoint, params[0], self._number(endpoint, params[1]))))
            case "eth_getTransactionCount":
                return _result(asked, "0x5")
            case "eth_getLogs":
                return _result(asked, self._logs(endpoint, params[0]))
            case "eth_call":
                found = world.call(endpoint, params[0].get("to", ""), params[0]["data"])
                return _error(asked, REVERTED, "execution reverted") if found is None else _result(asked, found)
        return _error(asked, NOT_FOUND, f"the method {method} does not exist")

    def _number(self, endpoint: str, tag: str) -> int:
        return int(tag, 16) if tag.startswith("0x") else self.world.head(endpoint)

    def _logs(self, endpoint: str, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        addresses, topics = {address.lower() for address in query["address"]}, set(query["topics"][0])
        return [
            log
            for log in self.world.logs(endpoint)
            if first <= int(log["blockNumber"], 16) <= last and log["address"] in addresses and log["topics"][0] in topics
        ]

    async def feed(self, request: web.Request) -> web.StreamResponse:
        if self.world.has("feed-private", "feed-down"):
            return web.Response(status=401 if self.world.has("feed-private") else 502)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"version": 1, "messages": self.world.feed()})
        await socket.close()
        return socket

    async def explorer(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=503 if self.world.has("explorer-down") else 200, text="blocks")


@asynccontextmanager
async def serving(world: OrbitWorld) -> AsyncIterator[OrbitServer]:
    """All of it on ports of its own while inside."""
    server = OrbitServer(world)
    runners: list[web.AppRunner] = []
    try:
        for name in ENDPOINTS:

            async def rpc(request: web.Request, endpoint: str = name) -> web.StreamResponse:
                return await server.rpc(endpoint, request)

            server.url[name] = await _listen(runners, web.post("/", rpc))
        server.url["feed"] = (await _listen(runners, web.get("/", server.feed))).replace("http", "ws")
        server.url["explorer"] = await _listen(runners, web.get("/", server.explorer))
        yield server
    finally:
        for runner in runners:
            await runner.cleanup()


async def _listen(runners: list[web.AppRunner], route: web.RouteDef) -> str:
    app = web.Application()
    app.add_routes([route])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    runners.append(runner)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    return f"http://127.0.0.1:{port}"


def _result(asked: Mapping[str, Any], value: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": asked["id"], "result": value}


def _error(asked: Mapping[str, Any], code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": asked["id"], "error": {"code": code, "message": message}}


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
