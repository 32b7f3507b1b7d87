"""`cortops upgrade`: a new program for adopted nodes, one node first, then waves that grow, each node behind its gate."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.apply import accepted_by
from cortops.cli.common import Common, environment
from cortops.cli.compose import here
from cortops.cli.doctor import split
from cortops.cli.output import joined, show, show_json
from cortops.cli.upgrade_detach import HandedOver, Handing, hand_over
from cortops.cli.upgrade_rehearse import rehearsed
from cortops.cli.upgrade_run import Scene, drive, look
from cortops.cli.upgrade_told import plan_json, plan_text, result_json, result_text
from cortops.deploy.limits import Accepted, demand_accepted, flags_needed
from cortops.deploy.waves.history import judged_bad
from cortops.deploy.waves.machine import Upgrade
from cortops.deploy.waves.plan import Wishes
from cortops.environment.cortensord import CORTENSORD
from cortops.environment.declared import Environment
from cortops.surfaces.fleet.builds.binaries import why_refused
from cortops.words.errors import BadInput, PlanChanged, Refused, UnknownName

ATTENTION = 3
EXIT = {"passed": 0, "bad": 1, "failed": 1, "held": ATTENTION, "stopped": ATTENTION}
SECONDS_MAX = 7 * 86_400
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}


def upgrade(
    *words: str,
    canary: str = "",
    wave: int | None = None,
    per_host: int = 1,
    soak: str = "10m",
    within: str = "",
    accept: tuple[str, ...] = (),
    again: Annotated[bool, Parameter(negative="")] = False,
    plan: str = "",
    accept_large: Annotated[bool, Parameter(negative="")] = False,
    rehearse: Annotated[bool, Parameter(negative="")] = False,
    detach: str = "",
    yes: Annotated[bool, Parameter(negative="", alias="-y")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Give adopted nodes another program: one node first, then waves that grow. Each must earn with it before the next begins.

    One that dies, or is selected twice and commits nothing, is taken back at once, and no other is touched. One that nobody selected, or
    that nobody could see, is held and waits for you. Exit 0 when all passed, 1 when one was bad, 3 when you are asked.
    Ctrl-C ends it after the current node; a second one at once. The next run looks first, and does what is left.

    Parameters
    ----------
    words
        [RELEASE] [NODE or HOST...] [FILE]: default the release that the file declares and its nodes do not run yet, all adopted nodes.
    canary
        The node that goes first; default the one that is selected most often.
    wave
        Nodes in one wave at most.
    per_host
        Nodes of one host at once.
    soak
        How long the first node is watched at least, whatever it earns: 30s to 7d.
    within
        How long each gate waits at most, instead of what follows from how often its node is selected.
    accept
        A held node that you find good though its gate has not passed.
    again
        Try a release once more that was found bad.
    plan
        Do only this plan: its digest, or at least 8 digits of it.
    accept_large
        With --plan: do this plan though it is over a limit of rules.apply.
    rehearse
        Play it on copies of the nodes on this machine, and change no host.
    detach
        Hand it over to the host with an installed watch that may act, and leave: this machine may close.
    yes
        Do not ask.
    """
    file, names = split(words)
    env = environment(file, common)
    release, nodes, hosts = wanted(env, names)
    accepted = accepted_by(plan, large=accept_large)
    soak_s, within_s = seconds(soak, "--soak"), seconds(within, "--within") if within else None
    wishes = Wishes(nodes=nodes, hosts=hosts, canary=canary, wave_max=wave, per_host=per_host, soak_s=soak_s, within_s=within_s)
    shown = command(words, wishes, within, soak)
    if rehearse:
        return rehearsed(env, release, wishes, accept, shown, common)
    if not yes and not plan:
        found = asyncio.run(_plan(env, release, wishes, accept, again, common))
        status = _tell(found, shown, common)
        if not found.plan.steps or common.json or found.over or not agreed():
            return status
        plan = found.plan.digest
    handing = None
    if detach:
        said = {"canary": canary, "wave": wave or "", "per-host": per_host, "soak": soak, "within": within, "again": again}
        handing = Handing(host=detach, words=names, flags={**said, "accept-large": accept_large}, accept=accept)
    return _tell_end(asyncio.run(_run(env, release, wishes, accept, again, plan, common, accepted, shown, handing)), shown, common)


def _tell_end(finished: tuple[Upgrade, float] | Scene | HandedOver, shown: str, common: Common) -> int:
    """What came of it: an upgrade, one that goes on elsewhere, or a scene where nothing is to be done or the plan is another now."""
    if isinstance(finished, Scene):
        return _tell(finished, shown, common)
    if isinstance(finished, HandedOver):
        show_json(asdict(finished)) if common.json else show(finished.text)
        return 0
    done, took_s = finished
    if common.json:
        show_json(result_json(done, took_s))
    else:
        show(result_text(done, took_s))
    return EXIT[done.outcome]


