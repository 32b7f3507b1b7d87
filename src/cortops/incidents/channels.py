"""A channel: where messages go and by what right. Its one secret decides what may be said of it. Pure.

The whole channel is one secret of the environment, `notify/NAME`: an address such as Discord's is itself a password, so no file names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

import msgspec

from cortops.words.errors import BadInput, StoreUnavailable

SECRET_PREFIX = "notify/"
SECRET_MAX_CHARS = 2_000
CHANNELS_MAX = 32

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_ADDRESS = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,190}")
_SERVER = re.compile(r"(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:]{2,45}\])(?::(?P<port>[0-9]{1,5}))?")
_TELEGRAM_TOKEN = re.compile(r"[0-9]{3,20}:[A-Za-z0-9_-]{20,100}")
_DISCORD_URL = re.compile(
    r"https://(?:[a-z]+\.)?discord(?:app)?\.com/api/(?:v[0-9]+/)?webhooks/(?P<id>[0-9]{5,25})/(?P<token>[\w-]{20,120})"
)


class Kind(StrEnum):
    """What carries the message."""

    TELEGRAM = "telegram"
    DISCORD = "discord"
    EMAIL = "email"
    WEBHOOK = "webhook"
    PAGERDUTY = "pagerduty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One thing that a channel must be told. option: of the command line, "" of the secret. fallback: taken when nothing is given."""

    key: str
    prompt: str
    option: str = ""
    fallback: str | None = None
    fits: Callable[[str], bool] = field(default=lambda _text: True, repr=False)
    instead: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """settings: what may be shown. secret: the bot token, webhook address, password or routing key; never shown."""

    name: str
    kind: Kind
    settings: Mapping[str, str]
    secret: str = field(repr=False)

    @property
    def to(self) -> str:
        """Where messages go, in words that hold no secret."""
        match self.kind:
            case Kind.TELEGRAM:
                return f"chat {self.settings['chat']} of Telegram"
            case Kind.DISCORD:
                return f"webhook {discord_parts(self.secret)[0]} of Discord"
            case Kind.EMAIL:
                return f"{self.settings['to']} through {self.settings['server']}"
            case Kind.WEBHOOK:
                return str(urlsplit(self.secret).hostname)
            case Kind.PAGERDUTY:
                return f"PagerDuty ({self.settings['region']})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that must not be seen: the secret, and what of it alone is enough."""
        match self.kind:
            case Kind.TELEGRAM:
                return (self.secret, self.secret.partition(":")[2])
            case Kind.DISCORD:
                return (self.secret, discord_parts(self.secret)[1])
            case Kind.WEBHOOK:
                parts = urlsplit(self.secret)
                pieces = (parts.path.strip("/"), parts.query, parts.password or "")
                return (self.secret, *(piece for piece in pieces if piece))
            case _:
                return (self.secret,) if self.secret else ()


def wanted(kind: Kind) -> tuple[Asked, ...]:
    """What a channel of this kind must be told, its secret last."""
    return _WANTED[kind]


def channel(kind: Kind, name: str, given: Mapping[str, str], secret: str) -> Channel:
    """A channel out of what was given. BadInput that names the first thing that does not fit; the secret is never quoted."""
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name!r} is no name for a channel", next="Use small letters, digits and -, at most 32.")
    settings: dict[str, str] = {}
    for item in wanted(kind):
        text = (given.get(item.key, "") if item.option else secret).strip() or item.fallback
        if text is None:
            raise BadInput(f"{item.prompt} is missing", next=f"Give {item.option}." if item.option else "Give it on standard input.")
        if not item.fits(text):
            shown = f"{text!r} is no {item.prompt}" if item.option else f"this is no {item.prompt}"
            raise BadInput(shown, next=item.instead)
        if item.option:
            settings[item.key] = text
        else:
            secret = text
    if kind is Kind.EMAIL and bool(settings["user"]) != bool(secret):
        raise BadInput("a mail server that asks for a user asks for a password too", next="Give both --user and the password, or neither.")
    return Channel(name=name, kind=kind, settings=settings, secret=secret)


def discord_parts(url: str) -> tuple[str, str]:
    """A webhook's address -> its id, which may be shown, and its token, which may not."""
    found = _DISCORD_URL.fullmatch(url)
    if found is None:
        raise BadInput("this is no webhook address of Discord")
    return found["id"], found["token"]


