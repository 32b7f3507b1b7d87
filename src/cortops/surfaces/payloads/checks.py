"""Are the payloads well: storage, seeds, the list in file, router and chain, and a canary that goes there and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cortops.contracts.artifact import PRIVACY, load
from cortops.contracts.privacy import list_hash, read_hash
from cortops.environment.declared import Environment
from cortops.environment.model import RouterNode
from cortops.environment.payloads import Payloads
from cortops.environment.private import private_routers, private_sessions
from cortops.surfaces.chain.addresses import rpc_url
from cortops.surfaces.payloads.render import ALLOWLIST_ENTITY, allowed_addresses, contract_address
from cortops.surfaces.reach import from_here
from cortops.surfaces.readings import answered_by_chain, bad, inconclusive, json_of, ok, reply_of
from cortops.surfaces.site import Site
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Http, JSONValue, Question, Reply, Rpc

RUNBOOK = "payloads"
CODE = "payloads:code"
CANARY_AGE_MAX_S = 120.0  # a router sends one every 30 s

_CURES = {
    "payload_credential_refused": "renew the storage's credential",
    "payload_storage_unreachable": "the storage does not answer",
    "payload_missing": "the storage loses what it was given",
    "payload_altered": "the storage gives back other bytes than it was given",
    "payload_too_large": "payloads.object_max_mib is too small for any payload",
}


def questions(env: Environment, site: Site) -> Iterator[Question]:
    for name in private_routers(env):
        node = env.nodes[name]
        assert isinstance(node, RouterNode)
        yield Http(id=_asked(name), url=f"http://{from_here(env, node.host)}:{node.port}/health/payloads", timeout_s=3)
    if contract := contract_address(env, site):
        url = rpc_url(env)
        yield Rpc(id=CODE, url=url, method="eth_getCode", params=(contract, "latest"), timeout_s=3)
        for sid in private_sessions(env):
            call = {"to": contract, "data": read_hash(sid)}
            yield Rpc(id=_listed(sid), url=url, method="eth_call", params=(call, "latest"), timeout_s=3)


def checks(env: Environment, site: Site) -> Iterator[Check]:
    payloads, routers = env.payloads, private_routers(env)
    if payloads is None:
        return
    for name, sessions in routers.items():
        entity, asked = Entity(Payloads.NAME, name), _asked(name)
        owner = env.owner_of(entity)
        yield Check(entity=entity, name="canary", asks=(asked,), judge=_canary(asked), owner=owner, runbook=RUNBOOK)
        others = tuple(_asked(other) for other in routers if other != name)
        seeds = _seeds(asked, others, payloads.version, frozenset(payloads.seeds))
        yield Check(entity=entity, name="seeds", asks=(asked, *others), judge=seeds, owner=owner, runbook=RUNBOOK)
        expected = {str(sid): list_hash(allowed_addresses(env, site, sid)) for sid in sessions}
        told = _told(asked, payloads.allowlist, expected)
        yield Check(entity=entity, name="allowlist", asks=(asked,), judge=told, owner=owner, runbook=RUNBOOK)
    if not contract_address(env, site):
        return
    owner = env.owner_of(ALLOWLIST_ENTITY)
    yield Check(entity=ALLOWLIST_ENTITY, name="code", asks=(CODE,), judge=_code(), owner=owner, runbook=RUNBOOK)
    for sid in private_sessions(env):
        judge = _on_chain(_listed(sid), list_hash(allowed_addresses(env, site, sid)))
        yield Check(entity=ALLOWLIST_ENTITY, name=f"session {sid}", asks=(_listed(sid),), judge=judge, owner=owner, runbook=RUNBOOK)


def _asked(router: str) -> str:
    return f"payloads:{router}"


def _listed(sid: int) -> str:
    return f"payloads:list:{sid}"


def _answer(replies: Mapping[str, Reply], asked: str) -> dict[str, JSONValue] | Verdict:
    """What the router says of its payloads."""
    answer = reply_of(replies, asked)
    if isinstance(answer, Verdict):
        return answer
    if answer.status == 404:
        return bad("the router runs without private sessions: its env file is not the declared one")
    told = json_of(answer)
    return told if answer.status == 200 and told else inconclusive(f"answers HTTP {answer.status} without what was asked")


def _canary(asked: str) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        told = _answer(replies, asked)
        if isinstance(told, Verdict):
            return told
        canary = told.get("canary")
        if not isinstance(canary, Mapping):
            return inconclusive("no canary has gone to the storage yet")
        at, code = canary.get("at"), str(canary.get("code", ""))
        if not isinstance(at, int | float):
            return inconclusive("the canary's time could not be read")
        if now - at > CANARY_AGE_MAX_S:
            return bad(f"the last canary is {now - at:.0f} s old")
        if code:
            return bad(f"{code}: {_CURES.get(code, str(canary.get('what', ''))[:120])}")
        swept = str(told.get("sweep_failed") or "")
        if swept:
            return bad(f"objects past their days are not deleted: {swept}")
        return ok(f"sealed, stored, read and opened in {canary.get('took_ms')} ms ({told.get('storage')})")

    return judge


def _seeds(asked: str, others: tuple[str, ...], version: int, versions: frozenset[int]) -> Judge:
    """The declared versions are there, and each is the same seed at every router that could be asked."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        told = _answer(replies, asked)
        if isinstance(told, Verdict):
            return told
        held = _fingerprints(told)
        if told.get("seed_version") != version:
            return bad(f"seals with version {told.get('seed_version')} of the seed, declared is {version}")
        if missing := sorted(versions - {int(one) for one in held if one.isdecimal()}):
            return bad(f"has no seed of version {missing[0]}: older payloads do not open")
        for other in others:
            its = _answer(replies, other)
            if isinstance(its, Verdict):
                continue
            differing = [one for one, found in _fingerprints(its).items() if held.get(one, found) != found]
            if differing:
                one = other.partition(":")[2]
                return bad(f"has another seed of version {differing[0]} than {one}: neither opens what the other sealed")
        return ok(f"version {version}, {len(held)} held")

    return judge


