"""Cross-checks of private payloads: the sessions are there, whoever takes part can, and nothing else would see a prompt in clear."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.declared import Declared
from cortops.environment.model import RouterNode
from cortops.environment.payloads import Payloads
from cortops.environment.private import allowed_miners, in_clear, private_miners, private_routers, private_sessions
from cortops.environment.reason import Finding, list_of, printable


def private_sessions_are_there(declared: Declared) -> Iterator[Finding]:
    """Each stands in network.sessions, and its miners are among that session's."""
    payloads, network = declared.payloads, declared.network
    if payloads is None or network is None or "sessions" in declared.incomplete:
        return
    for sid in payloads.sessions:
        path = (Payloads.NAME, "sessions", str(sid))
        if sid not in network.sessions:
            if str(sid) not in declared.written.get("sessions", frozenset()):
                yield Finding(path, "names a session that is not declared", f"Add network.sessions.{sid}, or leave it out here.")
            continue
        for name in allowed_miners(declared, sid):
            if name not in network.sessions[sid].nodes:
                what = f"allows {printable(name)}, which is no miner of session {sid}"
                yield Finding((*path, "miners"), what, f"Its miners: {list_of(network.sessions[sid].nodes)}.")


def private_sessions_stay_private(declared: Declared) -> Iterator[Finding]:
    """Validators see only names, and the gateway asks by a route that would put the prompt on chain, so neither has part in them."""
    for sid, session in private_sessions(declared).items():
        if session.validators:
            what = "is private, and validators cannot compare what they cannot read"
            yield Finding(("network", "sessions", str(sid), "validators"), what, "Write validators: 0.")
    for model, target in declared.gateway.models.items() if declared.gateway is not None else ():
        pool = declared.pools.get(target.pool)
        for member in pool.members if pool is not None else ():
            node = declared.nodes.get(member)
            ids = node.sessions.get(model, ()) if isinstance(node, RouterNode) else ()
            if ids and not in_clear(declared, ids):
                what = f"has private sessions only, which the gateway does not use, and it is a member of {printable(target.pool)}"
                yield Finding(("nodes", member, "sessions", model), what, "Add a session that is not private.")


def payloads_can_be_reached(declared: Declared) -> Iterator[Finding]:
    """A folder is on one host. That miners reach routers for keys follows from their links."""
    payloads = declared.payloads
    if payloads is None or payloads.bucket is not None:
        return
    hosts = {declared.nodes[name].host: name for name in (*private_miners(declared), *private_routers(declared))}
    if len(hosts) > 1:
        names = list_of(f"{name} on {host}" for host, name in hosts.items())
        what = f"lie in a folder, which hosts do not share: {names}"
        yield Finding((Payloads.NAME, *(("folder",) if payloads.folder else ())), what, "Add payloads.bucket.")
