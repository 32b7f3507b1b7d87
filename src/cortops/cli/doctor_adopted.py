"""What doctor says of adopted nodes: whether each is as its host has recorded it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cortops
from cortops.deploy.host_state import host_state
from cortops.deploy.waves.read import AdoptedNow, adopted_now
from cortops.surfaces.fleet.doctor.ailments import Finding, Group
from cortops.surfaces.fleet.doctor.examined import Subject
from cortops.targets.target import Target
from cortops.words.clock import Clock
from cortops.words.entity import Entity
from cortops.words.resource import Blob

CHECK = "recorded"


async def as_recorded(subject: Subject, targets: Mapping[str, Target], clock: Clock) -> tuple[Finding, ...]:
    """One finding for each adopted node that could be seen; writes nothing."""
    env = subject.env
    if env is None:
        return ()
    hosts = dict.fromkeys(node.host for node in subject.declared.values() if node.release is not None)
    states = {host: host_state(targets[host], env.name, clock, _never_sent) for host in hosts if host in targets}
    found = await adopted_now(states, cortops.__version__)
    return tuple(finding(Entity(env.installed[name].role, name), one, env.file) for name, one in found.items() if name in env.installed)


def finding(entity: Entity, node: AdoptedNow, file: str) -> Finding:
    """A node that runs something else, or of which something was edited by hand, is bad; one that stands still is told by other checks."""
    told = list(node.edited)
    if node.program not in ("", node.recorded):
        told.insert(0, f"runs {node.program[:6]}, and {node.recorded[:6]} is recorded")
    return Finding(
        group=Group.NODE,
        entity=entity,
        check=CHECK,
        outcome="bad" if told else "ok",
        text="; ".join(told) or "as its host has recorded it",
        cure=f"cortops {f'adopt {entity.name}' if node.edited and len(told) == len(node.edited) else 'plan'} {file}" if told else "",
        evidence=(),
    )


def _never_sent(blob: Blob) -> Path:
    raise AssertionError(f"{blob.path} is not sent by one who only looks")
