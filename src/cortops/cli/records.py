"""Keys and usage of an environment's gateway, wherever that runs: read here, or asked of its own host by SSH."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TypeVar

import msgspec

from cortops.cli.common import Common
from cortops.cli.places import gateway_on, root_of
from cortops.environment.declared import Environment
from cortops.programs.gateway.records import Request, answer
from cortops.targets.ask import ask
from cortops.targets.quoting import quote
from cortops.words.errors import BadInput, StoreUnavailable, UnknownName

RECORDS_TIMEOUT_S = 30.0
_RUN = 'set -- "$root"/runtime/*/bin/python; [ -x "$1" ] || exit 9; exec "$1" -m cortops.programs.gateway.records'
_NO_PROGRAM = "exit status 9"
_RAISED = {kind.code: kind for kind in (BadInput, UnknownName, StoreUnavailable)}

T = TypeVar("T")


class _Told(msgspec.Struct):
    answer: msgspec.Raw = msgspec.Raw()
    error: dict[str, str] = {}


def ask_records(env: Environment, common: Common, request: Request, kind: type[T]) -> T:
    """The answer. Raises BadInput, UnknownName, StoreUnavailable as the records do, and StoreUnavailable where their host gives none."""
    host = gateway_on(env)
    if not env.hosts[host].ssh:
        return msgspec.convert(answer(request, time.time(), secrets.token_bytes), kind, from_attributes=True)
    return msgspec.json.decode(asyncio.run(_ask(env, common, host, request)), type=kind)


async def _ask(env: Environment, common: Common, host: str, request: Request) -> msgspec.Raw:
    from cortops.cli.fleet import fleet

    program = f"root={quote(root_of(env, common, host))}\n{_RUN}"
    async with fleet({host: env.hosts[host]}, common) as hosts:
        said = await ask(hosts.targets[host], program, RECORDS_TIMEOUT_S, msgspec.json.encode(request))
    if not said.ok:
        why = "our programs are not there yet" if said.why == _NO_PROGRAM else said.why
        raise StoreUnavailable(f"the gateway's records on {host} cannot be asked: {why}", where=host, next=f"cortops apply {env.file}")
    told = msgspec.json.decode("".join(said.out), type=_Told)
    if told.error:
        error = _RAISED.get(told.error["code"], StoreUnavailable)
        raise error(told.error["what"], where=told.error["where"] or host, why=told.error["why"], next=told.error["next"])
    return told.answer
