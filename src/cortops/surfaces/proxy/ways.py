"""Where a hostname leads: who stands behind it, which paths and methods are let through, and to whom of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cortops.environment.declared import Environment
from cortops.environment.families import FamilyRules, RouteFamily
from cortops.environment.model import Monitor, RouterNode
from cortops.environment.traffic import Route
from cortops.surfaces.proxy.nginx import ClientLimit, Closed, Open, Refusal, Upstream
from cortops.surfaces.proxy.paths import COMPLETIONS, GATEWAY_ALWAYS, PORTAL, PORTAL_ALWAYS, completions, paths
from cortops.surfaces.reach import LOOPBACK, from_host, place

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
    route, base = env.proxy[hostname], f"to_{hostname}"
    if route.kind == "portal":
        return _portal(env, hostname, base)
    if route.kind == "rpc":
        node = env.nodes[env.network.rpc.node or ""]
        server = place(from_host(env, node.host, route.on), node.port)
        return _whole(hostname, route, Upstream(name=base, servers=(server,)), "= /", ("POST",))
    if route.kind == "console":
        assert env.monitor is not None
        return _whole(hostname, route, Upstream(name=base, servers=(f"{LOOPBACK}:{env.monitor.port}",)), "/", ("GET", "HEAD"))
    main = Upstream(name=base, servers=_servers_of(env, route))
    ways = [Open(match=match, upstream=base) for match, _ in GATEWAY_ALWAYS] if route.kind == "gateway" else []
    upstreams, closed = [main], []
    for family in route.lets_through(env.gateway):
        found = _family(env, hostname, family, main)
        upstreams += [upstream for upstream in found.upstreams if upstream not in upstreams]
        ways += [one for one in found.locations if isinstance(one, Open)]
        closed += [one for one in found.locations if isinstance(one, Closed)]
    return Way(who=who(route), upstreams=tuple(upstreams), locations=(*ways, *closed))


def family_ways(env: Environment, hostname: str, family: RouteFamily) -> tuple[Open, ...]:
    """The places of one family that a hostname lets through."""
    route = env.proxy[hostname]
    found = _family(env, hostname, family, Upstream(name=f"to_{hostname}", servers=_servers_of(env, route)))
    return tuple(one for one in found.locations if isinstance(one, Open))


def path_of(match: str) -> str:
    """A path that a match lets through."""
    return match.removeprefix("= ") + ("1" if match.endswith("/") and not match.startswith("= ") else "")


def sample(one: Open) -> str:
    """A path of a place."""
    return path_of(one.match)


def who(route: Route) -> str:
    """Who stands behind a hostname, as a refusal and a check name them."""
    if route.pool is not None:
        return f"pool {route.pool}"
    told = {"gateway": "the gateway", "portal": "the portal", "rpc": "the chain", "console": f"the console ({Monitor.NAME})"}
    return told.get(route.to, f"the router at {route.to}")


def limit_of(hostname: str, route: Route, family: RouteFamily | None) -> ClientLimit | None:
    """What one client may ask of a family; of a family that says nothing else, together with all others that do not."""
    own = route.per_family[family].per_client if family is not None and family in route.per_family else None
    rules = own or route.per_client
    if rules.requests_per_min is None and rules.at_once is None:
        return None
    name = f"{hostname}_{family}" if own is not None else hostname
    return ClientLimit(name=name, per_min=rules.requests_per_min or 0, burst=rules.burst, at_once=rules.at_once or 0)


def _family(env: Environment, hostname: str, family: RouteFamily, main: Upstream) -> Way:
    """One family of one hostname: by its own program, where it has one, else by who stands behind the hostname."""
    route, rules = env.proxy[hostname], env.proxy[hostname].per_family.get(family, FamilyRules())
    limit = limit_of(hostname, route, family)
    timeout_s, body_kib = rules.read_timeout_s or 0, math.ceil((rules.body_max_mib or 0) * 1024)

    def opens(match: str, upstream: Upstream, asks: str = "") -> Open:
        return Open(match=match, upstream=upstream.name, asks=asks, read_timeout_s=timeout_s, body_max_kib=body_kib, limit=limit)

    kind = route.kind if rules.to is None else "url"
    if rules.to is not None:
        main = Upstream(name=f"{main.name}_{family}", servers=(_address(rules.to),))
    elif family == "portal":
        main = Upstream(name=f"{main.name}_portal", servers=_portal_servers(env, route.on))
    elif kind == "pool" and family == "mcp":
        main = Upstream(name=f"{main.name}_mcp", servers=_mcp_servers(env, env.pools[route.pool or ""].members, route.on))
    elif kind == "pool" and family == "completion":
        serving = _serving(env, env.pools[route.pool or ""].members)
        if any(routers != env.pools[route.pool or ""].members for routers in serving.values()):
            return _by_session(env, route, main, serving, opens)
    shown = paths(kind, family, private=env.payloads is not None)
    return Way(who="", upstreams=(main,), locations=tuple(opens(match, main, asks) for match, asks in shown))


def _by_session(
    env: Environment, route: Route, main: Upstream, serving: Mapping[int, tuple[str, ...]], opens: Callable[[str, Upstream], Open]
) -> Way:
    """A completion goes to a router that serves its session: the path tells nginx which, the body cannot."""
    first = {routers: sid for sid, routers in reversed(list(serving.items()))}  # the first session of each set names it
    groups = {
        routers: Upstream(name=f"{main.name}_session_{sid}", servers=_servers(env, routers, route.on))
        for routers, sid in reversed(first.items())
    }
    places = completions(private=env.payloads is not None)
    by_session = (opens(f"= {path}/{sid}", groups[routers]) for path in places for sid, routers in serving.items())
    closed = (Closed(match=match, refusal=_name_it(tuple(serving))) for path in places for match in (f"= {path}", f"{path}/"))
    return Way(who="", upstreams=tuple(groups.values()), locations=(*by_session, *closed))


def _whole(hostname: str, route: Route, upstream: Upstream, match: str, methods: tuple[str, ...]) -> Way:
    """All that one program serves below `match`."""
    opened = Open(match=match, upstream=upstream.name, limit=limit_of(hostname, route, None))
    return Way(who=who(route), upstreams=(upstream,), locations=(opened,), methods=methods)


def _portal(env: Environment, hostname: str, base: str) -> Way:
    """The portal's own hostname: its start page and health too."""
    route = env.proxy[hostname]
    upstream = Upstream(name=base, servers=_portal_servers(env, route.on))
    limit = limit_of(hostname, route, None)
    opened = tuple(Open(match=match, upstream=base, asks=asks, limit=limit) for match, asks in (*PORTAL_ALWAYS, *PORTAL))
    return Way(who=who(route), upstreams=(upstream,), locations=opened, methods=("GET", "HEAD", "POST", "DELETE"))