def wanted(env: Environment, names: Sequence[str]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Words -> (release, nodes, hosts). UnknownName for a word that is none of these, BadInput where no release is meant."""
    builds = [name for name, release in env.programs.items() if release.program == CORTENSORD]
    nodes = tuple(name for name in names if name in env.installed)
    hosts = tuple(name for name in names if name not in nodes and name in env.hosts)
    rest = [name for name in names if name not in nodes and name not in hosts]
    strays = [name for name in rest if name not in builds]
    if strays:
        raise UnknownName(
            f"{strays[0]} is no release, node or host of {env.file}",
            next=f"releases: {joined(builds, 8) or 'none; cortops releases add NAME ./cortensord'}",
        )
    if len(rest) > 1:
        raise BadInput(f"{rest[0]} and {rest[1]} are two releases, and one upgrade leads to one")
    release = rest[0] if rest else _declared(env, nodes, hosts)
    if why := why_refused(env, release):
        raise Refused(why, where=env.file, next="Name a newer release, or change releases.minimum.")
    return release, nodes, hosts


def _declared(env: Environment, nodes: Sequence[str], hosts: Sequence[str]) -> str:
    """The one release that the file declares for those nodes."""
    asked = [
        node
        for name, node in env.installed.items()
        if node.release is not None and ((not nodes and not hosts) or name in nodes or node.host in hosts)
    ]
    found = list(dict.fromkeys(node.release for node in asked if node.release is not None))
    if not found:
        raise BadInput(f"no such node of {env.file} is adopted", next="cortops adopt")
    if len(found) > 1:
        raise BadInput(f"the file declares {joined(found)} for them: name one", next=f"cortops upgrade {found[0]}")
    return found[0]


def seconds(text: str, option: str) -> float:
    """`30s`, `40m`, `2h`, `1d` -> seconds; BadInput for anything else, and beyond a week."""
    found = re.fullmatch(r"([0-9]{1,6})(s|m|min|h|d)", text.strip())
    value = int(found[1]) * _UNITS[found[2]] if found else SECONDS_MAX + 1
    if value > SECONDS_MAX:
        raise BadInput(f"{option} {text} is not a time up to 7d", next=f"For example: {option} 40m")
    return float(value)


def command(words: Sequence[str], wishes: Wishes, within: str, soak: str) -> str:
    """The command as it was given, without what says whether to do it."""
    options = [
        f"--canary {wishes.canary}" if wishes.canary else "",
        f"--wave {wishes.wave_max}" if wishes.wave_max else "",
        f"--per-host {wishes.per_host}" if wishes.per_host != 1 else "",
        f"--soak {soak}" if soak != "10m" else "",
        f"--within {within}" if within else "",
    ]
    return " ".join(filter(None, ["cortops upgrade", *words, *options]))


def _tell(found: Scene, shown: str, common: Common) -> int:
    """The plan, before anything is done. Exit 0 when there is nothing to do."""
    plan = found.plan
    if common.json:
        show_json(plan_json(plan) | {"notes": list(found.notes)})
    else:
        again = " ".join((shown, "--plan", plan.digest[:12], *flags_needed(found.over, ())))
        show(plan_text(plan, time.time(), notes=found.notes, again=again))
    return ATTENTION if plan.steps or plan.apart else 0


def agreed() -> bool:
    """What the reader answers; without a terminal nobody is asked, and nothing is done."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write("do it? yes or no: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


async def _plan(env: Environment, release: str, wishes: Wishes, accept: Sequence[str], again: bool, common: Common) -> Scene:
    async with here(env, common) as place:
        found = await look(env, place, release, wishes, accept)
        _demand_not_bad(found, again)
        return found


async def _run(
    env: Environment,
    release: str,
    wishes: Wishes,
    accept: Sequence[str],
    again: bool,
    digest: str,
    common: Common,
    accepted: Accepted,
    shown: str,
    handing: Handing | None,
) -> tuple[Upgrade, float] | Scene | HandedOver:
    """The upgrade as it ended, with how long it took in seconds; or what was seen, where nothing is to be done; or who does it now."""
    async with here(env, common) as place:
        found = await look(env, place, release, wishes, accept)
        _demand_not_bad(found, again)
        same = found.planned_as(digest, wishes)
        if same is None:
            raise PlanChanged(
                f"the plan is now {found.plan.digest[:12]}, not {digest[:12]}",
                why="what nodes run, or which of them earn, changed since it was made",
                next="Look at it again: the same command without --plan.",
            )
        found = same
        if not found.plan.steps and not accept:
            return found
        demand_accepted(found.over, (), accepted, f"{shown} --plan {found.plan.digest[:12]}")
        if handing is not None:
            return await hand_over(env, place, found, handing)
        return await drive(env, place, found, accept, common, accepted)


def _demand_not_bad(found: Scene, again: bool) -> None:
    """Refused for a release that was found bad, unless people want it once more."""
    bad = judged_bad(found.histories.values(), found.program.sha256)
    if bad and not again and any(not step.bad for step in found.plan.steps):
        node, entry = bad[0]
        raise Refused(
            f"{found.program.release} was found bad on {node}: {entry.text}",
            where=node,
            why=f"judged by {entry.by}",
            next="Name another release; or try it once more: the same command with --again",
        )
