"""The runner on a scripted ledger, a virtual clock and a comparer that counts words."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from cortops.contracts.abi import Event
from cortops.contracts.follow import Batch
from cortops.contracts.sender import Receipt
from cortops.programs.common.logs import make_log
from cortops.programs.common.progress import Key
from cortops.programs.validator import runner as module
from cortops.programs.validator.evidence import Judgement
from cortops.programs.validator.evidence_store import EvidenceStore
from cortops.programs.validator.judge import Replica
from cortops.programs.validator.model import Comparer, Model
from cortops.programs.validator.reading import Story
from cortops.programs.validator.runner import Runner
from cortops.programs.validator.task import FAILURES_MAX
from cortops.protocol.validation import Policy
from cortops.testing.clock import START, VirtualClock, turn_until
from cortops.testing.embedding import WordCounts, failing
from cortops.words.errors import CallReverted, ChainUnreachable

HONEST, LIAR = "the sky is blue", "send me money"


@dataclass
class FakeLedger:
    """Tasks {key: texts of miners m0, m1, ...}; `recorded` is the chain's, `writes` what was sent, `trouble` raised next."""

    address: str = "0xUs"
    tasks: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    recorded: dict[Key, Judgement] = field(default_factory=dict)
    writes: list[Key] = field(default_factory=list)
    reads: list[Key] = field(default_factory=list)
    unjudged_sessions: set[int] = field(default_factory=set)
    gone: set[Key] = field(default_factory=set)
    private: set[Key] = field(default_factory=set)
    trouble: list[Exception] = field(default_factory=list)
    write_trouble: list[Exception] = field(default_factory=list)

    async def validators(self, session: int) -> int:
        return 0 if session in self.unjudged_sessions else 1

    async def story(self, key: Key) -> Story:
        self.reads.append(key)
        if self.trouble:
            raise self.trouble.pop(0)
        texts = self.tasks.get(key, ())
        replicas = tuple(Replica(miner=f"m{at}", text=text) for at, text in enumerate(texts))
        return Story(
            kept=key not in self.gone,
            ended=key in self.tasks,
            recorded=key in self.recorded,
            replicas=replicas,
            absent=(),
            private=key in self.private,
        )

    async def unjudged(self, head: int) -> tuple[Key, ...]:
        return tuple(key for key in self.tasks if key not in self.recorded)

    async def record(self, key: Key, judgement: Judgement) -> Receipt:
        self.writes.append(key)
        if self.write_trouble:
            raise self.write_trouble.pop(0)
        if key in self.recorded:
            raise CallReverted("refused", why="already recorded")
        self.recorded[key] = judgement
        return Receipt(tx="0x1", block=1, block_hash="0x", gas_used=1, logs=())


@dataclass
class Rig:
    ledger: FakeLedger
    runner: Runner
    model: Model
    clock: VirtualClock
    out: io.BytesIO

    def verdicts(self, key: Key) -> str:
        return " ".join(one.verdict.name for one in self.ledger.recorded[key].verdicts)

    async def told(self, *events: Event, rewound: bool = False) -> None:
        await self.runner.on_batch(Batch(events=events, first=1, head=9, head_at=0, rewound=rewound))

    async def idle(self) -> None:
        """Until nothing waits for a verdict."""
        while self.runner.pending:
            await self.clock.sleep(0.1)


def ended(session: int, task: int, *miners: str) -> Event:
    return _event("TaskEnded", session, task, miners=miners or ("m0",))


def _event(name: str, session: int, task: int, **args: Any) -> Event:
    return Event(name=name, args={"sessionId": session, "taskId": task, **args}, block=1, tx="0x", log_index=0, address="0x")


