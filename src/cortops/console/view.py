"""What the console is given: a View of one environment, made in the composition root."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from cortops.contracts.explore import Block, Transaction
from cortops.contracts.path import TaskPath
from cortops.environment.declared import Environment
from cortops.monitor.picture import Picture
from cortops.words.errors import CortopsError

TASK_DIGITS_MAX = 20  # of a session's or task's number in an address: enough for 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLine:
    """One task in a list. state: as contracts.path.path_state. at: when it was submitted, seconds since 1970; 0 where that is not known."""

    session: int
    task: int
    state: str
    at: float


class View(Protocol):
    """Everything that the console shows. Only what is awaited may ask the world; what goes wrong there is returned, not raised."""

    @property
    def environment(self) -> Environment:
        """What is declared; the same for the life of the console."""

    @property
    def endpoints(self) -> Mapping[str, str]:
        """Name -> URL, as `status --json` has them."""

    @property
    def names(self) -> Mapping[str, str]:
        """Address in small letters -> the node or module that has it."""

    def picture(self) -> Picture | None:
        """The latest, None before the first round of questions has ended."""

    def pictures(self) -> AsyncIterator[Picture]:
        """The newest picture and every new one; who reads slowly gets the newest and misses those between. Ends with the watch."""

    def counts(self) -> Mapping[str, int]:
        """What the watch has counted since it began, `rounds` among it: /metrics shows each as cortops_watch_NAME_total."""

    async def tasks(self, limit: int) -> tuple[TaskLine, ...] | CortopsError:
        """The newest tasks, newest first, at most `limit`."""

    async def task(self, session: int, task: int) -> TaskPath | CortopsError:
        """The path of one task; UnknownName when there is none. A step's `by` may be a node's name instead of its address."""

    async def blocks(self, upto: int | None) -> tuple[Block, ...] | CortopsError:
        """One page of blocks up to this one, the head by default; newest first."""

    async def block(self, number: int) -> Block | CortopsError:
        """One block with its transactions; UnknownName when there is none."""

    async def transaction(self, tx: str) -> Transaction | CortopsError:
        """One transaction with its events; UnknownName when the node does not know it."""
