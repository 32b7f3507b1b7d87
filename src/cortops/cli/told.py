"""Sends what is news of a watch to the channels of `cortops notify`, and remembers over restarts what it has told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cortops.cli.channel_files import channels_in
from cortops.deploy.observing import WatchPlace
from cortops.deploy.redact import Redactor
from cortops.incidents.news import Told, news
from cortops.incidents.notify import Message, Notifier, NotSent
from cortops.monitor.picture import Picture
from cortops.programs.common.logs import Log
from cortops.protocol.http import HttpClient
from cortops.words.clock import Clock
from cortops.words.state import State

WAITING_MAX = 200  # messages that are not sent yet; more are dropped, and that is logged
PAUSES_S = (5.0, 60.0, 600.0)  # before a message that a channel did not take is sent to it once more
FILE = "told.json"


class Teller:
    """Follows pictures, and sends each piece of news to every channel, in order and one after the other for each channel."""

    def __init__(self, environment: str, file: Path, channels: Sequence[Notifier], clock: Clock, log: Log) -> None:
        """file: what was told, over restarts."""
        self.count = len(channels)
        self._environment = environment
        self._file = file
        self._log = log
        self._clock = clock
        self._channels = tuple(channels)
        self._queues: tuple[asyncio.Queue[Message], ...] = tuple(asyncio.Queue(WAITING_MAX) for _ in channels)
        self._told = _read(file)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Inside, what waits is sent; what still waits at the end is not."""
        async with asyncio.TaskGroup() as group:
            senders = [group.create_task(self._send(one, queue)) for one, queue in zip(self._channels, self._queues, strict=True)]
            try:
                yield
            finally:
                for sender in senders:
                    sender.cancel()

    async def follow(self, pictures: AsyncIterator[Picture]) -> None:
        """Until the pictures end."""
        async for picture in pictures:
            found = news(self._environment, self._told, picture.entities, picture.at)
            if found.told != self._told:
                self._told = found.told
                _write(self._file, self._told)
            for message in found.messages:
                self._log.info("told", title=message.title, entity=message.entity, state=message.state, channels=self.count)
                self._put(message)

    def _put(self, message: Message) -> None:
        for queue in self._queues:
            if queue.full():
                self._log.warning("message_dropped", title=message.title)
            else:
                queue.put_nowait(message)

    async def _send(self, channel: Notifier, queue: asyncio.Queue[Message]) -> None:
        while True:
            message = await queue.get()
            for pause_s in (*PAUSES_S, None):
                outcome = await channel.send(message)
                if not isinstance(outcome, NotSent):
                    break
                self._log.warning("channel_failed", channel=channel.channel.name, title=message.title, why=outcome.why)
                if pause_s is not None:
                    await self._clock.sleep(pause_s)


def teller_of(place: WatchPlace, http: HttpClient, redactor: Redactor, log: Log) -> Teller:
    """With a channel for each file of its folder."""
    channels = channels_in(Path(place.channels), http, redactor, lambda what: log.warning("channel_unusable", what=what))
    return Teller(place.environment, Path(place.data) / FILE, channels, http.clock, log)


def _read(file: Path) -> Told:
    """What an earlier process told; nothing where that cannot be read, so that a trouble is told twice rather than never."""
    try:
        said = json.loads(file.read_text("utf-8"))
        return Told({str(name): State(state).value for name, state in said.items()})
    except (OSError, ValueError, AttributeError):
        return Told()


def _write(file: Path, told: Told) -> None:
    new = file.with_suffix(".new")
    new.write_text(json.dumps(dict(told.states)), "utf-8")
    new.replace(file)
