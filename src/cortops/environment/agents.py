"""What a router offers to programs that act for people: MCP tools, an A2A card, and calls that are paid by x402.

Each is off until it is declared. Sessions are those that the door binds its calls to; without one the caller names it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from cortops.environment.section import Port, Secret, Section, Url, refuse

PRICE_MAX_USD = 1000
ASSET_DECIMALS = 6  # of USDC, and so the smallest price that can be paid

SessionId = Annotated[int, Field(ge=1, le=2**53)]
Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]


def _price(text: str) -> str:
    price = Decimal(text)
    if not Decimal(1).scaleb(-ASSET_DECIMALS) <= price <= PRICE_MAX_USD:
        raise refuse(f"is no price between 0.000001 and {PRICE_MAX_USD} USD", "Write it in USD, for example 0.001.")
    return text


Usd = Annotated[str, Field(pattern=r"^[0-9]{1,4}(\.[0-9]{1,6})?$", examples=["0.001"]), AfterValidator(_price)]


class McpSessions(Section):
    """Session of each kind of tool."""

    default: SessionId | None = Field(default=None, description="Of every tool that none of the others names.", examples=["1"])
    completion: SessionId | None = Field(default=None, description="Of `cortensor_completions`.")
    delegate: SessionId | None = Field(default=None, description="Of `cortensor_delegate` and `cortensor_delegate_v1`.")
    validate_: SessionId | None = Field(default=None, alias="validate", description="Of `cortensor_validate` and `cortensor_validate_v1`.")
    tasks: SessionId | None = Field(default=None, description="Of `cortensor_tasks`.")
    factcheck: SessionId | None = Field(default=None, description="Of `cortensor_factcheck`.")


class Mcp(Section):
    """Tools for agents over the Model Context Protocol, on a port of their own."""

    port: Port = Field(description="TCP port; the public protocol's is 8001.", examples=["8001"])
    sessions: McpSessions = Field(default=McpSessions(), description="What its tools are bound to.", examples=["{default: 1}"])
    fixed_sessions: bool = Field(default=True, description="`true`: these sessions win over one that the caller names.")
    paid: bool = Field(default=False, description="`true`: whoever runs a task by a tool pays, with or without a key. Needs `x402`.")
    timeout_s: int = Field(default=300, ge=5, le=3600, description="Longest time of one call of a tool.")


class A2a(Section):
    """A card that other agents find, and the tasks that they give to it."""

    name: str = Field(default="", max_length=64, description="Its name on the card. Without it: the node's name.", examples=["Lab router"])
    about: str = Field(default="", max_length=256, description="One sentence about it.")
    session: SessionId | None = Field(default=None, description="Session of messages that name none.", examples=["1"])


class Prices(Section):
    """What a call costs, in USD."""

    default: Usd = Field(default="0.001", description="Of every family that none of the others names.")
    completions: Usd | None = Field(default=None, description="Of a completion.")
    delegate: Usd | None = Field(default=None, description="Of a delegated task.")
    validate_: Usd | None = Field(default=None, alias="validate", description="Of a verdict.")
    factcheck: Usd | None = Field(default=None, description="Of a fact check.")


class PaidSessions(Section):
    """Session of each family of paid calls; it wins over one that the caller names."""

    completions: SessionId | None = Field(default=None, description="Of completions.", examples=["1"])
    delegate: SessionId | None = Field(default=None, description="Of delegated tasks.")
    validate_: SessionId | None = Field(default=None, alias="validate", description="Of verdicts.")
    factcheck: SessionId | None = Field(default=None, description="Of fact checks.")


class Facilitator(Section):
    """Who verifies and settles payments. It sees payments, never prompts or answers."""

    url: Url = Field(description="Its address; `/verify` and `/settle` are asked below it.", examples=["https://facilitator.example"])
    key: Secret | None = Field(default=None, description="Sent to it as `Authorization: Bearer`.")


class Asset(Section):
    """A token that is paid with in place of the network's USDC. It has transferWithAuthorization (EIP-3009)."""

    address: Address = Field(description="Its contract.")
    decimals: int = Field(default=ASSET_DECIMALS, ge=0, le=18, description="Digits behind the point.")
    name: str = Field(pattern=r"^[^,\s][^,]{0,31}$", description="Its name in signatures (EIP-712).", examples=["USDC"])
    version: str = Field(default="2", pattern=r"^[0-9A-Za-z.]{1,8}$", description="Its version in signatures.")


class X402(Section):
    """Calls that are paid for one by one, without a key: 402, a signed payment, the answer, a receipt."""

    network: Literal["base-sepolia", "base"] = Field(default="base-sepolia", description="Where payments are settled.")
    pay_to: Address = Field(description="Address that is paid.", examples=["0x000000000000000000000000000000000000dEaD"])
    prices: Prices = Field(default=Prices(), description="What calls cost, in USD.", examples=["{default: 0.001}"])
    sessions: PaidSessions = Field(default=PaidSessions(), description="What paid calls are bound to.", examples=["{completions: 1}"])
    facilitator: Facilitator = Field(description="Who verifies and settles.", examples=["{url: 'https://facilitator.example'}"])
    asset: Asset | None = Field(default=None, description="What is paid with. Without it: the network's USDC.")

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of the secrets that it needs."""
        return (self.facilitator.key.secret,) if self.facilitator.key is not None else ()
