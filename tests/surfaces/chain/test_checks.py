"""Whether the runtime names the contracts that were declared: what each answer says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.surfaces.stage import example, site_of

from cortops.contracts.abi import static_call
from cortops.contracts.artifact import load
from cortops.surfaces.chain import checks as chain
from cortops.surfaces.chain.addresses import ARTIFACTS, contract_addresses
from cortops.surfaces.nodes import render as nodes
from cortops.words.evidence import Verdict
from cortops.words.question import REFUSED, REVERTED, Answer, Rpc
from cortops.words.resource import File

ENV = example()
SITE = site_of(ENV)
ADDRESSES = contract_addresses(ENV, SITE)
CHECKS = tuple(chain.checks(ENV, SITE))


def linked(name: str, text: str, status: int = 0) -> Verdict:
    check = next(item for item in CHECKS if str(item.entity) == f"contract/{name}" and item.name == "linked")
    answer = Answer(question="q", at=0, elapsed_s=0.01, status=status, body=text.encode())
    return check.judge({check.asks[0]: answer}, 0)


def word(address: str) -> str:
    return json.dumps("0x" + "00" * 12 + address[2:].lower())


@pytest.mark.parametrize("name", [name for name in ARTIFACTS if name != "runtime"])
def test_the_declared_address_is_well(name: str) -> None:
    declared = getattr(ADDRESSES, ARTIFACTS[name])
    assert linked(name, word(declared)) == Verdict(outcome="ok", text="the runtime names it")


@pytest.mark.parametrize(
    ("text", "status", "outcome", "said"),
    [
        (word(ADDRESSES.session), 0, "bad", f"the runtime names {ADDRESSES.session} in its place"),
        (word("0x" + "00" * 20), 0, "bad", "the runtime names none"),
        ('"0x"', 0, "bad", "does not answer for it"),
        ("execution reverted", REVERTED, "bad", "does not answer for it: execution reverted"),
        ("too many requests", REFUSED, "inconclusive", "could not be asked"),
    ],
)
def test_another_answer_is_told_as_what_it_is(text: str, status: int, outcome: str, said: str) -> None:
    found = linked("node-stats", text, status)
    assert (found.outcome, said in found.text) == (outcome, True), found


def test_the_runtime_is_asked_for_each_of_the_others() -> None:
    asked = {question.id: question for question in chain.questions(ENV, SITE)}
    for name, getter in (("node-pool", "getNodePoolAddress()"), ("session-queue-validation", "getSessionQueueValidationAddress()")):
        question = asked[f"link:{name}"]
        assert isinstance(question, Rpc)
        assert question.params == ({"to": ADDRESSES.runtime, "data": static_call(load("runtime"), getter)}, "latest")
    assert "link:runtime" not in asked


def test_fallbacks_reach_every_node_in_the_keys_of_cortensord() -> None:
    network = ENV.network.model_copy(update={"fallbacks": ("http://127.0.0.1:7", "http://127.0.0.1:8")})
    files = [
        item for item in nodes.render(replace(ENV, network=network), SITE) if isinstance(item, File) and item.path.endswith("miner-1.env")
    ]
    text = "".join(part for part in files[0].content if isinstance(part, str))
    assert "ENABLE_MULTIPLE_RPC_HOST=1" in text and "NUM_RPC_HOST=3" in text
    assert "RPC_HOST_0=http://127.0.0.1:8545" in text and "RPC_HOST_2=http://127.0.0.1:8" in text
