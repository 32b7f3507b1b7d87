"""`cortops notify`: whom messages about an environment reach. Each channel is one secret of it, which no file and no argument holds."""

from __future__ import annotations

import asyncio
import getpass
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cortops.cli.common import Common, environment
from cortops.cli.output import joined, show, show_json, table
from cortops.deploy.redact import Redactor
from cortops.deploy.secrets import SecretStore, store_of
from cortops.deploy.secrets_of import secrets_of
from cortops.environment.declared import Environment
from cortops.incidents.channels import CHANNELS_MAX, SECRET_MAX_CHARS, SECRET_PREFIX, Asked, Channel, Kind, channel, opened, sealed, wanted
from cortops.incidents.notify import TEST, Message, NotSent, Sent, notifier
from cortops.local.here import data_root
from cortops.protocol.http import HttpClient
from cortops.words.clock import SystemClock
from cortops.words.errors import BadInput, CortopsError, StepFailed, UnknownName

FAILED = 1


def add_(
    kind: Literal["telegram", "discord", "email", "webhook", "pagerduty"],
    file: Path | None = None,
    /,
    *,
    name: str | None = None,
    chat: str | None = None,
    to: str | None = None,
    sender: Annotated[str | None, Parameter(name="--from")] = None,
    server: str | None = None,
    mode: str | None = None,
    user: str | None = None,
    region: str | None = None,
    test: bool = True,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Add a channel: asks what is not given, sends a test message, and keeps the channel when it arrived.

    The secret (bot token, webhook address, password, routing key) is asked for without echo, or is the first line of standard input.

    Parameters
    ----------
    kind
        What carries the message.
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    name
        Its name; default: the kind.
    chat
        Telegram: the chat's id.
    to
        Email: whom to write to.
    sender
        Email: from whom.
    server
        Email: HOST or HOST:PORT of the mail server.
    mode
        Email: starttls (default), ssl or none.
    user
        Email: user of the mail server.
    region
        PagerDuty: us (default) or eu.
    test
        --no-test: keep it without sending anything.
    """
    env = environment(file, common)
    store = secret_store(env, common)
    _demand_room(env, channel_names(store), name or kind)
    given = {"chat": chat, "to": to, "from": sender, "server": server, "mode": mode, "user": user, "region": region}
    made = _made(Kind(kind), name or kind, given)
    outcome = asyncio.run(_send_all(env, (made,), store.redactor(secrets_of(env))))[0] if test else None
    if isinstance(outcome, NotSent):
        raise StepFailed(f"no message reached {outcome.to}: the channel is not kept", why=outcome.why, next=outcome.check)
    store.set(SECRET_PREFIX + made.name, sealed(made))
    if common.json:
        show_json(_row(made, outcome))
    else:
        show(_kept(env, made, outcome))
    return 0


def _kept(env: Environment, made: Channel, outcome: Sent | None) -> str:
    sent = f"Sent “{_test_message(env, 0).title}” to {made.to} at {_time(outcome.at)}. Look there now." if outcome else "Nothing was sent."
    return f"{sent}\nKept as the secret {SECRET_PREFIX}{made.name} of {env.name}.    next: cortops notify list"


def _demand_room(env: Environment, names: Sequence[str], name: str) -> None:
    if name in names:
        raise BadInput(f"{env.name} has a channel {name} already", next=f"Give --name, or first: cortops notify remove {name}")
    if len(names) >= CHANNELS_MAX:
        raise BadInput(f"{env.name} has {CHANNELS_MAX} channels, which is the most", next="Remove one: cortops notify remove NAME")


def _made(kind: Kind, name: str, given: Mapping[str, str | None]) -> Channel:
    """The channel of what is given; the rest is asked for."""
    _refuse_strays(kind, given)
    settings, secret = _ask(wanted(kind), {key: value for key, value in given.items() if value is not None})
    return channel(kind, name, settings, secret)


def list_(file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Every channel: name, kind, where it leads; never its secret."""
    env = environment(file, common)
    store = secret_store(env, common)
    added = {entry.name.removeprefix(SECRET_PREFIX): entry.created_at for entry in store.index() if entry.name.startswith(SECRET_PREFIX)}
    found = [(name, _opened(store, name)) for name in added]
    if common.json:
        show_json(
            [
                {"name": name, "kind": item.kind, "to": item.to, "added_at": added[name]}
                if isinstance(item, Channel)
                else {"name": name, "kind": None, "to": None, "added_at": added[name], "why": item.what}
                for name, item in found
            ]
        )
    elif not found:
        show(f"{env.name} has no channel: nobody is told when something is ill.    next: cortops notify add {'|'.join(Kind)}")
    else:
        rows = [
            (name, item.kind, item.to, _day(added[name])) if isinstance(item, Channel) else (name, "?", item.what, _day(added[name]))
            for name, item in found
        ]
        show(table([("NAME", "KIND", "TO", "ADDED"), *rows]))
    return 0


def test_(file: Path | None = None, /, *, name: str | None = None, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Send a test message through every channel, or through one.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    name
        Only this channel.
    """
    env = environment(file, common)
    store = secret_store(env, common)
    chosen = (_known(env, store, name),) if name else channel_names(store)
    if not chosen:
        raise BadInput(f"{env.name} has no channel", next=f"Add one: cortops notify add {'|'.join(Kind)}")
    channels = tuple(opened(each, store.value(SECRET_PREFIX + each)) for each in chosen)
    outcomes = asyncio.run(_send_all(env, channels, store.redactor(secrets_of(env))))
    if common.json:
        show_json([_row(item, outcome) for item, outcome in zip(channels, outcomes, strict=True)])
    else:
        for item, outcome in zip(channels, outcomes, strict=True):
            if isinstance(outcome, Sent):
                show(f"● sent      {item.name}  to {outcome.to} at {_time(outcome.at)}")
            else:
                show(f"■ not sent  {item.name}  to {outcome.to}: {outcome.why}\n            {outcome.check}")
    return FAILED if any(isinstance(outcome, NotSent) for outcome in outcomes) else 0


def remove_(name: str, file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Forget a channel and its secret."""
    env = environment(file, common)
    store = secret_store(env, common)
    store.remove(SECRET_PREFIX + _known(env, store, name))
    left = len(channel_names(store))
    if common.json:
        show_json({"name": name, "removed": True})
    else:
        show(f"{name} is removed; {left} channels are left." if left else f"{name} is removed; nobody is told any more.")
    return 0


def secret_store(env: Environment, common: Common) -> SecretStore:
    """The environment's secrets as this machine keeps them."""
    folder = data_root(os.environ, env.name, common.port_base) / "secrets"
    return store_of(env, folder, os.environ, SystemClock(), secrets.token_bytes)


def channel_names(store: SecretStore) -> tuple[str, ...]:
    """Names of the channels that are kept, sorted."""
    return tuple(name.removeprefix(SECRET_PREFIX) for name in store.names() if name.startswith(SECRET_PREFIX))


def _known(env: Environment, store: SecretStore, name: str) -> str:
    names = channel_names(store)
    if name not in names:
        raise UnknownName(f"{env.name} has no channel {name}", next=f"It has: {joined(names, 8) or 'none'}")
    return name


def _opened(store: SecretStore, name: str) -> Channel | CortopsError:
    try:
        return opened(name, store.value(SECRET_PREFIX + name))
    except CortopsError as error:
        return error


def _refuse_strays(kind: Kind, given: Mapping[str, str | None]) -> None:
    takes = {item.key: item.option for item in wanted(kind) if item.option}
    strays = [key for key, value in given.items() if value is not None and key not in takes]
    if strays:
        raise BadInput(f"{kind} takes no --{strays[0]}", next=f"It takes: {', '.join(takes.values()) or 'its secret only'}")


def _ask(items: Sequence[Asked], given: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Settings and secret: from a terminal what is missing is asked for; else options count, and the first line of standard input."""
    if not sys.stdin.isatty():
        return dict(given), sys.stdin.readline(SECRET_MAX_CHARS + 1).strip()
    settings, secret = dict(given), ""
    for item in items:
        fallback = f" [{item.fallback}]" if item.fallback else ""
        if not item.option:
            secret = getpass.getpass(f"{item.prompt} (not shown): ").strip()
        elif item.key not in settings:
            sys.stderr.write(f"{item.prompt}{fallback}: ")
            sys.stderr.flush()
            settings[item.key] = sys.stdin.readline(SECRET_MAX_CHARS + 1).strip()
    return settings, secret


async def _send_all(env: Environment, channels: Sequence[Channel], redactor: Redactor) -> list[Sent | NotSent]:
    clock = SystemClock()
    http = HttpClient(clock=clock)
    message = _test_message(env, clock.now())
    try:
        return list(await asyncio.gather(*(notifier(item, http, redactor).send(message) for item in channels)))
    finally:
        await http.close()


def _test_message(env: Environment, at: float) -> Message:
    return Message(
        title=f"{env.name}: test message of cortops",
        text="Messages about this environment arrive here. Nothing is wrong.",
        entity=f"environment/{env.name}",
        state=TEST,
        at=at,
        trouble=f"cortops-test-{env.name}",
    )


def _row(item: Channel, outcome: Sent | NotSent | None) -> dict[str, object]:
    row: dict[str, object] = {"name": item.name, "kind": item.kind, "to": item.to, "sent": isinstance(outcome, Sent)}
    if isinstance(outcome, Sent):
        return row | {"at": outcome.at}
    return row | ({"why": outcome.why, "check": outcome.check} if outcome else {})


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
