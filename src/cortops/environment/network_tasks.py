"""The network's own tasks, and who decides which nodes are free: `network.tasks` and nodes of role pool-oracle. All ours (facts C.4, D)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cortops.environment.placed import Placed
from cortops.environment.section import Secret, Section

CONTRACTS = ("cognitive", "cognitive-level")  # deployed with it


class NetworkTasks(Section):
    """Tasks that the network gives to its nodes by itself; they move the nodes' levels. Their contracts are deployed with it."""

    every_s: int = Field(default=300, ge=1, le=86_400, description="From the end of one task to the request of the next.")
    step_s: int = Field(default=30, ge=1, le=3600, description="What one node has for its step before the oracle passes it over.")
    miners: int = Field(default=3, ge=1, le=8, description="How many nodes answer each task.")
    cooldown_s: int = Field(default=0, ge=0, le=86_400, description="From one choice of a node to the next.")
    ping_age_max_s: int = Field(default=900, ge=10, le=86_400, description="Age of a node's last ping up to which it is chosen.")


class PoolOracleNode(Placed):
    """Decides which nodes are free for any session (poolv1)."""

    role: Literal["pool-oracle"]
    every_s: int = Field(default=300, ge=1, le=86_400, description="Between two looks at all nodes.")
    ping_age_max_s: int = Field(default=900, ge=10, le=86_400, description="Age of a node's last ping up to which it is let in.")
    level_min: int = Field(default=0, ge=0, le=10, description="Level that a node needs.")
    verified_only: bool = Field(default=False, description="`true`: an administrator must have vouched for it.")
    wallet: Secret = Field(description="Wallet of its own.", examples=["{secret: pool-1/key}"])
