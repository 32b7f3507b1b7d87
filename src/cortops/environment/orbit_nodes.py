"""Nodes of a development child chain: who orders and feeds, who posts batches, who asserts. Ours; their words are Arbitrum's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from cortops.environment.placed import Placed
from cortops.environment.section import Secret


class SequencerNode(Placed):
    """Takes deposits over from the parent and publishes the feed, a websocket on its port. The chain's own node makes the blocks."""

    role: Literal["sequencer"]


class BatchPosterNode(Placed):
    """Posts the child's blocks to the parent in batches."""

    role: Literal["batch-poster"]
    post_every_s: float = Field(default=5, ge=0.5, le=3600, description="Between two batches while blocks carry transactions.")
    idle_every_s: float = Field(default=30, ge=1, le=3600, description="Oldest block that no batch holds, when none carries any.")
    wallet: Secret = Field(description="Wallet of its own, on the parent.", examples=["{secret: poster-1/key}"])


class StakerNode(Placed):
    """Asserts the child's state on the parent, confirms what nobody challenged, and pays withdrawals out."""

    role: Literal["staker"]
    assert_every_s: float = Field(default=10, ge=1, le=86_400, description="Between two assertions.")
    wallet: Secret = Field(description="Wallet of its own, on the parent.", examples=["{secret: staker-1/key}"])


OrbitNode = SequencerNode | BatchPosterNode | StakerNode
ORBIT_ROLES: Mapping[str, type[OrbitNode]] = {"sequencer": SequencerNode, "batch-poster": BatchPosterNode, "staker": StakerNode}
