"""The seam of private sessions: tasks and results lie in a storage, the chain holds only names of them. None where none is declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cortops.protocol.routes import TaskRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a call cannot be taken, as its caller hears it."""

    status: int
    code: str
    message: str


class Offchain(Protocol):
    """What of a private session never stands on chain in clear. `store` and `open` leave the texts of other sessions as they are."""

    def holds(self, session: int) -> bool:
        """Whether tasks of this session are kept off the chain."""

    def refusal(self, session: int, *, version: int, stream: bool) -> Refusal | None:
        """Why a completion of this version cannot be had of this session; version 0: any other family, and the chat form."""

    async def store(self, task: TaskRequest) -> TaskRequest:
        """The task with its text replaced by a name. Raises PayloadError."""

    async def open(self, task: TaskRequest, miner: str, text: str) -> str:
        """What this miner committed, in clear. Raises PayloadError."""
