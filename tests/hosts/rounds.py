"""Network sessions one after another in the background, each with a pause after it, and what the chain has of everyone in each."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from cortops.testing.cortensord.network import COMMIT, PRECOMMIT, CortensorNetwork, wait_until

STEP_S = 4.0  # then a step is closed, whoever is late


@dataclass(frozen=True, slots=True)
class Round:
    """One session. at: when it began, by the monotonic clock."""

    session: int
    at: float
    precommitted: frozenset[str]
    committed: frozenset[str]


@dataclass(slots=True)
class Rounds:
    """Those that are over, as they came."""

    over: list[Round] = field(default_factory=list)

    def since(self, at: float) -> list[Round]:
        """Those that began after a moment."""
        return [one for one in self.over if one.at >= at]

    def wait_for(self, count: int, within_s: float = 60.0) -> None:
        """Until so many more are over."""
        wanted = len(self.over) + count
        wait_until(lambda: len(self.over) >= wanted, within_s)
        assert len(self.over) >= wanted, "the chain stands"

    @property
    def broken(self) -> list[tuple[int, str]]:
        """(session, miner) of every precommit without a commit: work that was begun and not brought to its end."""
        return [(one.session, miner) for one in self.over for miner in sorted(one.precommitted - one.committed)]


@contextmanager
def rounds(network: CortensorNetwork, miners: Sequence[str], *, pause_s: float = 2.0) -> Iterator[Rounds]:
    """All `miners` are selected each time. A failure of the driver fails the block's end."""
    made, stop, failures = Rounds(), threading.Event(), list[BaseException]()

    def drive() -> None:
        try:
            while not stop.is_set():
                made.over.append(_one(network, miners))
                stop.wait(pause_s)
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=drive, name="rounds")
    thread.start()
    try:
        yield made
    finally:
        stop.set()
        thread.join()
    assert not failures, failures


def _one(network: CortensorNetwork, miners: Sequence[str]) -> Round:
    at, session = time.monotonic(), network.begin(miners)
    wait_until(lambda: network.latest()[1] == COMMIT, STEP_S)
    if network.latest()[1] == PRECOMMIT:
        network.end_precommit(session)
    early = [miner for miner in miners if network.precommitted(session, miner)]
    wait_until(lambda: all(network.committed(session, miner) for miner in early), STEP_S)
    network.end(session)
    committed = frozenset(miner for miner in miners if network.committed(session, miner))
    return Round(session=session, at=at, precommitted=frozenset(early) | committed, committed=committed)
