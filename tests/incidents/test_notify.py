"""One suite that every notifier passes: what arrives on the wire, what is said when nothing does, and no secret anywhere."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.incidents.services import MailService, WebService, listening
from tests.incidents.test_channels import DISCORD, ROUTING, TOKEN

from cortops.deploy.redact import Redactor
from cortops.incidents import notify
from cortops.incidents.channels import Channel, Kind, channel, discord_parts
from cortops.incidents.notify import TEST, Bases, Message, Notifier, NotSent, Sent, notifier, outgoing
from cortops.protocol.http import HttpClient
from cortops.words.clock import SystemClock

WALLET_SECRET = "w4llet-value-of-some-other-secret"
PASSWORD = "p@ss:w/rd '%25+&\"#?"
MESSAGE = Message(
    title="rpc/alpha is behind",
    text="41 blocks behind two others <since> 13:58:40 & counting",
    entity="rpc/alpha",
    state="down",
    at=1_800_000_000.0,
    link="https://console.example/incidents/14",
    trouble="incident-14",
)


@dataclass(slots=True)
class Rig:
    """A notifier with the service that stands for the real one."""

    channel: Channel
    told: Notifier
    service: WebService | MailService

    def arrived(self) -> list[str]:
        """Each message as the service got it, as one text."""
        if isinstance(self.service, MailService):
            return [f"{mail['subject']}\n{mail.get_content()}" for mail in self.service.mails]
        return [_text(json.loads(post.body)) for post in self.service.posts]

    def deny(self) -> None:
        if isinstance(self.service, MailService):
            self.service.refuse = "550 5.7.1 no such user here"
        else:
            self.service.status, self.service.body = 403, b'{"ok":false,"description":"Forbidden: no right"}'


def _text(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(_text(item) for item in value.values())
    return "\n".join(_text(item) for item in value) if isinstance(value, list) else str(value)


def _channel(kind: Kind, port: int) -> Channel:
    match kind:
        case Kind.TELEGRAM:
            return channel(kind, "ops", {"chat": "-100123"}, TOKEN)
        case Kind.DISCORD:
            return channel(kind, "ops", {}, DISCORD)
        case Kind.WEBHOOK:
            return channel(kind, "ops", {}, f"http://127.0.0.1:{port}/hook/k3y-in-the-path")
        case Kind.PAGERDUTY:
            return channel(kind, "ops", {}, ROUTING)
        case Kind.EMAIL:
            settings = {"to": "ops@lab.example", "from": "cortops@lab.example", "server": f"127.0.0.1:{port}", "mode": "none"}
            return channel(kind, "ops", settings | {"user": "cort ops@lab"}, PASSWORD)


@asynccontextmanager
async def rigged(kind: Kind) -> AsyncIterator[Rig]:
    service = MailService(users={"cort ops@lab": PASSWORD}) if kind is Kind.EMAIL else WebService()
    if kind is Kind.DISCORD:
        service.status, service.body = 204, b""  # type: ignore[union-attr]
    http = HttpClient(clock=SystemClock())
    try:
        async with listening(service):
            base = f"http://127.0.0.1:{service.port}"
            item = _channel(kind, service.port)
            bases = Bases(telegram=f"{base}/bot", discord=f"{base}/api/webhooks", pagerduty=base)
            yield Rig(item, notifier(item, http, Redactor([WALLET_SECRET]), bases), service)
    finally:
        await http.close()


def play(kind: Kind, story: Callable[[Rig], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with rigged(kind) as rig:
            await story(rig)

    asyncio.run(whole())


every = pytest.mark.parametrize("kind", list(Kind))


@every
def test_title_text_entity_state_and_link_arrive(kind: Kind) -> None:
    async def story(rig: Rig) -> None:
        sent = await rig.told.send(MESSAGE)
        assert sent == Sent(to=rig.channel.to, at=sent.at)  # type: ignore[union-attr]
        (text,) = rig.arrived()
        for part in (MESSAGE.title, MESSAGE.text, MESSAGE.entity, MESSAGE.state, MESSAGE.link):
            assert part in unescape(text), part

    play(kind, story)


@every
def test_a_refusal_is_told_with_what_to_look_at_and_no_secret(kind: Kind) -> None:
    async def story(rig: Rig) -> None:
        rig.deny()
        failed = await rig.told.send(MESSAGE)
        assert isinstance(failed, NotSent) and failed.to == rig.channel.to
        assert re.search("403|550|refused the message", failed.why), failed.why
        assert re.match("Look |Let |See ", failed.check), failed.check
        assert not any(secret in str(failed) for secret in rig.channel.secrets)

    play(kind, story)


@every
def test_a_service_that_is_not_there_is_told_and_nothing_raised(kind: Kind) -> None:
    async def story(rig: Rig) -> None:
        async with listening(gone := WebService()):
            pass
        base = f"http://127.0.0.1:{gone.port}"
        item = _channel(kind, gone.port)
        bases = Bases(telegram=f"{base}/bot", discord=f"{base}/api/webhooks", pagerduty=base)
        http = HttpClient(clock=SystemClock())
        failed = await notifier(item, http, Redactor(), bases).send(MESSAGE)
        await http.close()
        assert isinstance(failed, NotSent) and failed.why and failed.check.startswith("Look ")
        assert not any(secret in str(failed) for secret in item.secrets)

    play(kind, story)


@every
def test_a_long_message_is_cut_and_one_arrives(kind: Kind) -> None:
    async def story(rig: Rig) -> None:
        long = replace(MESSAGE, title="t" * 5_000, text="words " * 5_000, entity="e" * 900, link="https://x.example/" + "l" * 900)
        assert isinstance(await rig.told.send(long), Sent)
        (text,) = rig.arrived()
        assert text.count("…") >= 3 and len(text) < 2_600

    play(kind, story)


@every
def test_no_secret_is_in_a_message_or_a_log(kind: Kind, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)

    async def story(rig: Rig) -> None:
        secret = rig.channel.secret
        told = replace(MESSAGE, title=f"it said {WALLET_SECRET}", text=f"API_KEY=abcdefgh12345678 {secret} {WALLET_SECRET}", entity=secret)
        assert isinstance(await rig.told.send(told), Sent)
        rig.deny()
        await rig.told.send(told)
        kept = [*rig.arrived(), caplog.text, *capfd.readouterr()]
        for hidden in (secret, WALLET_SECRET, "abcdefgh12345678"):
            assert not any(hidden in text for text in kept if not _routes(rig.channel, hidden, text))
        assert "<redacted>" in unescape(rig.arrived()[0])

    play(kind, story)


def _routes(item: Channel, hidden: str, text: str) -> bool:
    """PagerDuty's routing key travels in the body: it is how PagerDuty knows us, and stands there once."""
    return item.kind is Kind.PAGERDUTY and hidden == item.secret and text.count(hidden) == 1


