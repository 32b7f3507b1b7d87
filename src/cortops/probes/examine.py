"""All that doctor asks: hosts side by side, each in two rounds, then the network from here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from cortops.surfaces.fleet.doctor import examined
from cortops.surfaces.fleet.doctor.ailments import Seen
from cortops.surfaces.fleet.doctor.examined import Subject
from cortops.surfaces.judging import Ask
from cortops.words.clock import Clock
from cortops.words.question import Reply


async def examine(
    subject: Subject, ask: Ask, clock: Clock, report: Callable[[str], None] = lambda text: None
) -> tuple[Seen, dict[str, Reply]]:
    """What was seen, and every reply by its question. ask: answers about all hosts and RPCs. report: what is under way, in words."""
    report(f"asking {len(subject.ways)} hosts")
    first = await asyncio.gather(*(ask(examined.first_questions(host)) for host in subject.ways))
    replies = {name: reply for told in first for name, reply in told.items()}
    found = [one for host in subject.ways if (one := examined.found_on(host, replies)) is not None]
    names, _ = examined.names_of(subject, found)
    report(f"asking about {sum(len(host.nodes) for host in found)} nodes")
    second = await asyncio.gather(*(ask(examined.second_questions(host, names)) for host in found))
    replies |= {name: reply for told in second for name, reply in told.items()}
    seen = examined.assemble(subject, replies, clock.now())
    questions = examined.network_questions(seen)
    asked: Mapping[str, Reply] = await ask(questions) if questions else {}
    return seen, replies | dict(asked)
