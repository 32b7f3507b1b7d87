"""Is the chain itself well, as one that settles on another: its ids, ArbOS, fees, sequencer, feed, tickets and owners. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from cortops.environment.declared import Environment
from cortops.environment.graph import rpc_entity
from cortops.environment.model import DEPLOY, Network
from cortops.surfaces.chain import asks
from cortops.surfaces.chain.checks_of import of
from cortops.surfaces.chain.reading import Reading, address_of
from cortops.surfaces.nodes.sight import clock_text, span
from cortops.surfaces.readings import bad, inconclusive, number_of, ok, reply_of
from cortops.surfaces.site import Site
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import REFUSED, Answer, NoAnswer, Reply, Silence

ARBOS_BASE = 55  # ArbSys.arbOSVersion() adds it
UPGRADE_NOTICE_S = 7 * 86_400.0
TICKET_LIFE_S = 7 * 86_400.0  # then an unredeemed ticket is lost
GWEI = 10**9
NAMED_MAX = 3
HTTP_SERVER_FAULT, HTTP_WELL = 500, 400
CHAIN_ID, CHAIN_HEAD = "chain:id", "chain:head"


def checks(env: Environment, site: Site) -> Iterator[Check]:
    """Of the parts that are declared."""
    network = env.network
    if network.parent is not None:
        ids = (CHAIN_ID, "orbit:id", "parent:chain-id") if "rollup" in network.parent.contracts.modules else (CHAIN_ID, "orbit:id")
        rpc = rpc_entity(env)
        yield Check(entity=rpc, name="chain ids", asks=ids, judge=_ids(network.chain_id, ids), owner=env.owner_of(rpc))
    yield from of(env, "arbos", "version", ("orbit:arbos", "orbit:upgrade"), _arbos, severity="ticket", makes="degraded")
    fees = (asks.GAS_PRICE, *(("orbit:gas-least", "orbit:gas-backlog", "orbit:gas-prices") if network.parent is not None else ()))
    yield from of(env, "fees", "price", fees, _fees(network), severity="ticket", makes="degraded")
    yield from of(env, "sequencer", "answers", (asks.SEQUENCER,), _sequencer(network.chain_id))
    yield from of(env, "feed", "age and gaps", (asks.FEED, CHAIN_HEAD), _feed(network))
    yield from of(
        env, "retryables", "redeemed", (asks.EVENTS,), _retryables(network.bridge.delayed_max_s), severity="ticket", makes="degraded"
    )
    owners = ("orbit:owners", *(("parent:owner",) if network.parent and "rollup" in network.parent.contracts.modules else ()))
    yield from of(env, "owners", "known", owners, _owners(network, _known_owners(env, site)), severity="ticket", makes="degraded")
    yield from of(env, "explorer", "answers", (asks.EXPLORER,), _explorer, severity="ticket", makes="degraded")


def _ids(declared: int, asked: tuple[str, ...]) -> Judge:
    """The node, the chain itself (ArbSys) and the rollup on the parent name one id."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        says: list[tuple[str, int]] = []
        reading = Reading(replies=replies)
        says.append(("eth_chainId", reading.quantity(CHAIN_ID, "its id")))
        says.append(("ArbSys", reading.word("orbit:id", "the chain's id")))
        if "parent:chain-id" in asked:
            parent = Reading(replies=replies, who="the parent")
            says.append(("the rollup", parent.word("parent:chain-id", "the chain's id")))
            reading.unsure, reading.ill = reading.unsure or parent.unsure, reading.ill or parent.ill
        others = [f"{who} {found}" for who, found in says if found not in (0, declared)]
        if others:
            return bad(f"declared is chain {declared}; {', '.join(others)}")
        return reading.verdict or ok(f"chain {declared}, by {', '.join(who for who, _ in says)}")

    return judge


def _arbos(replies: Mapping[str, Reply], now: float) -> Verdict:
    reading = Reading(replies=replies)
    version = reading.word("orbit:arbos", "the version of ArbOS") - ARBOS_BASE
    coming, at = reading.words("orbit:upgrade", "the scheduled upgrade", 2)[:2]
    if (told := reading.verdict) is not None:
        return told
    if coming <= version:
        return ok(f"ArbOS {version}, no upgrade scheduled")
    when = f"ArbOS {version}; {coming} from {clock_text(at, now)} UTC"
    if at <= now:
        return bad(f"{when}, and it is not there: nodes that do not know {coming} have stopped")
    left_s = at - now
    told_s = f"{when} (in {span(left_s)})"
    return bad(f"{told_s}: every node needs a release that knows it before") if left_s < UPGRADE_NOTICE_S else ok(told_s)


def _fees(network: Network) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        reading = Reading(replies=replies)
        price = reading.quantity(asks.GAS_PRICE, "the price of gas") / GWEI
        rest = ""
        if network.parent is not None:
            least = reading.word("orbit:gas-least", "the least price of gas") / GWEI
            backlog = reading.word("orbit:gas-backlog", "the backlog of gas")
            to_parent = reading.words("orbit:gas-prices", "the prices", 6)[1] / GWEI
            rest = f"; at least {least:g}, {to_parent:g} for a byte on the parent, backlog {backlog:,} gas"
        if (told := reading.verdict) is not None:
            return told
        text = f"{price:g} gwei{rest}"
        most = network.limits.gas_price_max_gwei
        return ok(text) if price <= most else bad(f"{text}: more than the {most:g} declared as the highest")

    return judge


