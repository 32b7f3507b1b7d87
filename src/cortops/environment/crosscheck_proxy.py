"""Cross-checks of route families: each has somebody who answers it, and nobody in front of them who gives up first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from cortops.environment.declared import Declared
from cortops.environment.families import SERVED, FamilyRules, RouteFamily
from cortops.environment.model import RouterNode
from cortops.environment.payloads import Payloads
from cortops.environment.portal import Portal
from cortops.environment.reason import Finding, Path, list_of, printable
from cortops.environment.traffic import Route

RUN_TASKS: tuple[RouteFamily, ...] = ("completion", "delegate", "validate", "factcheck", "trial", "x402", "mcp", "a2a")

# Families whose bodies name a session, unless the router has one declared for them.
_NAMED: Mapping[str, Callable[[RouterNode], bool]] = {
    "delegate": lambda router: router.families.delegate is not None,
    "validate": lambda router: router.families.validate_ is not None,
    "factcheck": lambda router: bool(router.families.factcheck.standard),
}


def families_are_answered(declared: Declared) -> Iterator[Finding]:
    """By who stands behind the hostname, or by a program that is named for it."""
    for hostname, route in declared.proxy.items():
        path: Path = ("proxy", hostname)
        if route.kind not in SERVED:
            for key in ("families", "per_family"):
                if getattr(route, key):
                    yield Finding((*path, key), f"is of no use: {route.to} is let through as a whole", f"Remove {key}.")
            continue
        through = route.lets_through(declared.gateway)
        for family in through:
            yield from _is_answered(declared, route, family, (*path, "families"))
        for family in route.per_family:
            if family not in through:
                what = f"is of no use: {family} is not let through (families: {list_of(through)})"
                yield Finding((*path, "per_family", family), what, f"Add {family} to families, or remove it.")


def _is_answered(declared: Declared, route: Route, family: RouteFamily, path: Path) -> Iterator[Finding]:
    rules = route.per_family.get(family)
    if rules is not None and rules.to is not None:
        return
    if family == Portal.NAME and declared.portal is None and Portal.NAME not in declared.incomplete:
        yield Finding(path, "names portal, which is not declared", "Add the section portal, or drop portal from families.")
    elif family not in SERVED[route.kind]:
        what = f"names {family}, which {printable(route.to)} does not answer itself"
        yield Finding(path, what, f'Name who does, as per_family: {{{family}: {{to: "http://127.0.0.1:5010"}}}}, or drop {family}.')
    elif route.kind == "gateway" and declared.gateway is not None and family not in (*declared.gateway.families, Portal.NAME):
        line = declared.line("gateway", "families")
        yield Finding(path, f"names {family}, which gateway.families leaves out (line {line})", f"Add {family} there, or drop it here.")
    elif family == Payloads.NAME and declared.payloads is None and Payloads.NAME not in declared.incomplete:
        yield Finding(path, "names payloads, and none are declared", "Add the section payloads, or drop payloads from families.")
    elif route.pool is not None:
        yield from _members_answer(declared, route.pool, family, path)


def _members_answer(declared: Declared, pool: str, family: RouteFamily, path: Path) -> Iterator[Finding]:
    """nginx asks any member, so each must answer the family, in a session of its own where they serve different ones."""
    members = declared.pools[pool].members if pool in declared.pools else ()
    routers = {name: node for name in members if isinstance(node := declared.nodes.get(name), RouterNode)}
    for name, router in routers.items():
        if key := _not_declared(router, family):
            yield Finding(path, f"names {family}, which router {name} does not answer", f"Declare nodes.{name}.{key}, or drop {family}.")
    alike = len({frozenset(session for ids in router.sessions.values() for session in ids) for router in routers.values()}) < 2
    for name, router in routers.items() if not alike else ():
        if family in _NAMED and not _NAMED[family](router):
            what = f"names {family}, and the routers of {pool} serve different sessions, so whom nginx asks may not serve the caller's"
            yield Finding(path, what, f"Declare nodes.{name}.families.{family}, or drop {family}.")
    if family == "create" and len(routers) > 1:
        what = f"names create, and {pool} has {len(routers)} routers: a session that one makes is not served by the others"
        yield Finding(path, what, "Lead create to a pool of one router.")


def _not_declared(router: RouterNode, family: RouteFamily) -> str:
    """The key that a router lacks for a family that is off until it is declared; "" where it lacks none."""
    gated = {
        "trial": ("families.trial", router.families.trial is not None),
        "create": ("families.create", router.families.create),
        "x402": ("x402", router.x402 is not None),
        "mcp": ("mcp", router.mcp is not None),
        "a2a": ("a2a", router.a2a is not None),
    }
    key, declared = gated.get(family, ("", True))
    return "" if declared else key


def family_timeouts_do_not_cut(declared: Declared) -> Iterator[Finding]:
    """Nobody in front gives up before the program behind; `timeouts_do_not_cut` looks at the gateway's hostname as a whole."""
    for hostname, route in declared.proxy.items():
        path: Path = ("proxy", hostname)
        limit, whose = _longest(declared, route)
        ours = [
            (family, rules)
            for family in route.lets_through(declared.gateway)
            if family in RUN_TASKS and (rules := route.per_family.get(family, FamilyRules())).to is None
        ]
        own = [
            ((*path, "per_family", family, "read_timeout_s"), rules.read_timeout_s)
            for family, rules in ours
            if rules.read_timeout_s is not None
        ]
        waits: list[tuple[Path, int]] = list(own)
        if route.kind == "pool" and len(own) < len(ours):
            waits.append(((*path, "read_timeout_s"), route.read_timeout_s))
        for where, wait in waits:
            if wait < limit:
                yield Finding(where, f"{wait} is below the {limit} of {whose}", f"Long answers would be cut: set at least {limit}.")


def _longest(declared: Declared, route: Route) -> tuple[int, str]:
    """How long a completion may take behind a hostname, in seconds, and by whose word; 0 where nothing is declared."""
    if route.kind == "gateway" and declared.gateway is not None:
        return declared.gateway.request_timeout_s, "the gateway"
    pool = declared.pools.get(route.pool or "")
    members = ((name, declared.nodes.get(name)) for name in (pool.members if pool else ()))
    waits = [(node.request_timeout_s, f"router {name}") for name, node in members if isinstance(node, RouterNode)]
    return max(waits, default=(0, ""))


def family_sessions_are_served(declared: Declared) -> Iterator[Finding]:
    """A router serves the sessions that its families run in."""
    for name, router in declared.nodes.items():
        if not isinstance(router, RouterNode):
            continue
        served = {session for sessions in router.sessions.values() for session in sessions}
        for key, sessions in router.families.sessions().items():
            for session in sessions:
                if session not in served:
                    path: Path = ("nodes", name, "families", *key.split("."))
                    yield Finding(
                        path, f"names session {session}, which {name} does not serve", f"Serve it: nodes.{name}.sessions, or drop it."
                    )
