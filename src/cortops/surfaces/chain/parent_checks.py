"""Is what the chain leaves on its parent well: batches, messages, assertions, the bridge, the gas token, and the parent itself. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cortops.environment.chain_parts import GAS_TOKEN, has, parent_modules
from cortops.environment.declared import Environment
from cortops.environment.graph import parent_entity
from cortops.environment.model import DEPLOY, Network
from cortops.surfaces.chain import asks
from cortops.surfaces.chain.checks_of import of
from cortops.surfaces.chain.orbit_addresses import parent_addresses
from cortops.surfaces.chain.reading import Reading, address_of
from cortops.surfaces.chain.wallet_checks import gas_of
from cortops.surfaces.nodes.sight import clock_text, span
from cortops.surfaces.readings import bad, inconclusive, json_of, number_of, ok, reply_of
from cortops.surfaces.site import Site
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Reply

Event = Mapping[str, Any]
CHAIN_HEAD = "chain:head"


def checks(env: Environment, site: Site) -> Iterator[Check]:
    """Of the parts that are declared; none where the parent cannot be asked."""
    network = env.network
    if not has(network, "parent"):
        return
    yield from _parent(env)
    posters = asks.poster_addresses(env, site)
    valid = tuple(f"parent:poster:{at}" for at in range(len(posters)))
    batches = (asks.PARENT_EVENTS, "parent:reported", CHAIN_HEAD)
    yield from of(env, "batch-poster", "age and backlog", batches, _batches(network.batch_poster.age_max_s))
    yield from of(env, "batch-poster", "allowed", (*valid, "orbit:posters"), _allowed(posters))
    if posters:
        judge = gas_of(asks.POSTER_GAS, posters, network.limits.gas_days_min)
        yield from of(env, "batch-poster", "gas", (asks.POSTER_GAS,), judge, makes="degraded")
    delayed = ("parent:delayed", "parent:read", "parent:variation", asks.PARENT_EVENTS)
    yield from of(env, "delayed-inbox", "taken over", delayed, _delayed(network.bridge.delayed_max_s))
    rollup = ("parent:paused", "parent:confirmed", "parent:stakers", asks.PARENT_EVENTS, CHAIN_HEAD)
    yield from of(env, "assertions", "made and confirmed", rollup, _assertions(network))
    addresses = parent_addresses(env, site)
    bridge = (asks.PARENT_EVENTS, *(("parent:inbox-paused",) if "inbox" in addresses else ()))
    yield from of(env, "bridge", "open", bridge, _bridge)
    token = addresses.get(GAS_TOKEN, "")
    of_token = ("parent:token", *(("parent:decimals", "parent:holds") if token else ()))
    yield from of(env, GAS_TOKEN, "as declared", of_token, _token(network, token))


def _parent(env: Environment) -> Iterator[Check]:
    entity, network = parent_entity(env), env.network
    owner = env.owner_of(entity)
    assert network.parent is not None
    if network.parent.chain_id is not None:
        judge = _parent_id(network.parent.chain_id)
        yield Check(entity=entity, name="parent's id", asks=(asks.PARENT_ID,), judge=judge, owner=owner)
    age = _parent_head(network.parent.head_age_max_s)
    yield Check(entity=entity, name="parent's head age", asks=(asks.PARENT_HEAD,), judge=age, owner=owner)
    for name in parent_modules(network):
        contract, asked = Entity("contract", name), f"code:parent:{name}"
        yield Check(entity=contract, name="code", asks=(asked,), judge=_code(asked), owner=env.owner_of(contract), runbook="contracts")


def _parent_id(declared: int) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, asks.PARENT_ID)
        if isinstance(answer, Verdict):
            return answer
        found = number_of(answer.text.strip('"'))
        if answer.status != 0 or found is None:
            return inconclusive(f"its id could not be read: {answer.text[:80]}")
        return ok(f"chain {found}") if found == declared else bad(f"says it is chain {found}, declared is {declared}")

    return judge


def _parent_head(age_max_s: int) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, asks.PARENT_HEAD)
        if isinstance(answer, Verdict):
            return answer
        head = json_of(answer)
        number, made_at = number_of(head.get("number")), number_of(head.get("timestamp"))
        if number is None or made_at is None:
            return inconclusive(f"the head could not be read: {answer.text[:80]}")
        return (ok if now - made_at <= age_max_s else bad)(f"block {number:,}, {span(now - made_at)} old")

    return judge


def _code(asked: str) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        reading = Reading(replies=replies, who="the parent")
        answer = reading.answer(asked)
        if answer is None:
            return inconclusive(reading.unsure)
        size = len(answer.text.strip('"')) // 2 - 1
        return ok(f"there is code at its address ({size:,} bytes)") if size > 0 else bad("no code at its address")

    return judge


def _events(reading: Reading) -> tuple[Mapping[str, Sequence[Event]], float | None]:
    """Topic -> events, oldest first, and since when they were looked for."""
    body = reading.body(asks.PARENT_EVENTS, "the parent's events")
    return (body.get("events") or {}), body.get("from_at")


def _batches(age_max_s: int) -> Judge:
    """Red only while something waits: an idle chain posts nothing and is well."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        reading, chain = Reading(replies=replies, who="the parent"), Reading(replies=replies)
        events, from_at = _events(reading)
        reported = reading.word("parent:reported", "how many messages were posted")
        head = number_of(chain.body(CHAIN_HEAD, "the head").get("number"))
        if (told := reading.verdict or chain.verdict) is not None:
            return told
        if head is None:
            return inconclusive("the chain's head could not be read, so what waits is not known")
        waits = max(0, head + 1 - reported)
        last = next((event["at"] for event in reversed(events[asks.BATCH]) if event["at"] is not None), None)
        if last is None:
            seen = f"no batch since {clock_text(from_at, now)} UTC, as far as was looked" if from_at is not None else "no batch seen"
            long = from_at is not None and now - from_at > age_max_s
            return (
                bad(f"{seen}; {waits:,} blocks wait") if waits and long else inconclusive(seen) if waits else ok(f"{seen}; nothing waits")
            )
        age_s = now - last
        if waits and age_s > age_max_s:
            return bad(f"no batch since {clock_text(last, now)} UTC ({span(age_s)}); {waits:,} blocks wait")
        return ok(f"last batch {span(age_s)} ago, {waits:,} blocks wait" if waits else f"last batch {span(age_s)} ago, nothing waits")

    return judge


