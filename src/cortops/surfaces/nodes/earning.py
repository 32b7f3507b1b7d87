"""Does a node earn, and if not: is it the node, its RPC, or the network? One decision from what was seen, each cause with its evidence.

Rules, the first that applies: operators 2.3, 2.5 and stories 2, 3 and 11. What nobody could see is unknown and accuses nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from cortops.surfaces.nodes.chain_facts import NodeChain
from cortops.surfaces.nodes.gas import PAGE_DAYS, WARN_DAYS
from cortops.surfaces.nodes.sight import NetworkSeen, Seen, Window, clock_text
from cortops.words.state import State, worst

MISSED_MIN = 2  # selections in a row without a commit: one alone may be chance
TRACEBACK_HEALS_S = 240.0  # most heal themselves in this time (all community watchers)
TRACEBACK_LINES_MAX = 200  # of a log without stamps: so many lines later nothing has moved
WARM_UP_S = 240.0
WORKED_JUST_NOW_S = 900.0  # three rounds of the pool oracle: what the log complained of before is over
LOG_SILENT_S = 1_800.0
LOG_SLOP_S = 120.0  # clocks that are less far apart are not set right (network.CLOCK_OFF_S)
PRECOMMIT_SHARE_MIN, PRECOMMIT_OF_MIN = 0.6, 5  # below it a month is not paid; of fewer selections it says nothing

Verdict = Literal["me", "rpc", "network", "ok"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Earning:
    """The verdict on one node. earning: None when it cannot be told. headline: in two words. since: seconds since 1970, None = not known.

    verdict `ok` accuses nobody; whether that is because all is well or because nobody could see, state tells. evidence: ids.
    """

    state: State
    earning: bool | None
    headline: str
    verdict: Verdict
    cause: str
    since: float | None = None
    evidence: tuple[str, ...] = ()


def judge(seen: Seen, window: Window, network: NetworkSeen) -> Earning:
    """The first rule that applies, then what else wants attention."""
    for rule in _RULES:
        found = rule(seen, window, network)
        if found is not None:
            return _with_warnings(found, seen)
    raise AssertionError("the last rule always applies")


# --- rules ---


def _down(seen: Seen, window: Window, network: NetworkSeen) -> Earning | None:
    if seen.process.running is not False:
        return None
    return _red(seen, "DOWN", "me", f"its process does not run{': ' if seen.process.why else ''}{seen.process.why}", "process")


def _other_role(seen: Seen, window: Window, network: NetworkSeen) -> Earning | None:
    """Only miners are selected; of others the process and the log speak."""
    if seen.role == "miner":
        return None
    if (fault := _log_fault(seen, window.now)) is not None:
        return _red(seen, fault[0], "me", fault[1], "process", "log")
    if seen.process.running is None:
        return _unknown(seen, seen.host_why or seen.process.why or "nobody could see its process", "process")
    return _quiet(seen, "-", f"runs; a {seen.role} is not selected for work", "process")


def _network_stands(seen: Seen, window: Window, network: NetworkSeen) -> Earning | None:
    if network.moving is not False:
        return None
    return Earning(
        state=State.DEGRADED,
        earning=None,
        headline="network",
        verdict="network",
        cause=network.text,
        since=network.since,
        evidence=("network",),
    )


def _serves_user(seen: Seen, window: Window, network: NetworkSeen) -> Earning | None:
    """A node that works on a user's task lets network tasks pass: no lag."""
    if seen.chain is None or not seen.chain.missed_row or not _user_mode(seen):
        return None
    task = next((f"{sid}/{tid}" for work, sid, tid in seen.chain.open if work == "user"), "")
    if not task:
        return None
    return _quiet(seen, "user task", f"works on the user's task {task}", "chain", "log")


def _misses(seen: Seen, window: Window, network: NetworkSeen) -> Earning | None:
    """Selected at least twice since its last commit, and it committed none of them."""
    chain = seen.chain
    if chain is None or len(chain.missed_row) < MISSED_MIN:
        return None
    since = seen.at_of(chain.missed_row[0])
    started = seen.process.started_at
    missed = len(chain.missed_row)
    if started is not None:
        after = sum(seen.at_of(block) >= started for block in chain.missed_row)
        if after < MISSED_MIN and started > since:
            told = f"restarted {clock_text(started, window.now)}: missed {missed - after} selections before that, {after} since"
            return replace(_quiet(seen, "restarted", told, "process", "chain"), state=State.DEGRADED, verdict="me", since=since)
    headline = _headline(seen, chain, since)
    if seen.rpc.bad:
        return _red(seen, headline, "rpc", seen.rpc.bad, "chain", "rpc", "reference", since=since)
    cause, asked = _why_missing(seen, chain, since, window.now)
    return _red(seen, headline, "me", cause, "chain", *asked, since=since)


