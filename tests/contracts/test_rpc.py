from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from cortops.contracts.rpc import BATCH_CALLS_MAX, RpcClient
from cortops.protocol.http import HttpFailure, HttpReply
from cortops.words.errors import CallReverted, ChainUnreachable, RpcRefused
from cortops.words.question import Silence

URL = "http://node:1"


class FakeHttp:
    """Answers each request body with `answer(body)`; an HttpFailure among `failures` comes first."""

    def __init__(self, answer: Callable[[Any], Any], failures: list[HttpFailure] | None = None) -> None:
        self.answer = answer
        self.failures = failures or []
        self.bodies: list[Any] = []

    async def request(self, method: str, url: str, *, body: bytes, **_: Any) -> HttpReply:
        assert (method, url) == ("POST", URL)
        self.bodies.append(json.loads(body))
        if self.failures:
            raise self.failures.pop(0)
        answer = self.answer(self.bodies[-1])
        return HttpReply(status=200, headers=[], body=answer if isinstance(answer, bytes) else json.dumps(answer).encode())


def client(answer: Callable[[Any], Any], *failures: HttpFailure) -> tuple[RpcClient, FakeHttp]:
    http = FakeHttp(answer, list(failures))
    return RpcClient(URL, http), http  # type: ignore[arg-type]


def failure(silence: Silence) -> HttpFailure:
    return HttpFailure("it fell silent", silence=silence, sent=True)


def result(body: Any) -> Any:
    return {"jsonrpc": "2.0", "id": body["id"], "result": body["params"]}


def test_a_call_gives_its_result() -> None:
    rpc, http = client(result)
    assert asyncio.run(rpc.call("eth_x", 1, "two")) == [1, "two"]
    assert http.bodies == [{"jsonrpc": "2.0", "id": 0, "method": "eth_x", "params": [1, "two"]}]


def test_a_batch_keeps_the_order_of_the_calls_and_errors_as_values() -> None:
    def shuffled(body: list[Any]) -> list[Any]:
        answers = [result(item) for item in body]
        answers[1] = {"id": 1, "error": {"code": -32602, "message": "bad"}}
        return answers[::-1]

    rpc, _ = client(shuffled)
    first, second, third = asyncio.run(rpc.batch([("eth_a", [1]), ("eth_b", [2]), ("eth_c", [3])]))
    assert (first, third) == ([1], [3])
    assert isinstance(second, RpcRefused) and (second.rpc_code, second.message) == (-32602, "bad")
    with pytest.raises(RpcRefused, match="eth_b was refused: bad"):
        asyncio.run(rpc.batch_results([("eth_a", [1]), ("eth_b", [2]), ("eth_c", [3])]))


def test_a_long_batch_is_sent_in_parts_and_an_empty_one_not_at_all() -> None:
    rpc, http = client(lambda body: [result(item) for item in body] if isinstance(body, list) else result(body))
    answers = asyncio.run(rpc.batch([("eth_a", [at]) for at in range(BATCH_CALLS_MAX + 1)]))
    assert [answer[0] for answer in answers] == list(range(BATCH_CALLS_MAX + 1))
    assert [len(body) if isinstance(body, list) else 1 for body in http.bodies] == [BATCH_CALLS_MAX, 1]
    assert asyncio.run(rpc.batch([])) == [] and len(http.bodies) == 2


def test_a_revert_carries_the_contracts_reason() -> None:
    from cortops.contracts.abi import word

    data = "0x08c379a0" + word(32) + word(9) + b"not acked".hex().ljust(64, "0")
    rpc, _ = client(lambda _: {"id": 0, "error": {"code": 3, "message": "execution reverted: not acked", "data": data}})
    with pytest.raises(CallReverted) as caught:
        asyncio.run(rpc.call("eth_call"))
    assert caught.value.why == "not acked"


@pytest.mark.parametrize("answer", [b"<html>502</html>", b"", {"id": 7, "result": 1}, [], [{"id": 0, "result": 1}, {"id": 1, "result": 1}]])
def test_what_is_no_answer_leaves_the_chain_unreachable(answer: Any) -> None:
    rpc, _ = client(lambda _: answer)
    with pytest.raises(ChainUnreachable):
        asyncio.run(rpc.call("eth_call"))


def test_a_batch_that_is_refused_as_a_whole_says_why() -> None:
    rpc, _ = client(lambda _: {"id": None, "error": {"code": -32600, "message": "batch too large"}})
    with pytest.raises(RpcRefused, match="batch too large"):
        asyncio.run(rpc.batch([("eth_a", []), ("eth_b", [])]))


def test_an_ended_connection_is_tried_once_more_for_eth_calls_only() -> None:
    rpc, http = client(result, failure(Silence.RESET))
    assert asyncio.run(rpc.call("eth_call", 1)) == [1] and len(http.bodies) == 2
    rpc, http = client(result, failure(Silence.RESET), failure(Silence.RESET))
    with pytest.raises(ChainUnreachable):
        asyncio.run(rpc.call("eth_call", 1))
    for method, silence in (("evm_mine", Silence.RESET), ("eth_call", Silence.TIMEOUT)):
        rpc, http = client(result, failure(silence))
        with pytest.raises(ChainUnreachable, match="it fell silent"):
            asyncio.run(rpc.call(method))
        assert len(http.bodies) == 1


def test_a_node_that_a_block_overtook_is_asked_once_more() -> None:
    """anvil without old state refuses `latest` when the next block comes between its two looks."""
    overtaken = {"id": 0, "error": {"code": -32602, "message": "BlockOutOfRangeError: block height is 41 but requested was 40"}}
    answers = [overtaken, {"id": 0, "result": "0x1"}]
    rpc, http = client(lambda _body: answers.pop(0))
    assert asyncio.run(rpc.call("eth_call", {}, "latest")) == "0x1"
    assert len(http.bodies) == 2
    rpc, http = client(lambda _body: overtaken)
    with pytest.raises(RpcRefused):
        asyncio.run(rpc.call("eth_call", {}, "0x1"))
    assert len(http.bodies) == 2, "once more, not for ever"
