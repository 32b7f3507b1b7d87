"""Is a pool served, and by all its members? As every process of the gateway sees it: the members that it would choose from.

A member that a person has drained is missed by nobody: it makes the pool one in maintenance, well or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cortops.environment.declared import Environment
from cortops.surfaces.gateway.checks import health
from cortops.surfaces.readings import answered_by, bad, inconclusive, json_of, ok
from cortops.surfaces.site import Site
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import JSONValue, Reply

WHY_MAX_CHARS = 100
ILL_TOLD_MAX = 3  # members whose reasons are told; of more, the number


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A pool's members as one process sees them: how many are well, and who is not, each with its reason.

    total: without those that are drained or no longer declared. unasked: members that the process has not asked yet.
    known: it has the pool.
    """

    process: str
    known: bool = False
    total: int = 0
    well: int = 0
    unasked: int = 0
    ill: tuple[tuple[str, str], ...] = ()
    drained: tuple[str, ...] = ()

    @property
    def counts(self) -> str:
        return f"{self.well} of {self.total} members well"

    @property
    def reasons(self) -> str:
        """`router-2: why; ...`, at most ILL_TOLD_MAX of them."""
        told = [f"{name}: {why}" for name, why in self.ill[:ILL_TOLD_MAX]]
        return "; ".join([*told, f"{len(self.ill) - len(told)} more"] if len(self.ill) > len(told) else told)


def checks(env: Environment, site: Site) -> Iterator[Check]:
    processes = tuple(env.gateway.ports()) if env.gateway else ()
    asks = tuple(health(process) for process in processes)
    for name in env.pools if processes else ():
        pool = Entity("pool", name)
        owner = env.owner_of(pool)
        yield Check(entity=pool, name="served", asks=asks, judge=_served(name, processes), owner=owner, runbook="router")
        yield Check(entity=pool, name="whole", asks=asks, judge=_whole(name, processes), owner=owner, runbook="router", makes="degraded")
        yield Check(
            entity=pool, name="drained", asks=asks, judge=_drained(name, processes), owner=owner, severity="ticket", makes="maintenance"
        )


def _served(pool: str, processes: Sequence[str]) -> Judge:
    """At least one member is well in the eyes of a process that answers; the gateway's silence says nothing of its pools."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        seen = _views(pool, processes, replies)
        if isinstance(seen, Verdict):
            return seen
        views = [view for view in seen if view.known]
        if not views:
            return bad("the gateway does not know this pool")
        if any(view.well for view in views):
            return ok("served")
        knows = next((view for view in views if not view.unasked), None)
        if knows and not knows.total:
            return bad(f"every member is drained: {', '.join(knows.drained)}")
        return bad(f"no member is well ({knows.reasons})") if knows else inconclusive("the gateway has not asked the members yet")

    return judge


def _whole(pool: str, processes: Sequence[str]) -> Judge:
    """All members are well in the eyes of every process that answers: else there is less redundancy than declared, for some requests."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        seen = _views(pool, processes, replies)
        if isinstance(seen, Verdict):
            return seen
        seen = _those_that_know(seen)
        short = [view for view in seen if view.well + view.unasked < view.total or not view.known]
        if not short:
            unasked = any(view.unasked for view in seen)
            return inconclusive("the gateway has not asked all members yet") if unasked else ok(seen[0].counts)
        if len({(view.total, view.well, view.unasked, tuple(name for name, _ in view.ill)) for view in seen}) > 1:
            return bad("the gateway's processes differ: " + ", ".join(_differing(view) for view in seen))
        return bad(f"{short[0].counts}, requests go on; {short[0].reasons}" if short[0].well else short[0].counts)

    return judge


def _drained(pool: str, processes: Sequence[str]) -> Judge:
    """No member is drained in any process that answers; it is no fault, and has an end when the member is let back."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        seen = _views(pool, processes, replies)
        if isinstance(seen, Verdict):
            return seen
        drained = dict.fromkeys(name for view in seen for name in view.drained)
        return bad(f"{', '.join(drained)} drained", certain=True) if drained else ok(_those_that_know(seen)[0].counts)

    return judge


def _those_that_know(seen: list[View]) -> list[View]:
    """Who has just started knows less than the others."""
    return [view for view in seen if not view.unasked] or seen


def _differing(view: View) -> str:
    if not view.known:
        return f"{view.process} does not know this pool"
    return f"{view.process} sees {view.counts}" + (f" ({view.reasons})" if view.ill else "")


def _views(pool: str, processes: Sequence[str], replies: Mapping[str, Reply]) -> list[View] | Verdict:
    """What each process that answers says of the pool, or the verdict where none does."""
    answers = {process: answered_by(replies, health(process), process) for process in processes}
    views, whys = [], []
    for process, answer in answers.items():
        pools = None if isinstance(answer, Verdict) else json_of(answer).get("pools")
        if isinstance(answer, Verdict):
            whys.append(answer.text)
        elif not isinstance(pools, Mapping):
            whys.append(f"{process} answers {answer.status}, and it is no health page")
        else:
            views.append(_view(process, pools.get(pool)))
    return views or inconclusive("; ".join(whys))


def _view(process: str, found: JSONValue) -> View:
    """`found` is the pool's part of the process's health page."""
    listed = found.get("members") if isinstance(found, Mapping) else None
    all_ = [member for member in listed if isinstance(member, Mapping)] if isinstance(listed, list) else []
    members = [member for member in all_ if member.get("drained") is not True and member.get("leaving") is not True]
    states = [member.get("state") for member in members]
    return View(
        process=process,
        known=bool(all_),
        total=len(members),
        well=states.count("ok"),
        unasked=states.count("unknown"),
        ill=tuple((str(m.get("name"))[:64], str(m.get("why"))[:WHY_MAX_CHARS]) for m in members if m.get("state") not in ("ok", "unknown")),
        drained=tuple(str(member.get("name"))[:64] for member in all_ if member.get("drained") is True),
    )
