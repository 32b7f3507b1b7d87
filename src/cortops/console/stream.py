"""`GET /events`: what changes, as it changes (WHATWG HTML, server-sent events).

Event `picture` has what differs from the last one that the client saw; everything when it saw none. Event `tasks` has the newest tasks when
they changed. Event `beat` ends every round, so that silence means that nobody looks. At most two rounds a second are told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from starlette.types import Receive, Scope, Send

from cortops.console.board import Board, Moment
from cortops.console.live import Live, difference
from cortops.console.view import TaskLine
from cortops.console.wording import utc
from cortops.monitor.picture import Picture
from cortops.words.errors import CortopsError

ROUND_S_MIN = 0.5  # between two rounds told
HEADERS = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))


class EventStream:
    """An ASGI answer that lasts until the client leaves or the console stops. after: id of the last moment that the client saw, or ""."""

    def __init__(self, board: Board, after: str) -> None:
        self._board = board
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._board.stream():
            await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            telling = asyncio.ensure_future(self._tell(send))
            ends = [telling, asyncio.ensure_future(_gone(receive)), asyncio.ensure_future(self._board.closing.wait())]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
                results = await asyncio.gather(*ends, return_exceptions=True)
            left = ends[1].done() and not ends[1].cancelled()
            if isinstance(results[0], Exception) and not left:
                raise results[0]
            if not left:
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, send: Send) -> None:
        seen, shown_tasks = self._board.remembered(self._after), None  # type: Live | None, bytes | None
        async with aclosing(self._pictures()) as pictures:
            async for picture in pictures:
                moment = self._board.moment(picture)
                await send({"type": "http.response.body", "body": told(moment, seen, self._board.clock.now()), "more_body": True})
                if picture is not None:
                    seen = moment.live
                tasks = tasks_event(await self._board.tasks(), self._board.clock.now())
                if tasks != shown_tasks:
                    await send({"type": "http.response.body", "body": tasks, "more_body": True})
                    shown_tasks = tasks
                await self._board.clock.sleep(ROUND_S_MIN)

    async def _pictures(self) -> AsyncGenerator[Picture | None, None]:
        """What is known now, then every new picture."""
        now = self._board.view.picture()
        yield now
        async for picture in self._board.view.pictures():
            if picture is not now:
                yield picture


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def told(moment: Moment, seen: Live | None, now: float) -> bytes:
    """One round: `picture` where something changed since `seen`, then `beat`. `now` lets the client know how old the picture is."""
    picture = moment.overview.picture
    when = {"at": picture.at, "at_text": utc(picture.at, now), "now": now, "every_s": picture.every_s}
    changed = difference(seen, moment.live) if moment.overview.asked else {}
    first = event("picture", when | changed, moment.live.id) if changed else b""
    return first + event("beat", when, moment.live.id if moment.overview.asked else "")


def tasks_event(tasks: tuple[TaskLine, ...] | CortopsError, now: float) -> bytes:
    """The newest tasks, or why there are none."""
    if isinstance(tasks, CortopsError):
        return event("tasks", {"tasks": [], "error": tasks.what})
    return event("tasks", {"tasks": [task_shown(task, now) for task in tasks], "error": ""})


def task_shown(task: TaskLine, now: float) -> dict[str, str | float]:
    """A task as an event has it."""
    name = f"{task.session}/{task.task}"
    return {"name": name, "href": f"/tasks/{name}", "task_state": task.state, "since": task.at, "since_text": utc(task.at, now)}


def event(name: str, data: object, event_id: str = "") -> bytes:
    """One event on the wire; JSON has no line break in it, so its data is one line."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {name}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"