@every
def test_no_message_calls_people_by_what_a_log_line_says(kind: Kind) -> None:
    async def story(rig: Rig) -> None:
        assert isinstance(await rig.told.send(replace(MESSAGE, text="@everyone <@123> look\x00", title="@here")), Sent)
        if kind is Kind.DISCORD:
            assert not re.search("@everyone|@here|@123", rig.arrived()[0])

    play(kind, story)


@given(st.text(max_size=400), st.text(max_size=3_000))
def test_nothing_leaves_over_its_limit_or_on_two_lines(title: str, text: str) -> None:
    told = outgoing(replace(MESSAGE, title=title, text=text), Redactor([WALLET_SECRET]))
    assert len(told.title) <= notify.TITLE_MAX_CHARS and len(told.text) <= notify.TEXT_MAX_CHARS
    assert len(told.title.splitlines()) <= 1
    assert len(told.title) + len(told.body) < 2_000


# --- what each service gets besides ---


def test_telegram_is_addressed_by_bot_and_chat() -> None:
    async def story(rig: Rig) -> None:
        await rig.told.send(MESSAGE)
        assert isinstance(rig.service, WebService)
        (post,) = rig.service.posts
        assert post.path == f"/bot{TOKEN}/sendMessage" and json.loads(post.body)["chat_id"] == -100123

    play(Kind.TELEGRAM, story)


def test_discord_is_addressed_by_the_webhook() -> None:
    async def story(rig: Rig) -> None:
        await rig.told.send(MESSAGE)
        assert isinstance(rig.service, WebService)
        assert [post.path.partition("?")[0] for post in rig.service.posts] == ["/api/webhooks/" + "/".join(discord_parts(DISCORD))]

    play(Kind.DISCORD, story)


