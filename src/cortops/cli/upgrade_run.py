"""An upgrade wired: what is looked at before, then the machine with its hands and eyes, under a lock on every host that it changes."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cortops.cli.common import Common, new_apply_id
from cortops.cli.compose import Here
from cortops.cli.output import Progress, joined
from cortops.cli.release_file import ReleaseFile
from cortops.cli.upgrade_messages import end_message, messages, wave_message
from cortops.cli.upgrade_told import Lines
from cortops.contracts.rpc import RpcClient
from cortops.deploy.binaries import bring
from cortops.deploy.host_state import HostState
from cortops.deploy.limits import Accepted, Size, over_limits
from cortops.deploy.lock import Lock, this_process
from cortops.deploy.node_programs import Program
from cortops.deploy.one_key import one_key
from cortops.deploy.safe_moment import Moment
from cortops.deploy.waves.eyes import FleetEyes, Registered
from cortops.deploy.waves.hands import Around, HostHands, runs
from cortops.deploy.waves.history import HostHistory, NodeNow, candidate
from cortops.deploy.waves.machine import Tell, Upgrade
from cortops.deploy.waves.plan import Candidate, UpgradePlan, Wishes, plan_upgrade
from cortops.deploy.waves.read import AdoptedNow, adopted_now, histories
from cortops.deploy.waves.run import Stopping, run
from cortops.environment.declared import Environment
from cortops.environment.model import DEPLOY
from cortops.probes.chain_tail import ChainTail
from cortops.probes.nodes import RPC_BODY_MAX_MIB, RPC_TIMEOUT_S, Observed, observe
from cortops.probes.registration import registered, registries
from cortops.surfaces.chain.addresses import rpc_url
from cortops.surfaces.nodes.assemble import page_of
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, Refused

DAY_S = 86_400.0
LEASE_S = 600  # of the lock of an upgrade: a host that is silent for so long ends nothing, and a laptop that is gone blocks no longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What was seen before an upgrade. notes: what people should know besides the plan. over: the limits of rules.apply that it is over."""

    program: Program
    observed: Observed
    histories: Mapping[str, HostHistory]
    plan: UpgradePlan
    notes: tuple[str, ...]
    candidates: tuple[Candidate, ...] = ()
    over: tuple[str, ...] = ()

    def planned_as(self, digest: str, wishes: Wishes) -> Scene | None:
        """With the plan that has this digest: who is selected most often changes while people read, so who went first then goes first."""
        if self.plan.digest.startswith(digest):
            return self
        for one in self.candidates:
            if one.standing == "old" and not wishes.canary:
                chosen = replace(wishes, canary=one.node)
                plan = plan_upgrade(self.plan.environment, self.plan.release, self.plan.program, self.candidates, chosen)
                if plan.digest.startswith(digest):
                    return replace(self, plan=plan)
        return None


async def look(env: Environment, place: Here, release: str, wishes: Wishes, accept: Sequence[str]) -> Scene:
    """Look at all nodes, their hosts' records and the chain, and plan; nothing is changed."""
    deployment = place.deployment
    build = env.programs[release]
    program = Program(sha256=build.sha256, release=release, size=build.size)
    progress = Progress(sys.stderr)
    seen, records, now = await asyncio.gather(
        observe(env, deployment.ask, place.http, deployment.clock, since_s=DAY_S, report=progress.now),
        histories(deployment.states, program.sha256),
        adopted_now(deployment.states, deployment.tool_version),
    )
    progress.say()
    found = _candidates(env, seen, records, program, deployment.clock, accept)
    plan = plan_upgrade(env.name, release, program.sha256, found, wishes)
    over = over_limits(_size(plan, found), env.rules.apply)
    return Scene(
        program=program,
        observed=seen,
        histories=records,
        plan=plan,
        notes=(*_notes(env, seen, plan), *_edited(plan, now), *(f"over a limit: {one}" for one in over)),
        candidates=tuple(found),
        over=over,
    )


def _edited(plan: UpgradePlan, now: Mapping[str, AdoptedNow]) -> list[str]:
    """What the operator of these nodes changed by hand."""
    return [f"{step.node}: {one}" for step in plan.steps if step.node in now for one in now[step.node].edited]


