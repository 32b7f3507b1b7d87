"""Ask many JSON-RPC questions of one endpoint as one batch: a fetch per endpoint, not per question."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cortops.contracts.rpc import RpcClient
from cortops.protocol.http import HttpClient
from cortops.words.clock import Clock
from cortops.words.errors import CallReverted, ChainError, ChainUnreachable
from cortops.words.question import REFUSED, REVERTED, Answer, NoAnswer, Reply, Rpc, Silence


async def ask_rpc(url: str, questions: Sequence[Rpc], client: HttpClient, clock: Clock) -> dict[str, Reply]:
    """Question id -> reply. A refusal by the node is an Answer of status REFUSED with its message, by a contract one of status REVERTED;
    no node is NoAnswer for all.
    """
    at, begun = clock.now(), clock.monotonic()
    rpc = RpcClient(url, client, timeout_s=max(question.timeout_s for question in questions))
    try:
        results = await rpc.batch([(question.method, question.params) for question in questions])
    except ChainUnreachable as error:
        elapsed = clock.monotonic() - begun
        silence = getattr(error.__cause__, "silence", Silence.LOST)
        return {item.id: NoAnswer(question=item.id, at=at, elapsed_s=elapsed, silence=silence, why=error.what) for item in questions}
    except ChainError as error:  # the batch as a whole was refused
        results = [error] * len(questions)
    elapsed = clock.monotonic() - begun
    replies: dict[str, Reply] = {}
    for question, result in zip(questions, results, strict=True):
        status, body = _status_and_body(result)
        replies[question.id] = Answer(question=question.id, at=at, elapsed_s=elapsed, status=status, body=body)
    return replies


def _status_and_body(result: object) -> tuple[int, bytes]:
    match result:
        case CallReverted():
            return REVERTED, result.what.encode()
        case ChainError():
            return REFUSED, result.what.encode()
        case _:
            return 0, msgspec.json.encode(result)
