"""What an upgrade tells the channels of `cortops notify`: a wave that passed, and how it ended, with why."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from cortops.cli.channel_files import FOLDER, channels_in
from cortops.cli.common import Common
from cortops.cli.notify import channel_names, secret_store
from cortops.cli.upgrade_told import SHA_CHARS, result_text
from cortops.deploy.redact import Redactor
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.waves.machine import Tell, Upgrade
from cortops.environment.declared import Environment
from cortops.incidents.channels import SECRET_PREFIX, opened
from cortops.incidents.notify import Message, Notifier, NotSent, notifier
from cortops.protocol.http import HttpClient
from cortops.words.errors import CortopsError
from cortops.words.state import State

WAITING_MAX = 100  # messages that are not sent yet; more are dropped, the oldest last
LAST_S = 30.0  # for the last ones, when all is over

Send = Callable[[Message], None]

_STATES = {"passed": State.OK, "bad": State.DOWN, "failed": State.DOWN, "held": State.DEGRADED, "stopped": State.DEGRADED}


def wave_message(tell: Tell, upgrade: Upgrade, at: float) -> Message:
    """A wave has passed."""
    plan = upgrade.plan
    return _message(upgrade, f"{plan.release}: {tell.text}", "Each of them earned with it.", State.OK, at)


def end_message(upgrade: Upgrade, took_s: float, at: float) -> Message:
    """How it ended."""
    headline, _, rest = result_text(upgrade, took_s).partition("\n")
    return _message(upgrade, headline, rest, _STATES[upgrade.outcome], at)


def _message(upgrade: Upgrade, title: str, text: str, state: State, at: float) -> Message:
    plan = upgrade.plan
    return Message(
        title=f"{plan.environment}: {title}",
        text=text,
        entity=f"environment/{plan.environment}",
        state=state,
        at=at,
        trouble=f"cortops-upgrade-{plan.environment}-{plan.program[:SHA_CHARS]}",
    )


@asynccontextmanager
async def messages(env: Environment, common: Common, http: HttpClient, say: Callable[[str], None]) -> AsyncIterator[Send]:
    """Send what is given inside the block, one message after the other, while the upgrade goes on. say: whom nobody could tell."""
    waiting: asyncio.Queue[Message] = asyncio.Queue(WAITING_MAX)
    channels = _channels(env, common, http, say)
    worker = asyncio.create_task(_deliver(waiting, channels, say))

    def send(message: Message) -> None:
        if channels and not waiting.full():
            waiting.put_nowait(message)

    try:
        yield send
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_S):
                await waiting.join()
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


def _channels(env: Environment, common: Common, http: HttpClient, say: Callable[[str], None]) -> tuple[Notifier, ...]:
    """Every channel that can be opened; without one nobody is told."""
    if folder := os.environ.get(FOLDER):
        return channels_in(Path(folder), http, Redactor(), say)
    found: list[Notifier] = []
    try:
        store = secret_store(env, common)
        names = channel_names(store)
        redactor = store.redactor(secrets_of(env) if names else ())
        found += (notifier(opened(name, store.value(SECRET_PREFIX + name)), http, redactor) for name in names)
    except CortopsError as error:
        say(f"not every channel can be told: {error.what}")
    return tuple(found)


async def _deliver(waiting: asyncio.Queue[Message], channels: Sequence[Notifier], say: Callable[[str], None]) -> None:
    while True:
        message = await waiting.get()
        outcomes = await asyncio.gather(*(one.send(message) for one in channels))
        for outcome in outcomes:
            if isinstance(outcome, NotSent):
                say(f"{outcome.to} was not told: {outcome.why}")
        waiting.task_done()
