"""Cross-checks of a gateway on several hosts: they share a store, and each of them has sessions of its own."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.declared import Declared
from cortops.environment.model import RouterNode
from cortops.environment.reason import Finding, printable


def several_hosts_share_a_store(declared: Declared) -> Iterator[Finding]:
    """Keys and usage in files are those of one host."""
    gateway = declared.gateway
    if gateway is not None and len(gateway.hosts) > 1 and gateway.store is None:
        what = f"names {len(gateway.hosts)} hosts, and keys and usage lie in files of one"
        yield Finding(("gateway", "on"), what, "Declare a PostgreSQL database: store: {url: {secret: gateway/store}}.")
    for name in sorted({name for name in gateway.hosts if gateway.hosts.count(name) > 1} if gateway is not None else ()):
        yield Finding(("gateway", "on"), f"names {printable(name)} twice", "Name each host once; processes says how many run on it.")


def every_host_has_sessions(declared: Declared) -> Iterator[Finding]:
    """Sessions are divided between hosts, so that none of them has to ask another before each request."""
    gateway = declared.gateway
    if gateway is None or len(gateway.hosts) == 1:
        return
    for pool_name in dict.fromkeys(target.pool for target in gateway.models.values()):
        pool = declared.pools.get(pool_name)
        models = [model for model, target in gateway.models.items() if target.pool == pool_name]
        for index, member in enumerate(pool.members if pool else ()):
            router = declared.nodes.get(member)
            if not isinstance(router, RouterNode):
                continue
            sessions = {session for model in models for session in router.sessions.get(model, ())}
            if 0 < len(sessions) < len(gateway.hosts):
                what = (
                    f"member {member} has {len(sessions)} session{'s' * (len(sessions) > 1)} for {len(gateway.hosts)} hosts of the gateway"
                )
                cure = f"Add sessions to nodes.{member}.sessions, one for each host at least, or take a host from gateway.on."
                yield Finding(("pools", pool_name, "members", index), what, cure)
