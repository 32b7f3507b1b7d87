"""Keys and usage of an environment's gateway, wherever that runs: read here, or asked of its own host by SSH."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import msgspec

from cortops.cli.common import Common
from cortops.cli.places import gateway_hosts, root_of
from cortops.environment.declared import Environment
from cortops.programs.gateway.records import Request, answer
from cortops.targets.ask import Said, ask
from cortops.targets.quoting import quote
from cortops.words.errors import BadInput, StoreMissing, StoreUnavailable, UnknownName

RECORDS_TIMEOUT_S = 30.0
_RUN = 'set -- "$root"/runtime/*/bin/python; [ -x "$1" ] || exit 9; exec "$1" -m cortops.programs.gateway.records'
_NO_PROGRAM = "exit status 9"
_RAISED = {kind.code: kind for kind in (BadInput, UnknownName, StoreUnavailable, StoreMissing)}

T = TypeVar("T")


class _Told(msgspec.Struct):
    answer: msgspec.Raw = msgspec.Raw()
    error: dict[str, str] = {}


class Ask(Protocol):
    """One request of an open way to the records."""

    def __call__(self, request: Request, kind: type[T], /) -> T: ...


def ask_records(env: Environment, common: Common, request: Request, kind: type[T]) -> T:
    """The answer. Raises BadInput, UnknownName, StoreUnavailable as the records do, and StoreUnavailable where their host gives none.

    StoreMissing: no gateway has made its store yet.
    """
    with records(env, common) as ask_:
        return ask_(request, kind)


@contextmanager
def records(env: Environment, common: Common) -> Iterator[Ask]:
    """The same for many requests, over one connection. Of several hosts, which share a store, the first that answers is asked."""
    try:
        with _asked(env, common) as ask_:
            yield ask_
    except StoreMissing as error:
        raise StoreMissing(
            f"the gateway of {env.name} has no store of keys and usage yet",
            where=error.where,
            why="it makes one when it first starts, and nothing is there",
            next=f"cortops {'plan' if any(env.hosts[host].ssh for host in env.own_hosts) else 'up'} {env.file}",
        ) from error


@contextmanager
def _asked(env: Environment, common: Common) -> Iterator[Ask]:
    left = list(gateway_hosts(env))
    if not env.hosts[left[0]].ssh:
        yield _answered_here
        return
    from cortops.cli.fleet import fleet

    program = f"root={quote(root_of(env, common, left[0]))}\n{_RUN}"
    with asyncio.Runner() as runner:
        connected = fleet({host: env.hosts[host] for host in left}, common)
        hosts = runner.run(connected.__aenter__())

        def ask_(request: Request, kind: type[T], /) -> T:
            while True:
                said = runner.run(ask(hosts.targets[left[0]], program, RECORDS_TIMEOUT_S, msgspec.json.encode(request)))
                if said.ok or len(left) == 1:
                    return msgspec.json.decode(_told(env, left[0], said), type=kind)
                del left[0]

        try:
            yield ask_
        finally:
            runner.run(connected.__aexit__(None, None, None))


def _answered_here(request: Request, kind: type[T], /) -> T:
    return msgspec.convert(answer(request, time.time(), secrets.token_bytes), kind, from_attributes=True)


def _told(env: Environment, host: str, said: Said) -> msgspec.Raw:
    if not said.ok:
        why = "our programs are not there yet" if said.why == _NO_PROGRAM else said.why
        raise StoreUnavailable(f"the gateway's records on {host} cannot be asked: {why}", where=host, next=f"cortops apply {env.file}")
    told = msgspec.json.decode("".join(said.out), type=_Told)
    if told.error:
        error = _RAISED.get(told.error["code"], StoreUnavailable)
        raise error(told.error["what"], where=told.error["where"] or host, why=told.error["why"], next=told.error["next"])
    return told.answer
