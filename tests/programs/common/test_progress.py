from __future__ import annotations

from typing import Any

from cortops.contracts.abi import Event
from cortops.programs.common.progress import Progress, key_of, progress_of
from cortops.programs.miner.reading import mined, reading
from cortops.programs.miner.task import Gone, Mined, Reached, Synced
from cortops.programs.oracle.reading import late, limits_of, seen
from cortops.programs.oracle.task import Stage
from cortops.protocol.settings import OracleSettings

A, B = "0xA", "0xB"


def event(name: str, **args: Any) -> Event:
    return Event(name=name, args={"sessionId": 1, "taskId": 2, **args}, block=3, tx="0xT", log_index=0, address="0xQ")


SUBMITTED = event("TaskSubmitted", taskData="text", clientReference="r")
PARAMETERS = event("TaskParameters", promptType=2, promptTemplate="", llmParams=(1,), requestParams=(9,), referenceHash="0x")
ASSIGNED = event("TaskAssigned", miners=(A, B))
STORY = [
    SUBMITTED, PARAMETERS, ASSIGNED, event("TaskAcked", miner=A), event("TaskAcked", miner=B),
    event("TaskPrecommitted", miner=A, hash="#a", data=""), event("TaskPrecommitted", miner=B, hash="#b", data=""),
    event("TaskAllPrecommitted"),
    event("TaskCommitted", miner=A, data="a"), event("TaskCommitted", miner=B, data="b"), event("TaskAllCommitted"),
    event("TaskEnded", miners=(A, B)),
]  # fmt: skip


def test_the_key_of_an_event() -> None:
    assert key_of(SUBMITTED) == (1, 2)
    assert key_of(Event(name="NodePinged", args={"node": A}, block=1, tx="", log_index=0, address="")) is None


def test_each_word_of_the_story_moves_oracle_and_miner() -> None:
    expected = [
        (Stage.QUEUED, False, None), (Stage.QUEUED, False, None), (Stage.ASSIGNED, False, Reached.ASSIGNED),
        (Stage.ASSIGNED, True, Reached.ACKED),
        (Stage.ACKED, False, Reached.ACKED), (Stage.ACKED, True, Reached.PRECOMMITTED), (Stage.PRECOMMITTED, False, Reached.MAY_COMMIT),
        (Stage.PRECOMMITTED, False, Reached.MAY_COMMIT), (Stage.PRECOMMITTED, True, Reached.COMMITTED),
        (Stage.COMMITTED, False, Reached.COMMITTED),
        (Stage.COMMITTED, False, Reached.ENDED), (Stage.ENDED, False, Reached.ENDED),
    ]  # fmt: skip
    progress = Progress()
    for word, (stage, some, reached) in zip(STORY, expected, strict=True):
        progress = progress.add(word)
        told = seen(progress, 5.0, event=True)
        assert (told.stage, told.some) == (stage, some), word.name
        own = reading(progress, A)
        assert own == Gone() if reached is None else isinstance(own, Synced) and own.reached is reached, word.name
        assert progress.add(word) == progress, word.name


def test_who_was_put_out_has_nothing_left_to_do() -> None:
    for closed in (["TaskAckEnded"], ["TaskPrecommitEnded"]):
        story = [SUBMITTED, ASSIGNED, event("TaskAcked", miner=A), *map(event, closed)]
        assert reading(progress_of(story), B) == Synced(reached=Reached.ENDED, identity="0xT")
    assert seen(progress_of([SUBMITTED, ASSIGNED, event("TaskAcked", miner=A), event("TaskAckEnded")]), 0, event=False).stage is Stage.ACKED


def test_another_assignment_replaces_the_first_until_one_has_acked() -> None:
    story = [SUBMITTED, ASSIGNED, event("TaskAssigned", miners=("0xC",))]
    assert progress_of(story).miners == ("0xC",)
    assert reading(progress_of(story), A) == Gone()
    assert progress_of([*story, event("TaskAcked", miner="0xC"), ASSIGNED]).miners == ("0xC",)


def test_events_of_others_mean_nothing_to_a_miner() -> None:
    assert mined(event("TaskAcked", miner=B), A) is None
    assert mined(event("TaskPrecommitted", miner=A, hash="#a", data=""), A) == Mined(reached=Reached.PRECOMMITTED, promised_hash="#a")
    assert mined(SUBMITTED, A) is None


def test_the_late_are_those_that_have_not_taken_the_step() -> None:
    progress = progress_of(STORY[:4])
    assert late(progress, Stage.ASSIGNED) == (B,)
    assert late(progress, Stage.ACKED) == (A, B)


def test_a_tasks_own_precommit_time_wins_within_bounds() -> None:
    settings = OracleSettings(
        name="o", rpc_url="", chain_id=1, runtime="", address="", private_key="", port=1
    )  # fmt: skip
    assert limits_of(progress_of(STORY), settings).precommit_s == 9
    assert limits_of(Progress(), settings).precommit_s == settings.precommit_timeout_s
    assert limits_of(Progress(request_params=(10**9,)), settings).precommit_s == 3_600
