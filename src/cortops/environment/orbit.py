"""What belongs to a chain that settles on another one, as an Arbitrum Orbit chain does: parent, sequencer, poster, bridge, gas token.

All of it is optional: a check whose part is not declared says "not in this environment", and why. Public shapes: nitro-contracts 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from cortops.environment.cortensord import Address
from cortops.environment.section import ContractPlace, Name, Rpc, Section, Url, refuse

FALLBACKS_MAX = 19  # cortensord reads RPC_HOST_0 to RPC_HOST_19: the first address, and these
REFERENCES_MAX = 8

WsUrl = Annotated[str, Field(pattern=r"^wss?://[^\s/?#@]+(/[^\s?#]*)?$", max_length=512, examples=["wss://feed.testnet1a.cortensor.org"])]


class ParentContracts(Section):
    """The chain's contracts on its parent: `deploy` (a development parent of our own), or the address of one that exists."""

    rollup: ContractPlace | None = Field(default=None, description="Assertions about the chain, and who owns it.")
    bridge: ContractPlace | None = Field(default=None, description="Holds what was deposited; counts messages both ways.")
    inbox: ContractPlace | None = Field(default=None, description="Takes deposits and retryable tickets for the chain.")
    sequencer_inbox: ContractPlace | None = Field(default=None, alias="sequencer-inbox", description="Takes the sequencer's batches.")

    @property
    def modules(self) -> Mapping[str, str]:
        """Contract name as in the file -> `deploy` or an address, those declared."""
        places = {"rollup": self.rollup, "bridge": self.bridge, "inbox": self.inbox, "sequencer-inbox": self.sequencer_inbox}
        return {name: place for name, place in places.items() if place is not None}


class Parent(Section):
    """The chain that this one settles on."""

    name: str = Field(default="", max_length=64, description="Its name, for people.", examples=["Arbitrum Sepolia"])
    chain_id: int | None = Field(default=None, ge=1, le=2**53, description="Its id.", examples=["421614"])
    rpc: Rpc | None = Field(
        default=None,
        description="Where it is asked: a node of role chain or rpc-relay, or `{url: …}`. Without it nothing of the parent can be checked.",
        examples=["parent-1"],
    )
    references: tuple[Url, ...] = Field(
        default=(), max_length=REFERENCES_MAX, description="RPCs of others, with which its own is compared."
    )
    contracts: ParentContracts = Field(default=ParentContracts(), description="The chain's contracts there.")
    head_age_max_s: int = Field(default=120, ge=1, le=86_400, description="Longest time without a block of it.")
    owners: tuple[Address, ...] = Field(
        default=(), max_length=16, description="Who may change the chain: its owners and the rollup's. Without it they are shown only."
    )


class Feed(Section):
    """What the sequencer publishes of each message as it takes it (Nitro's broadcast, version 2)."""

    node: Name | None = Field(default=None, description="The node of ours that serves it: `ws://HOST:PORT`.", examples=["feed-1"])
    url: WsUrl | None = Field(default=None, description="Its websocket address, where it is not one of ours.")
    public: bool = Field(
        default=True, description="`false`: not everybody may connect, so that a refusal says nothing of the sequencer and is unknown."
    )
    age_max_s: int = Field(default=120, ge=1, le=86_400, description="Oldest last message while the chain makes blocks.")

    @model_validator(mode="after")
    def _one(self) -> Feed:
        if (self.node is None) == (self.url is None):
            raise refuse("names neither a node nor a url" if self.node is None else "names a node and a url", "Give one of the two.")
        return self


class Sequencer(Section):
    """Who orders the chain's transactions."""

    url: Url | None = Field(default=None, description="Its own address, where there is one.")
    feed: Feed | None = Field(default=None, description="Its feed.", examples=["{url: wss://feed.testnet1a.cortensor.org}"])


class BatchPoster(Section):
    """Who writes the chain's transactions to the parent, in batches."""

    addresses: tuple[Address, ...] = Field(
        default=(), max_length=8, description="The wallets that post. Without them the chain is asked which they are."
    )
    age_max_s: int = Field(
        default=3600, ge=1, le=604_800, description="Oldest last batch while messages wait; an idle chain posts none and is well."
    )


class Bridge(Section):
    """The way between the chain and its parent."""

    url: Url | None = Field(default=None, description="The page where people use it.")
    delayed_max_s: int = Field(
        default=3600, ge=1, le=604_800, description="Longest time until a message from the parent is taken over by the sequencer."
    )


class Assertions(Section):
    """How often the chain's state is asserted on the parent, and how soon that is confirmed."""

    created_max_s: int = Field(default=14_400, ge=1, le=31_536_000, description="Oldest last assertion while the chain makes blocks.")
    confirmed_max_s: int = Field(
        default=864_000, ge=1, le=31_536_000, description="Oldest last confirmation; a challenge period is 6.4 days on public rollups."
    )


class GasToken(Section):
    """What fees of the chain are paid in, where that is not ETH."""

    symbol: str = Field(default="", max_length=16, description="As people call it.", examples=["COR"])
    decimals: int = Field(default=18, ge=0, le=36, description="Decimals of the token on the parent.")
    address: ContractPlace | None = Field(default=None, description="The token on the parent: an address, or `deploy`.")


class ChainLimits(Section):
    """From when on the chain's own figures are ill."""

    head_age_max_s: int = Field(default=60, ge=1, le=86_400, description="Longest time without a block.")
    lag_max_blocks: int = Field(default=40, ge=0, le=1_000_000, description="So many blocks may an RPC be behind the best one asked.")
    latency_max_ms: int = Field(default=1500, ge=1, le=60_000, description="Slowest answer of an RPC that is still well.")
    gas_price_max_gwei: float = Field(default=50, gt=0, le=10**9, description="Highest price of gas that is still well.")
    gas_days_min: float = Field(default=7, gt=0, le=3650, description="Wallets that hold gas for less time are ill.")
