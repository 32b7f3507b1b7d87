"""What people must accept by name before a plan is made, and who may make it. Pure; asked by the engine and by every verb that changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cortops.deploy.observed import Desired
from cortops.environment.rules import ApplyRules
from cortops.words.change import Action, Change, Plan, Reversal
from cortops.words.errors import NotAccepted, NotAllowed
from cortops.words.resource import File, SecretRef

STOPS_FREE = 20  # so many may be stopped at once in any environment: a small one is never too large
NAMED_MAX = 5
LARGE, IRREVERSIBLE = "--accept-large", "--accept-irreversible"

_RUNS = ("service:", "node-program:")
_ON_CHAIN = ("contract:", "contract-state:", "funded:")
_ON_NO_HOST = (*_ON_CHAIN, "record:", "certificate:")
_NEVER_MADE = "funded:"  # a wallet is filled on a development chain only; elsewhere the apply asks people for gas
_WHY = {
    "contract:": "a contract stays on its chain for ever",
    "contract-state:": "what a chain has recorded is written over, never unwritten",
    "record:": "resolvers keep what they have seen, or that there was nothing, until its time to live has passed",
    "certificate:": "public logs of certificates keep its name for ever",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What people say they accept. large: this plan, though it is over a limit; irreversible: what of it cannot come back."""

    large: bool = False
    irreversible: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """As on the command line, for the journal."""
        return tuple(flag for flag, said in ((LARGE, self.large), (IRREVERSIBLE, self.irreversible)) if said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much a plan changes. stops: names that one wave stops, wave by wave; running: how many run now; hosts: where what is there
    changes.
    """

    deletes: tuple[str, ...] = ()
    stops: tuple[tuple[str, ...], ...] = ()
    running: int = 0
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasting:
    """Changes that cannot come back, of one kind, and why."""

    changes: tuple[Change, ...]
    why: str


def size_of(plan: Plan) -> Size:
    """The size of a plan of resources. What is made anew counts nowhere, so a first apply has none."""
    stops: dict[int, list[str]] = {}
    for change in plan.changes:
        if change.action in (Action.RESTART, Action.DELETE) and change.resource.startswith(_RUNS):
            stops.setdefault(change.wave, []).append(change.resource)
    running = sum(item.resource.startswith(_RUNS) for item in plan.unchanged)
    running += sum(change.action is Action.RELOAD for change in plan.changes)
    changed = [change for change in plan.changes if change.action in (Action.UPDATE, Action.RELOAD, Action.RESTART, Action.DELETE)]
    return Size(
        deletes=tuple(change.resource for change in plan.changes if change.action is Action.DELETE),
        stops=tuple(tuple(names) for names in stops.values()),
        running=running + sum(map(len, stops.values())),
        hosts=tuple(dict.fromkeys(change.target for change in changed if not change.resource.startswith(_ON_NO_HOST))),
    )


def over_limits(size: Size, rules: ApplyRules) -> tuple[str, ...]:
    """Every limit that a plan is over: by how much, by what, and the edit that allows it for good."""
    found: list[str] = []
    if len(size.deletes) > rules.deletes_max:
        found.append(f"deletes {len(size.deletes)} resources ({_named(size.deletes)}): rules.apply.deletes_max is {rules.deletes_max}")
    most = max(size.stops, key=len, default=())
    if len(most) > max(STOPS_FREE, rules.restarts_share_max * size.running):
        share = f"{len(most)} of {size.running} that run ({_named(most)})"
        found.append(f"stops {share} in one wave: rules.apply.restarts_share_max is {rules.restarts_share_max:g}")
    if len(size.hosts) > rules.hosts_max:
        found.append(f"changes what is on {len(size.hosts)} hosts ({_named(size.hosts)}): rules.apply.hosts_max is {rules.hosts_max}")
    return tuple(found)


def holding(items: Iterable[Desired], replaced: Sequence[str]) -> dict[str, str]:
    """Key of a file -> the secret in it that was made anew, and whose old value is kept only until an apply is done."""
    files = (item.resource for item in items if isinstance(item.resource, File))
    return {file.key: part.name for file in files for part in file.content if isinstance(part, SecretRef) and part.name in replaced}


def lasting(plan: Plan, *, development: bool, anew: Mapping[str, str] | None = None) -> tuple[Lasting, ...]:
    """What of a plan cannot come back, each kind once.

    development: the chain and its keys are our own and go with their environment (`down --purge`), so what happens there is taken back as a
    whole. anew: as of `holding`.
    """
    kinds: dict[str, list[Change]] = {}
    for change in plan.irreversible:
        if not change.resource.startswith(_NEVER_MADE) and not (development and change.resource.startswith(_ON_CHAIN)):
            kinds.setdefault(_why(change), []).append(change)
    for change in plan.changes if anew and not development else ():
        if anew and (name := anew.get(f"{change.target} {change.resource}")):
            kinds.setdefault(f"the old value of {name} is forgotten once this is done", []).append(change)
    return tuple(Lasting(changes=tuple(changes), why=why) for why, changes in kinds.items())


def with_the_chain(plan: Plan, stays: Sequence[Lasting]) -> int:
    """How many changes stay as long as a development chain of ours does. stays: what cannot come back at all."""
    told = {change for one in stays for change in one.changes}
    return sum(not change.resource.startswith(_NEVER_MADE) and change not in told for change in plan.irreversible)


def flags_needed(over: Sequence[str], stays: Sequence[Lasting]) -> tuple[str, ...]:
    """The flags without which a plan is refused. over: the limits that it is over."""
    return tuple(flag for flag, needed in ((LARGE, over), (IRREVERSIBLE, stays)) if needed)


def demand_accepted(over: Sequence[str], stays: Sequence[Lasting], accepted: Accepted, again: str) -> None:
    """NotAccepted with every reason at once. again: the command that makes just this plan, without flags."""
    reasons = [] if accepted.large else list(over)
    if not accepted.irreversible:
        reasons += [f"{_named([change.resource for change in one.changes])}: {one.why}" for one in stays]
    if reasons:
        command = " ".join((again, *flags_needed(over, stays)))
        raise NotAccepted("this plan must be accepted by name", why="; ".join(reasons), next=f"If you mean it: {command}")


def demand_allowed(who: str, by: Sequence[str], where: str = "") -> None:
    """NotAllowed for one who is not among those that `rules.apply.by` names; everyone is where it names nobody."""
    if by and who not in by:
        next = f"Ask one of them, or have one of them add {who} to rules.apply.by in the environment file."
        raise NotAllowed(f"{who} may not change this environment", where=where, why=f"rules.apply.by names {', '.join(by)}", next=next)


def _why(change: Change) -> str:
    kind = change.resource.partition(":")[0] + ":"
    seen = "others have seen it already"
    return _WHY.get(kind, seen if change.reversal is Reversal.EXTERNAL else "no earlier generation brings it back")


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED_MAX
    return ", ".join(names[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
