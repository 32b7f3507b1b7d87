"""Cross-checks of route families: each has somebody who answers it, and nobody in front of them who gives up first."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.declared import Declared
from cortops.environment.families import SERVED, RouteFamily
from cortops.environment.model import RouterNode
from cortops.environment.portal import Portal
from cortops.environment.reason import Finding, Path, list_of, printable
from cortops.environment.traffic import Route


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


def family_timeouts_do_not_cut(declared: Declared) -> Iterator[Finding]:
    """Nobody in front gives up before the program behind; `timeouts_do_not_cut` looks at the gateway's hostname as a whole."""
    for hostname, route in declared.proxy.items():
        path: Path = ("proxy", hostname)
        limit, whose = _longest(declared, route)
        own = route.per_family.get("completion")
        waits: list[tuple[Path, int]] = [((*path, "read_timeout_s"), route.read_timeout_s)] if route.kind == "pool" else []
        if own is not None and own.to is None and own.read_timeout_s is not None:
            waits = [((*path, "per_family", "completion", "read_timeout_s"), own.read_timeout_s)]
        for where, wait in waits if "completion" in route.lets_through(declared.gateway) else ():
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
