"""Ask any set of questions at once: HTTP one by one, RPC in a batch per endpoint, shell in one run per target."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from cortops.probes.dns import ask_dns
from cortops.probes.http import ask_http
from cortops.probes.memory import ChainMemory
from cortops.probes.rpc import ask_rpc
from cortops.probes.tcp import ask_tcp
from cortops.probes.tls import ask_tls
from cortops.protocol.http import HttpClient
from cortops.words.clock import Clock
from cortops.words.question import Dns, Events, Feed, Heads, Holdings, Http, Question, Reply, Rpc, Shell, Tcp, Tls

AT_ONCE_MAX = 64

AskShell = Callable[[str, Sequence[Shell]], Awaitable[Mapping[str, Reply]]]


async def ask(
    questions: Sequence[Question], client: HttpClient, ask_shell: AskShell, clock: Clock, memory: ChainMemory | None = None
) -> dict[str, Reply]:
    """Question id -> reply, for every question given; at most AT_ONCE_MAX fetches are under way together.

    ask_shell: (target, its questions) -> replies, one round trip. memory: of whoever asks again and again.
    """
    memory = memory if memory is not None else ChainMemory()
    gate = asyncio.Semaphore(AT_ONCE_MAX)
    endpoints: dict[str, list[Rpc]] = {}
    targets: dict[str, list[Shell]] = {}
    fetches: list[Awaitable[Mapping[str, Reply]]] = []
    for question in questions:
        match question:
            case Rpc(url=url):
                endpoints.setdefault(url, []).append(question)
            case Shell(target=target):
                targets.setdefault(target, []).append(question)
            case Http():
                fetches.append(_one(question, ask_http(question, client, clock)))
            case Tls():
                fetches.append(_one(question, ask_tls(question, client, clock)))
            case Tcp():
                fetches.append(_one(question, ask_tcp(question, client, clock)))
            case Dns():
                fetches.append(_one(question, ask_dns(question, clock)))
            case Heads() | Events() | Holdings() | Feed():
                fetches.append(_one(question, _of_chain(question, client, clock, memory)))
    fetches += [ask_rpc(url, group, client, clock) for url, group in endpoints.items()]
    fetches += [ask_shell(target, group) for target, group in targets.items()]

    async def bounded(fetch: Awaitable[Mapping[str, Reply]]) -> Mapping[str, Reply]:
        async with gate:
            return await fetch

    replies: dict[str, Reply] = {}
    for found in await asyncio.gather(*(bounded(fetch) for fetch in fetches)):
        replies |= found
    return replies


async def _one(question: Question, reply: Awaitable[Reply]) -> dict[str, Reply]:
    return {question.id: await reply}


async def _of_chain(question: Heads | Events | Holdings | Feed, client: HttpClient, clock: Clock, memory: ChainMemory) -> Reply:
    from cortops.probes import chain, feed  # what most environments never ask

    match question:
        case Heads():
            return await chain.ask_heads(question, client, clock)
        case Events():
            return await chain.ask_events(question, client, clock, memory)
        case Holdings():
            return await chain.ask_holdings(question, client, clock, memory)
        case Feed():
            return await feed.ask_feed(question, client, clock)
