"""Who answers what is asked of the router: `Offers`, by family."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from cortops.programs.router.creating import Creating
from cortops.programs.router.offers import VERSIONS, Answered, Asked, Family
from cortops.programs.router.reads import Reads
from cortops.programs.router.refusals import Refuse, refusal_answered
from cortops.programs.router.replies import NativeForm
from cortops.programs.router.tasks import Tasks
from cortops.programs.router.work import Work
from cortops.protocol.routes import REFERENCE_CHARS_MAX, native_of, native_task
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, CortopsError

_REFERENCE = re.compile(rf"[!-~]{{1,{REFERENCE_CHARS_MAX}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Families:
    """new_reference: makes a request id for a client that sent none."""

    tasks: Tasks
    reads: Reads
    work: Work
    creating: Creating
    clock: Clock
    new_reference: Callable[[], str]

    async def answer(self, asked: Asked) -> Answered:
        """As Offers.answer."""
        try:
            if asked.version not in VERSIONS[asked.family]:
                raise Refuse(404, "not_found", f"there is no v{asked.version} of {asked.family}")
            return await self._answer(asked)
        except Refuse as refusal:
            return refusal.answered
        except CortopsError as error:
            return refusal_answered(error)

    async def _answer(self, asked: Asked) -> Answered:
        match asked.family:
            case Family.COMPLETIONS:
                return await self._completion(asked)
            case Family.DELEGATE:
                return await self.work.delegate(asked)
            case Family.VALIDATE:
                return await self.work.validate(asked)
            case Family.FACTCHECK:
                return await self.work.factcheck(asked)
            case Family.CREATE:
                return await self.creating.create(asked)
            case _:
                return await self.reads.answer(asked)

    async def _completion(self, asked: Asked) -> Answered:
        """facts A.4. v2 and v3 keep the text off the chain, so they are for private sessions only."""
        body = native_of(asked.body)
        session = asked.session or body.session_id
        if session is None:
            raise BadInput("session_id is needed, in the body or in the path - at `$.session_id`")
        offchain = self.tasks.offchain
        if asked.version > 1 and (offchain is None or not offchain.holds(session)):
            what = f"v{asked.version} keeps the prompt off the chain, and this router has no storage declared for session {session}"
            raise Refuse(501, "storage_not_declared", f"{what}: ask v1, which does not", "session_id")
        reference = checked_reference(body.client_reference or asked.reference or self.new_reference())
        stream = asked.stream or (body.stream and asked.streams)
        timeout_s = self.tasks.timeout_s(asked.timeout_s, body.timeout)
        task = native_task(body, session, reference, self.tasks.precommit_s(timeout_s))
        await self.tasks.admit(task, version=asked.version, stream=stream)
        form = NativeForm(model=f"session-{session}", created=int(self.clock.now()))
        return await self.tasks.answer(task, form, stream=stream, with_tools=False, timeout_s=timeout_s)


def checked_reference(reference: str) -> str:
    """Raises BadInput for one that cannot stand on chain."""
    if not _REFERENCE.fullmatch(reference):
        raise BadInput(f"a client reference has 1 to {REFERENCE_CHARS_MAX} visible ASCII characters - at `$.client_reference`")
    return reference
