"""From what hosts and the chain said to what a gate and a restart must know of a node. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cortops.deploy.earning_gate import GateFacts
from cortops.deploy.safe_moment import Moment, open_rounds
from cortops.probes.chain_tail import TailSeen
from cortops.surfaces.fleet.found.running import Running
from cortops.surfaces.nodes.chain_facts import ChainEvent, count
from cortops.surfaces.nodes.network import network_of
from cortops.surfaces.nodes.sight import Window

CLOCK_SLOP_S = 2.0  # a block's time is whole seconds, and no two clocks agree


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The moment of a change. at: seconds since 1970, our clock; block: the newest one known before it.

    pid, restarts: as the manager told them at the first look after it, None before that look and where it does not count.
    """

    at: float
    block: int = 0
    pid: int | None = None
    restarts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSeen:
    """What its host said of a node. now: None when it said nothing, then why. program: whether it is the one that it was changed to."""

    now: Running | None
    why: str = ""
    program: bool | None = None


def runs(now: Running | None) -> bool | None:
    """Whether a process is there; None when nobody could see, and while people are stopping it: whoever restarts it does that first."""
    if now is None or (now.state == "stopped" and "deactivating" in now.text):
        return None
    return {"running": True, "stopped": False}.get(now.state)


def crashes(mark: Mark, now: Running | None) -> int:
    """How often the manager started it again by itself since the change. A start by people sets a count back, and is no crash."""
    if now is None or now.restarts is None:
        return 0
    known = mark.restarts or 0
    return now.restarts - known if now.restarts >= known else now.restarts


def facts_of(address: str, mark: Mark, process: ProcessSeen, tail: TailSeen | None, *, now: float, registered: bool | None) -> GateFacts:
    """tail: None where nobody reads the chain. now: by our clock."""
    seen = GateFacts(
        age_s=max(0.0, now - mark.at),
        running=runs(process.now),
        running_why=process.why if process.now is None else process.now.text,
        crashes=crashes(mark, process.now),
        program=process.program,
        registered=registered,
        chain_why="nobody knows where its contracts are" if tail is None else tail.why,
    )
    if not address:
        return replace(seen, chain_why="its address stands neither in the environment file nor in its env file")
    if tail is None or tail.why:
        return seen
    parts, network = count(since(tail, mark, now), [address.lower()], tail.at_of, tail.now)
    window = Window(begins_at=mark.at + tail.now - now, now=tail.now, complete=True)
    moves = network_of(network, tail.looks, tail.at_of, window, places=tail.places, why="")
    return replace(seen, chain=parts[address.lower()], network=network, standing=moves.text if moves.moving is False else "")


def since(tail: TailSeen, mark: Mark, now: float) -> list[ChainEvent]:
    """What happened after the change, by block and by time."""
    begins_at = mark.at + (tail.now - now) + CLOCK_SLOP_S
    return [
        event
        for event in tail.events
        if event.block > mark.block and (event.at if event.at is not None else tail.at_of(event.block)) >= begins_at
    ]


def moment_of(address: str, *, selectable: bool, running: bool | None, tail: TailSeen | None) -> Moment:
    """What a restart must know. tail: None where nobody reads the chain."""
    if tail is None or tail.why or not address:
        why = "its address is not known" if not address else "nobody knows where its contracts are" if tail is None else tail.why
        return Moment(at=0.0 if tail is None else tail.now, running=running, selectable=selectable, rounds=None, why=why)
    rounds = open_rounds(tail.events, address, tail.at_of, tail.now)
    return Moment(at=tail.now, running=running, selectable=selectable, rounds=rounds)
