"""What `GET /mcp/messages` says of the MCP server (facts H). Pure. Only declared public names: no address that a client could not reach."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from cortops.programs.router.mcp_tools import Tool, sessions_of
from cortops.protocol.settings import RouterSettings
from cortops.words.errors import BadInput

PROTOCOL_VERSION = "2024-11-05"  # the oldest that is spoken here; newer ones are agreed on in `initialize`
_INTERNAL_NAMES = ("localhost", ".localhost", ".local", ".internal", ".lan", ".home.arpa")


def public_base(settings: RouterSettings) -> str:
    """The declared public address, "https://NAME[:PORT]"; "" where none is declared, and everything is told as a path."""
    if not settings.external_domain:
        return ""
    scheme, usual = ("https", 443) if settings.rest_tls else ("http", 80)
    port = settings.proxy_port or settings.port
    return f"{scheme}://{settings.external_domain}{'' if port == usual else f':{port}'}"


def advertisement(settings: RouterSettings, tools: Mapping[str, Tool], version: str) -> dict[str, Any]:
    """The whole body, with the public keys. BadInput where MCP_ADVERTISE_JSON is no object, or names an address that is not public."""
    base = public_base(settings)
    sessions = sessions_of(settings)
    single, consensus = settings.mcp_factcheck_single_session or None, settings.mcp_factcheck_consensus_session or None
    a2a = {"a2a_card": f"{base}/.well-known/agent.json", "a2a_discovery": f"{base}/api/v1/a2a/discovery"} if settings.a2a else {}
    return {
        "message": "An MCP server over streamable HTTP: POST JSON-RPC here.",
        "version": version,
        "description": f"Tools of the router {settings.name}: {', '.join(tools)}.",
        "transport": "streamable-http",
        "endpoints": {
            "mcp": f"{base}/mcp",
            "about": f"{base}/about",
            "status": f"{base}/api/v1/status",
            "ping": f"{base}/api/v1/ping",
            **a2a,
        },
        "protocol": {"version": PROTOCOL_VERSION, "methods": ["initialize", "tools/list", "tools/call"]},
        "router_proxy": {
            "base_url": base or None,
            "notes": "Addresses are public names. A path alone is below the address at which this was asked.",
            "rest_routes": _rest_routes(settings, base),
        },
        "session_policy": {
            "mode": "fixed_configured_sessions" if settings.mcp_fixed_sessions else "default_sessions",
            "default_session_id": settings.mcp_default_session or None,
            "tool_defaults": {
                **{kind: sessions[kind] for kind in ("completion", "delegate", "validate", "tasks")},
                "factcheck_single": single or sessions["factcheck"],
                "factcheck_consensus": consensus or sessions["factcheck"],
            },
            "notes": "No tool creates a session that costs money. A proof of payment in the argument `payment` is taken as X-PAYMENT.",
        },
        "advertisement": {"enabled": True, **_own(settings.mcp_advertisement)},
    }


def _rest_routes(settings: RouterSettings, base: str) -> dict[str, str]:
    routes = {"completions": f"{base}/api/v1/completions", "delegate": f"{base}/api/v2/delegate", "validate": f"{base}/api/v2/validate"}
    if settings.x402:
        routes["x402"] = f"{base}/api/v1/x402/ping"
    if settings.trial_enabled:
        routes["trial"] = f"{base}/api/v1/trial/completions"
    return routes


def _own(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BadInput(f"MCP_ADVERTISE_JSON is no JSON object: {error}", where="env file") from error
    for value in _texts(found):
        if why := internal(value):
            raise BadInput(f"MCP_ADVERTISE_JSON names {value[:80]!r}, {why}", where="env file")
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def internal(text: str) -> str:
    """Why this text, an address or a host, is not public; "" where it is, or is no address."""
    try:
        host = urlsplit(text if "://" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""
    if any(host == name or (name.startswith(".") and host.endswith(name)) for name in _INTERNAL_NAMES):
        return "a name of a machine of its own"
    try:
        return "" if ipaddress.ip_address(host).is_global else "an address that is not public"
    except ValueError:
        return ""
