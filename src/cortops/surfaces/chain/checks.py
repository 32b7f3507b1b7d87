"""Does the chain move, with the id and the code that were declared, does its runtime name the contracts, and are its sessions open?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from cortops.contracts.abi import static_call
from cortops.contracts.artifact import load
from cortops.contracts.calls import MODULES
from cortops.contracts.keccak import checksummed
from cortops.environment.declared import Environment
from cortops.environment.graph import rpc_entity
from cortops.surfaces.chain import asks, child_checks, network_tasks, parent_checks, pool_checks, wallet_checks
from cortops.surfaces.chain.addresses import ARTIFACTS, contract_addresses, rpc_url
from cortops.surfaces.readings import answered_by_chain, bad, inconclusive, json_of, number_of, ok, reply_of
from cortops.surfaces.site import Site
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Question, Reply, Rpc

CHAIN_ID, HEAD = "chain:id", "chain:head"

_WORD = re.compile("0x0{24}[0-9a-f]{40}")
_GETTERS = {artifact.replace("_", "-"): f"get{module}Address()" for module, artifact in MODULES.items()}  # of the runtime, by contract


def questions(env: Environment, site: Site) -> Iterator[Question]:
    url = rpc_url(env)
    yield Rpc(id=CHAIN_ID, url=url, method="eth_chainId", timeout_s=3)
    yield Rpc(id=HEAD, url=url, method="eth_getBlockByNumber", params=("latest", False), timeout_s=3)
    addresses = contract_addresses(env, site)
    for name in env.network.contracts.places():
        yield Rpc(id=f"code:{name}", url=url, method="eth_getCode", params=(getattr(addresses, ARTIFACTS[name]), "latest"), timeout_s=3)
    for name, address in network_tasks.addresses(env, site).items():
        yield Rpc(id=f"code:{name}", url=url, method="eth_getCode", params=(address, "latest"), timeout_s=3)
    for name, getter in _GETTERS.items() if env.takes_part else ():
        call = {"to": addresses.runtime, "data": static_call(load("runtime"), getter)}
        yield Rpc(id=f"link:{name}", url=url, method="eth_call", params=(call, "latest"), timeout_s=3)
    for sid in env.network.sessions:
        call = {"to": addresses.session, "data": static_call(load("session"), "isSessionActive(uint256)", sid)}
        yield Rpc(id=f"session:{sid}", url=url, method="eth_call", params=(call, "latest"), timeout_s=3)
    yield from asks.questions(env, site)


def checks(env: Environment, site: Site) -> Iterator[Check]:
    rpc = rpc_entity(env)
    owner = env.owner_of(rpc)
    yield Check(entity=rpc, name="chain id", asks=(CHAIN_ID,), judge=_chain_id(env.network.chain_id), owner=owner, runbook="dashboard")
    yield Check(entity=rpc, name="head age", asks=(HEAD,), judge=_head_age(env.network.limits.head_age_max_s), owner=owner)
    for name in env.network.contracts.places():
        asked, code = f"code:{name}", load(ARTIFACTS[name]).runtime_code if env.takes_part else ""
        yield Check(entity=Entity("contract", name), name="code", asks=(asked,), judge=_code(asked, code), owner=owner, runbook="contracts")
    for name in network_tasks.addresses(env, site):
        judge = _code(f"code:{name}", load(network_tasks.ARTIFACT_OF[name]).runtime_code)
        yield Check(entity=Entity("contract", name), name="code", asks=(f"code:{name}",), judge=judge, owner=owner, runbook="contracts")
    addresses = contract_addresses(env, site)
    for name in _GETTERS if env.takes_part else ():
        asked, judge = f"link:{name}", _linked(f"link:{name}", getattr(addresses, ARTIFACTS[name]))
        yield Check(entity=Entity("contract", name), name="linked", asks=(asked,), judge=judge, owner=owner, runbook="contracts")
    for sid in env.network.sessions:
        asked = f"session:{sid}"
        yield Check(entity=Entity("session", str(sid)), name="active", asks=(asked,), judge=_active(asked), owner=owner, runbook="miner")
    yield from pool_checks.checks(env)
    yield from child_checks.checks(env, site)
    yield from parent_checks.checks(env, site)
    yield from wallet_checks.checks(env, site)


def _chain_id(declared: int) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, CHAIN_ID)
        if isinstance(answer, Verdict):
            return answer
        found = number_of(answer.text.strip('"'))
        if found is None:
            return inconclusive(f"its id could not be read: {answer.text[:80]}")
        return ok(f"chain {declared}") if found == declared else bad(f"says it is chain {found}, declared is {declared}")

    return judge


def _head_age(age_max_s: float) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, HEAD)
        if isinstance(answer, Verdict):
            return answer
        head = json_of(answer)
        made_at, number = number_of(head.get("timestamp")), number_of(head.get("number"))
        if made_at is None or number is None:
            return inconclusive(f"the head could not be read: {answer.text[:80]}")
        age_s = now - made_at
        return (ok if age_s <= age_max_s else bad)(f"block {number}, {max(age_s, 0):.0f} s old")

    return judge


def _code(asked: str, runtime_code: str) -> Judge:
    """Is there the code expected? Of contracts of others (`runtime_code` empty): is there any?"""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = answered_by_chain(replies, asked)
        if isinstance(answer, Verdict):
            return answer
        found = answer.text.strip('"')
        if found == runtime_code:
            return ok("code on chain is the artifact's")
        if not runtime_code and answer.status == 0 and found not in ("", "0x"):
            return ok(f"there is code at its address ({len(found) // 2 - 1:,} bytes)")
        return bad("no code at its address" if found == "0x" else "code on chain differs from the artifact")

    return judge


def _linked(asked: str, declared: str) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = answered_by_chain(replies, asked)
        if isinstance(answer, Verdict):
            return answer
        found = answer.text.strip('"')
        if answer.status != 0 or not _WORD.fullmatch(found):
            return bad(f"the runtime contract does not answer for it: {answer.text[:120] or 'nothing'}")
        address = checksummed("0x" + found[-40:])
        if address == checksummed(declared):
            return ok("the runtime names it")
        return bad(f"the runtime names {address} in its place" if int(found, 16) else "the runtime names none")

    return judge


def _active(asked: str) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = answered_by_chain(replies, asked)
        if isinstance(answer, Verdict):
            return answer
        if answer.status != 0:
            return bad(f"the session contract refuses to answer: {answer.text[:120]}")
        return ok("active on chain") if answer.text.strip('"').endswith("1") else bad("not active on chain")

    return judge