def _allowed(posters: tuple[str, ...]) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        reading, chain = Reading(replies=replies, who="the parent"), Reading(replies=replies)
        flags = [reading.word(f"parent:poster:{at}", "who may post") for at in range(len(posters))]
        if (told := reading.verdict) is not None:
            return told
        refused = [poster for poster, flag in zip(posters, flags, strict=True) if not flag]
        if refused and len(refused) == len(posters):
            return bad(f"the sequencer inbox does not let {refused[0]} post, nor any other that is known")
        if posters:
            rest = f"; {', '.join(refused)} may not" if refused else ""
            return ok(f"{len(posters) - len(refused)} of {len(posters)} may post{rest}")
        named = chain.addresses("orbit:posters", "its batch posters")
        if (told := chain.verdict) is not None:
            return told
        return ok(f"the chain names {len(named)}; network.batch_poster.addresses lets their rights and gas be looked at")

    return judge


def _delayed(wait_max_s: int) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        reading = Reading(replies=replies, who="the parent")
        delivered = reading.word("parent:delayed", "how many messages came")
        taken = reading.word("parent:read", "how many were taken over")
        if (told := reading.verdict) is not None:
            return told
        if delivered <= taken:
            return ok(f"no message from the parent waits ({delivered:,} taken over)")
        events, from_at = _events(reading)
        if (told := reading.verdict) is not None:
            return told
        count = delivered - taken
        waiting = "1 message from the parent waits" if count == 1 else f"{count:,} messages from the parent wait"
        known = [event for event in events[asks.DELIVERED] if event["at"] is not None and int(event["topics"][1], 16) >= taken]
        if not known and from_at is None:
            return inconclusive(f"{waiting}; since when is not known")
        is_first = bool(known) and int(known[0]["topics"][1], 16) == taken  # else it is older than all that were kept
        age_s = now - float(known[0]["at"] if known else from_at or 0)
        told_s = f"{waiting}, the first for {'' if is_first else 'more than '}{span(age_s)}"
        if age_s <= wait_max_s:
            return ok(told_s) if is_first else inconclusive(told_s)
        force = Reading(replies=replies, who="the parent").words("parent:variation", "the time variation", 4)[2]
        return bad(f"{told_s}{f'; after {span(force)} anybody may force them in' if force else ''}")

    return judge


