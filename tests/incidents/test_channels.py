"""A channel takes what fits, says where it leads without its secret, and comes back out of the store as it went in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.incidents.channels import Channel, Kind, channel, opened, sealed, server_parts, wanted
from cortops.words.errors import BadInput, StoreUnavailable

TOKEN = "1234567:" + "AbC-dEf_" * 5
DISCORD = "https://discord.com/api/webhooks/987654321012345678/" + "toKen-_9" * 8
HOOK = "https://hooks.example/services/T000/B000/" + "hookkey1" * 3
ROUTING = "r0ut1ngk" * 4
MAIL = {"to": "ops@lab.example", "from": "cortops@lab.example", "server": "mail.example", "user": "cortops"}

GOOD: dict[Kind, tuple[dict[str, str], str, str]] = {
    Kind.TELEGRAM: ({"chat": "-1001234567890"}, TOKEN, "chat -1001234567890 of Telegram"),
    Kind.DISCORD: ({}, DISCORD, "webhook 987654321012345678 of Discord"),
    Kind.EMAIL: (MAIL, "p@ss:word/1", "ops@lab.example through mail.example"),
    Kind.WEBHOOK: ({}, HOOK, "hooks.example"),
    Kind.PAGERDUTY: ({}, ROUTING, "PagerDuty (us)"),
}


def made(kind: Kind) -> Channel:
    settings, secret, _ = GOOD[kind]
    return channel(kind, "ops", settings, secret)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_channel_says_where_it_leads_and_never_its_secret(kind: Kind) -> None:
    item = made(kind)
    assert item.to == GOOD[kind][2]
    assert item.secrets[0] == GOOD[kind][1]
    assert not any(secret in shown for secret in item.secrets if secret for shown in (repr(item), item.to, str(item.settings)))


@pytest.mark.parametrize("kind", list(Kind))
def test_a_channel_comes_back_as_it_was_kept(kind: Kind) -> None:
    assert opened("ops", sealed(made(kind))) == made(kind)


@pytest.mark.parametrize("kind", list(Kind))
def test_the_secret_is_asked_last_and_once(kind: Kind) -> None:
    assert [item.option == "" for item in wanted(kind)] == [*(False for _ in wanted(kind)[1:]), True]


@pytest.mark.parametrize(
    ("kind", "settings", "secret", "names"),
    [
        (Kind.TELEGRAM, {}, TOKEN, "chat id is missing"),
        (Kind.TELEGRAM, {"chat": "our room"}, TOKEN, "'our room' is no chat id"),
        (Kind.TELEGRAM, {"chat": "1"}, "not-a-token", "this is no bot token"),
        (Kind.DISCORD, {}, "https://example.com/api/webhooks/1/2", "this is no webhook address"),
        (Kind.DISCORD, {}, "", "webhook address is missing"),
        (Kind.EMAIL, MAIL | {"to": "a b@c"}, "secret", "is no address to write to"),
        (Kind.EMAIL, MAIL | {"to": "a@b.example\nBcc: c@d.example"}, "secret", "is no address to write to"),
        (Kind.EMAIL, MAIL | {"mode": "tls9"}, "secret", "is no way to speak to it"),
        (Kind.EMAIL, MAIL | {"server": "mail.example:0"}, "secret", "is no mail server"),
        (Kind.EMAIL, MAIL, "påsswørd", "this is no password"),
        (Kind.EMAIL, MAIL, "", "asks for a password too"),
        (Kind.WEBHOOK, {}, "http://hooks.example/x", "this is no webhook address"),
        (Kind.WEBHOOK, {}, "https://hooks.example:port/", "this is no webhook address"),
        (Kind.WEBHOOK, {}, "https://hooks.example/a b", "this is no webhook address"),
        (Kind.PAGERDUTY, {}, "short", "this is no routing key"),
        (Kind.PAGERDUTY, {"region": "mars"}, ROUTING, "'mars' is no region"),
    ],
)
def test_what_does_not_fit_is_named_without_the_secret(kind: Kind, settings: dict[str, str], secret: str, names: str) -> None:
    with pytest.raises(BadInput) as refused:
        channel(kind, "ops", settings, secret)
    assert names in refused.value.what
    assert len(secret) < 8 or secret not in str(refused.value.as_dict())


@pytest.mark.parametrize("name", ["", "Ops", "a/b", "../x", "a" * 33])
def test_a_name_is_small_letters(name: str) -> None:
    with pytest.raises(BadInput, match="no name for a channel"):
        channel(Kind.WEBHOOK, name, {}, HOOK)


def test_http_is_for_this_machine_only() -> None:
    assert channel(Kind.WEBHOOK, "here", {}, "http://127.0.0.1:9/x").to == "127.0.0.1"


@pytest.mark.parametrize("text", ["", "{}", '{"kind":"fax","settings":{},"secret":"x"}', '{"kind":"webhook","settings":{},"secret":"x"}'])
def test_what_is_no_channel_is_said_to_be_unreadable(text: str) -> None:
    with pytest.raises(StoreUnavailable, match="the channel ops cannot be read"):
        opened("ops", text)


@pytest.mark.parametrize(
    ("server", "mode", "parts"),
    [
        ("mail.example", "starttls", ("mail.example", 587)),
        ("mail.example", "ssl", ("mail.example", 465)),
        ("mail.example:2525", "none", ("mail.example", 2525)),
        ("[::1]:25", "none", ("::1", 25)),
    ],
)
def test_the_port_is_the_modes_own_where_none_is_given(server: str, mode: str, parts: tuple[str, int]) -> None:
    assert server_parts(server, mode) == parts


@given(st.sampled_from(list(Kind)), st.text(max_size=60), st.dictionaries(st.sampled_from(["chat", "to", "region"]), st.text(max_size=20)))
def test_no_text_breaks_it(kind: Kind, secret: str, settings: dict[str, str]) -> None:
    try:
        item = channel(kind, "ops", settings, secret)
    except BadInput:
        return
    assert opened("ops", sealed(item)) == item
