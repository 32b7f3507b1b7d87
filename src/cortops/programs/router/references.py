"""Which client reference became which task, so that a retry adopts it. Of the last REFERENCES_MAX tasks; the chain holds the rest."""

from __future__ import annotations

from collections import OrderedDict

from cortops.contracts.abi import Event
from cortops.contracts.keccak import keccak_hex

REFERENCES_MAX = 20_000
LOOK_BACK_BLOCKS = 10_000  # how far back a restarted router reads them; public endpoints answer no more at once


def reference_hash(reference: str) -> str:
    """As in the topic of TaskParameters."""
    return keccak_hex(reference.encode())


class References:
    """Fed with TaskParameters events, told twice or not."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[tuple[int, str], tuple[int, int]] = OrderedDict()  # (session, hash) -> (task, block)

    def note(self, event: Event) -> None:
        """The newest task under a reference is the one that counts."""
        args = event.args
        self._tasks[args["sessionId"], args["referenceHash"]] = (args["taskId"], event.block)
        self._tasks.move_to_end((args["sessionId"], args["referenceHash"]))
        while len(self._tasks) > REFERENCES_MAX:
            self._tasks.popitem(last=False)

    def rewound(self, first: int) -> None:
        """What was told of blocks >= first no longer holds."""
        self._tasks = OrderedDict((key, value) for key, value in self._tasks.items() if value[1] < first)

    def task(self, session: int, reference: str) -> int | None:
        found = self._tasks.get((session, reference_hash(reference)))
        return found[0] if found else None