def play(test: Callable[[Rig], Awaitable[None]], load: Callable[[], Comparer] = WordCounts, **tasks: tuple[str, ...]) -> Rig:
    """tasks: s1t7=texts."""
    clock, out = VirtualClock(), io.BytesIO()
    log = make_log("validator", out, clock)
    model = Model(load, clock, log)
    ledger = FakeLedger(tasks={(int(name[1]), int(name[3:])): texts for name, texts in tasks.items()})
    rigs: list[Rig] = []

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            rig = Rig(ledger, Runner(ledger, model, Policy(sentence_min=0), EvidenceStore(""), clock, log, group), model, clock, out)
            rigs.append(rig)
            background = [group.create_task(model.run()), group.create_task(rig.runner.tick())]
            await test(rig)
            for task in background:
                task.cancel()

    clock.run(main())
    return rigs[0]


def test_each_ended_task_gets_its_verdicts() -> None:
    async def run(rig: Rig) -> None:
        await rig.told(ended(1, 7), ended(2, 1), ended(1, 8))
        await rig.idle()

    rig = play(run, s1t7=(HONEST,) * 3, s2t1=(HONEST, LIAR, "The sky is BLUE!"), s1t8=(HONEST, LIAR))
    assert rig.verdicts((1, 7)) == "VALID VALID VALID"
    assert rig.verdicts((2, 1)) == "VALID INVALID VALID"
    assert rig.verdicts((1, 8)) == "RETRY RETRY"
    assert rig.ledger.recorded[2, 1].note.startswith("2 of 3 agree (.99 or more); m1: differs")
    assert rig.runner.tasks_judged == 3 and START <= (rig.runner.last_verdict_at or 0) <= rig.clock.now()
    assert rig.runner.judged == {"VALID": 5, "INVALID": 1, "RETRY": 2, "NEEDS_SPEC": 0}
    assert HONEST.encode() not in rig.out.getvalue(), "no answer in the log"


def test_a_failed_task_and_a_session_without_validators_are_not_judged() -> None:
    async def run(rig: Rig) -> None:
        rig.ledger.unjudged_sessions = {2}
        await rig.told(_event("TaskEnded", 1, 7, miners=()), ended(2, 1), ended(3, 1))
        await rig.idle()

    rig = play(run, s1t7=("x",), s2t1=(HONEST, HONEST))
    assert rig.ledger.writes == [] and rig.ledger.reads == [(3, 1)]


def test_what_ended_meanwhile_is_taken_up_once() -> None:
    async def run(rig: Rig) -> None:
        rig.ledger.recorded[1, 1] = Judgement(verdicts=(), evidence=b"", note="")
        await rig.runner.started(9)
        await rig.told(ended(1, 2), ended(1, 1))
        await rig.idle()

    assert play(run, s1t1=(HONEST,) * 2, s1t2=(HONEST,) * 2).ledger.writes == [(1, 2)]


def test_equal_texts_need_no_model_and_others_wait_for_it() -> None:
    async def run(rig: Rig) -> None:
        await turn_until(lambda: rig.model.state == "failed")
        await rig.told(ended(1, 1), ended(1, 2))
        await rig.clock.sleep(2)
        assert list(rig.ledger.recorded) == [(1, 2)] and rig.runner.pending == 1
        assert rig.runner.oldest_pending_s == 2
        await rig.idle()

    rig = play(run, failing(1, WordCounts), s1t1=(HONEST, "is blue the sky"), s1t2=(HONEST, HONEST))
    assert rig.verdicts((1, 1)) == "VALID VALID"
    assert rig.runner.oldest_pending_s == 0


def test_a_read_or_a_write_that_fails_is_made_again() -> None:
    async def run(rig: Rig) -> None:
        rig.ledger.trouble = [ChainUnreachable("silent")] * 2
        rig.ledger.write_trouble = [ChainUnreachable("silent")]
        await rig.told(ended(1, 1))
        await rig.idle()

    rig = play(run, s1t1=(HONEST, HONEST))
    assert len(rig.ledger.reads) == 4 and rig.ledger.writes == [(1, 1)] * 2 and rig.runner.tasks_judged == 1


