"""Which nodes go back to what, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cortops.deploy.manifest import Manifest
from cortops.deploy.node_programs import programs
from cortops.deploy.waves.history import HostHistory, before
from cortops.words.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One node and the generation of its host that it goes back to. program, release: what it ran then."""

    node: str
    host: str
    earlier: Manifest
    program: str
    release: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Goals:
    """All of them, in the order of the hosts' records. still: (node, why it stays as it is); silent: (host, why it gave no answer)."""

    goals: tuple[Goal, ...]
    still: tuple[tuple[str, str], ...] = ()
    silent: tuple[tuple[str, str], ...] = ()

    @property
    def by_host(self) -> dict[str, tuple[Goal, ...]]:
        """Host -> its goals, in their order."""
        hosts = dict.fromkeys(goal.host for goal in self.goals)
        return {host: tuple(goal for goal in self.goals if goal.host == host) for host in hosts}

    @property
    def groups(self) -> tuple[tuple[Goal, ...], ...]:
        """Those of one host that go to one generation together, for one look at them."""
        found: dict[tuple[str, int], list[Goal]] = {}
        for goal in self.goals:
            found.setdefault((goal.host, goal.earlier.generation), []).append(goal)
        return tuple(tuple(group) for group in found.values())


def goals_of(
    histories: Iterable[HostHistory],
    *,
    nodes: Mapping[str, str],
    hosts: Collection[str],
    to: int | None,
    runs: Mapping[str, str] = MappingProxyType({}),
) -> Goals:
    """nodes (each with its host), hosts: those that go back, both empty = all adopted. to: the generation of their host, None = what each
    node ran before. runs: sha256 of what nodes run now, as far as it was seen: one that nobody has recorded, because an apply was cut off
    or somebody put it there, goes back to what is recorded.

    BadInput where a host does not keep that generation.
    """
    goals: list[Goal] = []
    still: list[tuple[str, str]] = []
    silent: list[tuple[str, str]] = []
    for history in histories:
        wanted = (not nodes and not hosts) or history.host in hosts or history.host in nodes.values()
        if history.silent:
            silent += [(history.host, history.silent)] if wanted else []
            continue
        still += [(name, "it is not adopted") for name, host in nodes.items() if host == history.host and name not in history.latest]
        asked = [name for name in history.latest if (not nodes and not hosts) or name in nodes or history.host in hosts]
        earlier = _generation(history, to) if to is not None and asked else None
        for name in asked:
            goal = _goal(history, name, earlier or _before(history, name, runs.get(name, "")))
            goals += [goal] if isinstance(goal, Goal) else []
            still += [(name, goal)] if isinstance(goal, str) else []
    return Goals(goals=tuple(goals), still=tuple(still), silent=tuple(silent))


def _generation(history: HostHistory, to: int) -> Manifest:
    kept = {manifest.generation: manifest for manifest in history.generations}
    if to not in kept:
        raise BadInput(
            f"{history.host} keeps no generation {to}",
            next=f"It keeps {', '.join(str(number) for number in kept)}. See: cortops generations {history.host}",
        )
    return kept[to]


def _before(history: HostHistory, name: str, runs: str) -> Manifest | None:
    return history.generations[-1] if runs not in ("", history.latest[name].program) else before(history.generations, name)


def _goal(history: HostHistory, name: str, earlier: Manifest | None) -> Goal | str:
    if earlier is None:
        return f"it has run only {history.latest[name].program[:6]} since it was adopted"
    then = programs(earlier).get(name)
    if then is None:
        return f"it was not adopted in generation {earlier.generation}"
    return Goal(node=name, host=history.host, earlier=earlier, program=then.program, release=then.release)


def release_named(goal: Goal, builds: Mapping[str, str]) -> str:
    """The release of the environment file that is what a node ran: by its recorded name where that still means it, else by its hash.

    builds: release -> sha256. "" where the file has none.
    """
    if builds.get(goal.release) == goal.program:
        return goal.release
    return next((name for name, sha256 in builds.items() if sha256 == goal.program), "")
