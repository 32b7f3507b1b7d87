"""Who takes part in private sessions, read off the declaration: their routers, their miners, and which router a miner asks for keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cortops.environment.declared import Declared, Environment
from cortops.environment.model import MinerNode, RouterNode, Session

Either = Declared | Environment


def private_sessions(declared: Either) -> Mapping[int, Session]:
    """Those of the section `payloads` that stand in `network.sessions`, in order of their ids."""
    if declared.payloads is None or declared.network is None:
        return {}
    there = declared.network.sessions
    return {sid: there[sid] for sid in sorted(declared.payloads.sessions) if sid in there}


def in_clear(declared: Either, sids: Iterable[int]) -> tuple[int, ...]:
    """Those that are not private: the gateway asks by a route that puts a prompt on chain as it is."""
    kept = declared.payloads.sessions if declared.payloads is not None else {}
    return tuple(sid for sid in sids if sid not in kept)


def allowed_miners(declared: Either, sid: int) -> tuple[str, ...]:
    """The miners that may have the session's keys."""
    assert declared.payloads is not None
    return declared.payloads.sessions[sid].miners or private_sessions(declared)[sid].nodes


def private_routers(declared: Either) -> Mapping[str, tuple[int, ...]]:
    """Router -> the private sessions that it serves."""
    found: dict[str, tuple[int, ...]] = {}
    for sid, session in private_sessions(declared).items():
        for name in session.routers:
            if isinstance(declared.nodes.get(name), RouterNode):
                found[name] = (*found.get(name, ()), sid)
    return found


def private_miners(declared: Either) -> Mapping[str, tuple[str, ...]]:
    """Miner of a private session -> the routers that it asks for keys: those of its own that serve such a session of its."""
    found: dict[str, tuple[str, ...]] = {}
    for session in private_sessions(declared).values():
        for name in session.nodes:
            miner = declared.nodes.get(name)
            if isinstance(miner, MinerNode):
                asked = (router for router in miner.routers if router in session.routers and router in declared.nodes)
                found[name] = tuple(dict.fromkeys((*found.get(name, ()), *asked)))
    return found
