"""When the next batch is posted and what it holds: `what is so ---- what is posted`."""

from __future__ import annotations

import pytest

from cortops.programs.orbit.batches import BLOCKS_MAX, Batch, Child, Posted, next_batch

NOW, EVERY_S, IDLE_S = 1_000.0, 5.0, 30.0


def due(
    *, head: int, messages: int = 10, worked: bool = True, age_s: float = 1, since_s: float = 60, delayed: int = 0, read: int = 0
) -> Batch | None:
    """age_s: of the oldest block that no batch holds. since_s: since the last batch."""
    posted = Posted(batches=3, messages=messages, delayed_read=read)
    child = Child(head=head, oldest_at=NOW - age_s, worked=worked, delayed=delayed)
    return next_batch(posted, child, NOW, NOW - since_s, EVERY_S, IDLE_S)


@pytest.mark.parametrize(
    ("seen", "posted"),
    [
        ({"head": 9}, None),  # nothing new
        ({"head": 10}, (10, 10)),
        ({"head": 14}, (10, 14)),
        ({"head": 14, "since_s": 4.9}, None),  # too soon after the last one
        ({"head": 14, "worked": False}, None),  # empty blocks wait
        ({"head": 14, "worked": False, "age_s": 30}, (10, 14)),
        ({"head": 14, "worked": False, "delayed": 2}, (10, 14)),  # a deposit was credited
        ({"head": 14, "worked": False, "delayed": 2, "read": 2}, None),
        ({"head": 5}, None),  # the child went back behind what was posted
        ({"head": 10 + 3 * BLOCKS_MAX}, (10, 9 + BLOCKS_MAX)),
    ],
)
def test_a_batch_is_due(seen: dict[str, float], posted: tuple[int, int] | None) -> None:
    batch = due(**seen)  # type: ignore[arg-type]
    assert (None if batch is None else (batch.first, batch.last)) == posted


def test_a_batch_counts_a_message_a_block_and_names_the_last_hash() -> None:
    batch = due(head=12, delayed=1, read=4)
    assert batch == Batch(number=3, first=10, last=12, delayed=4), "what was read stays read"
    assert (batch.messages_before, batch.messages_after) == (10, 13)
    assert batch.data("0x" + "ab" * 32) == "0xc0" + f"{12:064x}" + "ab" * 32


def test_the_first_batch_begins_with_the_genesis_block() -> None:
    child = Child(head=0, oldest_at=0, worked=False, delayed=0)
    batch = next_batch(Posted(batches=0, messages=0, delayed_read=0), child, NOW, 0, EVERY_S, IDLE_S)
    assert batch == Batch(number=0, first=0, last=0, delayed=0)
