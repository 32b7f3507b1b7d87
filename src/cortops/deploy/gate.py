"""The gate after a wave: questions asked and checks judged until all is well, or a deadline."""

from __future__ import annotations

from collections.abc import Sequence

from cortops.surfaces.judging import Ask, judge
from cortops.words.clock import Clock
from cortops.words.entity import Entity
from cortops.words.errors import GateClosed
from cortops.words.evidence import Check
from cortops.words.question import Question
from cortops.words.state import State

ASK_FIRST_S, ASK_LAST_S = 0.1, 2.0


async def wait_until_well(
    entities: Sequence[Entity],
    checks: Sequence[Check],
    questions: Sequence[Question],
    ask: Ask,
    clock: Clock,
    *,
    deadline_s: float,
) -> None:
    """Return when every check of `entities` is ok; GateClosed names what is not at the deadline. Only what these checks ask is asked,
    soon at first, then ever less often. What a person keeps in maintenance is waited for by nobody.
    """
    watched = [check for check in checks if check.entity in set(entities) and check.makes != State.MAINTENANCE]
    asked = {name for check in watched for name in check.asks}
    wanted = [question for question in questions if question.id in asked]
    end = clock.monotonic() + deadline_s
    pause_s = ASK_FIRST_S
    while watched:
        judged = judge(watched, await ask(wanted), clock.now())
        ill = [item for item in judged if item.verdict.outcome != "ok"]
        if not ill:
            return
        if clock.monotonic() >= end:
            first = ill[0]
            raise GateClosed(
                f"{first.check.entity} is not well after {deadline_s:.0f} s: {first.verdict.text}",
                where=str(first.check.entity),
                why="; ".join(f"{item.check.entity} {item.check.name}: {item.verdict.text}" for item in ill[1:6]),
                next=f"cortops logs {first.check.entity.name}",
            )
        await clock.sleep(pause_s)
        pause_s = min(pause_s * 1.5, ASK_LAST_S)
