"""The contract matrix: one call for all hashes, and what each row says; on a real chain too."""

from __future__ import annotations

import asyncio

import pytest
from tests.surfaces.chain.orbit_stage import fake_pair

from cortops.contracts.artifact import load
from cortops.contracts.rpc import RpcClient
from cortops.probes.matrix import matrix, read_matrix
from cortops.protocol.http import HttpClient
from cortops.surfaces.chain.matrix import HASHES_CODE, MatrixRow, Module, calls, code_hashes, rows
from cortops.testing.orbit.world import GWEI, OWNER, ROLLUP
from cortops.words.clock import SystemClock
from cortops.words.errors import ChainError, RpcRefused

A, B = "0x" + "a" * 40, "0x" + "b" * 40
HASH, NONE = "1" * 64, "0" * 64
EMPTY = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def word(address: str) -> str:
    return "0x" + address[2:].rjust(64, "0")


def test_all_hashes_come_from_one_call_and_few_calls_follow() -> None:
    modules = tuple(Module(name=f"m{at}", address=A) for at in range(40))
    asked = calls(modules)
    assert len(asked) <= 40 * 8 + 1
    method, (call, _) = asked[0]
    assert (method, len(str(call["data"])), "to" in call) == ("eth_call", len(HASHES_CODE) + 40 * 64, False)  # type: ignore[index,call-overload]


def test_what_came_back_is_read() -> None:
    assert code_hashes("0x" + NONE + HASH + NONE + EMPTY, 3) == ("0x" + HASH, "", "")
    for other in ("0x", "0x" + HASH, "0x" + NONE + HASH * 2):
        with pytest.raises(ChainError):
            code_hashes(other, 1)


def test_a_row_says_what_stands_there_and_who_may_change_it() -> None:
    module = Module(name="session", address=A)
    version = "0x" + "20".rjust(64, "0") + "5".rjust(64, "0") + b"1.2.3".hex().ljust(64, "0")
    results: list[object] = ["0x" + NONE + HASH, word(B), "0x" + NONE, word(A), version, "0x" + "3".rjust(64, "0"), word(A), word(B)]
    (row,) = rows((module,), results)
    assert (row.code, row.code_hash, row.version, row.implementation.lower()) == ("there", "0x" + HASH, "1.2.3", B)
    assert {role: [one.lower() for one in members] for role, members in row.owners.items()} == {"owner": [A], "admin": [A, B, "and 1 more"]}


def test_what_a_node_refuses_is_not_told_as_nothing() -> None:
    with pytest.raises(RpcRefused):
        rows((Module(name="m", address=A),), [RpcRefused("eth_call was refused: too many requests")])


def test_the_matrix_of_both_chains() -> None:
    async def look(*faults: str) -> dict[str, MatrixRow]:
        async with fake_pair() as pair:
            pair.server.world.inject(*faults)
            http = HttpClient(clock=SystemClock())
            clients = [RpcClient(pair.server.url[name], http) for name in ("main", "parent")]
            found = await matrix(pair.env, pair.site, *clients)
            await http.close()
            return {row.name: row for row in found}

    well = asyncio.run(look())
    assert {name: row.code for name, row in well.items() if name in ("session", "rollup")} == {"session": "as built", "rollup": "there"}
    assert [one.lower() for one in well["session"].owners["admin"]] == [OWNER] and well["rollup"].address.lower() == ROLLUP
    ill = asyncio.run(look("code-differs", "contract-missing"))
    assert (ill["session"].code, ill["rollup"].code, ill["node-pool"].code) == ("differs", "none", "as built")


@pytest.mark.real
def test_a_real_chain_runs_the_code_that_is_never_deployed() -> None:
    from cortops.testing.chain import bare_chain

    async def look() -> tuple[MatrixRow, ...]:
        async with bare_chain() as chain:
            network = await chain.deploy()
            names = ("session", "session_queue")
            modules = tuple(
                Module(name=name.replace("_", "-"), address=getattr(network.addresses, name), artifact=load(name)) for name in names
            )
            return await read_matrix(chain.rpc, (*modules, Module(name="nobody", address=f"0x{GWEI:040x}")))

    found = asyncio.run(look())
    assert [row.code for row in found] == ["as built", "as built", "none"]
    assert all(row.owners["admin"] for row in found[:2]) and found[1].owners["oracle"]
