"""POST /api/v1/create: a session on chain, owned and paid for by the router's wallet, with the router attached to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from cortops.programs.common.chain import Chain
from cortops.programs.router.offers import Answered, Asked
from cortops.programs.router.refusals import Refuse
from cortops.protocol.families import CreateBody, read_create
from cortops.protocol.settings import RouterSettings
from cortops.words.errors import CallReverted

# What the contracts say -> what the client hears.
_REASONS = {
    "name taken": (409, "name_taken"),
    "no ephemeral pool": (503, "no_free_miners"),
    "too few nodes": (503, "no_free_miners"),
}
METADATA_BYTES_MAX = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Creating:
    """One at a time, so that a retry finds what the first call made. The names of sessions are unique on chain: none is paid for twice."""

    settings: RouterSettings
    chain: Chain
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def create(self, asked: Asked) -> Answered:
        """`{session_id, name, created}`; created is False where the session of this name was ours before. Raises Refuse, ChainError."""
        if not self.settings.create_enabled:
            raise Refuse(403, "create_not_enabled", "this router makes no sessions: its operator has not declared it")
        body = read_create(asked.body)
        async with self._turn:
            session = await self.chain.network.session_id(body.name)
            made = session is None
            session = await self._made(body) if session is None else session
            await self._attached(session, body.name)
        return Answered(status=200, body={"session_id": session, "name": body.name, "created": made})

    async def _made(self, body: CreateBody) -> int:
        call = self.chain.network.create_session(
            body.name,
            min_nodes=body.min_nodes,
            max_nodes=body.max_nodes,
            validator_nodes=body.validator_nodes,
            mode=body.mode,
            reserve_ephemeral=body.mode == 0,
        )
        try:
            await self.chain.write(call, step="create_session", name=body.name)
        except CallReverted as error:
            status, code = next((told for words, told in _REASONS.items() if words in error.why), (502, "chain_refused"))
            raise Refuse(status, code, f"the chain refused the session: {error.why}") from error
        session = await self.chain.network.session_id(body.name)
        if session is None:
            raise Refuse(503, "chain_error", "the session was made and is not there: ask again with the same name")
        return session

    async def _attached(self, session: int, name: str) -> None:
        """The router stands in the session: what a first call that was cut off had left undone is done now."""
        found = await self.chain.network.session(session)
        if found.owner != self.chain.address:
            raise Refuse(409, "name_taken", f"a session of somebody else has the name {name}", "name")
        if self.chain.address not in found.routers:
            url = self.settings.published_url[:METADATA_BYTES_MAX]
            await self.chain.write(self.chain.network.add_router(session, self.chain.address, url), step="add_router", session=session)
