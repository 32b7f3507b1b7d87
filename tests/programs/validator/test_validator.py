"""The whole validator on a real chain: verdicts are read back from the contract."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.programs.validator.validator_rig import MINERS, Rig, play

from cortops.contracts.network import VALIDATOR_ROLE
from cortops.contracts.path import read_path
from cortops.testing.chain import wallet_of
from cortops.testing.embedding import WordCounts, failing, minilm
from cortops.testing.engine import Say, scripted_engine

pytestmark = pytest.mark.real


def test_an_honest_and_a_lying_miner_are_told_apart_by_meaning() -> None:
    async def run(one: Rig) -> None:
        session = await one.session("s")
        weights, tokenizer = minilm()
        await one.start(None, model_path=str(weights), tokenizer_path=str(tokenizer))
        await one.well()
        same = await one.task(session, *["Paris is the capital of France."] * 3)
        liar = await one.task(
            session, "Paris is the capital of France.", "The capital of France is Paris.", "Lyon is the capital of France."
        )
        assert await one.verdicts(session, same) == "m0 VALID 1000, m1 VALID 1000, m2 VALID 1000"
        assert re.fullmatch(r"m0 VALID 9\d\d, m1 VALID 9\d\d, m2 INVALID 7\d\d", await one.verdicts(session, liar))

        path = await read_path(one.network, session, liar)
        validated = [step for step in path.steps if step.step == "validated"]
        us = wallet_of("validator").address
        assert [step.note[: -len(us)] for step in validated] == ["VALID .98 by ", "VALID .98 by ", "INVALID .70 by "]
        health = await one.judged(2)
        assert health["last_verdict_at"] is not None
        expected = {"status": "ok", "model": "ready", "tasks_left": 0, "validator_role": True}
        assert {key: health[key] for key in expected} == expected
        recorded = [msgspec.json.decode(line) for line in one.out.getvalue().splitlines() if b'"recorded"' in line]
        told = [step.hash for step in validated]
        assert {recorded[-1]["evidence"]} == {*told} and b"Lyon" not in one.out.getvalue()
        status, (kept,) = await one.evidence(session, liar)
        assert (status, kept["hash"]) == (200, told[0]) and kept["note"].startswith("2 of 3 agree")
        pairs = {(first, second): numbers for first, second, numbers in kept["evidence"]["pairs"]}
        miners = [wallet_of(miner).address for miner in MINERS]
        assert pairs[miners[2], miners[0]] == {"score": 696, "by": "whole", "whole": 696, "sentence": 696, "length": 1000, "order": 800}
        assert "Lyon" not in str(kept) and (await one.evidence(session, 99)) == (404, [])
        assert health["verdicts"] == {"VALID": 5, "INVALID": 1, "RETRY": 0, "NEEDS_SPEC": 0}

    play(run)


def test_after_a_restart_what_ended_meanwhile_is_judged_and_nothing_twice() -> None:
    async def run(one: Rig) -> None:
        session, free = await one.session("s"), await one.session("unjudged", validators=0)
        first = await one.task(session, "a", "a", "a")
        await one.start()
        await one.verdicts(session, first)
        await one.stop()
        unjudged = await one.task(free, "a", "a", "a")
        late = await one.task(session, "the sky is blue", "the sky is blue today", None)
        single = await one.task(session, "a")
        await one.start()
        assert await one.verdicts(session, late) == "m0 VALID 894, m1 VALID 894"
        assert await one.verdicts(session, single) == "m0 RETRY 0"
        await one.judged(2)
        await one.stop()
        await one.start()
        last = await one.task(session, "a", "b", "c")
        assert await one.verdicts(session, last) == "m0 RETRY 0, m1 RETRY 0, m2 RETRY 0"
        await one.judged(1)
        assert await one.network.verdicts(free, unjudged) == ()
        assert b"step_failed" not in one.out.getvalue()

    play(run)


def test_a_verdict_of_a_lost_branch_is_given_again_on_the_new_one() -> None:
    async def run(one: Rig) -> None:
        session = await one.session("s")
        await one.start()
        await one.well()
        snapshot = await one.chain.rpc.call("evm_snapshot")
        task = await one.task(session, "a", "a", "x")
        assert await one.verdicts(session, task) == "m0 VALID 1000, m1 VALID 1000, m2 INVALID 0"
        await one.chain.rpc.call("evm_revert", snapshot)
        for sender in one.chain.senders.values():
            sender.resync()
        assert await one.task(session, "x", "a", "a") == task
        assert await one.verdicts(session, task) == "m0 INVALID 0, m1 VALID 1000, m2 VALID 1000"

    play(run)


def test_health_names_a_missing_role_and_a_missing_model() -> None:
    async def run(one: Rig) -> None:
        session = await one.session("s")
        await one.start(failing(99, WordCounts), label="newcomer")
        task = await one.task(session, "a", "a", "a")

        async def said() -> bool:
            return len((await one.health())[1].get("why", ())) == 2

        await one.until(said)
        status, health = await one.health()
        assert status == 503 and health["model"] == "failed" and health["validator_role"] is False
        assert health["why"] == [
            "this node does not hold the validator role of the validation contract",
            "the embedding model could not be loaded: no such file: model.safetensors",
        ]
        where = one.network.addresses.session_queue_validation
        await one.chain.do("admin", one.network.grant_role(where, VALIDATOR_ROLE, wallet_of("newcomer").address))
        assert await one.verdicts(session, task) == "m0 VALID 1000, m1 VALID 1000, m2 VALID 1000"
        # What differs waits for the model, and nobody is accused.
        await one.task(session, "a", "a", "x")

        async def waits() -> bool:
            return (await one.health())[1].get("tasks_pending") == 1

        await one.until(waits)
        assert await one.network.verdicts(session, task + 1) == ()

    play(run)


def test_a_validatorv3_asks_its_judge_and_accuses_nobody_when_that_is_lost(tmp_path: Path) -> None:
    good = '{"verdict": "VALID", "confidence": 0.9, "reasons": ["a capital"]}'
    bad = '{"verdict": "INVALID", "confidence": 0.8, "reasons": ["Lyon is no capital"]}'

    async def run(one: Rig) -> None:
        session = await one.session("s")
        async with scripted_engine(Say(pieces=(good,)), Say(pieces=(bad,))) as engine:
            file = str(tmp_path / "v" / "e.db")
            declared: dict[str, Any] = {
                "runs": "validatorv3",
                "engine_url": engine.url,
                "engine_model": "m",
                "evidence_path": file,
            }
            await one.start(**declared, policy='{"sentence_min":0}')
            fine = await one.task(session, "Paris it is", "Paris it is", None)
            assert await one.verdicts(session, fine) == "m0 VALID 900, m1 VALID 900"
            alone = await one.task(session, "Lyon it is")
            assert await one.verdicts(session, alone) == "m0 INVALID 200"
            assert (await one.evidence(session, alone))[1][0]["evidence"]["readings"][0][1:] == ["INVALID", 800, ["Lyon is no capital"]]
        lost = await one.task(session, "Rome it is", "Rome it is", "Rome it is")
        assert await one.verdicts(session, lost) == "m0 RETRY 1000, m1 RETRY 1000, m2 RETRY 1000"
        assert "the judge's engine does not answer" in str((await one.health())[1]["why"])
        await one.stop()
        await one.start(**declared)
        assert (await one.evidence(session, fine))[0] == 200, "evidence outlives the process"

    play(run)
