"""Rights that several processes of a gateway share, without processes."""

from __future__ import annotations

from dataclasses import dataclass, field

from cortops.programs.gateway.select import Slot


@dataclass
class Shared:
    """What the slot file holds: who has which slot, and who waits."""

    holders: dict[tuple[int, int], str] = field(default_factory=dict)
    waiting: set[tuple[str, str]] = field(default_factory=set)
    tries: int = 0

    def of(self, process: str) -> Own:
        return Own(self, process)

    def kill(self, process: str) -> None:
        """The kernel gives back what it had."""
        self.holders = {place: holder for place, holder in self.holders.items() if holder != process}
        self.waiting = {(pool, waits) for pool, waits in self.waiting if waits != process}


class Own:
    """select.Rights of one process."""

    shared = True
    trouble = ""

    def __init__(self, all_: Shared, process: str) -> None:
        self._all = all_
        self._process = process

    def take(self, slot: Slot) -> bool:
        self._all.tries += 1
        holder = self._all.holders.get((slot.session, slot.number))
        assert holder != self._process, "the kernel would grant it a second time"
        if holder is None:
            self._all.holders[slot.session, slot.number] = self._process
        return holder is None

    def give(self, slot: Slot) -> None:
        assert self._all.holders.pop((slot.session, slot.number)) == self._process

    def wait(self, pool: str, waiting: bool) -> None:
        (self._all.waiting.add if waiting else self._all.waiting.discard)((pool, self._process))

    def others_wait(self, pool: str) -> bool:
        return any(waits != self._process for name, waits in self._all.waiting if name == pool)

    def close(self) -> None:
        self._all.kill(self._process)
