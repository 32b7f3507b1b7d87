"""The fake pair passes the conformance suite: every check has a green and a red case. `pytest -s` prints the table."""

from __future__ import annotations

import asyncio

import pytest
from tests.surfaces.chain.conformance import GREEN, Row, never_red, run, table
from tests.surfaces.chain.orbit_stage import fake_pair

from cortops.testing.orbit.world import FAULTS
from cortops.words.evidence import Check


@pytest.fixture(scope="module")
def ran() -> tuple[tuple[Row, ...], tuple[Check, ...]]:
    async def all_of_it() -> tuple[tuple[Row, ...], tuple[Check, ...]]:
        async with fake_pair() as pair:
            return await run(pair), pair.checks

    return asyncio.run(all_of_it())


def test_every_case_holds(ran: tuple[tuple[Row, ...], tuple[Check, ...]]) -> None:
    rows, _ = ran
    print("\n" + table(rows, FAULTS))  # noqa: T201 — the table is what people want to see
    assert [f"{row.case.fault}: {row.case.entity} {row.case.check}: {row.outcome}, {row.text}" for row in rows if not row.held] == []


def test_every_check_is_seen_well_and_ill(ran: tuple[tuple[Row, ...], tuple[Check, ...]]) -> None:
    rows, checks = ran
    well = {(row.case.entity, row.case.check) for row in rows if not row.case.fault and row.outcome == GREEN}
    assert well == {(str(check.entity), check.name) for check in checks}
    assert never_red(checks) == []


def test_every_fault_is_seen_by_a_case(ran: tuple[tuple[Row, ...], tuple[Check, ...]]) -> None:
    rows, _ = ran
    assert {row.case.fault for row in rows} - {""} == set(FAULTS)
