"""The settings of a router that say what it offers agents: MCP, A2A, paid calls. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cortops.environment.agents import X402, Mcp
from cortops.environment.crosscheck_agents import public_route
from cortops.environment.declared import Environment
from cortops.environment.model import RouterNode


def for_agents(env: Environment, name: str, node: RouterNode, ips: tuple[str, ...], mark: Callable[[str], str]) -> dict[str, Any]:
    """Fields of RouterSettings, none where nothing is declared. ips: where it listens. mark: what stands for a secret's value."""
    if node.mcp is None and node.a2a is None and node.x402 is None:
        return {}
    found = dict(_public(env, name))
    if node.mcp is not None:
        found |= {"mcp": True, "mcp_bind_ips": ips, **_mcp(node.mcp)}
    if node.a2a is not None:
        found |= {"a2a": True, "a2a_name": node.a2a.name, "a2a_about": node.a2a.about, "a2a_session": node.a2a.session or 0}
    if node.x402 is not None:
        found |= {"x402": True, **_x402(node.x402, mark)}
    return found


def _public(env: Environment, name: str) -> Iterator[tuple[str, Any]]:
    """The name by which the outside knows it: the first hostname that leads to its pool and lets something for agents through."""
    found = public_route(env.proxy, env.pools, name)
    if found is not None:
        hostname, route = found
        yield from (("external_domain", hostname), ("rest_tls", True), ("proxy_port", route.port))


def _mcp(mcp: Mcp) -> dict[str, Any]:
    sessions = mcp.sessions
    return {
        "mcp_port": mcp.port,
        "mcp_default_session": sessions.default or 0,
        "mcp_completion_session": sessions.completion or 0,
        "mcp_delegate_session": sessions.delegate or 0,
        "mcp_validate_session": sessions.validate_ or 0,
        "mcp_tasks_session": sessions.tasks or 0,
        "mcp_factcheck_session": sessions.factcheck or 0,
        "mcp_fixed_sessions": mcp.fixed_sessions,
        "mcp_force_x402": mcp.paid,
        "mcp_timeout_s": mcp.timeout_s,
    }


def _x402(paid: X402, mark: Callable[[str], str]) -> dict[str, Any]:
    prices, sessions, asset = paid.prices, paid.sessions, paid.asset
    return {
        "x402_network": paid.network,
        "x402_pay_to": paid.pay_to,
        "x402_price": prices.default,
        "x402_price_completions": prices.completions or "",
        "x402_price_delegate": prices.delegate or "",
        "x402_price_validate": prices.validate_ or "",
        "x402_price_factcheck": prices.factcheck or "",
        "x402_completions_session": sessions.completions or 0,
        "x402_delegate_session": sessions.delegate or 0,
        "x402_validate_session": sessions.validate_ or 0,
        "x402_factcheck_session": sessions.factcheck or 0,
        "x402_facilitator_url": paid.facilitator.url,
        "x402_facilitator_secret": mark(paid.facilitator.key.secret) if paid.facilitator.key is not None else "",
        "x402_asset": f"{asset.address},{asset.decimals},{asset.name},{asset.version}" if asset is not None else "",
    }
