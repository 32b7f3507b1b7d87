"""The settings of a router that say what it answers beside completions. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cortops.environment.declared import Environment
from cortops.environment.model import RouterNode
from cortops.surfaces.reach import LOOPBACK


def router_families(env: Environment, name: str, node: RouterNode, mark: Callable[[str], str]) -> dict[str, Any]:
    """Fields of RouterSettings. mark: what stands for a secret's value."""
    families = node.families
    found: dict[str, Any] = {
        "delegate_session": families.delegate or 0,
        "validate_session": families.validate_ or 0,
        "factcheck_sessions": families.factcheck.standard,
        "realtime_sessions": families.factcheck.realtime,
        "consensus_sessions_3": families.consensus_3,
        "consensus_sessions_5": families.consensus_5,
        "judge_schema": families.judge_schema,
        "create_enabled": families.create,
    }
    if families.create:
        found |= _public(env, name)
    if families.search is not None:
        found |= {"search_key": mark(families.search.key.secret), "search_url": families.search.url}
    if families.trial is not None:
        trial = families.trial
        found |= {
            "trial_enabled": True,
            "trial_requests_max": trial.requests_max,
            "trial_window_s": trial.window_s,
            "trial_completions_session": trial.completion or 0,
            "trial_delegate_session": trial.delegate or 0,
            "trial_validate_session": trial.validate_ or 0,
            "trial_factcheck_session": trial.factcheck or 0,
            "trusted_proxies": proxies_of(env, name),
        }
    return found


def _public(env: Environment, name: str) -> dict[str, Any]:
    """Where clients of the sessions that it makes reach it, which stands on chain: the hostname that leads to it for this, else any."""
    leads = [(hostname, route) for hostname, route in env.proxy.items() if route.pool is not None and name in env.pools[route.pool].members]
    if not leads:
        return {}
    hostname, route = min(leads, key=lambda one: "create" not in one[1].families)
    return {"external_domain": hostname, "rest_tls": True, "proxy_port": route.port}


def proxies_of(env: Environment, router: str) -> tuple[str, ...]:
    """Addresses of the proxies that lead to this router, as it sees them: only these tell it who the client is."""
    host = env.nodes[router].host
    fronts = {route.on for route in env.proxy.values() if route.pool is not None and router in env.pools[route.pool].members}
    return tuple(sorted({LOOPBACK if front == host else env.hosts[front].address or LOOPBACK for front in fronts}))
