"""Messages out of the house: one seam, `Notifier`, and who passes it. apprise carries Telegram, Discord and mail; two are ours.

Every notifier passes tests/incidents/test_notify.py. What a service answers is told, what we sent it is not: addresses hold secrets.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlencode

from cortops import __version__
from cortops.deploy.redact import Redactor
from cortops.incidents.channels import REGIONS, Channel, Kind, discord_parts, server_parts
from cortops.protocol.http import HttpClient, HttpFailure
from cortops.words.clock import Clock
from cortops.words.question import Silence
from cortops.words.state import State

if TYPE_CHECKING:
    from apprise import AppriseResult

TITLE_MAX_CHARS = 200
TEXT_MAX_CHARS = 1_300  # with title, entity, state and link below the 2000 of Discord, which takes the least
ENTITY_MAX_CHARS = 120
LINK_MAX_CHARS = 200
WHY_MAX_CHARS = 200
SEND_TIMEOUT_S = 15.0
ANSWER_MAX_MIB = 1
TEST = "test"

_CUT = "…"
_SEVERITIES = {State.DOWN: "critical", State.DEGRADED: "warning", State.UNKNOWN: "warning"}  # of PagerDuty; the rest: info


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is told. title: one line that names the entity. state: a State's word, or `test`. at: seconds since 1970. link: where more is.

    trouble: the same text in all messages about one trouble; a message with state `ok` ends it where the service keeps such a record.
    """

    title: str
    text: str
    entity: str
    state: str
    at: float
    link: str = ""
    trouble: str = ""

    @property
    def body(self) -> str:
        """Text, then one line of facts and the link, for people."""
        return "\n".join(part for part in (self.text, f"{self.entity} · {self.state}", self.link) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The service took it. to: where it went, without a secret."""

    to: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Nobody was told. why: what the service answered. check: what to look at."""

    to: str
    why: str
    check: str


class Notifier(Protocol):
    """Tells one channel. It never raises for what the network or the service does."""

    @property
    def channel(self) -> Channel: ...

    async def send(self, message: Message) -> Sent | NotSent:
        """Within SEND_TIMEOUT_S; longer texts are cut, secrets taken out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bases:
    """Where the services are; tests put their own there. pagerduty: "" = by the channel's region."""

    telegram: str = "https://api.telegram.org/bot"
    discord: str = "https://discord.com/api/webhooks"
    pagerduty: str = ""


def notifier(channel: Channel, http: HttpClient, redactor: Redactor, bases: Bases = Bases()) -> Notifier:
    """The notifier of a channel. redactor: knows the environment's secrets; the channel's own are known anyway."""
    match channel.kind:
        case Kind.WEBHOOK:
            return Webhook(channel, http, redactor)
        case Kind.PAGERDUTY:
            return PagerDuty(channel, http, redactor, bases.pagerduty or REGIONS[channel.settings["region"]])
        case _:
            return Apprised(channel, http.clock, redactor, bases)


def outgoing(message: Message, *redactors: Redactor) -> Message:
    """The message as it may leave: without secrets, titles and links on one line, nothing over its limit."""

    def clean(text: str, most: int, *, line: bool = True) -> str:
        for redactor in redactors:
            text = redactor.redact(text)
        text = " ".join(text.split()) if line else text.strip()
        return text if len(text) <= most else text[: most - 1] + _CUT

    return replace(
        message,
        title=clean(message.title, TITLE_MAX_CHARS),
        text=clean(message.text, TEXT_MAX_CHARS, line=False),
        entity=clean(message.entity, ENTITY_MAX_CHARS),
        link=clean(message.link, LINK_MAX_CHARS),
        trouble=clean(message.trouble, ENTITY_MAX_CHARS),
    )


class _Own:
    """What the notifiers over our own HTTP client share."""

    def __init__(self, channel: Channel, http: HttpClient, redactor: Redactor) -> None:
        self.channel = channel
        self._http = http
        self._redactors = (Redactor(channel.secrets), redactor)

    def _clean(self, message: Message) -> Message:
        return outgoing(message, *self._redactors)

    async def _post(self, url: str, body: Mapping[str, object], check: Mapping[int, str]) -> Sent | NotSent:
        """POST as JSON. check: HTTP status -> what to look at; 0 for all others."""
        to = self.channel.to
        headers = (("Content-Type", "application/json"), ("User-Agent", f"cortops/{__version__}"))
        try:
            reply = await self._http.request(
                "POST", url, headers=headers, body=json.dumps(body).encode(), timeout_s=SEND_TIMEOUT_S, body_max_mib=ANSWER_MAX_MIB
            )
        except HttpFailure as error:  # its text has the address, which may hold a key
            return NotSent(to=to, why=_SILENCES.get(error.silence, "it could not be reached"), check=_network(to))
        if 200 <= reply.status < 300:
            return Sent(to=to, at=self._http.clock.now())
        said = f"it answers {reply.status} {reply.body.decode('utf-8', 'replace').strip()}".strip()
        return NotSent(to=to, why=_short(said, self._redactors), check=check.get(reply.status, check[0]))


class Webhook(_Own):
    """POSTs `{"title", "text", "entity", "state", "link", "at", "trouble"}` to an address."""

    async def send(self, message: Message) -> Sent | NotSent:
        """As Notifier.send."""
        told = self._clean(message)
        fields = ("title", "text", "entity", "state", "link", "at", "trouble")
        checks = {0: "Look at the log of the program behind the webhook.", 404: _NEW_ADDRESS, 410: _NEW_ADDRESS, 401: _KEY, 403: _KEY}
        return await self._post(self.channel.secret, {name: getattr(told, name) for name in fields}, checks)


class PagerDuty(_Own):
    """PagerDuty Events API v2: https://developer.pagerduty.com/docs/events-api-v2-overview. A test opens and closes its own alert."""

    def __init__(self, channel: Channel, http: HttpClient, redactor: Redactor, base: str) -> None:
        super().__init__(channel, http, redactor)
        self._url = f"{base}/v2/enqueue"

    async def send(self, message: Message) -> Sent | NotSent:
        """As Notifier.send."""
        told = self._clean(message)
        if told.state == State.OK:
            return await self._event(told, "resolve")
        sent = await self._event(told, "trigger")
        return await self._event(told, "resolve") if told.state == TEST and isinstance(sent, Sent) else sent

    async def _event(self, told: Message, action: str) -> Sent | NotSent:
        body: dict[str, object] = {
            "routing_key": self.channel.secret,
            "event_action": action,
            "dedup_key": told.trouble or told.entity,
            "client": "cortops",
        }
        if action == "trigger":
            severity = next((word for state, word in _SEVERITIES.items() if state == told.state), "info")
            details = {"text": told.text, "state": told.state}
            body["payload"] = {"summary": told.title, "source": told.entity, "severity": severity, "custom_details": details}
            body["links"] = [{"href": told.link, "text": "more"}] if told.link.startswith("http") else []
        checks = {
            0: "See https://status.pagerduty.com; the events API is down or refuses the message.",
            400: "Look whether the routing key is that of an integration `Events API v2`, and whether the region is right.",
            403: "Look whether the routing key is that of an integration `Events API v2`, and whether the region is right.",
            429: "PagerDuty takes no more events now; wait a minute.",
        }
        return await self._post(self._url, body, checks)


class Apprised:
    """Telegram, Discord and mail, carried by apprise, which is loaded at the first message."""

    def __init__(self, channel: Channel, clock: Clock, redactor: Redactor, bases: Bases) -> None:
        self.channel = channel
        self._clock = clock
        self._redactors = (Redactor(channel.secrets), redactor)
        self._bases = bases

    async def send(self, message: Message) -> Sent | NotSent:
        """As Notifier.send."""
        apprise = _apprise()
        told = outgoing(message, *self._redactors)
        asset = apprise.AppriseAsset(app_id="cortops", app_desc="cortops", storage_mode="memory", http_redirects=False)
        service = apprise.Apprise.instantiate(apprise_url(self.channel), asset=asset)
        if service is None:
            return NotSent(to=self.channel.to, why="its settings do not make an address", check=_again(self.channel))
        base = {Kind.TELEGRAM: self._bases.telegram, Kind.DISCORD: self._bases.discord}.get(self.channel.kind)
        if base is not None:
            service.notify_url = base
        carrier = apprise.Apprise(asset=asset)
        carrier.add(service)
        body = _no_calls(told.body) if self.channel.kind is Kind.DISCORD else told.body
        title = _no_calls(told.title) if self.channel.kind is Kind.DISCORD else told.title
        result = await carrier.async_notify(
            body=body, title=title, body_format=apprise.NotifyFormat.TEXT, timeout=SEND_TIMEOUT_S, log_level=logging.DEBUG
        )
        if result:
            return Sent(to=self.channel.to, at=self._clock.now())
        return self._failed(_lines(result))

    def _failed(self, lines: tuple[str, ...]) -> NotSent:
        to = self.channel.to
        for pattern, check in _TROUBLES[self.channel.kind]:
            for line in lines:
                if found := re.search(pattern, line, re.DOTALL):
                    said = " ".join(part for part in found.groups() if part) or found[0]
                    return NotSent(to=to, why=_short(said, self._redactors), check=check)
        return NotSent(to=to, why="it could not be reached", check=_network(to))


def apprise_url(channel: Channel) -> str:
    """A channel as apprise writes it: https://appriseit.com/services/."""
    settings = channel.settings
    if channel.kind is Kind.TELEGRAM:
        return f"tgram://{channel.secret}/{quote(settings['chat'], safe='@:-')}/?preview=no"
    if channel.kind is Kind.DISCORD:
        identity, token = discord_parts(channel.secret)
        return f"discord://{identity}/{token}/?footer=no&image=no&avatar=no"
    host, port = server_parts(settings["server"], settings["mode"])
    plain = settings["mode"] == "none"
    login = f"{quote(settings['user'], safe='')}:{quote(channel.secret, safe='')}@" if settings["user"] else ""
    query = {"smtp": host, "from": settings["from"], "to": settings["to"], "format": "text"}
    if not plain:
        query["mode"] = settings["mode"]
    at = f"[{host}]" if ":" in host else host
    return f"{'mailto' if plain else 'mailtos'}://{login}{at}:{port}/?{urlencode(query)}"


def _apprise() -> ModuleType:
    """apprise, loaded with all its services, and quiet.

    Its lines below a warning quote whole addresses, tokens included: none is made but those that say what a mail server answered.
    So do urllib3's.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # some services use old parts of the standard library
        import apprise

        apprise.Apprise.instantiate("json://localhost")
    ours = logging.getLogger("apprise")
    ours.propagate = False
    ours.disabled = False  # a library that sets logging up anew puts all others out
    ours.setLevel(logging.DEBUG)
    if _harmless not in ours.filters:
        ours.addFilter(_harmless)
        ours.addHandler(logging.NullHandler())
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    return apprise


def _harmless(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or ("email" in record.pathname and record.getMessage().startswith("Socket Exception"))


def _lines(result: AppriseResult) -> tuple[str, ...]:
    """What apprise noted, the last first: the cause comes after the fact."""
    found = [entry.message for service in result for attempt in service for entry in attempt]
    return tuple(reversed(found))


def _no_calls(text: str) -> str:
    """A quoted log line must not call a whole channel."""
    return re.sub(r"@(?=everyone|here|[&!]?[0-9])", "@\u200b", text)


def _short(said: str, redactors: tuple[Redactor, ...]) -> str:
    for redactor in redactors:
        said = redactor.redact(said)
    said = " ".join(said.split())
    return said if len(said) <= WHY_MAX_CHARS else said[: WHY_MAX_CHARS - 1] + _CUT


def _network(to: str) -> str:
    return f"Look whether this machine reaches {to} (name, firewall, proxy)."


def _again(channel: Channel) -> str:
    return f"Run: cortops notify remove {channel.name}, then add it again."


_NEW_ADDRESS = "The webhook is gone: make a new one and add it again."
_KEY = "Look at the key in the webhook's address: it is refused."
_SILENCES: Mapping[Silence, str] = {
    Silence.REFUSED: "it refused the connection",
    Silence.RESET: "it broke the connection off",
    Silence.UNTRUSTED: "its certificate is not valid",
    Silence.TIMEOUT: f"it did not answer within {SEND_TIMEOUT_S:g} s",
    Silence.UNRESOLVED: "its name has no address",
}
_TELEGRAM = r"Failed to send Telegram notification to [^:]*(?::[0-9]+)?: (.*error={})"
_DISCORD = r"Failed to send Discord notification: (.*error={})"
_TROUBLES: Mapping[Kind, tuple[tuple[str, str], ...]] = {
    Kind.TELEGRAM: (
        (_TELEGRAM.format("40[14]"), "Look at the bot token: @BotFather shows it under /mybots; then add the channel again."),
        (_TELEGRAM.format("400"), "Look at the chat id, and write to the bot once from that chat so that it may answer."),
        (_TELEGRAM.format("403"), "Let the bot into the chat again: it was blocked or removed."),
        (_TELEGRAM.format("429"), "Telegram takes no more messages of this bot now; wait a minute."),
        (_TELEGRAM.format("[0-9]+"), "Telegram has trouble of its own; run cortops notify test again later."),
    ),
    Kind.DISCORD: (
        (_DISCORD.format("40[0134]"), "Look whether the webhook still exists: Edit Channel, Integrations, Webhooks; else make a new one."),
        (_DISCORD.format("429"), "Discord takes no more messages of this webhook now; wait a minute."),
        (_DISCORD.format("[0-9]+"), "See https://discordstatus.com, and run cortops notify test again later."),
    ),
    Kind.EMAIL: (
        (r"Socket Exception: (.*\b53[45]\b.*)", "Look at --user and the password; some providers want an app password."),
        (r"(?:Socket Exception|was refused): (.*\b55[0-9]\b.*)", "Look at --from and --to: the mail server refuses one of them."),
        (r"Socket Exception: (.*(?:SSL|STARTTLS|TLS|certificate).*)", "Look at --mode and the port: starttls 587, ssl 465, none 25."),
        (r"Socket Exception: (.*)", "Look at --server: name and port, and whether this machine may reach it."),
        (r'Sending email to "[^"]*" failed', "Look at --to: the mail server took the connection and refused the message."),
    ),
}