def test_a_record_that_was_taken_after_all_ends_the_task() -> None:
    class Lossy(FakeLedger):
        async def record(self, key: Key, judgement: Judgement) -> Receipt:
            await super().record(key, judgement)
            raise ChainUnreachable("the answer was lost")

    async def run(rig: Rig) -> None:
        rig.ledger.__class__ = Lossy
        await rig.told(ended(1, 1))
        await rig.idle()

    rig = play(run, s1t1=(HONEST, HONEST))
    assert rig.ledger.writes == [(1, 1)] and (1, 1) in rig.ledger.recorded


def test_our_record_seen_on_chain_ends_a_task_and_that_of_others_does_not() -> None:
    async def run(rig: Rig) -> None:
        await rig.told(ended(1, 1), _event("TaskVerdictsRecorded", 1, 1, validator="0xThem", note=""))
        await rig.clock.sleep(2)
        assert rig.runner.pending == 1
        await rig.told(_event("TaskVerdictsRecorded", 1, 1, validator="0xus", note=""))
        assert rig.runner.pending == 0

    assert play(run, failing(9, WordCounts), s1t1=(HONEST, LIAR)).ledger.writes == []


def test_a_task_that_never_succeeds_is_left_and_counted() -> None:
    async def run(rig: Rig) -> None:
        rig.ledger.trouble = [ChainUnreachable("silent")] * 99
        await rig.told(ended(1, 1))
        await rig.idle()

    rig = play(run, s1t1=(HONEST, HONEST))
    assert len(rig.ledger.reads) == FAILURES_MAX and rig.runner.tasks_left == 1 and b'"task_left"' in rig.out.getvalue()


def test_a_task_that_the_queue_no_longer_keeps_is_left() -> None:
    async def run(rig: Rig) -> None:
        rig.ledger.gone = {(1, 1)}
        await rig.told(ended(1, 1))
        await rig.idle()

    rig = play(run, s1t1=(HONEST, HONEST))
    assert rig.ledger.writes == [] and rig.runner.tasks_left == 1


def test_a_private_task_is_skipped_and_counted() -> None:
    async def run(rig: Rig) -> None:
        rig.ledger.private = {(1, 1)}
        await rig.told(ended(1, 1))
        await rig.idle()

    rig = play(run, s1t1=(HONEST, LIAR))
    assert rig.ledger.writes == [] and rig.runner.tasks_skipped == 1 and b'"task_skipped"' in rig.out.getvalue()


def test_after_a_rewind_everything_is_read_anew_and_no_old_judgement_is_written() -> None:
    words = WordCounts()

    async def run(rig: Rig) -> None:
        words.gate.clear()
        await rig.told(ended(1, 1))
        await turn_until(lambda: words.asked)
        # Task 1 is another one on the new branch, and what was compared belongs to the old branch.
        rig.ledger.tasks = {(1, 1): (HONEST, HONEST)}
        await rig.told(ended(1, 1), rewound=True)
        words.gate.set()
        await rig.idle()

    rig = play(run, lambda: words, s1t1=(HONEST, LIAR))
    assert rig.ledger.writes == [(1, 1)] and rig.verdicts((1, 1)) == "VALID VALID"


def test_a_verdict_lost_by_a_rewind_is_given_again() -> None:
    async def run(rig: Rig) -> None:
        await rig.told(ended(1, 1))
        await rig.idle()
        rig.ledger.recorded.clear()
        await rig.told(rewound=True)
        await rig.idle()

    assert play(run, s1t1=(HONEST, HONEST)).ledger.writes == [(1, 1)] * 2


def test_more_tasks_than_can_wait_are_left() -> None:
    async def run(rig: Rig) -> None:
        await rig.told(*(ended(1, task) for task in range(1, module.PENDING_MAX + 3)))
        assert (rig.runner.pending, rig.runner.tasks_left) == (module.PENDING_MAX, 2)
        await rig.idle()

    play(run)
