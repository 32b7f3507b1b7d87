"""Turns: one request at a time in each session, the others wait in order, up to a limit. Pure."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

WAITING_MAX = 64  # in one session


class Lanes(Generic[T]):
    """`enter` and `leave` say whose turn has come."""

    def __init__(self, waiting_max: int = WAITING_MAX) -> None:
        self._waiting_max = waiting_max
        self._holders: dict[int, T] = {}
        self._waiting: dict[int, deque[T]] = {}

    def enter(self, session: int, one: T) -> bool | None:
        """True: its turn is now. False: it waits. None: too many wait already."""
        if session not in self._holders:
            self._holders[session] = one
            return True
        queue = self._waiting.setdefault(session, deque())
        if len(queue) >= self._waiting_max:
            return None
        queue.append(one)
        return False

    def leave(self, session: int, one: T) -> T | None:
        """It is over or gives up; who has the turn now because of that. Without effect for one that never entered."""
        queue = self._waiting.get(session)
        if self._holders.get(session) != one:
            if queue is not None and one in queue:
                queue.remove(one)
            return None
        if not queue:
            del self._holders[session]
            self._waiting.pop(session, None)
            return None
        self._holders[session] = queue.popleft()
        return self._holders[session]

    def waiting(self, session: int) -> int:
        return len(self._waiting.get(session, ()))