def _fingerprints(told: Mapping[str, JSONValue]) -> Mapping[str, JSONValue]:
    found = told.get("seed_fingerprints")
    return found if isinstance(found, Mapping) else {}


def _told(asked: str, declared: str, expected: Mapping[str, str]) -> Judge:
    """The router goes by the declared kind of list, and by the same sessions and addresses."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        told = _answer(replies, asked)
        if isinstance(told, Verdict):
            return told
        if told.get("sessions") != [int(sid) for sid in expected]:
            return bad(f"keeps sessions {told.get('sessions')} private, declared are {', '.join(expected)}")
        if told.get("allowlist") != declared:
            return bad(f"goes by the {told.get('allowlist')}, declared is the {declared}")
        hashes = told.get("allowlist_hashes")
        if declared == "list":
            held = hashes if isinstance(hashes, Mapping) else {}
            differing = [sid for sid, digest in expected.items() if held.get(sid) != digest]
            if differing:
                return bad(f"its list for session {differing[0]} is not the declared one")
        return ok(f"the {declared} decides for {len(expected)} private session{'s' if len(expected) > 1 else ''}")

    return judge


def _code() -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = answered_by_chain(replies, CODE)
        if isinstance(answer, Verdict):
            return answer
        found = answer.text.strip('"')
        if found == load(PRIVACY).runtime_code:
            return ok("code on chain is the artifact's")
        return bad("no code at its address" if found == "0x" else "code on chain differs from the artifact")

    return judge


def _on_chain(asked: str, expected: str) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = answered_by_chain(replies, asked)
        if isinstance(answer, Verdict):
            return answer
        found = answer.text.strip('"')
        if answer.status != 0 or len(found) != 66:
            return bad(f"the contract does not answer: {answer.text[:120] or 'nothing'}")
        return ok("the chain has the declared list") if found == expected else bad("the list on chain is not the declared one")

    return judge
