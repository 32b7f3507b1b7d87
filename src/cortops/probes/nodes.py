"""All that is asked in order to judge nodes: their hosts, the chain's past, and other RPCs, side by side and within a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from cortops.contracts.rpc import RpcClient
from cortops.environment.cortensord import CortensordNode
from cortops.environment.declared import Environment
from cortops.environment.model import DEPLOY
from cortops.probes.backfill import Filled, Heads, ask_many, fill, find_times, look_at_heads, look_at_wallets
from cortops.protocol.http import HttpClient
from cortops.surfaces.chain.addresses import rpc_url
from cortops.surfaces.fleet.found import discover
from cortops.surfaces.fleet.found.installed import Installed
from cortops.surfaces.judging import Ask
from cortops.surfaces.nodes import chain_facts, logs
from cortops.surfaces.nodes.assemble import ChainSeen, addresses
from cortops.surfaces.nodes.blocks import BlockTimes, Look
from cortops.surfaces.nodes.chain_places import RUNTIME_ENV_KEY, ChainPlaces, choose, from_env, read_runtime, runtime_calls
from cortops.surfaces.nodes.gas import AGES_S
from cortops.surfaces.nodes.seen import HostSeen, host_seen
from cortops.words.clock import Clock
from cortops.words.errors import ChainError
from cortops.words.question import Answer, NoAnswer, Reply, Shell, Silence

TOTAL_S = 18.0  # from the first question to the last answer
TIMES_WAIT_S = 6.0  # for the times of old blocks
PLACES_WAIT_S = 3.0  # for where the contracts are
FILL_MIN_S = 4.0  # however late the hosts answered
HOST_TIMEOUT_S, HOST_WAIT_S = 10.0, 12.0  # of what runs there; of the whole, the connection included
RPC_TIMEOUT_S = 5.0
RPC_BODY_MAX_MIB = 32.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was seen, without a judgement: the arguments of assemble.page_of. at: when, by our clock."""

    chain: ChainSeen
    hosts: Mapping[str, HostSeen]
    found: Mapping[str, Installed]
    at: float


async def observe(
    env: Environment, ask: Ask, http: HttpClient, clock: Clock, *, since_s: float, report: Callable[[str], None] = lambda text: None
) -> Observed:
    """Ask everything about the installed nodes, within TOTAL_S. report: what is under way, in words."""
    until = clock.monotonic() + TOTAL_S
    urls = dict.fromkeys([rpc_url(env), *env.network.references])
    clients = [RpcClient(url, http, timeout_s=RPC_TIMEOUT_S, body_max_mib=RPC_BODY_MAX_MIB) for url in urls]
    report(f"asking {len(_hosts(env))} hosts and {len(clients)} RPCs")
    replies, (heads, times) = await asyncio.gather(
        _ask_hosts(env, ask, clock, since_s), _chain(clients, clock, env.network.chain_id, since_s)
    )
    found = installed_of(replies, env)
    usable = [client for client, _ in _by_height(clients, heads)]
    again, places = await asyncio.gather(
        _within(look_at_heads(usable, clock), clock, PLACES_WAIT_S, Heads(looks=(), failed={})),
        _within(_places(env, usable, found), clock, PLACES_WAIT_S, choose(_declared(env), {}, [])),
    )
    why = "" if times is not None else "the RPC did not tell when its blocks were"
    chain = ChainSeen(logs=None, looks=(*heads.looks, *again.looks), failed=heads.failed, times=times, why=why)
    if usable and times is not None:
        left_s = max(FILL_MIN_S, until - clock.monotonic())
        highest = _by_height(usable, again) or _by_height(usable, heads)
        filled, wallets = await asyncio.gather(
            _filled(highest, places, times, since_s, clock, left_s, report),
            _within(look_at_wallets(usable, addresses(env, found), _blocks(times, since_s)), clock, left_s, {}),
        )
        chain = replace(chain, places=places, wallets=wallets)
        if filled is not None:
            chain = replace(chain, logs=filled.logs, first=filled.first, covered=filled.covered, complete=filled.complete, why=filled.why)
    hosts = {host: host_seen(replies[logs.question_id(host)], replies[discover.question_id(host)]) for host in _hosts(env)}
    return Observed(chain=chain, hosts=hosts, found=found, at=clock.now())


def _hosts(env: Environment) -> list[str]:
    return list(dict.fromkeys(node.host for node in env.installed.values()))


def host_questions(env: Environment, host: str, since_s: float) -> tuple[Shell, Shell]:
    """What the logs and RPCs say, then which processes there are: that takes longer, where a large file is hashed."""
    nodes = [(name, node) for name, node in env.installed.items() if node.host == host]
    places = [logs.LogPlace(node=name, log=node.log, env_file=node.env_file) for name, node in nodes]
    processes = replace(discover.question(host), timeout_s=HOST_TIMEOUT_S)
    return replace(logs.question(host, places, since_s=since_s), timeout_s=HOST_TIMEOUT_S), processes