def server_parts(server: str, mode: str) -> tuple[str, int]:
    """`HOST[:PORT]` -> both; without a port the one that the mode is served on."""
    found = _SERVER.fullmatch(server)
    if found is None:
        raise BadInput(f"{server!r} is no mail server")
    return found["host"].strip("[]"), int(found["port"] or MODES[mode])


def sealed(item: Channel) -> str:
    """The text that the secret store keeps."""
    return msgspec.json.encode({"kind": item.kind, "settings": dict(item.settings), "secret": item.secret}).decode()


def opened(name: str, text: str) -> Channel:
    """What `sealed` made -> the channel; StoreUnavailable for anything else."""
    try:
        kept = msgspec.json.decode(text, type=_Kept)
        return channel(Kind(kept.kind), name, kept.settings, kept.secret)
    except (msgspec.MsgspecError, ValueError, BadInput) as error:
        cure = f"Remove it and add it again: cortops notify remove {name}"
        raise StoreUnavailable(f"the channel {name} cannot be read", next=cure) from error


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    settings: dict[str, str]
    secret: str

    def __repr__(self) -> str:
        return f"_Kept({self.kind})"


MODES: Mapping[str, int] = {"starttls": 587, "ssl": 465, "none": 25}  # how the mail server is spoken to -> its usual port
REGIONS: Mapping[str, str] = {"us": "https://events.pagerduty.com", "eu": "https://events.eu.pagerduty.com"}
_PLAIN = "Mail servers take ASCII letters only."
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _is_webhook(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if not re.fullmatch(r"[!-~]+", url) or not parts.hostname:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _is_server(text: str) -> bool:
    found = _SERVER.fullmatch(text)
    return found is not None and 0 < int(found["port"] or 25) < 65536


_WANTED: Mapping[Kind, tuple[Asked, ...]] = {
    Kind.TELEGRAM: (
        Asked(
            key="chat",
            prompt="chat id",
            option="--chat",
            fits=lambda text: re.fullmatch(r"-?[0-9]{1,32}(:[0-9]{1,16})?|@[A-Za-z0-9_]{4,32}", text) is not None,
            instead="Write a number such as -1001234567890, with :TOPIC for a topic, or @NAME of a public channel.",
        ),
        Asked(
            key="secret",
            prompt="bot token",
            fits=lambda text: _TELEGRAM_TOKEN.fullmatch(text) is not None,
            instead="@BotFather gives one when it makes a bot: digits, a colon, 35 letters.",
        ),
    ),
    Kind.DISCORD: (
        Asked(
            key="secret",
            prompt="webhook address",
            fits=lambda text: _DISCORD_URL.fullmatch(text) is not None,
            instead="Discord shows it under Edit Channel, Integrations, Webhooks: https://discord.com/api/webhooks/…",
        ),
    ),
    Kind.EMAIL: (
        Asked(key="to", prompt="address to write to", option="--to", fits=lambda text: _ADDRESS.fullmatch(text) is not None),
        Asked(key="from", prompt="address to write from", option="--from", fits=lambda text: _ADDRESS.fullmatch(text) is not None),
        Asked(key="server", prompt="mail server (HOST or HOST:PORT)", option="--server", fits=_is_server),
        Asked(
            key="mode",
            prompt="way to speak to it (starttls, ssl, none)",
            option="--mode",
            fallback="starttls",
            fits=MODES.__contains__,
            instead="Write starttls, ssl, or none for a server on this machine.",
        ),
        Asked(key="user", prompt="user of the mail server", option="--user", fallback="", fits=_is_plain, instead=_PLAIN),
        Asked(key="secret", prompt="password", fallback="", fits=_is_plain, instead=_PLAIN),
    ),
    Kind.WEBHOOK: (
        Asked(
            key="secret",
            prompt="webhook address",
            fits=_is_webhook,
            instead="Write https://… : its path may hold a key, so plain http is for this machine only.",
        ),
    ),
    Kind.PAGERDUTY: (
        Asked(
            key="region",
            prompt="region (us, eu)",
            option="--region",
            fallback="us",
            fits=REGIONS.__contains__,
            instead="Write us or eu: where the account is.",
        ),
        Asked(
            key="secret",
            prompt="routing key",
            fits=lambda text: re.fullmatch(r"[A-Za-z0-9]{32}", text) is not None,
            instead="PagerDuty shows it under the service's integration `Events API v2`: 32 letters and digits.",
        ),
    ),
}
