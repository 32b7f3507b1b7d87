"""Whether a program may do its work: the role that a contract gives to its wallet."""

from __future__ import annotations

from cortops.programs.common.chain import Chain
from cortops.words.clock import Clock
from cortops.words.errors import ChainError

LOOK_EVERY_S = 5.0
LOOK_AGAIN_AFTER_S = 0.5  # while it is unknown


class Role:
    """Whether our wallet holds `role` at `contract` (a name of contracts.network.Addresses), as last read; None is unknown."""

    def __init__(self, contract: str, role: str) -> None:
        self.held: bool | None = None
        self._contract = contract
        self._role = role

    async def look(self, chain: Chain, clock: Clock) -> None:
        """Read it again and again, until cancelled."""
        while True:
            try:
                self.held = await chain.network.has_role(getattr(chain.network.addresses, self._contract), self._role, chain.address)
            except ChainError:
                self.held = None
            await clock.sleep(LOOK_AGAIN_AFTER_S if self.held is None else LOOK_EVERY_S)