def test_mail_goes_from_and_to_the_addresses_after_a_login() -> None:
    async def story(rig: Rig) -> None:
        await rig.told.send(replace(MESSAGE, title="one\r\nBcc: all@lab.example"))
        assert isinstance(rig.service, MailService)
        (mail,) = rig.service.mails
        assert "cortops@lab.example" in mail["from"] and "ops@lab.example" in mail["to"] and mail["bcc"] is None
        assert rig.service.logins == [("cort ops@lab", PASSWORD)]

    play(Kind.EMAIL, story)


def test_a_wrong_password_is_told_as_that() -> None:
    async def story(rig: Rig) -> None:
        assert isinstance(rig.service, MailService)
        rig.service.users = {"cort ops@lab": "another"}
        failed = await rig.told.send(MESSAGE)
        assert isinstance(failed, NotSent) and "535" in failed.why and "--user" in failed.check

    play(Kind.EMAIL, story)


def test_a_mail_server_that_is_spoken_to_in_the_wrong_way_is_told_as_that() -> None:
    async def story(rig: Rig) -> None:
        item = channel(Kind.EMAIL, "ops", {**rig.channel.settings, "mode": "starttls"}, PASSWORD)
        failed = await notifier(item, HttpClient(clock=SystemClock()), Redactor()).send(MESSAGE)
        assert isinstance(failed, NotSent) and "STARTTLS" in failed.why and "--mode" in failed.check

    play(Kind.EMAIL, story)


def test_a_webhook_gets_the_fields_as_they_are() -> None:
    async def story(rig: Rig) -> None:
        await rig.told.send(MESSAGE)
        assert isinstance(rig.service, WebService)
        (post,) = rig.service.posts
        assert post.path == "/hook/k3y-in-the-path" and post.headers["content-type"] == "application/json"
        assert json.loads(post.body) == {
            "title": MESSAGE.title,
            "text": MESSAGE.text,
            "entity": "rpc/alpha",
            "state": "down",
            "link": MESSAGE.link,
            "at": MESSAGE.at,
            "trouble": "incident-14",
        }

    play(Kind.WEBHOOK, story)


@pytest.mark.parametrize(
    ("state", "actions", "severity"),
    [
        ("down", ["trigger"], "critical"),
        ("unknown", ["trigger"], "warning"),
        ("maintenance", ["trigger"], "info"),
        ("ok", ["resolve"], None),
        (TEST, ["trigger", "resolve"], "info"),
    ],
)
def test_pagerduty_opens_and_closes_one_alert_by_its_trouble(state: str, actions: list[str], severity: str | None) -> None:
    async def story(rig: Rig) -> None:
        assert isinstance(await rig.told.send(replace(MESSAGE, state=state)), Sent)
        assert isinstance(rig.service, WebService)
        events = [json.loads(post.body) for post in rig.service.posts]
        assert [event["event_action"] for event in events] == actions
        assert {event["dedup_key"] for event in events} == {"incident-14"} and {event["routing_key"] for event in events} == {ROUTING}
        assert {post.path for post in rig.service.posts} == {"/v2/enqueue"}
        assert events[0].get("payload", {}).get("severity") == severity

    play(Kind.PAGERDUTY, story)


@pytest.mark.parametrize(
    ("kind", "status", "body", "check"),
    [
        (Kind.TELEGRAM, 401, b'{"ok":false,"description":"Unauthorized"}', "bot token"),
        (Kind.TELEGRAM, 400, b'{"ok":false,"description":"Bad Request: chat not found"}', "chat id"),
        (Kind.TELEGRAM, 500, b"oops", "trouble of its own"),
        (Kind.DISCORD, 404, b'{"message":"Unknown Webhook"}', "webhook still exists"),
        (Kind.DISCORD, 500, b"", "discordstatus"),
        (Kind.WEBHOOK, 410, b"", "make a new one"),
        (Kind.WEBHOOK, 500, b"trace", "log of the program"),
        (Kind.PAGERDUTY, 400, b'{"status":"invalid event"}', "routing key"),
        (Kind.PAGERDUTY, 429, b"", "wait a minute"),
    ],
)
def test_what_to_look_at_follows_from_the_answer(kind: Kind, status: int, body: bytes, check: str) -> None:
    async def story(rig: Rig) -> None:
        assert isinstance(rig.service, WebService)
        rig.service.status, rig.service.body = status, body
        failed = await rig.told.send(MESSAGE)
        assert isinstance(failed, NotSent) and check in failed.check and str(status) in failed.why

    play(kind, story)