def _size(plan: UpgradePlan, candidates: Sequence[Candidate]) -> Size:
    waves = tuple(tuple(f"{step.node} on {step.host}" for step in wave) for wave in plan.waves)
    return Size(stops=waves, running=len(candidates), hosts=plan.hosts)


def _candidates(
    env: Environment, seen: Observed, records: Mapping[str, HostHistory], program: Program, clock: Clock, accept: Sequence[str]
) -> list[Candidate]:
    page = page_of(env, seen.chain, seen.hosts, seen.found, at=seen.at, since_s=DAY_S, released={})
    rows, over_s = {row.node: row for row in page.rows}, page.window.now - page.window.begins_at
    found: list[Candidate] = []
    for name, node in env.installed.items():
        if node.release is None:
            continue
        here = seen.found.get(name)
        now = NodeNow(
            program=here.running_sha256 if here is not None else "",
            running=here.running if here is not None else None,
            selected=rows[name].selected,
            over_s=over_s,
            earning=rows[name].earning.earning,
        )
        record = records.get(node.host, HostHistory(host=node.host, silent="it was not asked"))
        found.append(candidate(name, node, now, record, program.sha256, at=clock.now()))
    return [_accepted(one) if one.node in accept else one for one in found]


def _accepted(one: Candidate) -> Candidate:
    if one.standing != "due":
        raise BadInput(f"{one.node} waits for no gate, so there is nothing to accept", next="cortops generations")
    return replace(one, standing="new")


def _notes(env: Environment, seen: Observed, plan: UpgradePlan) -> tuple[str, ...]:
    strangers = [name for name, node in env.installed.items() if node.release is None]
    notes = [f"{joined(strangers)} {'is' if len(strangers) == 1 else 'are'} only looked at: cortops adopt"] if strangers else []
    notes += [f"the chain cannot be read: {seen.chain.silence}; no gate would ever pass"] if _is_blind(seen) else []
    idle = [step.node for step in plan.steps if step.earned is False]
    notes += [f"{len(idle)} of them did not earn before, and go last: {', '.join(idle[:6])}. See: cortops nodes"] if idle else []
    return tuple(notes)


def _is_blind(seen: Observed) -> bool:
    return seen.chain.logs is None or seen.chain.times is None


async def drive(
    env: Environment, place: Here, scene: Scene, accept: Sequence[str], common: Common, accepted: Accepted
) -> tuple[Upgrade, float]:
    """Do it. Returns how it ended and how long it took, in seconds.

    Raises NotAllowed, Refused where nobody could see whether a node earns, LockHeld while somebody else upgrades, and what bringing the
    program raises.
    """
    deployment, plan = place.deployment, scene.plan
    clock, owner = deployment.clock, this_process()
    deployment.lock.demand_allowed(owner)
    if _is_blind(scene.observed) and any(step.selectable and not step.bad for step in plan.steps):
        raise Refused(f"nobody could see whether a node earns: {scene.observed.chain.silence}", next="cortops nodes")
    lines = Lines(Progress(sys.stderr), clock, {step.node: step.host for step in plan.steps})
    file = ReleaseFile(Path(env.file))
    file.demand_writable()
    gc.enable()  # this may take hours
    async with AsyncExitStack() as stack:
        for host in sorted({*plan.hosts, *(env.installed[name].host for name in accept)}):
            held = await stack.enter_async_context(_upgrade_lock(deployment.states[host], clock).held(owner, new_apply_id(), LEASE_S))
            if held.taken_over:
                lines.all(f"{host}: {held.taken_over}")
        program = await _brought(env, place, scene, lines)
        stopping = Stopping()
        eyes = await eyes_on(env, place, scene.observed, [step.node for step in plan.steps], scene.program.sha256)
        for step in plan.steps:
            if step.due_since is not None:
                eyes.mark(step.node, step.due_since)
        around = around_of(env, place, eyes.moment, file, lines, stopping, mark=eyes.mark, accepted=accepted.flags)
        hands = HostHands(around, program)
        for name in accept:
            await hands.accept(env.installed[name].host, name)
        send = await stack.enter_async_context(messages(env, common, place.http, lines.all))

        def told(tell: Tell, upgrade: Upgrade) -> None:
            lines.told(tell, upgrade)
            if tell.wave:
                send(wave_message(tell, upgrade, clock.now()))

        with signals(stopping, lines):
            done = await run(plan, hands, eyes, clock, stopping, told)
        if plan.steps:
            send(end_message(done, lines.took_s, clock.now()))
    return done, lines.took_s


