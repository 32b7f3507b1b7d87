"""The router as an A2A agent: card, discovery, message/send and message/stream on the REST port, by the official library (facts A.3).

Whoever has the key may send messages; card and discovery are for everybody. Tasks are remembered for a while, in this process only.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from a2a.helpers.proto_helpers import get_data_parts, get_text_parts, new_data_part, new_task_from_user_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.context import ServerCallContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.server.routes import create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import Task
from aiohttp import web
from starlette.applications import Starlette

from cortops.programs.common.logs import Log
from cortops.programs.router import asgi
from cortops.programs.router.a2a_card import CARD_PATHS, DISCOVERY_PATH, RPC_PATH, asked_of, card_of, discovery, text_of
from cortops.programs.router.offers import Answered, Asked, Family, Offers
from cortops.programs.router.refusals import error_response, refused
from cortops.protocol.settings import RouterSettings
from cortops.words.errors import BadInput

TASKS_MAX = 256  # remembered, each with its message; the oldest is forgotten first
BODY_MAX_KIB = 256  # of a message: more than a task can hold on chain
IN_FLIGHT_MAX = 64
STOP_TIMEOUT_S = 5.0  # for messages that are under way when the router stops
STREAMING = frozenset({"SendStreamingMessage", "message/stream"})
SILENT_LOGGERS = ("a2a", "sse_starlette")  # their lines quote messages, and prompts are never logged; their answers tell the caller


class Executor(AgentExecutor):
    """Runs each message as one call of the router."""

    def __init__(self, settings: RouterSettings, offers: Offers, log: Log) -> None:
        self._settings = settings
        self._offers = offers
        self._log = log
        self._in_flight = 0

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """One message, from its parts to its artifact."""
        message = context.message
        assert message is not None and context.task_id is not None and context.context_id is not None
        if context.current_task is None:
            task = new_task_from_user_message(message)
            task.id, task.context_id = context.task_id, context.context_id
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        try:
            metadata = dict(message.metadata.items())
            asked = asked_of(get_text_parts(message.parts), get_data_parts(message.parts), metadata, self._settings)
        except BadInput as error:
            await updater.reject(updater.new_agent_message([new_text_part(error.what)]))
            return
        if self._in_flight >= IN_FLIGHT_MAX:
            await updater.reject(
                updater.new_agent_message([new_text_part(f"{IN_FLIGHT_MAX} messages are under way already; send it later")])
            )
            return
        await updater.start_work()
        self._in_flight += 1
        try:
            streams = asked.family is Family.COMPLETIONS and _method(context) in STREAMING
            await self._run(replace(asked, stream=True, streams=True) if streams else asked, updater)
        except Exception as error:
            self._log.error("message_failed", error=type(error).__name__)  # without its words, which may quote the message
            raise
        finally:
            self._in_flight -= 1

    async def _run(self, asked: Asked, updater: TaskUpdater) -> None:
        answered = await self._offers.answer(asked)
        if answered.fine and answered.events is not None:
            answered = await _passed_on(answered, updater)
        elif answered.fine:
            text = text_of(asked.family, answered.body)
            parts = [new_text_part(text)] if text else []
            await updater.add_artifact([*parts, new_data_part(msgspec.to_builtins(answered.body))], name=str(asked.family))
        if answered.fine:
            await updater.complete()
        else:
            await updater.failed(updater.new_agent_message([new_data_part(dict(answered.body))]))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """What is on chain cannot be taken back; nobody waits for it any more."""
        assert context.task_id is not None and context.context_id is not None
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def _method(context: RequestContext) -> str:
    call = context.call_context
    return str(call.state.get("method", "")) if call is not None else ""


async def _passed_on(answered: Answered, updater: TaskUpdater) -> Answered:
    """A completion's events as growing parts of one artifact; what it ended with."""
    assert answered.events is not None
    artifact, begun = "answer", False
    async with aclosing(answered.events) as events:
        async for chunk in _chunks(events):
            if "error" in chunk:
                return Answered(status=502, body=chunk)
            choice = (chunk.get("choices") or [{}])[0]
            last = choice.get("finish_reason") is not None
            if choice.get("text") or last:
                part = new_text_part(str(choice.get("text", "")))
                await updater.add_artifact([part], artifact_id=artifact, name="completions", append=begun, last_chunk=last)
                begun = True
            if last:
                return Answered(status=200, body=chunk)
    return refused(502, "stream_ended", "the answer ended before it was whole")


async def _chunks(events: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """Server-sent events, each whole, as their JSON."""
    async for part in events:
        for event in part.split(b"\n\n"):
            data = event.removeprefix(b"data: ")
            if data and data != b"[DONE]":
                yield msgspec.json.decode(data, type=dict[str, Any])


class Remembered(InMemoryTaskStore):
    """The library's store, of the newest TASKS_MAX tasks."""

    def __init__(self) -> None:
        super().__init__()
        self._known: OrderedDict[str, ServerCallContext] = OrderedDict()

    async def save(self, task: Task, context: ServerCallContext) -> None:
        """Save it, and forget the oldest beyond the limit."""
        await super().save(task, context)
        self._known[task.id] = context
        self._known.move_to_end(task.id)
        while len(self._known) > TASKS_MAX:
            oldest, its_context = self._known.popitem(last=False)
            await super().delete(oldest, its_context)

    async def delete(self, task_id: str, context: ServerCallContext) -> None:
        """Forget it."""
        self._known.pop(task_id, None)
        await super().delete(task_id, context)


class _Call(msgspec.Struct, frozen=True):
    """What a JSON-RPC request must have, so that the library can read it."""

    jsonrpc: str
    method: str
    params: dict[str, Any] = {}
    id: str | int | None = None


@dataclass(frozen=True, slots=True)
class AgentDoor:
    """The A2A routes."""

    settings: RouterSettings
    app: Starlette
    card: Mapping[str, Any]

    @property
    def open_paths(self) -> frozenset[str]:
        return frozenset({*CARD_PATHS, DISCOVERY_PATH})

    def routes(self) -> Iterator[web.RouteDef]:
        yield from (web.get(path, self._card) for path in CARD_PATHS)
        yield web.get(DISCOVERY_PATH, self._discovery)
        yield web.post(RPC_PATH, self._call)

    async def _card(self, _request: web.Request) -> web.StreamResponse:
        return _json(self.card)

    async def _discovery(self, _request: web.Request) -> web.StreamResponse:
        return _json(discovery(self.settings))

    async def _call(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if len(body) > BODY_MAX_KIB * 1024:
            return error_response(413, "body_too_large", f"a message may have {BODY_MAX_KIB} KiB")
        try:
            msgspec.json.decode(body, type=_Call)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            code = -32600 if isinstance(error, msgspec.ValidationError) else -32700
            return _json({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": str(error)[:200]}})
        return await asgi.answer(self.app, request)


def _json(value: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


@asynccontextmanager
async def agent(settings: RouterSettings, offers: Offers, log: Log) -> AsyncIterator[AgentDoor]:
    """The door while inside; what is under way when left is ended."""
    for name in SILENT_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    card = card_of(settings)
    handler = DefaultRequestHandler(agent_executor=Executor(settings, offers, log), task_store=Remembered(), agent_card=card)
    app = Starlette(routes=create_jsonrpc_routes(handler, RPC_PATH, enable_v0_3_compat=True))
    try:
        yield AgentDoor(settings, app, agent_card_to_dict(card))
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await handler.aclose()
