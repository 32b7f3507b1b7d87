"""What doctor looks at: everything that was seen, as values, and the checks over it. Pure.

A check is told by one function `(what was seen) -> Verdict`; a bad one is `Ill`, which carries the command that cures it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from cortops.environment.cortensord import CortensordNode
from cortops.surfaces.fleet.doctor.examine import HostLook, NodeLook, Offset
from cortops.surfaces.fleet.found.discover import HostFound
from cortops.surfaces.fleet.found.flags import Flag, Named
from cortops.surfaces.fleet.found.match import Missing
from cortops.surfaces.judging import judge
from cortops.surfaces.nodes.logs import HostLogs, NodeLog
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Verdict
from cortops.words.question import Outcome, Reply

S = TypeVar("S")


class Group(StrEnum):
    """Where a finding stands on the page, in this order."""

    MACHINE = "this machine"
    HOST = "hosts"
    NODE = "nodes"
    BINARY = "binaries"
    LOGS = "logs"
    NETWORK = "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ill(Verdict):
    """A bad verdict with the command that cures it; or an inconclusive one, with the command that would let us see."""

    cure: str = ""


def ill(text: str, cure: str, *, certain: bool = False) -> Ill:
    return Ill(outcome="bad", text=text, cure=cure, certain=certain)


def unseen(text: str, cure: str = "") -> Ill:
    return Ill(outcome="inconclusive", text=text, cure=cure)


def short(address: str) -> str:
    """`0x12ab…0f9c`."""
    return f"{address[:6]}…{address[-4:]}"


def span(seconds: float) -> str:
    """`90 s`, `40 min`, `30 h`, `3 d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSeen:
    """The machine that cortops runs on. keys: private key files of this user -> their permissions, octal. agent: an SSH agent is named."""

    file: str
    keys: Mapping[str, int]
    agent: bool
    ssh_hosts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSeen:
    """One host. way: how a command is run there (`ssh me@h1`, "" here). word: how our own verbs are told of it (`me@h1`, `local`).

    offset: of its clock. why: of a host that did not answer.
    """

    name: str
    way: str
    word: str
    sudo: bool
    found: HostFound | None
    look: HostLook | None
    offset: Offset | None = None
    why: str = ""

    def there(self, command: str, *, root: bool = True) -> str:
        """`command` as it is typed here."""
        whole = f"sudo {command}" if root else command
        return f"{self.way} {shlex.quote(whole)}" if self.way else whole


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSeen:
    """One node that was found. declared: by the file. logs: all that its host told of logs and RPCs. now: by that host's clock."""

    named: Named
    host: HostSeen
    declared: CortensordNode | None
    look: NodeLook | None
    logs: HostLogs | None
    now: float

    @property
    def name(self) -> str:
        return self.named.name

    @property
    def log(self) -> NodeLog | None:
        return None if self.logs is None else self.logs.nodes.get(self.name)

    @property
    def entity(self) -> Entity:
        return Entity(self.named.node.role, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSeen:
    """What network the nodes should be of. urls: the RPCs to ask from here, the declared one first. Without a name nothing is known."""

    name: str
    chain_id: int
    runtime: str
    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that was seen. gone: declared nodes that were not found. releases: sha256 of the builds that the file names.

    too_old: those of them that are older than the minimum, which `minimum` tells.
    """

    name: str
    machine: MachineSeen
    hosts: tuple[HostSeen, ...]
    nodes: tuple[NodeSeen, ...]
    gone: Mapping[str, tuple[CortensordNode, Missing]]
    flags: tuple[Flag, ...]
    network: NetworkSeen | None
    releases: frozenset[str]
    now: float
    too_old: frozenset[str] = frozenset()
    minimum: str = ""

    @property
    def entity(self) -> Entity:
        return Entity("environment", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailment:
    """One thing that may be wrong: a check and where it stands."""

    group: Group
    check: Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check said. cure: the next command, of what is bad always. evidence: ids of the questions whose answers were read."""

    group: Group
    entity: Entity
    check: str
    outcome: Outcome
    text: str
    cure: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Checks over one kind of subject: group, name of the check, the function that judges."""

    rows: tuple[tuple[Group, str, Callable[..., Verdict | None]], ...] = field(repr=False)

    def over(self, subject: object, entity: Entity, asks: tuple[str, ...]) -> tuple[Ailment, ...]:
        """The checks of this table over one subject; a function that answers None has nothing to say of it and makes no check."""
        return tuple(ailment for group, name, tell in self.rows for ailment in told(group, name, entity, asks, tell, subject))


def told(
    group: Group, name: str, entity: Entity, asks: tuple[str, ...], tell: Callable[[S], Verdict | None], subject: S
) -> tuple[Ailment, ...]:
    """One check over one subject; none where the function has nothing to say of it. What breaks it is told by the judgement."""

    def judged(replies: Mapping[str, Reply], now: float) -> Verdict:
        verdict = tell(subject)
        assert verdict is not None
        return verdict

    try:
        if tell(subject) is None:
            return ()
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError):
        pass
    return (Ailment(group=group, check=Check(entity=entity, name=name, asks=asks, judge=judged, owner="")),)


def findings(ailments: Sequence[Ailment], replies: Mapping[str, Reply], now: float) -> tuple[Finding, ...]:
    """Every check judged, by the one judgement that all share: one that an odd answer breaks cannot tell, and hides no other."""
    judged = judge([ailment.check for ailment in ailments], replies, now)
    return tuple(
        Finding(
            group=ailment.group,
            entity=item.check.entity,
            check=item.check.name,
            outcome=item.verdict.outcome,
            text=item.verdict.text,
            cure=item.verdict.cure if isinstance(item.verdict, Ill) else "",
            evidence=item.check.asks,
        )
        for ailment, item in zip(ailments, judged, strict=True)
    )
