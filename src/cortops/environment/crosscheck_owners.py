"""Cross-checks of `owners`: nobody is without, and none owns nothing."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.cortensord import CORTENSORD_ROLES
from cortops.environment.declared import Declared, declared_owner
from cortops.environment.model import NODE_ROLES
from cortops.environment.reason import Finding, did_you_mean, list_of

OWNED = ("default", "gateway", "portal", "proxy", "monitor")  # keys of owners beside roles and names


def services_have_owners(declared: Declared) -> Iterator[Finding]:
    """Every service has somebody who is asked when it is ill, and every owner owns something."""
    services: list[tuple[str, str, str]] = [
        (name, node.role, node.owner) for name, node in (*declared.nodes.items(), *declared.installed.items())
    ]
    services += [(hostname, "proxy", route.owner) for hostname, route in declared.proxy.items()]
    blocks = (("gateway", declared.gateway), ("portal", declared.portal), ("monitor", declared.monitor))
    services += [(block.NAME, kind, block.owner) for kind, block in blocks if block is not None]
    if "owners" not in declared.incomplete:
        orphans = [name for name, kind, owner in services if not owner and not declared_owner(declared.owners, name, kind)]
        if orphans:
            yield Finding(
                ("owners", "default"), f"is missing, and nobody owns {list_of(orphans, limit=4)}", "Add owners: {default: you@example}."
            )
    known = [*OWNED, *dict.fromkeys((*NODE_ROLES, *CORTENSORD_ROLES)), *(name for name, _, _ in services)]
    for key in declared.owners:
        if key not in known and declared.has_all("nodes"):
            yield Finding(
                ("owners", key),
                "is neither a service nor a kind of service",
                did_you_mean(key, known, otherwise=f"Known here: {list_of(known)}."),
            )
