"""One task, from a family's wish to its answer: every route of this router goes through here to the desk."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import cast

from cortops.contracts.network import result_hash
from cortops.programs.common.chain import Chain
from cortops.programs.router.desk import Client, Desk
from cortops.programs.router.offchain import Offchain
from cortops.programs.router.offers import Answered
from cortops.programs.router.outcomes import Done, NotDone, Outcome
from cortops.programs.router.payload_errors import status_of
from cortops.programs.router.refusals import Refuse, error_body, refused
from cortops.programs.router.replies import Form
from cortops.programs.router.request import Answer, Fail, Open, Write
from cortops.protocol.chat import Delta
from cortops.protocol.routes import TASK_HEADER, TaskRequest, over_bound, sse
from cortops.protocol.settings import RouterSettings
from cortops.words.errors import ChainError, PayloadError

CREATED_KNOWN_MAX = 1_000  # sessions of our own making that are looked up once


@dataclass(slots=True, kw_only=True)
class Tasks:
    """`answer` for one task in a form of its own, `run` for one of many."""

    settings: RouterSettings
    chain: Chain
    desk: Desk
    offchain: Offchain | None = None
    _created: dict[int, bool] = field(default_factory=dict)

    def timeout_s(self, *wanted_s: float | None) -> float:
        """The shortest of what is wanted and our own limit."""
        return min(limit for limit in (self.settings.request_timeout_s, *wanted_s) if limit is not None)

    def precommit_s(self, timeout_s: float) -> int:
        """What the miners get: no longer than somebody waits for them."""
        return min(self.settings.precommit_timeout_s, max(1, math.ceil(timeout_s)))

    async def admit(self, task: TaskRequest, *, version: int = 0, stream: bool = False) -> None:
        """Raises Refuse for what this router, the session or the chain cannot take. version: of a completion, 0 = anything else."""
        if not await self._serves(task.session):
            raise Refuse(404, "session_not_found", f"this router does not serve session {task.session}", "session_id")
        if self.offchain is not None and (why := self.offchain.refusal(task.session, version=version, stream=stream)) is not None:
            raise Refuse(why.status, why.code, why.message, "session_id")
        if why_not := over_bound(task):
            raise Refuse(400, "context_length_exceeded", why_not, "messages")
        if not self.desk.ready:
            raise Refuse(503, "starting", "the router has not read the chain yet; ask again with the same request id")

    async def answer(self, task: TaskRequest, form: Form, *, stream: bool, with_tools: bool, timeout_s: float) -> Answered:
        """An admitted task in `form`; a stream's answer is there when the task is on chain."""
        parts = self._parts(await self._stored(task), form, stream=stream, with_tools=with_tools, timeout_s=timeout_s)
        first = await anext(parts)
        assert isinstance(first, Answered)
        if not stream or not first.fine:
            await parts.aclose()
            return first
        return replace(first, events=cast("AsyncGenerator[bytes]", parts))  # begun, so that closing it ends the request

    async def run(self, task: TaskRequest, *, timeout_s: float) -> Outcome:
        """An admitted task, whole."""
        name = ""
        try:
            task = await self._stored(task)
        except PayloadError as error:
            return NotDone(name=name, status=status_of(error), code=error.code, message=error.what)
        client = self.desk.ask(task, stream=False, with_tools=False, timeout_s=timeout_s)
        try:
            async for outputs in client.outputs():
                for output in outputs:
                    match output:
                        case Open(task=number):
                            name = f"{task.session}/{number}"
                        case Answer():
                            plain = await self._opened(task, output)
                            return Done(
                                name=name,
                                miner=output.miner,
                                text=plain.text,
                                text_hash=result_hash(output.text),
                                finish_reason=output.finish_reason,
                                usage=output.usage,
                            )
                        case Fail(status=status, code=code, message=message):
                            return NotDone(name=name, status=status, code=code, message=message)
        except PayloadError as error:
            return NotDone(name=name, status=status_of(error), code=error.code, message=error.what)
        finally:
            self.desk.leave(task, client)
        raise AssertionError("outputs end with an Answer or a Fail")

    async def _parts(
        self, task: TaskRequest, form: Form, *, stream: bool, with_tools: bool, timeout_s: float
    ) -> AsyncGenerator[Answered | bytes]:
        """First an Answered, whole or the head of a stream; then the stream's events."""
        client = self.desk.ask(task, stream=stream, with_tools=with_tools, timeout_s=timeout_s)
        try:
            async with aclosing(self._told(task, client, form, stream=stream)) as told:
                async for part in told:
                    yield part
        finally:
            self.desk.leave(task, client)

    async def _told(self, task: TaskRequest, client: Client, form: Form, *, stream: bool) -> AsyncGenerator[Answered | bytes]:
        name = ""
        async for outputs in client.outputs():
            events: list[bytes] = []
            for output in outputs:
                match output:
                    case Open(task=number) if not name:
                        name = f"{task.session}/{number}"
                        if stream:
                            yield Answered(status=200, body={}, headers={TASK_HEADER: name})
                    case Write(delta=delta):
                        events.append(form.delta(name, delta))
                    case Answer() if stream:
                        events.append(form.end(name, output))
                    case Answer():
                        yield Answered(status=200, body=form.whole(name, await self._opened(task, output)), headers={TASK_HEADER: name})
                    case Fail(status=status, code=code, message=message) if stream and name:
                        events.append(sse({"error": error_body(status, code, message)}))
                    case Fail(status=status, code=code, message=message):
                        yield refused(status, code, message, task=name)
            if ready := b"".join(events):
                yield ready

    async def _serves(self, session: int) -> bool:
        """One that is declared, or one of our own making."""
        if not self.settings.sessions or session in self.settings.sessions:
            return True
        if not self.settings.create_enabled:
            return False
        if session not in self._created:
            try:
                found = await self.chain.network.session(session)
            except ChainError:
                return False
            while len(self._created) >= CREATED_KNOWN_MAX:
                del self._created[next(iter(self._created))]
            self._created[session] = found.owner == self.chain.address
        return self._created[session]

    async def _stored(self, task: TaskRequest) -> TaskRequest:
        return task if self.offchain is None else await self.offchain.store(task)

    async def _opened(self, task: TaskRequest, answer: Answer) -> Answer:
        if self.offchain is None:
            return answer
        text = await self.offchain.open(task, answer.miner, answer.text)
        return answer if text == answer.text else replace(answer, text=text, rest=Delta(content=text))