async def _ask_hosts(env: Environment, ask: Ask, clock: Clock, since_s: float) -> dict[str, Reply]:
    """Question id -> reply. Each host by itself and within HOST_WAIT_S, so that none waits for another."""

    async def one(host: str) -> Mapping[str, Reply]:
        questions, at = host_questions(env, host, since_s), clock.now()
        why = f"no answer within {HOST_WAIT_S:g} s"
        late = {item.id: NoAnswer(question=item.id, at=at, elapsed_s=HOST_WAIT_S, silence=Silence.TIMEOUT, why=why) for item in questions}
        return await _within(ask(questions), clock, HOST_WAIT_S, late)

    return {name: reply for replies in await asyncio.gather(*(one(host) for host in _hosts(env))) for name, reply in replies.items()}


def installed_of(replies: Mapping[str, Reply], env: Environment) -> dict[str, Installed]:
    """Declared name -> the node as found now, for those that were found."""
    found: dict[str, Installed] = {}
    for host in _hosts(env):
        reply = replies.get(discover.question_id(host))
        if isinstance(reply, Answer):
            there = discover.read(reply.text, host).nodes
            for name, node in env.installed.items():
                if node.host == host and (match := _match(node, there)) is not None:
                    found[name] = match
    return found


def _match(node: CortensordNode, there: Sequence[Installed]) -> Installed | None:
    """The node of a host that is the declared one: the same env file, of a container its name too."""
    of_file = [found for found in there if found.env_file == node.env_file]
    named = [found for found in of_file or there if found.unit == node.unit] if node.unit else []
    return next(iter(named or of_file), None)


async def _chain(clients: Sequence[RpcClient], clock: Clock, chain_id: int, since_s: float) -> tuple[Heads, BlockTimes | None]:
    """Newest blocks, and when blocks of the past were."""
    heads = await look_at_heads(clients, clock, chain_id)
    for client, look in _by_height(clients, heads):
        try:
            times = await _within(find_times(client, look, (since_s, *AGES_S)), clock, TIMES_WAIT_S, None)
        except ChainError:
            continue
        if times is not None:
            return heads, times
    return heads, None


def _by_height(clients: Sequence[RpcClient], heads: Heads) -> list[tuple[RpcClient, Look]]:
    """Those that answered, the highest first; of equals as declared."""
    pairs = [(client, look) for client in clients for look in heads.looks if look.url == client.url]
    return sorted(pairs, key=lambda pair: -pair[1].number)


def _blocks(times: BlockTimes, since_s: float) -> list[int]:
    """The blocks at which balances are looked at."""
    head, head_at = times.known[-1]
    return sorted({block for age in (since_s, *AGES_S) if (block := times.block(head_at - age)) < head})


async def _places(env: Environment, clients: Sequence[RpcClient], found: Mapping[str, Installed]) -> ChainPlaces:
    """Where the contracts are, each with code behind it."""
    contracts, envs = env.network.contracts, [node.env for node in found.values()]
    declared = _declared(env)
    runtime = contracts.runtime if contracts.runtime != DEPLOY else from_env(envs, (RUNTIME_ENV_KEY,))
    for client in clients:
        try:
            told = read_runtime(await ask_many(client, runtime_calls(runtime))) if runtime else {}
            places = choose(declared, told, envs)
            codes = await ask_many(client, [("eth_getCode", (address, "latest")) for address in places.addresses.values()])
        except ChainError:
            continue
        real = {name: address for (name, address), code in zip(places.addresses.items(), codes, strict=True) if code not in ("0x", None)}
        return ChainPlaces(addresses=real, how={name: places.how[name] for name in real})
    return choose(declared, {}, envs)


def _declared(env: Environment) -> dict[str, str]:
    named = {"session_queue": env.network.contracts.session_queue, "cognitive": env.network.contracts.cognitive}
    return {name: place for name, place in named.items() if place and place != DEPLOY}


async def _filled(
    usable: Sequence[tuple[RpcClient, Look]],
    places: ChainPlaces,
    times: BlockTimes,
    since_s: float,
    clock: Clock,
    left_s: float,
    report: Callable[[str], None],
) -> Filled | None:
    if not places.addresses:
        return None
    first = times.block(times.known[-1][1] - since_s)
    return await fill(
        usable,
        list(places.addresses.values()),
        chain_facts.TOPICS,
        first=first,
        clock=clock,
        deadline_s=left_s,
        report=lambda fraction: report(f"reading the chain: {fraction:.0%}"),
    )


async def _within(work: Awaitable[T], clock: Clock, deadline_s: float, otherwise: T) -> T:
    """What comes within the deadline, else `otherwise`; the work is ended then."""
    task, alarm = asyncio.ensure_future(work), asyncio.ensure_future(clock.sleep(deadline_s))
    both: list[asyncio.Future[object]] = [task, alarm]  # type: ignore[list-item]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else otherwise
    finally:
        for one in both:
            one.cancel()
        await asyncio.gather(*both, return_exceptions=True)
