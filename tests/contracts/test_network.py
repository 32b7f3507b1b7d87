"""The contracts and the client against a real chain."""

from __future__ import annotations

import asyncio

import pytest
from tests.contracts.network_rig import (
    DIGEST,
    MINERS,
    ORACLE,
    OWNER,
    ROUTER,
    STRANGER,
    Refuses,
    encode,
    ready,
    refused,
    refusing,
    submission,
)

from cortops.contracts import create2
from cortops.contracts.abi import decode_result
from cortops.contracts.artifact import NAMES, load
from cortops.contracts.keccak import keccak_hex
from cortops.contracts.network import (
    ADMIN_ROLE,
    COMMITTED,
    COMPLETED,
    ORACLE_ROLE,
    PRECOMMITTED,
    TASK_BYTES_MAX,
    TASKS_KEPT,
    Addresses,
    Call,
    Network,
    result_hash,
)
from cortops.contracts.path import find_submitted, read_path
from cortops.testing.chain import Chain, bare_chain, wallet_of
from cortops.words.errors import BadInput, CallReverted, ChainError, ChainUnreachable

pytestmark = pytest.mark.real


def test_the_whole_life_of_a_task() -> None:
    async def life() -> None:
        async with bare_chain() as chain:
            network = await ready(chain)
            await chain.do("router", submission(network, "req-1"))
            await chain.do("oracle", network.assign_task(1, 1, MINERS[:2], model=7))
            await chain.do("m1", network.ack(1, 1))
            await chain.do("m2", network.ack(1, 1))
            for label, text in (("m1", "hello"), ("m2", "hállo")):
                await chain.do(label, network.precommit(1, 1, result_hash(text)))
            results = await network.task_results(1, 1)
            assert [(r.miner, r.step, r.hash) for r in results] == [
                (MINERS[0], PRECOMMITTED, result_hash("hello")),
                (MINERS[1], PRECOMMITTED, result_hash("hállo")),
            ]
            assert [task.id for task in await network.open_tasks(1)] == [1]
            for label, text in (("m1", "hello"), ("m2", "hállo")):
                await chain.do(label, network.commit(1, 1, text))
            await chain.do("oracle", network.end(1, 1))
            task = await network.task(1, 1)
            assert (task.status, task.ended, task.miners, task.gid) == (COMPLETED, True, tuple(MINERS[:2]), 1)
            assert 0 < task.created_at <= task.last_precommit_at <= task.last_commit_at <= task.finished_at
            assert {r.step for r in await network.task_results(1, 1)} == {COMMITTED}
            assert await network.open_tasks(1) == ()
            path = await read_path(network, 1, 1)
            assert path.state == "ended"
            assert [(step.step, step.by) for step in path.steps] == [
                ("submitted", ROUTER),
                ("assigned", ORACLE),
                ("acked", MINERS[0]),
                ("acked", MINERS[1]),
                ("precommitted", MINERS[0]),
                ("precommitted", MINERS[1]),
                ("committed", MINERS[0]),
                ("committed", MINERS[1]),
                ("ended", ORACLE),
            ]
            assert path.steps[0].hash == keccak_hex(b"text of req-1")
            assert path.steps[4].hash == path.steps[6].hash == result_hash("hello")
            assert await find_submitted(network, 1, "req-1") == 1
            assert await find_submitted(network, 1, "req-2") is None
            assert await decoration(network, 1, 1) == (2, 2, 2, 2, True)

    asyncio.run(life())


async def decoration(network: Network, sid: int, tid: int) -> tuple[object, ...]:
    """How many were assigned, acked, precommitted, committed, and whether the acks are closed."""
    call = {"to": network.addresses.session_queue, "data": encode("session_queue", "getTaskDecoration", sid, tid)}
    (values,) = decode_result(load("session_queue"), "getTaskDecoration", await network.rpc.call("eth_call", call, "latest"))
    assert isinstance(values, tuple)
    return values