def _sequencer(declared: int) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, asks.SEQUENCER)
        if isinstance(answer, Verdict):
            lost = replies.get(asks.SEQUENCER)  # an answer without JSON-RPC says that somebody is there
            return inconclusive(answer.text) if isinstance(lost, NoAnswer) and lost.silence is Silence.LOST else answer
        if answer.status == REFUSED:
            return ok("answers; it takes transactions only")
        found = number_of(answer.text.strip('"'))
        if found is None:
            return inconclusive(f"its id could not be read: {answer.text[:80]}")
        return ok(f"answers for chain {found}") if found == declared else bad(f"says it is chain {found}, declared is {declared}")

    return judge


def _feed(network: Network) -> Judge:
    feed = network.sequencer.feed if network.sequencer is not None else None
    public, age_max_s = (feed.public, feed.age_max_s) if feed is not None else (True, 0)

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, asks.FEED)
        if isinstance(answer, Verdict):
            return answer if public else inconclusive(f"the feed is private: {answer.text}")
        if answer.status != 0:
            return _refused_feed(answer.status, public=public)
        rows = Reading(replies=replies).body(asks.FEED, "the feed").get("messages") or []
        if not rows:
            return inconclusive("no message while we listened")
        newest = max(int(row[1]) for row in rows)
        missing = _missing(sorted({int(row[0]) for row in rows}))
        if missing:
            return bad(f"messages are missing: {', '.join(missing[:NAMED_MAX])}")
        age_s = now - newest
        text = f"message {max(int(row[0]) for row in rows):,}, {span(age_s)} old"
        if age_s <= age_max_s:
            return ok(text)
        head = Reading(replies=replies).body(CHAIN_HEAD, "the head")
        made_at = number_of(head.get("timestamp"))
        if made_at is None:
            return inconclusive(f"{text}; whether the chain has moved since is not known")
        return (
            bad(f"{text}, while the chain made a block {span(now - made_at)} ago")
            if made_at > newest + age_max_s
            else ok(f"{text}, as the chain's newest block")
        )

    return judge


def _refused_feed(status: int, *, public: bool) -> Verdict:
    if status >= HTTP_SERVER_FAULT and public:
        return bad(f"the feed answers {status}")
    return inconclusive(f"the feed answers {status} to us: it is private, which says nothing of the sequencer")


def _missing(numbers: Sequence[int]) -> list[str]:
    """`101 to 103` for each gap between ascending numbers."""
    gaps = [(low + 1, high - 1) for low, high in pairwise(numbers) if high - low > 1]
    return [f"{low:,}" if low == high else f"{low:,} to {high:,}" for low, high in gaps]


def _retryables(wait_max_s: int) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        reading = Reading(replies=replies)
        body = reading.body(asks.EVENTS, "the tickets")
        if (told := reading.verdict) is not None:
            return told
        events: Mapping[str, Sequence[Mapping[str, Any]]] = body["events"]
        tried = {event["topics"][1] for event in events[asks.REDEEM] if len(event["topics"]) > 1}
        since = min((event["block"] for event in events[asks.REDEEM]), default=0) if len(events[asks.REDEEM]) > 1 else 0
        tickets = [event for event in events[asks.TICKET] if len(event["topics"]) > 1]
        waiting = [one for one in tickets if one["topics"][1] not in tried and one["block"] >= since and one["at"] is not None]
        late = [one for one in waiting if now - one["at"] > wait_max_s]
        if late:
            first = late[0]
            lost = clock_text(first["at"] + TICKET_LIFE_S, now)
            count, named = "1 ticket waits" if len(late) == 1 else f"{len(late)} tickets wait", f"{first['topics'][1][:10]}…"
            return bad(f"{count} for somebody to redeem; the first, {named}, is lost at {lost} UTC")
        left = events[asks.LEFT]
        withdrawn = f"last withdrawal {span(now - left[-1]['at'])} ago" if left and left[-1]["at"] is not None else "no withdrawal seen"
        made = f"last ticket {span(now - tickets[-1]['at'])} ago" if tickets and tickets[-1]["at"] is not None else "no ticket seen"
        return ok(f"{made}, none left unredeemed; {withdrawn}")

    return judge


def _known_owners(env: Environment, site: Site) -> frozenset[str]:
    """Those declared, in lower case; the deployer where the chain is ours. None: nobody is said to be the only one."""
    parent = env.network.parent
    if parent is None:
        return frozenset()
    ours = (site.public[env.network.deployer.secret],) if parent.contracts.rollup == DEPLOY else ()
    return frozenset(owner.lower() for owner in parent.owners or ours)


def _owners(network: Network, known: frozenset[str]) -> Judge:
    has_rollup = network.parent is not None and "rollup" in network.parent.contracts.modules

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        reading = Reading(replies=replies)
        found = list(reading.addresses("orbit:owners", "the chain's owners"))
        if has_rollup:
            parent = Reading(replies=replies, who="the parent")
            found.append(address_of(parent.word("parent:owner", "the rollup's owner")))
            reading.unsure, reading.ill = reading.unsure or parent.unsure, reading.ill or parent.ill
        if (told := reading.verdict) is not None:
            return told
        strangers = [owner for owner in dict.fromkeys(found) if known and owner not in known]
        if strangers:
            return bad(f"may change the chain and is not declared: {', '.join(strangers[:NAMED_MAX])}")
        whose = f"; the rollup's is {found[-1]}" if has_rollup else ""
        count = len(found) - has_rollup
        return ok(f"{count} owner{'s' if count != 1 else ''} of the chain{whose}")

    return judge


def _explorer(replies: Mapping[str, Reply], now: float) -> Verdict:
    answer: Answer | Verdict = reply_of(replies, asks.EXPLORER)
    if isinstance(answer, Verdict):
        return answer
    if answer.status >= HTTP_SERVER_FAULT:
        return bad(f"answers {answer.status}")
    return ok(f"answers {answer.status}") if answer.status < HTTP_WELL else inconclusive(f"answers {answer.status} to us")
