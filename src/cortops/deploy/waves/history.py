"""What hosts have recorded of their nodes: what ran before, whose gate is due, and what cannot be changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cortops.deploy.earning_gate import Rate
from cortops.deploy.journal import Entry
from cortops.deploy.manifest import Manifest
from cortops.deploy.node_programs import programs
from cortops.deploy.waves.plan import Candidate, Standing
from cortops.environment.cortensord import CortensordNode
from cortops.words.resource import Blob, NodeProgram

MINER = "miner"  # the only role that the chain selects (surfaces.nodes.earning)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostHistory:
    """What one host has recorded. generations, judged: how gates ended, each the oldest first. begun: who began each apply, by its id.

    silent: why it gave no answer, "" when it did.
    """

    host: str
    generations: tuple[Manifest, ...] = ()
    judged: tuple[Entry, ...] = ()
    begun: Mapping[str, Entry] = field(default_factory=dict)
    silent: str = ""

    @property
    def latest(self) -> dict[str, NodeProgram]:
        """Node -> its program in the newest generation."""
        return programs(self.generations[-1]) if self.generations else {}

    def has(self, program: str) -> bool:
        """Whether a program lies on the host already, by its newest generation."""
        resources = [item.resource for item in self.generations[-1].resources] if self.generations else []
        return any(isinstance(one, Blob) and one.sha256 == program for one in resources) or any(
            node.program == program for node in self.latest.values()
        )

    def judgement(self, node: str, program: str) -> Entry | None:
        """The newest one on a node with that program."""
        found = (one for one in reversed(self.judged) if one.resource == f"node-program:{node}" and one.digest == program)
        return next(found, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeNow:
    """A node as it was seen just now. program: sha256 of what runs, "" where nobody could see or nothing runs.

    selected: in the last `over_s`, None where the chain could not be read. earning: None = not known.
    """

    program: str = ""
    running: bool | None = None
    selected: int | None = None
    over_s: float = 0.0
    earning: bool | None = None


def began(generations: Sequence[Manifest], node: str) -> Manifest | None:
    """The generation with which the node began to run what it runs by the newest one; the oldest that has it unbroken."""
    first: Manifest | None = None
    now = programs(generations[-1]).get(node) if generations else None
    for generation in reversed(generations):
        then = programs(generation).get(node)
        if now is None or then is None or then.program != now.program:
            break
        first = generation
    return first


def before(generations: Sequence[Manifest], node: str) -> Manifest | None:
    """The generation to which going back leads: the newest one before the node ran its present program for the first time.

    So going back twice leads further back, and never to what was left behind: after A, B and back to A nothing lies before A.
    """
    now = programs(generations[-1]).get(node) if generations else None
    found: Manifest | None = None
    for generation in generations:
        then = programs(generation).get(node)
        if then is None:
            continue
        if now is not None and then.program == now.program:
            return found
        found = generation
    return None


def candidate(name: str, node: CortensordNode, now: NodeNow, host: HostHistory, program: str, *, at: float) -> Candidate:
    """One declared node before an upgrade to `program`. at: seconds since 1970, our clock."""
    recorded = host.latest.get(name)
    standing, why = _standing(name, now, host, recorded, program)
    since = began(host.generations, name)
    earlier = before(host.generations, name)
    ran = programs(earlier).get(name) if earlier is not None else None
    return Candidate(
        node=name,
        host=node.host,
        role=node.role,
        program=now.program or (recorded.program if recorded is not None else ""),
        standing=standing,
        rate=Rate(now.selected or 0, now.over_s),
        selectable=node.role == MINER,
        earning=now.earning,
        why=why,
        before=recorded.program if standing == "half" and recorded is not None else ran.program if ran is not None else "",
        changed_at=since.at if since is not None else None,
        changed_for_s=max(0.0, at - since.at) if since is not None else 0.0,
    )


def _standing(name: str, now: NodeNow, host: HostHistory, recorded: NodeProgram | None, program: str) -> tuple[Standing, str]:
    if host.silent:
        return "apart", f"{host.host} could not be asked: {host.silent}"
    if recorded is None:
        return "apart", "it is not adopted"
    if recorded.program != program:
        if now.running and now.program == program:
            return "half", ""
        if now.running and now.program not in ("", recorded.program):
            return "apart", f"it runs {now.program[:6]}, which is not what was recorded ({recorded.program[:6]})"
        return "old", ""
    judged = host.judgement(name, program)
    if judged is not None and judged.outcome in ("passed", "accepted"):
        return "new", ""
    if judged is not None and judged.outcome == "bad":
        return "bad", judged.text
    earlier = before(host.generations, name)
    return ("due", "") if earlier is not None else ("new", "")  # it ran before it was adopted: nothing was changed


def judged_bad(hosts: Iterable[HostHistory], program: str) -> tuple[tuple[str, Entry], ...]:
    """(node, judgement) of every node on which a program was found bad, and which does not run it any more."""
    found = [
        (node, entry)
        for host in hosts
        for node, recorded in host.latest.items()
        if recorded.program != program and (entry := host.judgement(node, program)) is not None
    ]
    return tuple((node, entry) for node, entry in found if entry.outcome == "bad")