def test_refusals_on_the_way_into_the_queue() -> None:
    async def story(chain: Chain, network: Network, no: Refuses) -> None:
        queue = network.addresses.session_queue
        await no("stranger", submission(network), "not a router of the session")
        await no("owner", submission(network, sid=9), "no such session")
        await no("stranger", Call(queue, encode("session_queue", "enqueue", 1, "x")), "only the session contract")
        await chain.do("router", submission(network))
        await no("m1", network.ack(1, 1), "not assigned")
        await no("stranger", network.assign_task(1, 1, MINERS[:1]), "missing role")
        await no("oracle", network.assign_task(1, 2, MINERS[:1]), "no such task")
        await no("oracle", network.assign_task(1, 0, MINERS[:1]), "no such task")
        await no("oracle", network.assign_task(1, 1, []), "no miners")
        await no("oracle", network.assign_task(1, 1, [STRANGER]), "miner not registered")
        await no("oracle", network.assign_task(1, 1, [MINERS[0], MINERS[0]]), "miner named twice")
        await chain.do("owner", network.deactivate_session(1))
        await no("router", submission(network), "session inactive")
        await no("owner", network.deactivate_session(1), "session inactive")
        with pytest.raises(BadInput, match="task text has 32769 bytes"):
            network.submit(1, task_data="x" * (TASK_BYTES_MAX + 1), prompt_type=2, client_reference="")

    refusing(story)


def test_refusals_of_each_step_out_of_order_twice_or_late() -> None:
    async def story(chain: Chain, network: Network, no: Refuses) -> None:
        await chain.do("router", submission(network))
        await chain.do("oracle", network.assign_task(1, 1, MINERS[2:]))
        await chain.do("oracle", network.assign_task(1, 1, MINERS[:2]))  # again, since nobody has acked
        await no("m3", network.ack(1, 1), "not assigned")
        await no("stranger", network.ack(1, 1), "not registered")
        await no("m1", network.precommit(1, 1, DIGEST), "not acked")
        await no("m1", network.commit(1, 1, "hello"), "not precommitted")
        await no("oracle", network.end_ack(1, 1), "nobody acked")
        await no("oracle", network.end_precommit(1, 1), "nobody precommitted")
        await no("oracle", network.end_commit(1, 1), "nobody committed")
        await chain.do("m1", network.ack(1, 1))
        await no("m1", network.ack(1, 1), "already acked")
        await no("oracle", network.assign_task(1, 1, MINERS[2:]), "already acked")
        await no("m1", network.precommit(1, 1, "0x" + "00" * 32), "no hash")
        await chain.do("m1", network.precommit(1, 1, DIGEST))
        await no("m1", network.precommit(1, 1, DIGEST), "already precommitted")
        await no("m1", network.commit(1, 1, "hello"), "others have not precommitted")
        await no("oracle", network.end(1, 1), "not committed")
        await chain.do("oracle", network.end_ack(1, 1))  # m2 is out, so all have precommitted
        assert (await network.task(1, 1)).status == PRECOMMITTED
        await no("m2", network.ack(1, 1), "too late to ack")
        await no("oracle", network.end_ack(1, 1), "ack already ended")
        await no("oracle", network.end_precommit(1, 1), "precommit already ended")
        await no("m1", network.commit(1, 1, "hullo"), "hash differs")
        await chain.do("m1", network.commit(1, 1, "hello"))
        await no("m1", network.commit(1, 1, "hello"), "already committed")
        await no("oracle", network.end_commit(1, 1), "commit already ended")
        await no("stranger", network.end(1, 1), "missing role")
        await chain.do("oracle", network.end(1, 1))
        await no("oracle", network.end(1, 1), "task ended")
        await no("m1", network.ack(1, 1), "task ended")

    refusing(story)


def test_refusals_of_registry_and_session() -> None:
    async def story(chain: Chain, network: Network, no: Refuses) -> None:
        await no("m1", network.register(), "already registered")
        await no("stranger", network.ping(), "not registered")
        await no("stranger", network.add_dedicated_node(1, MINERS[0]), "not the owner")
        await no("owner", network.add_dedicated_node(9, MINERS[0]), "no such session")
        await no("owner", network.add_dedicated_node(1, STRANGER), "node not registered")
        await no("owner", network.add_dedicated_node(1, MINERS[0]), "already a node of the session")
        await no("owner", network.remove_dedicated_node(1, STRANGER), "not a node of the session")
        await no("owner", network.add_router(1, ROUTER), "already a router of the session")
        await no("owner", Call(network.addresses.session, encode("session", "removeRouter", 1, STRANGER)), "not a router of the session")
        await no("owner", network.create_session("chat"), "name taken")
        await no("owner", network.create_session(""), "no name")
        await no("owner", network.create_session("x", min_nodes=2, max_nodes=1), "min above max")

    refusing(story)


