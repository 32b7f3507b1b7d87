"""Route families of a public hostname, and what is declared for one of them. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from cortops.environment.section import Section, refuse

RouteFamily = Literal[
    "completion",
    "delegate",
    "validate",
    "factcheck",
    "trial",
    "x402",
    "mcp",
    "mcp-sse",
    "a2a",
    "info",
    "payloads",
    "create",
    "portal",
]
FAMILIES: tuple[RouteFamily, ...] = get_args(RouteFamily)
ELSEWHERE = r"http://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?"  # a program of others on this host or a trusted network, so in plain HTTP

# What our own programs answer, some of it only where it is declared; any other family leads to a program of others, or nowhere.
SERVED: Mapping[str, tuple[RouteFamily, ...]] = {
    "gateway": ("completion", "portal"),
    "pool": tuple(family for family in FAMILIES if family not in ("mcp-sse", "portal")),
    "url": tuple(family for family in FAMILIES if family != "portal"),
}


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise refuse(f"is no network: {error}", "Write it as 10.0.0.0/24, or one address.") from None
    if network.prefixlen == 0:
        raise refuse("is everybody, so any client could claim any address", "Name the network of the proxies in front, as 10.0.0.0/24.")
    return text


Network = Annotated[str, Field(max_length=49), AfterValidator(_network)]


class PerClient(Section):
    """What one client, known by its address, may ask for; more is answered with 429."""

    requests_per_min: int | None = Field(default=None, ge=1, le=600_000, description="Requests a minute. Without it: no limit.")
    burst: int = Field(default=20, ge=0, le=10_000, description="So many may come at once beyond that rate.")
    at_once: int | None = Field(default=None, ge=1, le=60_000, description="Requests and streams under way at once. Without it: no limit.")


class FamilyRules(Section):
    """What is different for one family of routes; what it leaves out is as for the hostname."""

    to: str | None = Field(
        default=None,
        pattern=f"^{ELSEWHERE}$",
        description="Another program that answers this family, as a cortensord router's MCP port.",
        examples=["http://127.0.0.1:8001"],
    )
    read_timeout_s: int | None = Field(default=None, ge=1, le=3600, description="Longest silence of the other side.")
    body_max_mib: float | None = Field(default=None, gt=0, le=1024, description="Largest request body, in MiB.")
    per_client: PerClient | None = Field(default=None, description="What one client may ask of this family.")
