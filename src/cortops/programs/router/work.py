"""Delegate, validate and factcheck: tasks through one session or several, and one answer made of theirs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cortops.programs.router.offers import Answered, Asked
from cortops.programs.router.outcomes import Call, Done, NotDone, Outcome, delegated, judged, judged_of
from cortops.programs.router.refusals import Refuse
from cortops.programs.router.search import Search, shown
from cortops.programs.router.tasks import Tasks
from cortops.protocol.consensus import Disagreement, Strategy, rule_texts, rule_verdicts
from cortops.protocol.families import Factcheck, Job, Judging, Mode, read_delegate, read_factcheck, read_validate
from cortops.protocol.routes import REFERENCE_CHARS_MAX, TASK_HEADER, family_task
from cortops.protocol.settings import RouterSettings
from cortops.protocol.verdict import judge_body
from cortops.words.clock import Clock
from cortops.words.errors import BadInput

REFERENCE_ROOM = 8  # characters of a task's reference that are ours: which family, and which of its tasks
RUNS_TEMPERATURE = 0.6  # of runs that share a session, which would else all say the same
_REFERENCE = re.compile(rf"[!-~]{{1,{REFERENCE_CHARS_MAX - REFERENCE_ROOM}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Each method takes an Asked of its family. search: None where no key for it is declared. Raises Refuse and errors of ours."""

    settings: RouterSettings
    tasks: Tasks
    clock: Clock
    new_reference: Callable[[], str]
    search: Search | None = None

    async def delegate(self, asked: Asked) -> Answered:
        """An objective, run as it is."""
        job = read_delegate(asked.body, asked.version)
        sessions = self._sessions(asked, job, self.settings.delegate_session)
        call, outcomes = await self._fan(asked, job, job.chat, sessions, "delegation", f"dlg{asked.version}:")
        ruling = rule_texts([one.text if isinstance(one, Done) else None for one in outcomes])
        chosen = outcomes[ruling.place] if ruling.place is not None else None
        output = chosen.text if isinstance(chosen, Done) else ""
        if job.consensus is None or ruling.reached or job.consensus.disagreement_policy is Disagreement.BEST_EFFORT:
            return _answered(delegated(call, outcomes, ruling, job.consensus, output), outcomes)
        if job.consensus.disagreement_policy is Disagreement.FAIL_HARD:
            raise Refuse(409, "no_consensus", f"{len(ruling.agreed)} of {len(outcomes)} replicas agree, and the policy asks for a majority")
        return _answered(delegated(call, outcomes, ruling, job.consensus, None), outcomes)

    async def validate(self, asked: Asked) -> Answered:
        """A result, held to its task by judges."""
        job = read_validate(asked.body, asked.version)
        sessions = self._sessions(asked, job, self.settings.validate_session)
        return await self._judge(asked, job, sessions, "validation", f"val{asked.version}:")

    async def factcheck(self, asked: Asked) -> Answered:
        """A claim, asked of several runs; in realtime with what a search finds."""
        job = read_factcheck(asked.body)
        realtime = job.mode is Mode.REALTIME
        declared = (self.settings.realtime_sessions if realtime else ()) or self.settings.factcheck_sessions
        named = asked.session or job.session
        pool = (named,) if named is not None else declared
        if not pool:
            raise _no_session()
        sessions = tuple(pool[at % len(pool)] for at in range(job.runs))
        sources: tuple[dict[str, str], ...] = ()
        if realtime:
            job, sources = await self._searched(job)
        answered = await self._judge(asked, job, sessions, "factcheck", "fct1:")
        return replace(answered, body=answered.body | {"mode": str(job.mode), "sources": list(sources)}) if answered.fine else answered  # type: ignore[operator]

    async def _searched(self, job: Factcheck) -> tuple[Factcheck, tuple[dict[str, str], ...]]:
        if self.search is None:
            raise Refuse(501, "search_not_declared", "this router has no key for a search, so it checks no claims in realtime", "mode")
        found = await self.search.find(job.claim)
        return replace(job, parts=(("SOURCES", shown(found)), *job.parts)), tuple({"title": one.title, "url": one.url} for one in found)

    async def _judge(self, asked: Asked, job: Judging, sessions: tuple[int, ...], kind: str, prefix: str) -> Answered:
        temperature = 0.0 if len(set(sessions)) == len(sessions) else RUNS_TEMPERATURE
        body = judge_body(job.rubric, job.parts, temperature=temperature, schema=self.settings.judge_schema)
        call, outcomes = await self._fan(asked, job, body, sessions, kind, prefix)
        said = judged_of(outcomes)
        rules = job.consensus
        strategy, policy = (rules.strategy, rules.disagreement_policy) if rules else (Strategy.MAJORITY, Disagreement.RETURN_ALL)
        ruling = rule_verdicts(said, strategy=strategy, policy=policy)
        if policy is Disagreement.FAIL_HARD and not ruling.reached:
            raise Refuse(409, "no_consensus", ruling.reasons[0])
        return _answered(judged(call, outcomes, said, ruling, rules), outcomes)

    async def _fan(
        self, asked: Asked, job: Job, body: Mapping[str, Any], sessions: Sequence[int], kind: str, prefix: str
    ) -> tuple[Call, tuple[Outcome, ...]]:
        """One task in each of `sessions`, all at once. A call of which no task was answered is refused as its first task was."""
        reference = job.request_id or asked.reference or self.new_reference()
        if not _REFERENCE.fullmatch(reference):
            words = f"a request id has 1 to {REFERENCE_CHARS_MAX - REFERENCE_ROOM} visible ASCII characters"
            raise BadInput(f"{words} - at `$.request_id`")
        timeout_s = self.tasks.timeout_s(asked.timeout_s, job.timeout_s)
        precommit_s = self.tasks.precommit_s(min(timeout_s, job.precommit_s or timeout_s))
        names = [f"{prefix}{reference}{f':{at}' if len(sessions) > 1 else ''}" for at in range(len(sessions))]
        wanted = [family_task(body, session, name, precommit_s) for session, name in zip(sessions, names, strict=True)]
        for task in wanted:
            await self.tasks.admit(task)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(self.tasks.run(task, timeout_s=timeout_s)) for task in wanted]
        outcomes = tuple(one.result() for one in running)
        first = outcomes[0]
        if isinstance(first, NotDone) and not any(isinstance(one, Done) for one in outcomes):
            raise Refuse(first.status, first.code, first.message, task=first.name)
        return Call(id=reference, kind=kind, version=asked.version, created=int(self.clock.now())), outcomes

    def _sessions(self, asked: Asked, job: Job, declared: int) -> tuple[int, ...]:
        """v1 and v2: the door's session, the caller's, or the declared one. v3: the declared pool of so many replicas."""
        named = asked.session or job.session or declared or None
        if job.consensus is None or job.consensus.replicas == 1:
            if named is None:
                raise _no_session()
            return (named,)
        if asked.session is not None or job.session is not None:
            raise BadInput("v3 runs in the sessions that are declared for it: leave it out - at `$.session_id`")
        pool = self.settings.consensus_sessions_3 if job.consensus.replicas == 3 else self.settings.consensus_sessions_5
        if len(pool) != job.consensus.replicas:
            raise Refuse(
                501, "consensus_not_declared", f"this router has no pool of {job.consensus.replicas} sessions", "consensus.replicas"
            )
        asked_for = {str(one) for one in job.consensus.session_pool}
        if not asked_for <= {str(one) for one in pool}:
            raise BadInput("names sessions that are not in the declared pool: leave it out - at `$.consensus.session_pool`")
        return pool


def _no_session() -> BadInput:
    return BadInput("is needed: this router has no session declared for the family - at `$.session_id`")


def _answered(body: Mapping[str, Any], outcomes: Sequence[Outcome]) -> Answered:
    only = outcomes[0].name if len(outcomes) == 1 else ""
    return Answered(status=200, body=body, headers={TASK_HEADER: only} if only else {})