def test_late_miners_are_left_behind_and_a_silent_task_fails() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            network = await ready(chain)
            await chain.do("router", submission(network, "a"), submission(network, "b"))
            await chain.do("oracle", network.assign_task(1, 1, MINERS), network.assign_task(1, 2, MINERS[:1]))
            for label in ("m1", "m2", "m3"):
                await chain.do(label, network.ack(1, 1))
            for label in ("m1", "m2"):
                await chain.do(label, network.precommit(1, 1, DIGEST))
            await chain.do("oracle", network.end_precommit(1, 1))
            assert await refused(chain, "m3", network.precommit(1, 1, DIGEST)) == "too late to precommit"
            await chain.do("m1", network.commit(1, 1, "hello"))
            assert (await network.task(1, 1)).status == PRECOMMITTED
            await chain.do("oracle", network.end_commit(1, 1))
            assert await refused(chain, "m2", network.commit(1, 1, "hello")) == "too late to commit"
            await chain.do("oracle", network.end(1, 1), network.end_forced(1, 2))
            first, second = await read_path(network, 1, 1), await read_path(network, 1, 2)
            assert (first.state, first.steps[-1].note) == ("ended", "1 committed")
            assert (second.state, second.steps[-1].note) == ("failed", "0 committed")

    asyncio.run(story())


def test_the_ring_is_full_then_turns_and_old_tasks_stay_readable() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            network = await ready(chain)
            await chain.do("router", *(submission(network, f"req-{at}") for at in range(1, TASKS_KEPT + 1)))
            assert await refused(chain, "router", submission(network)) == "queue full"
            assert len(await network.open_tasks(1)) == TASKS_KEPT
            await chain.do("oracle", network.assign_task(1, 1, MINERS[:2]))
            await chain.do("m1", network.ack(1, 1))
            await chain.do("oracle", network.end_forced(1, 1))
            await chain.do("router", submission(network, "req-65"))
            assert (await network.task(1, 65)).miners == ()
            with pytest.raises(CallReverted, match="no such task"):
                await network.task(1, 1)
            await chain.do("oracle", network.assign_task(1, 65, MINERS[:1]))
            await chain.do("m1", network.ack(1, 65))  # nothing of task 1 is left in its place
            assert [task.id for task in await network.tasks(1, 60, 16)] == [61, 62, 63, 64, 65]
            assert [task.id for task in await network.tasks(1, 0, 3)] == [2, 3]
            assert await network.task_counts([1, 2]) == [65, 0]
            path = await read_path(network, 1, 1)
            assert [step.step for step in path.steps] == ["submitted", "assigned", "acked", "ended"]
            assert await find_submitted(network, 1, "req-1") == 1

    asyncio.run(story())