def _portal_servers(env: Environment, on: str) -> tuple[str, ...]:
    assert env.portal is not None
    return (place(from_host(env, env.portal.on, on), env.portal.port),)


def _servers_of(env: Environment, route: Route) -> tuple[str, ...]:
    """Of the gateway all its processes, of a pool all its members."""
    if route.pool is not None:
        return _servers(env, env.pools[route.pool].members, route.on)
    if route.kind == "url":
        return (_address(route.to),)
    assert env.gateway is not None
    return tuple(place(from_host(env, each.host, route.on), each.port) for each in env.gateway.instances())


def _address(url: str) -> str:
    """`http://host:port` -> `host:port`."""
    address = url.removeprefix("http://")
    return address if ":" in address else f"{address}:80"


def _serving(env: Environment, members: tuple[str, ...]) -> dict[int, tuple[str, ...]]:
    """Session id -> the members that serve it, both in order."""
    sessions = {name: {sid for ids in _router(env, name).sessions.values() for sid in ids} for name in members}
    every = sorted(set().union(*sessions.values()))
    return {sid: tuple(name for name in members if sid in sessions[name]) for sid in every}


def _servers(env: Environment, members: tuple[str, ...], on: str) -> tuple[str, ...]:
    routers = (_router(env, name) for name in members)
    return tuple(place(from_host(env, router.host, on), router.port) for router in routers)


def _mcp_servers(env: Environment, members: tuple[str, ...], on: str) -> tuple[str, ...]:
    """A router's tools have a port of their own; they hold nothing between calls, so any member answers."""
    routers = [_router(env, name) for name in members]
    return tuple(place(from_host(env, router.host, on), router.mcp.port) for router in routers if router.mcp is not None)


def _router(env: Environment, name: str) -> RouterNode:
    node = env.nodes[name]
    assert isinstance(node, RouterNode)
    return node


def _name_it(sessions: tuple[int, ...]) -> Refusal:
    told = ", ".join(f"{COMPLETIONS}/{sid}" for sid in sessions[:SESSIONS_TOLD_MAX])
    more = ", ..." if len(sessions) > SESSIONS_TOLD_MAX else ""
    message = f"the routers here serve different sessions: name one in the path, {told}{more}"
    return Refusal(status=404, code="session_not_found", message=message, param="session_id")
