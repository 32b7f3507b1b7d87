"""The model of the queue and the compiled contract, call by call on random sequences: the same events, or the same refusal."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.contracts.network_rig import MINERS, ready

from cortops.contracts.abi import decode_log
from cortops.contracts.artifact import load
from cortops.contracts.network import ACKED, COMMITTED, PRECOMMITTED, TASKS_KEPT, Network, result_hash
from cortops.contracts.network import Call as Written
from cortops.testing.chain import Chain, bare_chain, wallet_of
from cortops.testing.simulation import queue as model
from cortops.words.errors import CallReverted

pytestmark = pytest.mark.real

CALLS = 160
TRIES, DUE_SHARE = 6, 0.7
KINDS = (model.Submit, model.Assign, model.Ack, model.Precommit, model.Commit, model.Close, model.End)
WEIGHTS = (1, 3, 3, 3, 4, 1, 1)
LABELS = {wallet_of(f"m{at}").address: f"m{at}" for at in (1, 2, 3, 4)}
OUTSIDER = wallet_of("m4").address  # not registered
UNMODELLED = frozenset({"TaskModelChosen", "TaskParameters"})


def some_call(chance: random.Random, queue: model.Queue) -> model.Call:
    """A call by chance, mostly about a task that is there; of several often the first that the model takes, so that tasks come on."""
    drawn = [_drawn(chance, queue) for _ in range(TRIES)]
    due = [call for call in drawn if not isinstance(model.apply(queue, call), model.Refused)]
    return due[0] if due and chance.random() < DUE_SHARE else drawn[0]


def _drawn(chance: random.Random, queue: model.Queue) -> model.Call:
    count = queue.counts.get(1, 0)
    key = (1, max(0, chance.randint(count - 2, count + 1)))
    miner, text = chance.choice(list(LABELS)), f"answer {chance.randint(1, 2)}"
    kind = chance.choices(KINDS, weights=WEIGHTS)[0]
    if kind is model.Submit:
        return model.Submit(session=1, reference=f"req-{count}", text="text")
    if kind is model.Assign:
        nodes = [*MINERS, OUTSIDER] if chance.random() < 0.3 else MINERS
        return model.Assign(key=key, miners=tuple(chance.choices(nodes, k=chance.randint(0, 3))))
    if kind is model.Ack:
        return model.Ack(key=key, miner=miner)
    if kind is model.Precommit:
        return model.Precommit(key=key, miner=miner, hash=result_hash(text) if chance.random() < 0.9 else model.NO_HASH)
    if kind is model.Commit:
        return model.Commit(key=key, miner=miner, text=text)
    if kind is model.Close:
        return model.Close(key=key, step=chance.choice([ACKED, PRECOMMITTED, COMMITTED]))
    return model.End(key=key, force=chance.random() < 0.1)


def written(network: Network, call: model.Call) -> tuple[str, Written]:
    """Who sends it, and its calldata."""
    match call:
        case model.Submit():
            return "router", network.submit(call.session, task_data=call.text, prompt_type=2, client_reference=call.reference)
        case model.Assign():
            return "oracle", network.assign_task(*call.key, call.miners)
        case model.Ack():
            return LABELS[call.miner], network.ack(*call.key)
        case model.Precommit():
            return LABELS[call.miner], network.precommit(*call.key, call.hash)
        case model.Commit():
            return LABELS[call.miner], network.commit(*call.key, call.text)
        case model.Close():
            closing = {ACKED: network.end_ack, PRECOMMITTED: network.end_precommit, COMMITTED: network.end_commit}
            return "oracle", closing[call.step](*call.key)
        case model.End():
            return "oracle", network.end_forced(*call.key) if call.force else network.end(*call.key)


Seen = tuple[tuple[str, dict[str, object]], ...] | str  # events with their arguments, or a refusal


async def on_chain(chain: Chain, network: Network, call: model.Call) -> Seen:
    label, write = written(network, call)
    try:
        receipt = await chain.do(label, write)
    except CallReverted as error:
        return error.why
    contracts = {address.lower(): load(name) for name, address in _spoken(network).items()}
    logs = [log for log in receipt.logs if log["address"].lower() in contracts]
    events = [event for log in logs if (event := decode_log(contracts[log["address"].lower()], log)) is not None]
    return tuple((event.name, dict(event.args)) for event in events if event.name not in UNMODELLED)


def _spoken(network: Network) -> dict[str, str]:
    return {"session": network.addresses.session, "session_queue": network.addresses.session_queue}


def agree(
    seen: tuple[tuple[str, dict[str, object]], ...] | str, expected: tuple[model.Queue, tuple[model.Said, ...]] | model.Refused
) -> None:
    if isinstance(expected, model.Refused):
        assert seen == expected.why
        return
    assert not isinstance(seen, str), seen
    assert [name for name, _ in seen] == [said.name for said in expected[1]]
    for (name, args), said in zip(seen, expected[1], strict=True):
        assert {key: args[key] for key in said.args} == dict(said.args), name


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_model_agrees_with_the_contract(seed: int) -> None:
    async def run() -> None:
        chance, refused, taken = random.Random(seed), 0, 0
        async with bare_chain() as chain:
            network = await ready(chain)
            queue = model.Queue(registered=frozenset(MINERS))
            for _ in range(CALLS):
                call = some_call(chance, queue)
                expected = model.apply(queue, call)
                agree(await on_chain(chain, network, call), expected)
                if isinstance(expected, model.Refused):
                    refused += 1
                else:
                    queue, taken = expected[0], taken + 1
        assert refused > CALLS / 10 and taken > CALLS / 5, "both kinds were tried"

    asyncio.run(run())


def test_a_full_ring_refuses_in_both() -> None:
    async def run() -> None:
        async with bare_chain() as chain:
            network = await ready(chain)
            queue = model.Queue(registered=frozenset(MINERS))
            sender = await chain.sender("router")
            for at in range(TASKS_KEPT):
                call = model.Submit(session=1, reference=f"req-{at}")
                outcome = model.apply(queue, call)
                assert not isinstance(outcome, model.Refused)
                queue = outcome[0]
                await sender.send(*written(network, call)[1], gas=400_000)
            await chain.mine()
            full = model.Submit(session=1, reference="one more")
            assert model.apply(queue, full) == model.Refused("queue full")
            assert await on_chain(chain, network, full) == "queue full"
            for end in (model.End(key=(1, 1), force=True), full):
                outcome = model.apply(queue, end)
                agree(await on_chain(chain, network, end), outcome)
                assert not isinstance(outcome, model.Refused)
                queue = outcome[0]

    asyncio.run(run())
