"""Cross-checks of what routers offer agents: sessions that are served, a name by which a card can be found, somebody who is paid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cortops.environment.agents import Mcp
from cortops.environment.declared import Declared
from cortops.environment.model import RouterNode
from cortops.environment.reason import Finding, printable
from cortops.environment.traffic import Pool, Route

FOR_AGENTS = frozenset({"mcp", "a2a", "x402"})


def public_route(proxy: Mapping[str, Route], pools: Mapping[str, Pool], router: str) -> tuple[str, Route] | None:
    """The first hostname, in the order of the file, that leads to a pool of this router and lets a family of agents through."""
    for hostname, route in proxy.items():
        pool = pools.get(route.pool) if route.pool is not None else None
        if pool is not None and router in pool.members and FOR_AGENTS & set(route.families):
            return hostname, route
    return None


def agent_sessions_are_served(declared: Declared) -> Iterator[Finding]:
    """A router serves the sessions that its tools and paid calls are bound to."""
    for name, router in _routers(declared):
        served = {session for sessions in router.sessions.values() for session in sessions}
        for key, session in _sessions(router):
            if session not in served:
                what = f"is session {session}, which {printable(name)} does not serve"
                yield Finding(("nodes", name, *key.split(".")), what, f"Add it to nodes.{name}.sessions, or name one that is there.")


def cards_have_a_name(declared: Declared) -> Iterator[Finding]:
    """An agent's card names the address that messages go to, and only public names are shown."""
    if not declared.has_all("pools") or "proxy" in declared.incomplete or len(declared.proxy) != len(declared.written.get("proxy", ())):
        return
    for name, router in _routers(declared):
        if router.a2a is not None and public_route(declared.proxy, declared.pools, name) is None:
            what = "has a card that nobody can find: no hostname of proxy leads to it and lets a2a through"
            yield Finding(("nodes", name, "a2a"), what, "Add a hostname with to: pool/NAME and families: [info, a2a].")


def paid_tools_can_be_paid(declared: Declared) -> Iterator[Finding]:
    """Who must pay can."""
    for name, router in _routers(declared):
        if router.mcp is not None and router.mcp.paid and router.x402 is None:
            yield Finding(("nodes", name, "mcp", "paid"), "is true, and the router takes no payments", "Declare x402 beside it.")


def _routers(declared: Declared) -> Iterator[tuple[str, RouterNode]]:
    return ((name, node) for name, node in declared.nodes.items() if isinstance(node, RouterNode))


def _sessions(router: RouterNode) -> Iterator[tuple[str, int]]:
    sections = {
        "mcp.sessions": router.mcp.sessions if isinstance(router.mcp, Mcp) else None,
        "x402.sessions": router.x402.sessions if router.x402 is not None else None,
    }
    for place, section in sections.items():
        if section is not None:
            for key, info in type(section).model_fields.items():
                if (session := getattr(section, key)) is not None:
                    yield f"{place}.{info.alias or key}", session
    if router.a2a is not None and router.a2a.session is not None:
        yield "a2a.session", router.a2a.session
