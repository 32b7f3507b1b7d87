"""The event stream: what it tells, when, and when it ends. On a virtual clock, without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from starlette.types import Message
from tests.console.console_rig import ROUTER_DOWN, ScriptedView, example, picture

from cortops.console.board import Board
from cortops.console.stream import ROUND_S_MIN, EventStream, event
from cortops.console.view import TaskLine
from cortops.testing.clock import START, VirtualClock, turn_until
from cortops.words.errors import ChainUnreachable

ENV = example()


class Client:
    """One that reads the stream; `leave` closes its connection."""

    def __init__(self, board: Board, after: str = "") -> None:
        self.messages: list[Message] = []
        self._left = asyncio.Event()
        self.serving = asyncio.ensure_future(EventStream(board, after)({}, self._receive, self._send))

    async def _receive(self) -> Message:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def events(self) -> list[tuple[str, str, Any]]:
        """(name, id, data) of each event so far."""
        body = b"".join(message.get("body", b"") for message in self.messages).decode()
        found = []
        for block in body.split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            found.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
        return found

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.events]

    async def leave(self) -> None:
        self._left.set()
        await self.serving


class Stage:
    """A board with a scripted view on a virtual clock."""

    def __init__(self, *, shown: bool = True) -> None:
        self.clock = VirtualClock()
        self.view = ScriptedView(ENV, picture(ENV) if shown else None)
        self.board = Board(self.view, self.clock)

    async def show(self, seconds: float, told: Any = None) -> None:
        """A picture that ends a round `seconds` later."""
        await self.clock.advance(seconds)
        self.view.show(picture(ENV, told, at=self.clock.now()))
        await self.clock.advance(0)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def test_who_comes_first_gets_all_then_only_what_changes() -> None:
    async def main() -> None:
        stage = Stage()
        client = Client(stage.board)
        await stage.clock.advance(1)
        assert client.names == ["picture", "beat", "tasks"]
        (_, first_id, first), (_, _, beat), _ = client.events
        assert first["full"] and len(first["entities"]) == 36
        assert beat == {"at": START, "at_text": "08:00:00 UTC", "now": START, "every_s": 3.0}
        await stage.show(2)
        assert client.names[3:] == ["beat"]
        await stage.show(3, ROUTER_DOWN)
        assert client.names[4:] == ["picture", "beat"]
        _, second_id, second = client.events[4]
        assert set(second["entities"]) == {"router/router-1", "pool/smollm2"} and not second["full"]
        assert first_id != second_id == client.events[5][1]
        await client.leave()
        assert stage.board.streams == 0

    run(main())


def test_who_comes_back_gets_what_was_missed() -> None:
    async def main() -> None:
        stage = Stage()
        client = Client(stage.board)
        await stage.clock.advance(1)
        seen = client.events[-2][1]
        await client.leave()
        await stage.show(2, ROUTER_DOWN)
        again = Client(stage.board, after=seen)
        await stage.clock.advance(1)
        assert set(again.events[0][2]["entities"]) == {"router/router-1", "pool/smollm2"}
        await again.leave()
        stranger = Client(stage.board, after="1.000/2.000")
        await stage.clock.advance(1)
        assert stranger.events[0][2]["full"]
        await stranger.leave()

    run(main())


def test_at_most_two_rounds_a_second() -> None:
    async def main() -> None:
        stage = Stage()
        client = Client(stage.board)
        await stage.clock.advance(1)
        before = client.names.count("beat")
        for _ in range(20):
            await stage.show(0.05)
        assert client.names.count("beat") - before <= 1 / ROUND_S_MIN + 1
        await stage.clock.advance(1)
        assert client.events[-1][2]["at"] == stage.view.picture().at, "the newest is never lost"  # type: ignore[union-attr]
        await client.leave()

    run(main())


def test_before_the_first_round_it_only_beats() -> None:
    async def main() -> None:
        stage = Stage(shown=False)
        client = Client(stage.board)
        await stage.clock.advance(1)
        assert client.names == ["beat", "tasks"] and client.events[0][2]["at"] == 0
        await stage.show(1)
        assert client.names[2:] == ["picture", "beat"]
        await client.leave()

    run(main())


def test_tasks_are_told_when_they_change() -> None:
    async def main() -> None:
        stage = Stage()
        client = Client(stage.board)
        await stage.clock.advance(1)
        stage.view.newest = (TaskLine(session=1, task=7, state="ended", at=START),)
        await stage.show(3)
        await stage.show(3)
        stage.view.newest = ChainUnreachable("the chain does not answer")
        await stage.show(3)
        tasks = [data for name, _, data in client.events if name == "tasks"]
        row = {"name": "1/7", "href": "/tasks/1/7", "task_state": "ended", "since": START, "since_text": "08:00:00 UTC"}
        assert tasks == [
            {"tasks": [], "error": ""},
            {"tasks": [row], "error": ""},
            {"tasks": [], "error": "the chain does not answer"},
        ]
        await client.leave()

    run(main())


def test_tasks_are_asked_once_however_many_look() -> None:
    async def main() -> None:
        stage = Stage()
        asked = 0

        async def tasks(limit: int) -> tuple[TaskLine, ...]:
            nonlocal asked
            asked += 1
            return ()

        stage.view.tasks = tasks  # type: ignore[method-assign]
        clients = [Client(stage.board) for _ in range(5)]
        await stage.clock.advance(1)
        assert (asked, stage.board.streams) == (1, 5)
        for client in clients:
            await client.leave()

    run(main())


def test_it_ends_when_the_console_stops() -> None:
    async def main() -> None:
        stage = Stage()
        client = Client(stage.board)
        await stage.clock.advance(1)
        stage.board.closing.set()
        await client.serving
        assert client.messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
        await turn_until(lambda: not stage.view.readers)
        assert stage.board.streams == 0

    run(main())


def test_a_client_that_left_while_it_was_told_is_no_error() -> None:
    async def main() -> None:
        stage = Stage()

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                raise OSError("gone")

        await EventStream(stage.board, "")({}, receive, send)
        assert stage.board.streams == 0

    run(main())


def test_an_event_is_one_line_of_data() -> None:
    assert event("beat", {"text": "a\nb\r<script>"}, "1/2") == b'id: 1/2\nevent: beat\ndata: {"text":"a\\nb\\r<script>"}\n\n'
