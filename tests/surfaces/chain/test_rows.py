"""The table of `cortops chain`: a row for each part, whatever there is; the worst of a part is told."""

from __future__ import annotations

import asyncio

from tests.surfaces.chain.orbit_stage import fake_pair
from tests.surfaces.stage import example, site_of

from cortops.cli.chain import as_json, as_text
from cortops.environment.chain_parts import PARTS
from cortops.environment.declared import Environment
from cortops.surfaces.chain import checks as chain
from cortops.surfaces.chain.rows import ABSENT, Row, rows
from cortops.surfaces.judging import judge


def looked(*faults: str) -> tuple[Environment, dict[str, Row]]:
    async def look() -> tuple[Environment, dict[str, Row]]:
        async with fake_pair() as pair:
            pair.server.world.inject(*faults)
            return pair.env, {row.part: row for row in rows(pair.env, await pair.judged())}

    return asyncio.run(look())


def test_where_everything_is_declared_every_part_is_well() -> None:
    env, found = looked()
    assert list(found) == list(PARTS)
    assert {row.outcome for row in found.values()} == {"ok"}
    assert found["chain-id"].text == "chain 31338, by eth_chainId, ArbSys, the rollup"
    assert found["contracts"].text == "12 contracts with the code expected"
    text = as_text(env, tuple(found.values()))
    assert text.startswith("lab: chain 31338, settles on lab parent\n") and text.endswith(f"{len(PARTS)} of {len(PARTS)} parts well.")


def test_the_worst_is_told_with_its_entity_and_owner() -> None:
    env, found = looked("poster-silent", "wallet-empty", "feed-private")
    assert [row.part for row in found.values() if row.outcome == "bad"] == ["batch-poster", "wallets"]
    assert found["feed"].outcome == "inconclusive"
    assert found["wallets"].text == "wallet/deployer: is empty: it can pay for no transaction"
    text = as_text(env, tuple(found.values()))
    assert "■  batch-poster   no batch since" in text
    assert text.endswith("2 ill; 15 of 18 parts well, 1 cannot be told. Ask ops@lab.example.")
    told = as_json(found["batch-poster"])
    assert told["evidence"] and {one["owner"] for one in told["checks"]} == {"ops@lab.example"}  # type: ignore[attr-defined]


def test_every_judgement_belongs_to_a_row() -> None:
    async def look() -> tuple[int, int]:
        async with fake_pair() as pair:
            judged = await pair.judged()
            return len(judged), sum(len(row.checks) for row in rows(pair.env, judged))

    asked, shown = asyncio.run(look())
    assert asked == shown


def test_where_there_is_no_parent_each_part_says_so() -> None:
    env = example()
    judged = judge(tuple(chain.checks(env, site_of(env))), {}, 0.0)
    found = {row.part: row for row in rows(env, judged)}
    assert [part for part, row in found.items() if row.outcome != ABSENT] == ["chain-id", "head", "contracts"]
    assert all(row.text.startswith("not in this environment: ") for row in found.values() if row.outcome == ABSENT)
    assert "\n     bridge         not in this environment: network.parent is not declared" in as_text(env, tuple(found.values()))