async def _brought(env: Environment, place: Here, scene: Scene, lines: Lines) -> Program:
    """The program with its file here, where a host needs it; where all of them have it already, nothing is sent."""
    changing = {step.host for step in scene.plan.steps if not step.bad and not step.half and step.due_since is None}
    program, deployment = scene.program, place.deployment
    if all(scene.histories[host].has(program.sha256) for host in changing):
        return program
    build, beside = env.programs[program.release], Path(env.file).resolve().parent
    path = await bring(program.release, build, deployment.cache, lines.step, deployment.clock, beside=beside, http=place.http)
    return replace(program, size=path.stat().st_size)


def _upgrade_lock(state: HostState, clock: Clock) -> Lock:
    """One upgrade at a time on a host; each of its applies takes the host's own lock besides, for as long as it lasts."""
    return Lock(state.target, f"{state.root}/upgrade", clock)  # who may is asked before, and again by each apply


def around_of(
    env: Environment,
    place: Here,
    moment: Callable[[str], Awaitable[Moment]],
    file: ReleaseFile,
    lines: Lines,
    stopping: Stopping,
    *,
    mark: Callable[[str], None] = lambda node: None,
    accepted: Sequence[str] = (),
) -> Around:
    """What every change of a node needs, wired."""
    deployment = place.deployment
    return Around(
        states=deployment.states,
        moment=moment,
        guard=one_key(deployment.ask, list(dict.fromkeys(node.host for node in env.installed.values()))),
        declare=file.declare,
        mark=mark,
        say=lines.node,
        report=lines.step,
        owner=this_process(),
        new_apply_id=new_apply_id,
        tool_version=deployment.tool_version,
        clock=deployment.clock,
        stopping=stopping,
        accepted=accepted,
    )


async def eyes_on(env: Environment, place: Here, seen: Observed, names: Sequence[str], program: str) -> FleetEyes:
    """Eyes on these nodes. program: sha256 of what they are changed to."""
    deployment, chain = place.deployment, seen.chain
    urls = dict.fromkeys([rpc_url(env), *env.network.references])
    clients = [RpcClient(url, place.http, timeout_s=RPC_TIMEOUT_S, body_max_mib=RPC_BODY_MAX_MIB) for url in urls]
    nodes = {name: env.installed[name] for name in names}
    tail = None
    if chain.logs is not None and chain.times is not None:
        tail = ChainTail(clients, chain.places, chain.times, deployment.clock, logs=chain.logs, upto=chain.times.known[-1][0])

    async def does_run(name: str) -> bool | None:
        return await runs(deployment.states[nodes[name].host], name, program)

    return FleetEyes(
        nodes,
        {name: (node.address or (seen.found[name].address if name in seen.found else "")).lower() for name, node in nodes.items()},
        ask=deployment.ask,
        tail=tail,
        runs=does_run,
        registered=await _registered(env, clients[0]),
        clock=deployment.clock,
    )


async def _registered(env: Environment, client: RpcClient) -> Registered:
    contracts = env.network.contracts
    known = (contracts.node_registry,) if contracts.node_registry not in (None, DEPLOY) else ()
    asked = known or (await registries(client, contracts.runtime) if contracts.runtime != DEPLOY else ())

    async def ask(addresses: Sequence[str]) -> Mapping[str, bool]:
        return await registered(client, [place for place in asked if place], addresses)

    return ask


@contextmanager
def signals(stopping: Stopping, lines: Lines) -> Iterator[None]:
    """Ctrl-C, a closed terminal and a polite kill ask for an end; asked twice, at once."""
    loop = asyncio.get_running_loop()

    def asked() -> None:
        again = stopping.soon.is_set()
        stopping.ask()
        lines.all("leaving at once: what is under way stays as it is" if again else "stops after the current node; once more: at once")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
