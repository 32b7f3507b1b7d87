"""Where a hostname leads: who stands behind it, which paths and methods are let through, and to whom of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cortops.environment.declared import Environment
from cortops.environment.model import Monitor, RouterNode
from cortops.environment.traffic import Gateway, Route
from cortops.surfaces.proxy.nginx import Closed, Open, Refusal, Upstream
from cortops.surfaces.reach import LOOPBACK, from_host, place

# The gateway's public paths by route family (facts B); its health page is always open.
GATEWAY_PATHS: Mapping[str, tuple[str, ...]] = {
    "completion": ("= /v1/chat/completions", "= /v1/models", "/v1/models/"),
}
GATEWAY_ALWAYS = ("= /health",)

# A router's public reads (facts A.3, A.6). Both forms where there is one with an id: nginx would redirect from the bare one.
ROUTER_READS = (
    *(f"= /api/v1/{name}" for name in ("ping", "status", "info", "about", "miners", "sessions")),
    "/api/v1/sessions/",
    "= /api/v1/tasks",
    "/api/v1/tasks/",
)
ROUTER_ABOUT = ("= /about", "/api/v1/about")  # the short address that proxies in the wild give it (facts A.6)
COMPLETIONS = "/api/v1/completions"
SESSIONS_TOLD_MAX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What nginx needs to know of one hostname beside its address and limits (fields as in ServerName)."""

    who: str
    upstreams: tuple[Upstream, ...]
    locations: tuple[Open | Closed, ...]
    methods: tuple[str, ...] = ()


def way(env: Environment, hostname: str) -> Way:
    """Where `hostname` leads, which crosscheck has shown to be declared."""
    route = env.proxy[hostname]
    base = f"to_{hostname}"
    if route.pool is not None:
        return _pool(env, base, route.pool, route.on)
    if route.to == "gateway" and env.gateway is not None:
        return _gateway(env.gateway, base, from_host(env, env.gateway.on, route.on))
    if route.to == "rpc":
        node = env.nodes[env.network.rpc.node or ""]
        server = place(from_host(env, node.host, route.on), node.port)
        return _whole(base, server, who(route), match="= /", methods=("POST",))
    assert env.monitor is not None
    return _whole(base, f"{LOOPBACK}:{env.monitor.port}", who(route), match="/", methods=("GET", "HEAD"))


def who(route: Route) -> str:
    """Who stands behind a hostname, as a refusal and a check name them."""
    if route.pool is not None:
        return f"pool {route.pool}"
    return {"gateway": "the gateway", "rpc": "the chain", "console": f"the console ({Monitor.NAME})"}[route.to]


def _gateway(gateway: Gateway, base: str, ip: str) -> Way:
    """All its processes share the work."""
    servers = tuple(place(ip, port) for port in gateway.ports().values())
    paths = (*GATEWAY_ALWAYS, *(path for family in gateway.families for path in GATEWAY_PATHS[family]))
    return Way(
        who="the gateway",
        upstreams=(Upstream(name=base, servers=servers),),
        locations=tuple(Open(match=path, upstream=base) for path in paths),
    )


def _whole(base: str, server: str, who: str, *, match: str, methods: tuple[str, ...]) -> Way:
    """All that one program serves below `match`."""
    upstream = Upstream(name=base, servers=(server,))
    return Way(who=who, upstreams=(upstream,), locations=(Open(match=match, upstream=base),), methods=methods)


def _pool(env: Environment, base: str, pool: str, on: str) -> Way:
    """Reads go to any router. A completion goes to one that serves its session: the path tells nginx which, the body cannot."""
    members = env.pools[pool].members
    serving = _serving(env, members)
    everyone = Upstream(name=base, servers=_servers(env, members, on))
    reads = (*(Open(match=path, upstream=base) for path in ROUTER_READS), Open(match=ROUTER_ABOUT[0], upstream=base, asks=ROUTER_ABOUT[1]))
    if all(routers == members for routers in serving.values()):
        ways = tuple(Open(match=match, upstream=base) for match in (f"= {COMPLETIONS}", f"{COMPLETIONS}/"))
        return Way(who=f"pool {pool}", upstreams=(everyone,), locations=(*reads, *ways))
    named = {routers: f"{base}_session_{sid}" for sid, routers in reversed(serving.items())}  # the first session of each set names it
    groups = tuple(Upstream(name=name, servers=_servers(env, routers, on)) for routers, name in reversed(named.items()))
    by_session = tuple(Open(match=f"= {COMPLETIONS}/{sid}", upstream=named[routers]) for sid, routers in serving.items())
    closed = tuple(Closed(match=match, refusal=_name_it(tuple(serving))) for match in (f"= {COMPLETIONS}", f"{COMPLETIONS}/"))
    return Way(who=f"pool {pool}", upstreams=(everyone, *groups), locations=(*reads, *by_session, *closed))


def _serving(env: Environment, members: tuple[str, ...]) -> dict[int, tuple[str, ...]]:
    """Session id -> the members that serve it, both in order."""
    sessions = {name: {sid for ids in _router(env, name).sessions.values() for sid in ids} for name in members}
    every = sorted(set().union(*sessions.values()))
    return {sid: tuple(name for name in members if sid in sessions[name]) for sid in every}


def _servers(env: Environment, members: tuple[str, ...], on: str) -> tuple[str, ...]:
    routers = (_router(env, name) for name in members)
    return tuple(place(from_host(env, router.host, on), router.port) for router in routers)


def _router(env: Environment, name: str) -> RouterNode:
    node = env.nodes[name]
    assert isinstance(node, RouterNode)
    return node


def _name_it(sessions: tuple[int, ...]) -> Refusal:
    told = ", ".join(f"{COMPLETIONS}/{sid}" for sid in sessions[:SESSIONS_TOLD_MAX])
    more = ", ..." if len(sessions) > SESSIONS_TOLD_MAX else ""
    message = f"the routers here serve different sessions: name one in the path, {told}{more}"
    return Refusal(status=404, code="session_not_found", message=message, param="session_id")