def _headline(seen: Seen, chain: NodeChain, since: float) -> str:
    """What it does instead of committing."""
    if chain.precommits_since:
        return "NO COMMIT"
    if seen.sent == 0 or _log_silent(seen, since):
        return "SILENT"
    steps = chain.acks + chain.precommits + chain.commits
    pings = seen.log.facts.pings if seen.log and seen.log.facts else 0
    return "PING ONLY" if pings or (seen.sent or 0) > steps else "NO COMMIT"


def _log_silent(seen: Seen, since: float) -> bool:
    """Whether its log has no word of the time since then."""
    return seen.log is not None and seen.log.modified_at is not None and seen.log.modified_at < since - LOG_SLOP_S


def _why_missing(seen: Seen, chain: NodeChain, since: float, now: float) -> tuple[str, tuple[str, ...]]:
    if seen.gas is not None and seen.gas.days == 0:
        return "its wallet is empty", ("gas",)
    if (fault := _log_fault(seen, now)) is not None:
        return fault[1], ("log",)
    if seen.host_why:
        return f"{seen.host} could not be asked why: {seen.host_why}", ("process",)
    if seen.log is not None and seen.log.modified_at is not None and _log_silent(seen, max(since, now - LOG_SILENT_S)):
        return f"it runs, and its log is silent since {clock_text(seen.log.modified_at, now)}", ("log",)
    if seen.process.running is None and seen.process.why:
        return f"its process was not seen: {seen.process.why}", ("process",)
    if (shown := _session_behind(seen)) is not None:
        return f"its log is at session {shown}, the network at {seen.latest_session}", ("log",)
    if chain.precommits_since:
        return f"precommitted {chain.precommits_since} of {len(chain.missed_row)} and committed none", ()
    if seen.rpc.why:
        return f"its RPC could not be asked: {seen.rpc.why}", ("rpc",)
    if seen.log is not None and seen.log.facts is None:
        return f"missed {len(chain.missed_row)} selections in a row; {seen.log.why or 'its log was not read'}", ("log",)
    return f"missed {len(chain.missed_row)} selections in a row; neither its log nor its RPC shows why", ("log", "rpc")


def _session_behind(seen: Seen) -> int | None:
    """The session in its log where that lags; who serves a user writes no session, and does not lag."""
    session = seen.log.facts.session if seen.log is not None and seen.log.facts is not None else None
    if session is None or seen.latest_session is None or _user_mode(seen) or session.id >= seen.latest_session:
        return None
    return session.id


def _log_complains(seen: Seen, window: Window, network: NetworkSeen) -> Earning | None:
    """The log names a fault, and no commit since says that it is over."""
    fault = _log_fault(seen, window.now)
    if fault is None:
        return None
    worked = seen.chain.last_commit_block if seen.chain is not None else 0
    if worked and window.now - seen.at_of(worked) < WORKED_JUST_NOW_S:
        return None
    since = seen.log.facts.stale_since if fault[0] == "STALE" and seen.log and seen.log.facts else None
    return _red(seen, fault[0], "me", fault[1], "log", since=since)


def _log_fault(seen: Seen, now: float) -> tuple[str, str] | None:
    """(headline, cause) of what the newest part of the log says; nothing of a process that has only just started."""
    facts = seen.log.facts if seen.log is not None else None
    started = seen.process.started_at
    if facts is None or seen.log is None or (started is not None and now - started < WARM_UP_S):
        return None
    if seen.log.modified_at is not None and started is not None and seen.log.modified_at < started:
        return None  # all of it was written before this process began
    if facts.version_mismatch:
        return "TOO OLD", f"its log says: {facts.version_mismatch}"
    if facts.ipfs_locked:
        return "IPFS LOCK", "another program holds its IPFS repository (repo.lock): a restart does not help"
    if facts.traceback_lines is not None and _is_lasting(facts.traceback_at, facts.traceback_lines, seen.log.modified_at, started, now):
        return "TRACEBACK", f"a Python traceback {facts.traceback_lines} lines before the end of its log, and nothing has moved since"
    if facts.stale:
        since = f" since {clock_text(facts.stale_since, now)}" if facts.stale_since is not None else ""
        return "STALE", f"the node pool calls it stale ({', '.join(facts.stale)}){since}: it is not selected"
    return None


def _is_lasting(at: float | None, lines: int, modified_at: float | None, started: float | None, now: float) -> bool:
    """A traceback that had the time to heal."""
    if at is not None:
        return now - at > TRACEBACK_HEALS_S and (started is None or at >= started)
    if modified_at is not None and now - modified_at > TRACEBACK_HEALS_S:
        return True
    return lines > TRACEBACK_LINES_MAX


