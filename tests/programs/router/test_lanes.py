from __future__ import annotations

from cortops.contracts.abi import Event
from cortops.programs.router.lanes import Lanes
from cortops.programs.router.references import References, reference_hash


def test_one_at_a_time_in_order_up_to_the_limit() -> None:
    lanes: Lanes[str] = Lanes(waiting_max=2)
    assert [lanes.enter(1, name) for name in "abcd"] == [True, False, False, None]
    assert lanes.enter(2, "other session") is True
    assert lanes.waiting(1) == 2
    assert [lanes.leave(1, name) for name in "abc"] == ["b", "c", None]
    assert lanes.enter(1, "e") is True


def test_who_gives_up_waiting_loses_its_place_and_changes_nothing_else() -> None:
    lanes: Lanes[str] = Lanes()
    for name in "abc":
        lanes.enter(1, name)
    assert lanes.leave(1, "b") is None
    assert lanes.leave(1, "never entered") is None
    assert lanes.leave(1, "a") == "c"


def parameters(task: int, block: int, reference: str = "r", session: int = 1) -> Event:
    args = {"sessionId": session, "taskId": task, "referenceHash": reference_hash(reference)}
    return Event(name="TaskParameters", args=args, block=block, tx="", log_index=0, address="")


def test_a_reference_leads_to_its_newest_task_until_the_head_goes_back() -> None:
    references = References()
    references.note(parameters(1, 10))
    references.note(parameters(2, 20))
    references.note(parameters(7, 5, "other", session=2))
    assert references.task(1, "r") == 2 and references.task(2, "r") is None
    references.rewound(20)
    assert references.task(1, "r") is None and references.task(2, "other") == 7
