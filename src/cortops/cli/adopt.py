"""`cortops adopt`: what nodes run today becomes generation 0 on their hosts, so that the first change of ours can be undone."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

import cortops
from cortops.cli.common import Common, environment, new_apply_id
from cortops.cli.doctor import split
from cortops.cli.fleet import Fleet, fleet
from cortops.cli.output import Progress, joined, show, show_json, table
from cortops.deploy.adopt import Adoption, adopted, adoption, chosen, with_sizes
from cortops.deploy.apply import StepTold, WaveBegun, WaveWell
from cortops.deploy.host_state import HostApplied, HostLook, HostState, Want, apply_host, changed_by_hand, host_state, look_host
from cortops.deploy.lock import this_process
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.environment.reason import Invalid
from cortops.environment.set_release import set_release
from cortops.environment.write import merge
from cortops.surfaces.fleet.adopted import host_root
from cortops.surfaces.fleet.found.discover import HostFound, question, question_id, read
from cortops.words.errors import BadInput, CortopsError, PlanChanged, Refused
from cortops.words.question import Answer
from cortops.words.resource import Blob

FAILED, ATTENTION = 1, 3
DIGEST_MIN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What an adoption would do: on each host, and what it leaves alone. digest: of all hosts' plans."""

    adoption: Adoption
    looks: Mapping[str, HostLook]

    @property
    def digest(self) -> str:
        """What `adopt --plan` must find again: of every host's plan."""
        text = "\n".join(f"{host} {look.plan.digest}" for host, look in sorted(self.looks.items()))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def changing(self) -> bool:
        """Whether anything is to be recorded: nodes not adopted yet, or changed by hand since."""
        return any(look.plan.changes or changed_by_hand(look) for look in self.looks.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What an adoption did. failures: host -> why nothing was recorded there. releases: those that the file got."""

    planned: Planned
    applied: tuple[HostApplied, ...]
    failures: Mapping[str, str]
    releases: tuple[str, ...]


def adopt(
    *words: str,
    plan: Annotated[str, Parameter(help="Do this plan: its digest, or at least 8 digits of it.")] = "",
    yes: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Copy what nodes run today, with unit and env file, on their own hosts, as generation 0. Nothing is restarted or changed there.

    Without --plan or --yes it only shows what it would do, and exits 3. Afterwards the environment file names what each of them runs.

    Parameters
    ----------
    words
        [NODE or HOST...] [FILE]: default all nodes of ./cortops.yaml that run cortensord; FILE ends in .yaml.
    yes
        Do it without showing the plan first.
    """
    file, names = split(words)
    env = environment(file, common)
    if plan and len(plan) < DIGEST_MIN:
        raise BadInput(f"a digest has at least {DIGEST_MIN} digits, this one {len(plan)}")
    nodes = chosen(env, names)
    if not nodes:
        raise BadInput(f"{env.file} declares no node that runs cortensord there", next=f"cortops discover --write {env.file}")
    result = asyncio.run(_run(env, nodes, plan if plan or not yes else "any", common))
    if common.json:
        show_json(as_json(env, result))
    else:
        show(as_text(env, result))
    if isinstance(result, Planned):
        return ATTENTION if result.adoption.refused or result.changing else 0
    if result.failures and not result.applied:
        return FAILED
    return ATTENTION if result.planned.adoption.refused or result.failures else 0


async def _run(env: Environment, nodes: Sequence[str], digest: str, common: Common) -> Planned | Done:
    progress = Progress(sys.stderr)
    async with fleet({name: env.hosts[name] for name in dict.fromkeys(env.installed[node].host for node in nodes)}, common) as place:
        progress.now(f"asking {joined(place.targets)} …")
        found, silent = await _found(place)
        about = adoption(env, nodes, found, silent)
        states = {host: host_state(place.targets[host], env.name, place.clock, _never_sent, env.rules.apply.by) for host in about.nodes}
        planned = Planned(adoption=about, looks=await _looks(env, about, states))
        progress.say()
        if not digest or (not planned.changing and not about.named):
            return planned
        if digest != "any" and not planned.digest.startswith(digest):
            raise PlanChanged(f"the plan is now {planned.digest[:12]}, not {digest}: something changed since it was made")
        return await _do(env, planned, states, progress)


async def _found(place: Fleet) -> tuple[dict[str, HostFound], dict[str, str]]:
    replies = await place.ask([question(host) for host in place.targets])
    found: dict[str, HostFound] = {}
    silent: dict[str, str] = {}
    for host in place.targets:
        reply = replies[question_id(host)]
        if isinstance(reply, Answer):
            found[host] = read(reply.text, host, asked_at=reply.at)
        else:
            silent[host] = reply.why
    return found, silent


async def _looks(env: Environment, about: Adoption, states: Mapping[str, HostState]) -> dict[str, HostLook]:
    looks = await asyncio.gather(*(look_host(state, _want(env, about, host), cortops.__version__) for host, state in states.items()))
    return dict(zip(states, looks, strict=True))


def _want(env: Environment, about: Adoption, host: str) -> Want:
    return partial(adopted, env=env, host=host, nodes=about.nodes[host])


def _never_sent(blob: Blob) -> Path:
    raise AssertionError(f"{blob.path} is copied on its host")


async def _do(env: Environment, planned: Planned, states: Mapping[str, HostState], progress: Progress) -> Done:
    """Each host by itself and all at once: one that fails hides no other. Then the file, for what was adopted."""

    def report(event: WaveBegun | StepTold | WaveWell) -> None:
        if isinstance(event, StepTold):
            progress.now(f"  {event.place}: {event.progress.key.partition(' ')[2]} {event.progress.event}")

    async def one(host: str, state: HostState) -> HostApplied | CortopsError:
        try:
            return await apply_host(
                state,
                _want(env, planned.adoption, host),
                apply_id=new_apply_id(),
                owner=this_process(),
                tool_version=cortops.__version__,
                report=report,
                digest=planned.looks[host].plan.digest,
                adopting=True,
            )
        except CortopsError as error:
            return error

    results = dict(zip(states, await asyncio.gather(*(one(host, state) for host, state in states.items())), strict=True))
    progress.say()
    applied = tuple(result for result in results.values() if isinstance(result, HostApplied))
    failures = {host: result.what for host, result in results.items() if isinstance(result, CortopsError)}
    releases = _write(env, planned.adoption, applied)
    return Done(planned=planned, applied=applied, failures=failures, releases=releases)


def _write(env: Environment, about: Adoption, applied: Sequence[HostApplied]) -> tuple[str, ...]:
    """Put into the file what the adopted nodes run; the same text is not written again. Returns the new releases."""
    there = {node.name: node for one in applied for node in about.nodes[one.host]}
    named = {name: release for name, release in about.named.items() if name in there}
    used = {name: body for name, body in about.builds.items() if name in {node.release for node in there.values()}}
    builds = with_sizes(used, [one.observed for one in applied])
    if not named and not builds:
        return ()
    path = Path(env.file)
    text = path.read_text("utf-8")
    if text != env.text:
        raise Refused(f"{env.file} was changed meanwhile; the hosts have generation 0 already", next="Run the same command again.")
    text = set_release(merge(text, {}, {}, releases=builds).text, named)
    checked = load(text, env.file)
    if isinstance(checked, Invalid):
        raise checked.error()
    path.write_text(text, "utf-8")
    return tuple(builds)


def as_text(env: Environment, result: Planned | Done) -> str:
    """What would be done and how to do it, or what was done; then what was left alone, each with the reason."""
    planned = result if isinstance(result, Planned) else result.planned
    about = planned.adoption
    lines: list[str] = []
    if isinstance(result, Planned):
        for host, look in planned.looks.items():
            copies = "copies of their programs, units and env files" if look.plan.changes or changed_by_hand(look) else "as recorded"
            lines.append(f"{host}  {len(about.nodes[host])} nodes: {copies}, in {host_root(env.name)} there")
            rows = [
                (node.name, node.shape, node.unit or node.env_file, f"runs {node.program[:6]} as {node.release}")
                for node in about.nodes[host]
            ]
            lines.append(table(rows, "  "))
        lines += _left(about, {})
        if planned.changing:
            lines.append("Nothing is restarted, and no file of yours on a host is changed; the environment file gets what each node runs.")
            lines.append(f"digest {planned.digest[:12]}    next: cortops adopt {env.file} --plan {planned.digest[:12]}")
        elif about.nodes:
            lines.append(f"Nothing to do: {sum(map(len, about.nodes.values()))} nodes are adopted, and as they are recorded.")
        return "\n".join(lines)
    for one in result.applied:
        nodes = about.nodes[one.host]
        lines.append(f"{one.host}  {len(nodes)} nodes adopted, generation {one.generation}: {joined([node.name for node in nodes], 8)}")
        lines += [f"  {note}" for note in one.notes]
    lines += _left(about, result.failures)
    added = f" and the new releases {joined(result.releases)}" if result.releases else ""
    if result.applied:
        lines.append(f"{env.file} has the release of each{added}. Nothing was restarted.    next: cortops plan {env.file}")
    return "\n".join(lines)


def _left(about: Adoption, failures: Mapping[str, str]) -> list[str]:
    rows = [(name, why) for name, why in about.refused.items()]
    return [*(["left alone", table(rows, "  ")] if rows else []), *(f"{host} failed: {why}" for host, why in failures.items())]


def as_json(env: Environment, result: Planned | Done) -> dict[str, object]:
    """The shape of `adopt --json`."""
    planned = result if isinstance(result, Planned) else result.planned
    done = result if isinstance(result, Done) else None
    generations = {one.host: one.generation for one in done.applied} if done else {}
    return {
        "environment": env.name,
        "digest": planned.digest,
        "done": done is not None,
        "nodes": [
            {"node": node.name, "host": host, "program": node.program, "release": node.release, "generation": generations.get(host)}
            for host, nodes in planned.adoption.nodes.items()
            for node in nodes
        ],
        "left": [{"node": name, "why": why} for name, why in planned.adoption.refused.items()],
        "failures": [{"host": host, "why": why} for host, why in done.failures.items()] if done else [],
        "releases": list(done.releases) if done else [],
    }
