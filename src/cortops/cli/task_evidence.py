"""What the verdicts on a task rest on, asked of the validators that gave them: each keeps its own, on chain stands the hash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from cortops.contracts.keccak import keccak_hex
from cortops.contracts.path import Step
from cortops.environment.declared import Environment
from cortops.environment.model import ValidatorNode
from cortops.protocol.http import HttpClient, HttpFailure
from cortops.surfaces.reach import from_here

TIMEOUT_S = 5.0
MEASURES = (("whole", "similarity_min"), ("sentence", "sentence_min"), ("length", "length_min"), ("order", "order_min"))


class _Kept(msgspec.Struct):
    hash: str
    evidence: msgspec.Raw


class _Told(msgspec.Struct):
    evidence: list[_Kept] = []


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """by: the validator. evidence: None where it could not be had, then why."""

    by: str
    hash: str
    evidence: dict[str, Any] | None = None
    why: str = ""


async def evidence_of(
    env: Environment, http: HttpClient, session: int, task: int, steps: Iterable[Step], names: Mapping[str, str]
) -> list[Evidence]:
    """One for each hash that a validator wrote; what does not have that hash is not believed. names: address in lower case -> node."""
    wanted = dict.fromkeys((step.note.rpartition(" by ")[2], step.hash) for step in steps if step.step == "validated" and step.hash)
    found: list[Evidence] = []
    for address, digest in wanted:
        by = names.get(address.lower(), address)
        node = env.nodes.get(by)
        if not isinstance(node, ValidatorNode):
            found.append(Evidence(by=by, hash=digest, why="it is kept by a validator that is not of this environment"))
            continue
        url = f"http://{from_here(env, node.host)}:{node.port}/evidence/{session}/{task}"
        found.append(await _asked(http, url, by, digest))
    return found


async def _asked(http: HttpClient, url: str, by: str, digest: str) -> Evidence:
    try:
        reply = await http.request("GET", url, timeout_s=TIMEOUT_S, body_max_mib=4)
        kept = msgspec.json.decode(reply.body, type=_Told).evidence if reply.status == 200 else []
    except HttpFailure as error:
        return Evidence(by=by, hash=digest, why=error.what)
    except msgspec.DecodeError:
        return Evidence(by=by, hash=digest, why="it answered with something else")
    for one in kept:
        if one.hash == digest and keccak_hex(bytes(one.evidence)) == digest:
            return Evidence(by=by, hash=digest, evidence=msgspec.json.decode(one.evidence, type=dict[str, Any]))
    return Evidence(by=by, hash=digest, why="it does not have it any more")


def lines(told: Evidence, names: Mapping[str, str]) -> Iterator[str]:
    """For people: which comparison gave which number against which threshold, then what a judge said."""
    if told.evidence is None:
        yield f"evidence of {told.by}, {told.hash[:12]}…: {told.why}"
        return
    yield f"evidence of {told.by}, {told.hash[:12]}…"
    body, limits = told.evidence, told.evidence["policy"]
    for one, other, numbers in body["pairs"]:
        sign = ">=" if numbers["score"] >= limits["similarity_min"] else "<"
        seen = [f"{name} {_share(numbers[name])} (min {_share(limits[key])})" for name, key in MEASURES if name in numbers]
        differing = f", numbers differ: {', '.join(numbers['numbers'])}" if numbers.get("numbers") else ""
        head = f"{_name(one, names)} beside {_name(other, names)}: {_share(numbers['score'])} {sign} {_share(limits['similarity_min'])}"
        yield f"  {head} by {numbers['by']}; {', '.join(seen)}{differing}"
    for miner, what, value, limit in body["findings"]:
        yield f"  {_name(miner, names)}: {what}, {value} against {limit}"
    for miner, verdict, confidence, reasons in body.get("readings", ()):
        yield f"  {_name(miner, names)}: {body['judge']} says {verdict} {_share(confidence)}: {_plain('; '.join(reasons))}"


def _name(miner: str, names: Mapping[str, str]) -> str:
    return names.get(miner.lower(), miner)


def _share(value: int) -> str:
    return "1.00" if value >= 1000 else f".{value // 10:02d}"


def _plain(text: str) -> str:
    """A judge is a stranger too: nothing in its words moves a cursor."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