def test_the_longest_texts_pass() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            network = await ready(chain)
            text = "é" * (TASK_BYTES_MAX // 2)
            await chain.do("router", network.submit(1, task_data=text, prompt_type=2, client_reference="r" * 128))
            await chain.do("oracle", network.assign_task(1, 1, MINERS[:1]))
            await chain.do("m1", network.ack(1, 1), network.precommit(1, 1, result_hash(text)), network.commit(1, 1, text))
            path = await read_path(network, 1, 1)
            assert path.steps[0].hash == path.steps[-1].hash == result_hash(text)

    asyncio.run(story())


def test_sessions_nodes_and_roles() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            network = await ready(chain)
            where = network.addresses
            session = await network.session(1)
            assert (session.name, session.owner, session.dedicated_nodes, session.routers) == ("chat", OWNER, tuple(MINERS), (ROUTER,))
            assert (session.active, session.model, session.redundant, session.router_metadatas) == (True, 7, 1, ("http://r",))
            await chain.do("owner", network.remove_dedicated_node(1, MINERS[0]))
            assert (await network.session(1)).dedicated_nodes == (MINERS[2], MINERS[1])
            await routers_come_and_go(chain, network)
            assert (await network.session_id("chat"), await network.session_id("none"), await network.session_count()) == (1, None, 1)
            await chain.do("m2", network.ping())
            nodes = {node.address: node for node in await network.nodes()}
            assert set(nodes) == set(MINERS) and nodes[MINERS[1]].last_ping_at == await network.last_ping_at(MINERS[1]) > 0
            assert await network.last_ping_at(MINERS[0]) == 0
            await chain.do("m1", Call(where.node_registry, encode("node_registry", "remove", MINERS[0])))
            assert [await network.is_registered(miner) for miner in MINERS] == [False, True, True]
            assert await network.registered(MINERS) == frozenset(MINERS[1:])
            assert {node.address: node.last_ping_at > 0 for node in await network.nodes()} == {MINERS[1]: True, MINERS[2]: False}
            await chain.do("admin", Call(where.node_registry, encode("node_registry", "verify", MINERS[2])))
            await chain.do("m3", network.ping())
            assert [node.verified for node in await network.nodes() if node.address == MINERS[2]] == [True]

            admin = wallet_of("admin").address
            assert await network.has_role(where.session, ADMIN_ROLE, admin)
            assert not await network.has_role(where.session_queue, ORACLE_ROLE, STRANGER)
            assert await refused(chain, "stranger", network.grant_role(where.session_queue, ORACLE_ROLE, STRANGER)) == "missing role"
            await chain.do("admin", network.grant_role(where.session_queue, ORACLE_ROLE, STRANGER))
            assert await network.has_role(where.session_queue, ORACLE_ROLE, STRANGER)
            await chain.do("admin", Call(where.session_queue, encode("session_queue", "revokeRole", ORACLE_ROLE, STRANGER)))
            assert not await network.has_role(where.session_queue, ORACLE_ROLE, STRANGER)
            last = Call(where.session_queue, encode("session_queue", "revokeRole", ADMIN_ROLE, admin))
            assert await refused(chain, "admin", last) == "last admin"
            assert await refused(chain, "stranger", network.link()[0]) == "missing role"

    asyncio.run(story())


async def routers_come_and_go(chain: Chain, network: Network) -> None:
    def call(function: str, *args: object) -> Call:
        return Call(network.addresses.session, encode("session", function, *args))

    async def routers() -> list[tuple[str, str]]:
        session = await network.session(1)
        return list(zip(session.routers, session.router_metadatas, strict=True))

    await chain.do("owner", network.add_router(1, STRANGER, "http://s"), call("updateRouter", 1, ROUTER, "http://r2"))
    assert await routers() == [(ROUTER, "http://r2"), (STRANGER, "http://s")]
    latest = call("getLatestRouterInfo", 1)
    answer = await chain.rpc.call("eth_call", {"to": latest.to, "data": latest.data}, "latest")
    assert decode_result(load("session"), "getLatestRouterInfo", answer) == (STRANGER, "http://s")
    await chain.do("owner", call("removeRouter", 1, ROUTER))
    assert await routers() == [(STRANGER, "http://s")]
    await chain.do("owner", call("resetAllRouters", 1), call("update", 1, "meta", 2, 3, 2, 0, 1, 4, 9, 600, 8))
    session = await network.session(1)
    assert (session.routers, session.metadata, session.min_nodes, session.max_nodes, session.redundant) == ((), "meta", 2, 3, 2)
    assert (session.mode, session.sla, session.model, session.reserve_period_s, session.max_task_executions) == (1, 4, 9, 600, 8)
    page = call("getSessionsByAddressByPage", OWNER, 0, 10)
    answer = await chain.rpc.call("eth_call", {"to": page.to, "data": page.data}, "latest")
    (found,) = decode_result(load("session"), "getSessionsByAddressByPage", answer)
    assert [(values[0], values[2]) for values in found] == [(1, "chat")]


def test_code_on_chain_is_the_artifacts_and_deploying_again_changes_nothing() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            first = await chain.deploy()
            head = int(await chain.rpc.call("eth_blockNumber"), 16)
            again = await chain.deploy()
            assert again.addresses == first.addresses
            assert int(await chain.rpc.call("eth_blockNumber"), 16) == head + 1  # the links only
            for name in NAMES:
                code = await chain.rpc.call("eth_getCode", getattr(first.addresses, name), "latest")
                assert keccak_hex(bytes.fromhex(code[2:])) == load(name).code_hash
            twice = Call(create2.DEPLOYER, create2.deploy_calldata(load("session").init_code + f"{int(OWNER, 16):064x}"))
            await chain.do("owner", twice)
            with pytest.raises(CallReverted):
                await chain.do("owner", twice)

    asyncio.run(story())


def test_a_wrong_address_says_so_and_a_silent_chain_is_unreachable() -> None:
    async def story() -> None:
        async with bare_chain() as chain:
            nothing = Network(chain.rpc, Addresses(**dict.fromkeys(NAMES, STRANGER)))
            assert set(nothing.addresses.__slots__) == set(NAMES)
            with pytest.raises(ChainError, match="another shape"):
                await nothing.session(1)
            with pytest.raises(ChainError, match="another shape"):
                await nothing.is_registered(OWNER)
            rpc = chain.rpc
            answers = await rpc.batch([("eth_chainId", ()), ("eth_nothing", ()), ("eth_blockNumber", ())])
            assert answers[0] == hex(31338) and isinstance(answers[1], ChainError) and answers[2] == "0x0"
        with pytest.raises(ChainUnreachable):
            await rpc.call("eth_chainId")

    asyncio.run(story())
