"""An upgrade in words and as JSON: what it will do and for how long, how it goes, and what is where when it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from cortops.cli.output import Progress, joined, table
from cortops.deploy.apply import StepTold, WaveBegun, WaveWell
from cortops.deploy.fetch import FetchProgress
from cortops.deploy.fetch import Phase as Fetching
from cortops.deploy.waves.machine import Phase, Tell, Upgrade
from cortops.deploy.waves.plan import SWITCH_S, Step, UpgradePlan, estimate
from cortops.words.clock import Clock

SHA_CHARS = 6
_TOLD = (Fetching.READY, Fetching.DAMAGED, Fetching.WAITING)


def plan_text(plan: UpgradePlan, now: float, *, notes: Sequence[str] = (), again: str) -> str:
    """Beforehand. now: seconds since 1970; again: the command that does it."""
    size = f"{_count(len(plan.steps), 'node')} on {_count(len(plan.hosts), 'host')}"
    lines = [f"{plan.environment} · {plan.release} ({plan.program[:SHA_CHARS]}) · {size}"]
    rows = [
        (f"wave {number}" if place == 0 else "", step.node, step.host, _was(step), _gate_text(step, now, first=number == 1))
        for number, wave in enumerate(plan.waves, 1)
        for place, step in enumerate(wave)
    ]
    lines += [table(rows, "  ")] if rows else []
    lines += [f"left out: {joined(nodes, 8)}: {why}" for why, nodes in apart(plan).items()]
    lines += [f"already there: {joined(plan.passed, 6)}"] if plan.passed else []
    lines += [f"note: {note}" for note in notes]
    if not plan.steps:
        return "\n".join([*lines, "Nothing can be done for those left out." if plan.apart else "Nothing to do."])
    return "\n".join([*lines, _duration(plan), f"digest {plan.digest[:12]}    next: {again}"])


def apart(plan: UpgradePlan) -> dict[str, list[str]]:
    """Why nodes are left out -> which."""
    found: dict[str, list[str]] = {}
    for node, why in plan.apart:
        found.setdefault(why, []).append(node)
    return found


def _was(step: Step) -> str:
    if step.bad:
        return "is taken back"
    if step.half:
        return "runs it already"
    return "its gate is due" if step.due_since is not None else f"runs {step.was[:SHA_CHARS] or 'nothing'}"


def _gate_text(step: Step, now: float, *, first: bool) -> str:
    """`selected about every 38 min: its gate closes at 03:10 at the latest`; of later waves nobody knows yet when they begin."""
    if step.bad:
        return step.bad
    at_most = f": its gate closes at {clock_at(now + SWITCH_S + step.asks.latest_s, now)} at the latest"
    closes = at_most if first else f", gate of at most {about(step.asks.latest_s)}"
    if not step.selectable:
        return f"is never selected{closes}"
    how_often = "was not selected in the last day" if step.every_s is None else f"selected about every {about(step.every_s)}"
    return f"{how_often}{closes}{'; it did not earn before' if step.earned is False else ''}"


def _duration(plan: UpgradePlan) -> str:
    found = estimate(plan)
    first = plan.waves[0][0].node if len(plan.waves[0]) == 1 else "the first wave"
    waves = _count(len(plan.waves), "wave")
    if len(plan.waves) == 1:
        return f"{waves}: {first} takes about {about(found.first_s)}, at most {about(found.latest_s)}. All of it can be taken back."
    times = f"{first} takes about {about(found.first_s)}, all about {about(found.all_s)}, at most {about(found.latest_s)}"
    return f"{waves}: {times}. All of it can be taken back."


def about(seconds: float) -> str:
    """`38 s`, `38 min`, `1 h 20`, `2 d`."""
    if seconds < 90:
        return f"{max(1.0, seconds):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        hours, rest = divmod(5 * round(minutes / 5), 60)
        return f"{hours} h {rest:02}" if rest else f"{hours} h"
    return f"{seconds / 86_400:.0f} d"


def clock_at(at: float, now: float) -> str:
    """`03:10 UTC`, with the day where it is another one."""
    when, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    return f"{when:%H:%M} UTC" if when.date() == today.date() else f"{when.day} {when:%b %H:%M} UTC"


def plan_json(plan: UpgradePlan) -> dict[str, object]:
    """The shape of `upgrade --json` before anything is done; seconds throughout."""
    found = estimate(plan)
    return {
        "environment": plan.environment,
        "release": plan.release,
        "sha256": plan.program,
        "digest": plan.digest,
        "waves": [[_step_json(step) for step in wave] for wave in plan.waves],
        "passed": list(plan.passed),
        "apart": [{"node": node, "why": why} for node, why in plan.apart],
        "estimate_s": {"first_wave": found.first_s, "all": found.all_s, "at_most": found.latest_s},
    }


def _step_json(step: Step) -> dict[str, object]:
    return {
        "node": step.node,
        "host": step.host,
        "was": step.was,
        "selected_every_s": step.every_s,
        "commits": step.asks.commits,
        "deadline_s": step.asks.deadline_s,
        "half": step.half,
        "due": step.due_since is not None,
        "bad": step.bad,
    }


def result_json(upgrade: Upgrade, took_s: float) -> dict[str, object]:
    """The shape of `upgrade --json` afterwards."""
    nodes = [
        {"node": name, "host": node.step.host, "wave": upgrade.plan.wave_of(name), "state": str(node.phase), "text": node.text}
        for name, node in upgrade.nodes.items()
    ]
    return plan_json(upgrade.plan) | {"outcome": upgrade.outcome, "stopped": upgrade.stopped, "nodes": nodes, "took_s": round(took_s, 1)}


def result_text(upgrade: Upgrade, took_s: float) -> str:
    """What is where, and the next command."""
    return "\n".join([*_result(upgrade, took_s), *_where(upgrade)])


def _result(upgrade: Upgrade, took_s: float) -> list[str]:
    plan, release = upgrade.plan, f"{upgrade.plan.release} ({upgrade.plan.program[:SHA_CHARS]})"
    if upgrade.outcome == "passed":
        done = len(plan.steps) + len(plan.passed)
        who = f"All {done} nodes run" if done > 1 else "1 node runs"
        return [f"{who} {release} and passed. It took {about(took_s)}."]
    lines = [f"{node} on {one.step.host}: {one.text}" for node, one in upgrade.nodes.items() if one.phase in _WANTS_WORDS]
    head = {
        "bad": f"{release} is bad.",
        "failed": f"The upgrade to {release} failed.",
        "held": f"The upgrade to {release} is held, and waits for you.",
        "stopped": f"The upgrade to {release} was stopped: {upgrade.stopped}.",
    }[upgrade.outcome]
    return [head, *lines]


_WANTS_WORDS = (Phase.TAKEN_BACK, Phase.HELD, Phase.NOT_SWITCHED, Phase.UNKNOWN, Phase.GATED, Phase.SWITCHING, Phase.TAKING_BACK)


def _where(upgrade: Upgrade) -> list[str]:
    """Which nodes run what, then what may be done next."""
    plan = upgrade.plan
    if upgrade.outcome == "passed":
        return ["next: cortops nodes"]
    groups: Mapping[str, tuple[str, ...]] = {
        f"{plan.release}, passed": (*plan.passed, *upgrade.named(Phase.PASSED)),
        f"{plan.release}, gate not passed": upgrade.named(Phase.HELD, Phase.GATED),
        "what they ran before, taken back": upgrade.named(Phase.TAKEN_BACK),
        "what they ran before, not touched": upgrade.named(Phase.WAITING, Phase.NOT_SWITCHED),
        "not known": upgrade.named(Phase.UNKNOWN, Phase.SWITCHING, Phase.TAKING_BACK),
    }
    rows = [(str(len(names)), what, joined(names, 6)) for what, names in groups.items() if names]
    return [table(rows, "  "), *_next(upgrade)]


def _next(upgrade: Upgrade) -> list[str]:
    release = upgrade.plan.release
    held = upgrade.named(Phase.HELD, Phase.GATED)
    if upgrade.outcome == "held" and held:
        ways = (
            (f"next: cortops upgrade {release}", "waits on for its gate"),
            (f"      cortops upgrade {release} --accept {held[0]}", "says that it is good, and goes on"),
            (f"      cortops rollback {held[0]}", "takes it back"),
        )
        return [table(ways)]
    if upgrade.outcome == "bad":
        kept = upgrade.named(Phase.PASSED)
        return [f"next: cortops rollback {' '.join(kept)}    takes back those that passed too" if kept else "next: cortops nodes"]
    if upgrade.outcome == "failed":
        return ["next: mend the reason above, then run the same command again: it looks first, and does what is left"]
    return [f"next: cortops upgrade {release}    goes on with what is left"]


class Lines:
    """Progress on standard error: elapsed seconds, host, node, and what happened. A terminal that is gone stops nothing."""

    def __init__(self, progress: Progress, clock: Clock, hosts: Mapping[str, str]) -> None:
        """hosts: node -> its host."""
        self._progress = progress
        self._clock = clock
        self._hosts = hosts
        self._begun = clock.monotonic()
        self._host_width = max((len(host) for host in hosts.values()), default=0)
        self._node_width = max((len(node) for node in hosts), default=0)

    @property
    def took_s(self) -> float:
        return self._clock.monotonic() - self._begun

    def node(self, node: str, text: str) -> None:
        """A line about one node."""
        self._say(f"{self._hosts.get(node, ''):{self._host_width}}  {node:{self._node_width}}  {text}")

    def all(self, text: str) -> None:
        """A line about the whole."""
        self._say(text)

    def told(self, tell: Tell, upgrade: Upgrade) -> None:
        """What the machine wants people to know at once; of a node that was changed just now also until when its gate may take."""
        node = upgrade.nodes.get(tell.node)
        if node is None:
            self.all(tell.text)
        elif node.phase is Phase.GATED:
            now = self._clock.now()
            self.node(tell.node, f"{tell.text}; its gate closes at {clock_at(now + node.step.asks.latest_s, now)} at the latest")
        else:
            self.node(tell.node, tell.text)

    def step(self, event: FetchProgress | WaveBegun | StepTold | WaveWell) -> None:
        """What an apply on a host, or a download, reports: overwritten on a terminal, and only its end elsewhere."""
        with contextlib.suppress(OSError):
            match event:
                case FetchProgress() if event.phase in _TOLD:
                    self._progress.say(f"  {event.text}")
                case FetchProgress():
                    self._progress.now(f"  {event.text}")
                case StepTold(progress=told) if told.event == "begun":
                    self._progress.now(f"  {event.place}  {told.key.partition(' ')[2]} …")

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._progress.say(f"{self.took_s:8.1f} s  {text}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
