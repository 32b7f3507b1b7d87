"""Where each hostname of the bundled environment leads, and what nginx does with it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.surfaces.proxy.nginx_rig import Behind, Front, front, server_of
from tests.surfaces.stage import example, site_of

from cortops.environment.declared import Environment
from cortops.environment.model import RouterNode
from cortops.environment.payloads import Payloads, PrivateSession
from cortops.surfaces.proxy.nginx import Closed, Open
from cortops.surfaces.proxy.render import render
from cortops.surfaces.proxy.ways import SESSIONS_TOLD_MAX, Way, way, who
from cortops.words.resource import File

GOLDEN = Path(__file__).with_name("local.golden")
ENV = example()


def opened(found: Way) -> dict[str, str]:
    """Match -> the upstream behind it."""
    return {one.match: one.upstream for one in found.locations if isinstance(one, Open)}


def upstreams(found: Way) -> dict[str, tuple[str, ...]]:
    return {one.name: one.servers for one in found.upstreams}


def serving(env: Environment, sessions: Mapping[str, list[int]]) -> Environment:
    """The same environment whose routers serve these sessions."""
    nodes = {
        name: node.model_copy(update={"sessions": {"smollm2": tuple(sessions[name])}}) if isinstance(node, RouterNode) else node
        for name, node in env.nodes.items()
    }
    return replace(env, nodes=nodes)


def test_the_bundled_environments_configuration_is_as_recorded() -> None:
    """After a change that is meant: CORTOPS_WRITE_GOLDEN=1 pytest tests/surfaces, then read the difference."""
    (conf,) = (item for item in render(ENV, site_of(ENV)) if isinstance(item, File) and item.path.endswith("nginx.conf"))
    text = "".join(str(part) for part in conf.content)
    if os.environ.get("CORTOPS_WRITE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_the_gateways_name_leads_to_all_its_processes_by_family() -> None:
    found = way(ENV, "gateway.localhost")
    assert upstreams(found) == {"to_gateway.localhost": ("127.0.0.1:8400", "127.0.0.1:8401")}
    posts = ["= /v1/chat/completions", "= /v1/completions", "= /v1/messages"]
    assert list(opened(found)) == ["= /health", "= /openapi.json", *posts, "= /v1/models", "/v1/models/"]
    assert (found.methods, found.who) == ((), "the gateway")


def test_the_pools_name_leads_to_its_routers_and_to_their_public_routes_only() -> None:
    found = way(ENV, "router.localhost")
    assert upstreams(found) == {
        "to_router.localhost": ("127.0.0.1:5010", "127.0.0.1:5011"),
        "to_router.localhost_session_1": ("127.0.0.1:5010",),
        "to_router.localhost_session_2": ("127.0.0.1:5011",),
    }
    reads = {f"= /api/v1/{name}" for name in ("ping", "status", "info", "about", "miners", "sessions", "tasks")}
    to_any = {match for match, upstream in opened(found).items() if upstream == "to_router.localhost"}
    assert to_any == reads | {"/api/v1/sessions/", "/api/v1/tasks/", "= /about"}


def test_a_completion_goes_to_a_router_that_serves_its_session() -> None:
    found = opened(way(ENV, "router.localhost"))
    assert found["= /api/v1/completions/1"] == "to_router.localhost_session_1"
    assert found["= /api/v1/completions/2"] == "to_router.localhost_session_2"
    assert "= /api/v1/completions" not in found, "the body names the session, and nginx does not read bodies"


def test_where_every_router_serves_every_session_the_body_may_name_it() -> None:
    found = way(serving(ENV, {"router-1": [1, 2], "router-2": [2, 1]}), "router.localhost")
    assert list(upstreams(found)) == ["to_router.localhost"]
    assert {"= /api/v1/completions", "/api/v1/completions/"} <= opened(found).keys()
    assert not [one for one in found.locations if isinstance(one, Closed)]


def test_sessions_with_the_same_routers_share_a_group() -> None:
    found = way(serving(ENV, {"router-1": [1, 2, 3, 9], "router-2": [3, 4, 9]}), "router.localhost")
    assert upstreams(found) == {
        "to_router.localhost": ("127.0.0.1:5010", "127.0.0.1:5011"),
        "to_router.localhost_session_1": ("127.0.0.1:5010",),
        "to_router.localhost_session_3": ("127.0.0.1:5010", "127.0.0.1:5011"),
        "to_router.localhost_session_4": ("127.0.0.1:5011",),
    }
    assert [upstream[-1] for match, upstream in opened(found).items() if "/completions/" in match] == ["1", "1", "3", "4", "3"]
    (first, second) = (one for one in found.locations if isinstance(one, Closed))
    assert first.refusal == second.refusal
    assert first.refusal.message.count("/api/v1/completions/") == SESSIONS_TOLD_MAX and first.refusal.message.endswith(", ...")


@pytest.mark.parametrize(
    ("hostname", "server", "match", "methods", "name"),
    [
        ("rpc.localhost", "127.0.0.1:8545", "= /", ("POST",), "the chain"),
        ("console.localhost", "127.0.0.1:8500", "/", ("GET", "HEAD"), "the console (watch)"),
    ],
)
def test_a_name_that_leads_to_one_program(hostname: str, server: str, match: str, methods: tuple[str, ...], name: str) -> None:
    found = way(ENV, hostname)
    assert upstreams(found) == {f"to_{hostname}": (server,)}
    assert opened(found) == {match: f"to_{hostname}"}
    assert (found.methods, found.who) == (methods, name)


def test_who_is_behind_is_named_alike_in_refusals_and_checks() -> None:
    assert {hostname: way(ENV, hostname).who for hostname in ENV.proxy} == {hostname: who(route) for hostname, route in ENV.proxy.items()}


def test_nginx_waits_for_nobody_behind_it() -> None:
    (service,) = (item for item in render(ENV, site_of(ENV)) if item.key == "here service:proxy")
    assert not [need for need in service.needs if " service:" in need]


def test_the_gateway_answers_to_names_that_nobody_has_wherever_it_stands_in_the_file() -> None:
    turned = replace(ENV, proxy=dict(reversed(ENV.proxy.items())))
    (conf,) = (item for item in render(turned, site_of(turned)) if isinstance(item, File) and item.path.endswith("nginx.conf"))
    names = [line.split()[-1] for line in str(conf.content[0]).splitlines() if "server_name" in line]
    assert names[0] == "gateway.localhost;" and len(names) == len(ENV.proxy)


# With a real nginx.


def through(folder: Path, behind: Mapping[str, Behind], hostname: str, work: Callable[[Front], Awaitable[None]]) -> None:
    """Run `work` on a nginx that serves `hostname` of ENV, with `behind` in the places of the nodes of those names (or of `watch`)."""
    nodes = {name: node.model_copy(update={"port": behind[name].port}) if name in behind else node for name, node in ENV.nodes.items()}
    assert ENV.monitor is not None
    monitor = ENV.monitor.model_copy(update={"port": behind["watch"].port}) if "watch" in behind else ENV.monitor
    route = ENV.proxy[hostname].model_copy(update={"body_max_mib": 0.0625, "read_timeout_s": 30})
    server = server_of(replace(ENV, nodes=nodes, monitor=monitor, proxy={**ENV.proxy, hostname: route}), hostname)

    async def run() -> None:
        async with front(folder, server) as nginx:
            await work(nginx)

    asyncio.run(run())


async def code(nginx: Front, hostname: str, path: str, method: str = "GET") -> tuple[int, str]:
    """Status and error code of a refusal."""
    reply = await nginx.ask(hostname, path, method)
    return reply.status, json.loads(reply.body)["error"]["code"]


@pytest.mark.real
def test_routers_are_reached_by_session_and_only_on_their_public_routes(tmp_path: Path) -> None:
    one, two = Behind("router-1"), Behind("router-2")
    name = "router.localhost"

    async def work(nginx: Front) -> None:
        async with one, two:
            for sid, router in ((1, one), (2, two)):
                for _ in range(3):
                    told = await nginx.tells(name, f"/api/v1/completions/{sid}", "POST", b"{}")
                    assert (told["name"], told["body"]) == (router.name, "{}")
            assert {(await nginx.tells(name, "/api/v1/status"))["name"] for _ in range(4)} == {"router-1", "router-2"}
            assert (await nginx.tells(name, "/about"))["target"] == "/api/v1/about"
            for path in ("/api/v1/sessions", "/api/v1/sessions/1", "/api/v1/tasks/1/2?x=1", "/api/v1/tasks"):
                assert (await nginx.tells(name, path))["target"] == path
            seen = len(one.asked + two.asked)
            for path in ("/", "/health", "/metrics", "/api/v1/create", "/api/v1/chat/completions/1", "/api/v2/completions"):
                assert await code(nginx, name, path, "POST") == (404, "not_found"), path
            for path in ("/api/v1/completions", "/api/v1/completions/3", "/api/v1/completions/1/"):
                assert await code(nginx, name, path, "POST") == (404, "session_not_found"), path
            assert len(one.asked + two.asked) == seen

    through(tmp_path, {"router-1": one, "router-2": two}, name, work)


@pytest.mark.real
def test_the_chain_is_reached_by_post_at_the_root_only(tmp_path: Path) -> None:
    chain, name = Behind("chain-1"), "rpc.localhost"

    async def work(nginx: Front) -> None:
        async with chain:
            assert (await nginx.tells(name, "/", "POST", b"[1]"))["body"] == "[1]"
            assert await code(nginx, name, "/x", "POST") == (404, "not_found")
            reply = await nginx.ask(name, "/", "GET")
            assert (reply.status, reply.header("allow")) == (405, "POST")
            assert (await nginx.ask(name, "/", "POST", b"x" * 65 * 1024)).status == 413
            assert len(chain.asked) == 1
        assert await code(nginx, name, "/", "POST") == (502, "upstream_unavailable")

    through(tmp_path, {"chain-1": chain}, name, work)


@pytest.mark.real
def test_the_console_is_read_and_nothing_else(tmp_path: Path) -> None:
    console, name = Behind("watch"), "console.localhost"

    async def work(nginx: Front) -> None:
        async with console:
            assert (await nginx.tells(name, "/nodes/miner-1?at=2"))["target"] == "/nodes/miner-1?at=2"
            assert (await nginx.ask(name, "/", "HEAD")).status == 200
            reply = await nginx.ask(name, "/status.json", "DELETE")
            assert (reply.status, reply.header("allow")) == (405, "GET, HEAD")
            assert len(console.asked) == 2
        error = json.loads((await nginx.ask(name, "/")).body)["error"]
        assert error["message"] == "the console (watch) does not answer; try again"

    through(tmp_path, {"watch": console}, name, work)


def test_completions_that_keep_the_prompt_off_the_chain_are_let_through_with_payloads() -> None:
    private = replace(ENV, payloads=Payloads(sessions={1: PrivateSession()}))
    before, after = opened(way(ENV, "router.localhost")), opened(way(private, "router.localhost"))
    added = {match: upstream for match, upstream in after.items() if match not in before}
    assert added == {f"= /api/v{version}/completions/{sid}": f"to_router.localhost_session_{sid}" for version in (2, 3) for sid in (1, 2)}
    assert not [match for match in before if "/api/v2/" in match or "/api/v3/" in match]
