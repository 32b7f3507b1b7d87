"""Are the RPCs of a chain well beside each other: id, lag, fork and latency, each against those that do not depend on it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cortops.environment.chain_parts import FALLBACK, has
from cortops.environment.declared import Environment
from cortops.environment.graph import parent_entity, rpc_entity
from cortops.surfaces.chain.addresses import rpc_url
from cortops.surfaces.chain.asks import HEADS, PARENT_HEADS
from cortops.surfaces.chain.orbit_addresses import parent_url
from cortops.surfaces.chain.reading import Reading
from cortops.surfaces.nodes.blocks import place_of
from cortops.surfaces.readings import bad, inconclusive, ok
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Reply, Silence

_SPEAKS_OF_IT = (Silence.REFUSED, Silence.RESET, Silence.UNTRUSTED, Silence.TIMEOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One RPC as it was seen. why: it said nothing usable; silence: of what kind; then the rest is 0."""

    url: str
    why: str = ""
    silence: str = ""
    chain_id: int = 0
    number: int = 0
    latency_s: float = 0.0
    hash: str = ""


def checks(env: Environment) -> Iterator[Check]:
    """Of the chain's RPC and its fallbacks, and of the parent's: none where nothing is there to compare with."""
    network = env.network
    if has(network, "rpc-pool"):
        url, main = rpc_url(env), rpc_entity(env)
        yield from _beside(env, HEADS, main, url, network.chain_id)
        for at, other in enumerate(network.fallbacks, 1):
            entity = Entity("rpc", f"{FALLBACK}{at}")
            judge = _answers(HEADS, other, network.chain_id)
            yield Check(entity=entity, name="answers", asks=(HEADS,), judge=judge, owner=env.owner_of(entity), severity="ticket")
            yield from _beside(env, HEADS, entity, other, network.chain_id)
    if has(network, "parent") and network.parent is not None and network.parent.references:
        its_id = network.parent.chain_id
        yield from _beside(env, PARENT_HEADS, parent_entity(env), parent_url(env), its_id)


def _beside(env: Environment, asked: str, entity: Entity, url: str, chain_id: int | None) -> Iterator[Check]:
    owner, limits = env.owner_of(entity), env.network.limits
    lag_max, latency_max_ms = limits.lag_max_blocks, limits.latency_max_ms
    for name, judge, makes in (
        ("lag", _lag(asked, url, lag_max, chain_id), "degraded"),
        ("fork", _fork(asked, url, chain_id), "down"),
        ("latency", _latency(asked, url, latency_max_ms / 1000), "degraded"),
    ):
        yield Check(entity=entity, name=name, asks=(asked,), judge=judge, owner=owner, severity="ticket", makes=makes)


def _seen(replies: Mapping[str, Reply], asked: str) -> tuple[list[Endpoint], int | None, Verdict | None]:
    """All endpoints, the block whose hashes were compared, and why nothing can be told."""
    reading = Reading(replies=replies)
    body = reading.body(asked, "the RPCs")
    rows: list[dict[str, Any]] = body.get("endpoints") or []
    names = Endpoint.__slots__
    return [Endpoint(**{key: row[key] for key in names if key in row}) for row in rows], body.get("at_block"), reading.verdict


def _answers(asked: str, url: str, chain_id: int) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        seen, _, told = _seen(replies, asked)
        own = next((one for one in seen if one.url == url), None)
        if told is not None or own is None:
            return told or inconclusive("was not asked")
        if own.why:
            return bad(own.why) if own.silence in _SPEAKS_OF_IT else inconclusive(own.why)
        return ok(f"chain {chain_id}") if own.chain_id == chain_id else bad(f"serves chain {own.chain_id}, not {chain_id}")

    return judge


def _against(replies: Mapping[str, Reply], asked: str, url: str, chain_id: int | None) -> tuple[Endpoint, list[Endpoint]] | Verdict:
    """An endpoint and those to compare it with: of the same chain, and not of the same place."""
    seen, _, told = _seen(replies, asked)
    own = next((one for one in seen if one.url == url), None)
    if told is not None or own is None:
        return told or inconclusive("was not asked")
    if own.why:
        return inconclusive(own.why)
    meant = chain_id if chain_id is not None else own.chain_id
    others = [one for one in seen if not one.why and one.chain_id == meant and place_of(one.url) != place_of(url)]
    if own.chain_id != meant:
        return inconclusive(f"serves chain {own.chain_id}, so it cannot be compared")
    return (own, others) if others else inconclusive("no other RPC answers to compare it with")


def _lag(asked: str, url: str, lag_max: int, chain_id: int | None) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        found = _against(replies, asked, url, chain_id)
        if isinstance(found, Verdict):
            return found
        own, others = found
        best = max(others, key=lambda one: one.number)
        behind = max(0, best.number - own.number)
        if behind > lag_max:
            return bad(f"{behind:,} blocks behind {place_of(best.url)}")
        place = f"{behind} behind" if behind else "level with"
        return ok(f"block {own.number:,}, {place} {len(others)} other{'s' if len(others) > 1 else ''}")

    return judge


def _fork(asked: str, url: str, chain_id: int | None) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        found = _against(replies, asked, url, chain_id)
        if isinstance(found, Verdict):
            return found
        own, others = found
        _, at_block, _ = _seen(replies, asked)
        known = Counter(one.hash for one in others if one.hash)
        if not own.hash or not known:
            return inconclusive(f"nobody told the hash of block {at_block} to compare")
        hash_, count = known.most_common(1)[0]
        if known[own.hash] >= count:
            return ok(f"block {at_block:,} is the same at {known[own.hash]} of {len(others)}")
        whose = place_of(next(one.url for one in others if one.hash == hash_))
        which = "one of the two is on a fork" if len(others) == 1 else f"{count} of {len(others)} others agree with that one"
        return bad(f"block {at_block:,} is {own.hash[:10]}…, at {whose} {hash_[:10]}…: {which}")

    return judge


def _latency(asked: str, url: str, latency_max_s: float) -> Judge:
    """Slow is bad where another one is not: where all are, it may be our own line."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        seen, _, told = _seen(replies, asked)
        own = next((one for one in seen if one.url == url), None)
        if told is not None or own is None or own.why:
            return told or inconclusive(own.why if own is not None else "was not asked")
        others = [one.latency_s for one in seen if not one.why and place_of(one.url) != place_of(url)]
        text = f"{own.latency_s * 1000:,.0f} ms" + (f", the fastest other {min(others) * 1000:,.0f} ms" if others else "")
        if own.latency_s <= latency_max_s:
            return ok(text)
        if others and min(others) <= latency_max_s:
            return bad(text)
        return inconclusive(f"{text}: as slow as all others, perhaps our own line")

    return judge