def _assertions(network: Network) -> Judge:
    """BoLD's events where there are any, else those of older rollups."""
    limits = network.assertions

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        reading = Reading(replies=replies, who="the parent")
        paused = reading.word("parent:paused", "whether the rollup is paused")
        if not reading.verdict and paused:
            return bad("the rollup is paused: nothing is asserted or confirmed")
        events, from_at = _events(reading)
        reading.word("parent:confirmed", "the latest confirmed assertion")
        if (told := reading.verdict) is not None:
            return told
        bold = bool(events[asks.CREATED] or events[asks.CONFIRMED]) or not (events[asks.NODE_CREATED] or events[asks.NODE_CONFIRMED])
        made = _last(events[asks.CREATED if bold else asks.NODE_CREATED])
        confirmed = _last(events[asks.CONFIRMED if bold else asks.NODE_CONFIRMED])
        word = "assertion" if bold else "node"
        moved_at = number_of(Reading(replies=replies).body(CHAIN_HEAD, "the head").get("timestamp"))
        idle = made is not None and moved_at is not None and moved_at <= made
        for what, last, limit in (("made", made, limits.created_max_s), ("confirmed", confirmed, limits.confirmed_max_s)):
            since = last if last is not None else from_at
            if since is not None and now - since > limit and not idle:
                return bad(f"no {word} {what} since {clock_text(since, now)} UTC ({span(now - since)}), {_stakers(replies)}")
        if made is None:
            return inconclusive(f"no {word} seen in the blocks that were looked at")
        sealed = f"confirmed {span(now - confirmed)} ago" if confirmed is not None else "none confirmed in the blocks that were looked at"
        return ok(f"last {word} {span(now - made)} ago, {sealed}, {_stakers(replies)}")

    return judge


def _last(events: Sequence[Event]) -> float | None:
    return next((event["at"] for event in reversed(events) if event["at"] is not None), None)


def _stakers(replies: Mapping[str, Reply]) -> str:
    reading = Reading(replies=replies)
    count = reading.word("parent:stakers", "the stakers")
    return f"{count} stakers" if reading.verdict is None and count != 1 else "1 staker" if count == 1 else "stakers not known"


def _bridge(replies: Mapping[str, Reply], now: float) -> Verdict:
    reading = Reading(replies=replies, who="the parent")
    if "parent:inbox-paused" in replies and not reading.reverts("parent:inbox-paused"):
        paused = reading.word("parent:inbox-paused", "whether the inbox is paused")
        if reading.verdict is None and paused:
            return bad("the inbox is paused: nothing can be deposited")
    events, from_at = _events(reading)
    if (told := reading.verdict) is not None:
        return told
    last = _last(events[asks.DELIVERED])
    if last is not None:
        return ok(f"open; last message to the chain {span(now - last)} ago")
    return ok(f"open; no message to the chain since {clock_text(from_at, now)} UTC" if from_at is not None else "open")


def _token(network: Network, declared: str) -> Judge:
    token = network.gas_token
    symbol, decimals = (token.symbol or "gas token", token.decimals) if token is not None else ("gas token", 18)
    deployed = token is not None and token.address == DEPLOY

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        reading = Reading(replies=replies, who="the parent")
        if reading.reverts("parent:token"):
            return bad(f"the bridge takes ETH, declared is {symbol}")
        native = address_of(reading.word("parent:token", "its token"))
        if (told := reading.verdict) is not None:
            return told
        if declared and native != declared.lower():
            return bad(f"the bridge takes the token {native}, {'ours' if deployed else 'declared'} is {declared}")
        if not declared:
            return ok(f"{symbol}: the bridge takes the token {native}")
        found = reading.word("parent:decimals", "the token's decimals")
        held = reading.word("parent:holds", "what the bridge holds")
        if (told := reading.verdict) is not None:
            return told
        if found != decimals:
            return bad(f"the token has {found} decimals, declared are {decimals}: amounts would be read wrong")
        return ok(f"{symbol}: the bridge holds {held / 10**decimals:,.6g}")

    return judge
