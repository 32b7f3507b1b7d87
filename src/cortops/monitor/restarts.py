"""Restarts, seen from outside: a service whose pid changed between two answers of its manager. Pure.

Whether an apply meant it is not seen here: whoever calls asks the journal, which has a line before and after each step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cortops.surfaces.services import facts
from cortops.words.entity import Entity
from cortops.words.evidence import Check
from cortops.words.question import Answer, Reply

RESTART_SHOWN_S = 60.0
COUNTED_S = 600.0  # restarts within this long are counted together
COUNTED_MAX = 50
STOPPING = "STOPPING"  # the manager's word for a process that was told to end

Service = tuple[str, str]  # the question whose answer has it, and its name there


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A service as it was last seen running: its pid, and when that was."""

    pid: int
    seen_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """`service` runs as `pid` since `at` (by its manager's uptime, to a second); before, it ran as `pid_before`, last seen at `seen_at`."""

    service: str
    entities: tuple[Entity, ...]
    pid_before: int
    pid: int
    seen_at: float
    at: float
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartMark:
    """The restarts of one entity lately, newest last; `pid_before`, `pid` and `note` are those of the newest."""

    times: tuple[float, ...]
    pid_before: int
    pid: int
    note: str = ""

    @property
    def at(self) -> float:
        return self.times[-1]

    def text(self, now: float) -> str:
        """`restarted 4 s ago (pid 12 ended, now pid 15)`, with the count when there were more."""
        more = f", {len(self.times)} times within {COUNTED_S / 60:.0f} min" if len(self.times) > 1 else ""
        note = f"; {self.note}" if self.note else ""
        return f"restarted {max(now - self.at, 0):.0f} s ago (pid {self.pid_before} ended, now pid {self.pid}){more}{note}"


def processes(checks: Sequence[Check], fresh: Mapping[str, Reply]) -> dict[Service, Process]:
    """The services of `checks` that run, by the fresh answers; one that is being stopped was last seen before that."""
    rows = ((service, row, reply) for service, row, reply in _rows(checks, fresh) if row.pid and row.state != STOPPING)
    return {service: Process(pid=row.pid, seen_at=reply.at) for service, row, reply in rows}


def restarts(before: Mapping[Service, Process], checks: Sequence[Check], fresh: Mapping[str, Reply]) -> tuple[Restart, ...]:
    """Services that run with another pid than `before`. One never seen before has not been restarted."""
    owners: dict[Service, list[Entity]] = {}
    for check in checks:
        if check.service:
            owners.setdefault((check.asks[0], check.service), []).append(check.entity)
    return tuple(
        Restart(
            service=row.name,
            entities=tuple(owners[service]),
            pid_before=old.pid,
            pid=row.pid,
            seen_at=old.seen_at,
            at=reply.at - row.uptime_s,
        )
        for service, row, reply in _rows(checks, fresh)
        if row.pid and (old := before.get(service)) is not None and old.pid != row.pid
    )


def marked(mark: RestartMark | None, restart: Restart) -> RestartMark:
    """An entity's mark after one more restart."""
    recent = [at for at in mark.times if restart.at - at < COUNTED_S] if mark else []
    return RestartMark(times=(*recent, restart.at)[-COUNTED_MAX:], pid_before=restart.pid_before, pid=restart.pid, note=restart.note)


def _rows(checks: Sequence[Check], fresh: Mapping[str, Reply]) -> Iterator[tuple[Service, facts.ServiceState, Reply]]:
    services = dict.fromkeys((check.asks[0], check.service) for check in checks if check.service)
    for question in dict.fromkeys(question for question, _ in services):
        reply = fresh.get(question)
        if isinstance(reply, Answer) and reply.status == 0:
            rows = facts.read(reply.text)
            yield from (((question, name), rows[name], reply) for asked, name in services if asked == question and name in rows)