def _chain_unknown(seen: Seen, window: Window, network: NetworkSeen) -> Earning | None:
    if seen.chain is not None:
        return None
    return _unknown(seen, seen.chain_why or "the chain could not be read", "chain")


def _not_selected(seen: Seen, window: Window, network: NetworkSeen) -> Earning | None:
    """Never red: who is not selected cannot commit."""
    assert seen.chain is not None
    if seen.chain.selected or seen.chain.commits:
        return None
    told = f"not selected in {window.text}"
    if seen.sent == 0:
        found = _quiet(seen, "not selected", f"{told}, and it sent no transaction", "chain")
        return replace(found, state=State.DEGRADED, verdict="me")
    return _quiet(seen, "not selected", told, "chain")


def _works(seen: Seen, window: Window, network: NetworkSeen) -> Earning | None:
    assert seen.chain is not None
    if not seen.chain.commits:
        missed = f", {len(seen.chain.missed_row)} missed" if seen.chain.missed_row else ""
        return _quiet(seen, "not yet", f"selected {seen.chain.selected} in {window.text}, nothing committed yet{missed}", "chain")
    return Earning(state=State.OK, earning=True, headline="yes", verdict="ok", cause="", evidence=_ids(seen, "chain"))


Rule = Callable[[Seen, Window, NetworkSeen], Earning | None]
_RULES: tuple[Rule, ...] = (
    _down,
    _other_role,
    _network_stands,
    _serves_user,
    _misses,
    _log_complains,
    _chain_unknown,
    _not_selected,
    _works,
)


# --- what else wants attention ---


def _with_warnings(found: Earning, seen: Seen) -> Earning:
    """Gas that ends soon, an RPC that is behind, a share of precommits that is not paid, a host that kept silent."""
    for state, verdict, text, asked in _warnings(seen, found):
        found = replace(
            found,
            state=worst((found.state, state)),
            verdict=verdict if found.verdict == "ok" else found.verdict,
            cause=f"{found.cause}; {text}" if found.cause else text,
            evidence=tuple(dict.fromkeys((*found.evidence, *_ids(seen, *asked)))),
        )
    return found


def _warnings(seen: Seen, found: Earning) -> list[tuple[State, Verdict, str, tuple[str, ...]]]:
    warnings: list[tuple[State, Verdict, str, tuple[str, ...]]] = []
    if seen.rpc.bad and seen.rpc.bad not in found.cause:
        warnings.append((State.DEGRADED, "rpc", seen.rpc.bad, ("rpc", "reference")))
    if seen.gas is not None and seen.gas.days is not None and seen.gas.days < WARN_DAYS:
        state = State.DOWN if seen.gas.days < PAGE_DAYS else State.DEGRADED
        if "wallet is empty" not in found.cause:
            warnings.append((state, "me", f"gas for {seen.gas.days:.1f} days" if seen.gas.days else "its wallet is empty", ("gas",)))
    chain = seen.chain
    if found.earning and chain is not None and chain.settled >= PRECOMMIT_OF_MIN:
        share = (chain.settled - chain.missed) / chain.settled
        if share < PRECOMMIT_SHARE_MIN:
            warnings.append(
                (State.DEGRADED, "me", f"committed only {chain.settled - chain.missed} of {chain.settled} selections", ("chain",))
            )
    if seen.host_why and seen.host_why not in found.cause:
        warnings.append((State.UNKNOWN, "ok", f"{seen.host} could not be asked: {seen.host_why}", ("process",)))
    return warnings


def _user_mode(seen: Seen) -> bool:
    return seen.log is not None and seen.log.facts is not None and seen.log.facts.user


def _ids(seen: Seen, *asked: str) -> tuple[str, ...]:
    """`chain` -> `chain:m07`; what is everybody's has one id."""
    return tuple(name if name in ("network", "reference") else f"{name}:{seen.node}" for name in asked)


def _red(seen: Seen, headline: str, verdict: Verdict, cause: str, *asked: str, since: float | None = None) -> Earning:
    evidence = _ids(seen, *asked)
    return Earning(state=State.DOWN, earning=False, headline=headline, verdict=verdict, cause=cause, since=since, evidence=evidence)


def _quiet(seen: Seen, headline: str, cause: str, *asked: str) -> Earning:
    return Earning(state=State.OK, earning=None, headline=headline, verdict="ok", cause=cause, evidence=_ids(seen, *asked))


def _unknown(seen: Seen, cause: str, *asked: str) -> Earning:
    return Earning(state=State.UNKNOWN, earning=None, headline="unknown", verdict="ok", cause=cause, evidence=_ids(seen, *asked))
