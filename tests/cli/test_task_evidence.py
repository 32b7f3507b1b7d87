"""Evidence as `task show` tells it: asked of who gave the verdict, believed only when it has the hash on chain."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from cortops.cli.task_evidence import Evidence, evidence_of, lines
from cortops.contracts.keccak import keccak_hex
from cortops.contracts.path import Step
from cortops.environment.declared import Environment
from cortops.environment.load import load_file
from cortops.programs.validator.evidence import Judgement, judgement
from cortops.programs.validator.judge import Asked, Replica, decide
from cortops.protocol.http import HttpClient, HttpFailure, HttpReply
from cortops.protocol.validation import Policy
from cortops.protocol.verdict import Judged, Verdict
from cortops.words.question import Silence

US = "0x" + "0" * 38 + "A1"
NAMES = {US.lower(): "validator-1", "m0": "miner-1", "m1": "miner-2"}


def found() -> Judgement:
    replicas = [Replica(miner=miner, text=text) for miner, text in (("m0", "It is 7."), ("m1", "It is 8."), ("m2", "No\x1b"))]
    policy, readings = Policy(), {"It is 7.": Judged(verdict=Verdict.INVALID, confidence=0.9, reasons=("wrong\x1b",))}
    decision = decide(replicas, lambda one, other: 0.9 if "It" in one and "It" in other else 0.1, policy, Asked(), readings)
    return judgement(decision, replicas, policy, Asked(), readings, task="1/7", judge="m")


def step(digest: str, by: str = US) -> Step:
    return Step(step="validated", by="m0", at=1, block=1, tx="0x", hash=digest, note=f"VALID .90 by {by}")


class Web:
    """Answers with `reply`, or not at all."""

    def __init__(self, reply: HttpReply | None) -> None:
        self.reply = reply
        self.asked: list[str] = []

    async def request(self, _method: str, url: str, **_how: Any) -> HttpReply:
        self.asked.append(url)
        if self.reply is None:
            raise HttpFailure("nobody listens there", silence=Silence.REFUSED, sent=False)
        return self.reply


@pytest.fixture(scope="module")
def env() -> Environment:
    loaded = load_file(Path(__file__).resolve().parents[2] / "examples" / "local.yaml")
    assert isinstance(loaded, Environment)
    return loaded


def ask(env: Environment, reply: HttpReply | None, *steps: Step) -> tuple[list[Evidence], list[str]]:
    web = Web(reply)
    told = asyncio.run(evidence_of(env, cast("HttpClient", web), 1, 7, steps, NAMES))
    return told, web.asked


def kept(*judgements: Judgement, digest: str = "") -> HttpReply:
    told = [{"hash": digest or one.evidence_hash, "evidence": msgspec.Raw(one.evidence)} for one in judgements]
    return HttpReply(status=200, headers=[], body=msgspec.json.encode({"evidence": told}))


def test_each_hash_is_asked_once_of_who_wrote_it(env: Environment) -> None:
    one = found()
    told, asked = ask(env, kept(one), step(one.evidence_hash), step(one.evidence_hash))
    assert asked == ["http://127.0.0.1:5301/evidence/1/7"]
    assert [(each.by, each.hash, each.why) for each in told] == [("validator-1", one.evidence_hash, "")]
    assert told[0].evidence == msgspec.json.decode(one.evidence)


def test_what_has_another_hash_is_not_believed(env: Environment) -> None:
    other = keccak_hex(b"other")
    ((told,), _) = ask(env, kept(found(), digest=other), step(other))
    assert told.evidence is None and told.why == "it does not have it any more"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (None, "nobody listens there"),
        (HttpReply(status=404, headers=[], body=b"{}"), "it does not have it any more"),
        (HttpReply(status=200, headers=[], body=b"<html>"), "it answered with something else"),
    ],
)
def test_why_there_is_none_is_told(env: Environment, reply: HttpReply | None, why: str) -> None:
    ((told,), _) = ask(env, reply, step("0x12"))
    assert told.why == why and list(lines(told, NAMES)) == [f"evidence of validator-1, 0x12…: {why}"]


def test_that_of_strangers_is_not_asked_for(env: Environment) -> None:
    ((told,), asked) = ask(env, None, step("0x12", by="0x" + "0" * 40))
    assert asked == [] and told.why == "it is kept by a validator that is not of this environment"


def test_people_read_which_number_met_which_threshold() -> None:
    one = found()
    told = list(lines(Evidence(by="validator-1", hash=one.evidence_hash, evidence=msgspec.json.decode(one.evidence)), NAMES))
    assert told[0] == f"evidence of validator-1, {one.evidence_hash[:12]}…"
    assert told[1] == (
        "  miner-1 beside miner-2: .90 >= .75 by whole; whole .90 (min .75), sentence .90 (min .40), length 1.00 (min .65),"
        " order 1.00 (min .20), numbers differ: 7, 8"
    )
    assert told[2].startswith("  miner-1 beside m2: .10 < .75 by ") and "\x1b" not in "".join(told)
    assert told[-1] == "  miner-1: m says INVALID .90: wrong?"
