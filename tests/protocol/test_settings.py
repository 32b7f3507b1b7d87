"""Env files of routers: public keys as they are, quiet keys, and what is wrong with a key."""

from __future__ import annotations

import pytest

from cortops.protocol.settings import OracleSettings, RouterSettings
from cortops.words.errors import BadInput

ENV = {
    "NODE_NAME": "router-1", "HOST": "http://127.0.0.1:8545", "CHAINID": "31338", "CONTRACT_ADDRESS_RUNTIME": "0x1",
    "NODE_PUBLIC_KEY": "0x2", "NODE_PRIVATE_KEY": "not-a-key", "API_KEY": "key",
}  # fmt: skip


def test_public_keys_are_read_as_they_are() -> None:
    found = RouterSettings.from_env(
        ENV
        | {
            "API_ENABLE": "1", "API_PORT": "25010", "ROUTER_REST_BIND_IP": "0.0.0.0", "ROUTER_EXTERNAL_IP": "203.0.113.7",
            "ROUTER_EXTERNAL_DOMAIN": "router.example", "REVERSE_PROXY_REST_PORT": "443", "ROUTER_REST_SSL": "1",
            "X402_ROUTER_NODE_TRIAL_ENABLE": "1", "X402_ROUTER_NODE_TRIAL_WINDOW_SECONDS": "60", "TAVILY_API_KEY": "t", "UNKNOWN": "x",
        }
    )  # fmt: skip
    assert (found.port, found.bind_ips, found.trial_enabled, found.trial_window_s, found.trial_requests_max) == (
        25010,
        ("0.0.0.0",),
        True,
        60,
        1,
    )
    assert (found.published_url, found.search_key, found.search_url) == ("https://router.example:443", "t", "https://api.tavily.com")
    assert RouterSettings.from_env(ENV | {"API_PORT": "1", "ROUTER_REST_BIND_PORT": "2"}).port == 2


@pytest.mark.parametrize(
    ("env", "url"),
    [({}, "http://127.0.0.1:5010"), ({"ROUTER_EXTERNAL_IP": "2001:db8::7"}, "http://[2001:db8::7]:5010")],
)
def test_the_published_address_falls_back(env: dict[str, str], url: str) -> None:
    assert RouterSettings.from_env(ENV | env).published_url == url


def test_quiet_keys_are_written_where_they_say_something() -> None:
    plain = RouterSettings.from_env(ENV)
    assert not [key for key in plain.to_env() if "TRIAL" in key or "TAVILY" in key or key == "API_ENABLE"]
    told = RouterSettings.from_env(ENV | {"X402_ROUTER_NODE_TRIAL_ENABLE": "1", "ROUTER_V3_SESSION_IDS_3": "1,2,3"}).to_env()
    assert (told["X402_ROUTER_NODE_TRIAL_ENABLE"], told["ROUTER_V3_SESSION_IDS_3"]) == ("1", "1,2,3")


def test_every_wrong_key_is_named_at_once() -> None:
    with pytest.raises(BadInput, match=r"API_KEY: missing; ROUTER_REST_SSL: is 0 or 1"):
        RouterSettings.from_env({key: value for key, value in ENV.items() if key != "API_KEY"} | {"ROUTER_REST_SSL": "yes"})


ORACLE = {"NODE_NAME": "o", "HOST": "http://a", "CHAINID": "5", "NODE_BIND_PORT": "1"} | dict.fromkeys(
    ("CONTRACT_ADDRESS_RUNTIME", "NODE_PUBLIC_KEY", "NODE_PRIVATE_KEY"), "x"
)
NUMBERED = {"RPC_HOST_0": "http://a", "RPC_HOST_1": "http://b", "RPC_HOST_2": "http://c"}


@pytest.mark.parametrize(
    ("more", "urls"),
    [
        ({}, ("http://a",)),
        (NUMBERED, ("http://a",)),
        ({"ENABLE_MULTIPLE_RPC_HOST": "1", "NUM_RPC_HOST": "2", **NUMBERED}, ("http://a", "http://b")),
        ({"ENABLE_MULTIPLE_RPC_HOST": "0", "NUM_RPC_HOST": "2", **NUMBERED}, ("http://a",)),
        ({"ENABLE_MULTIPLE_RPC_HOST": "1"}, ("http://a",)),
    ],
)
def test_several_rpcs_are_used_where_they_are_switched_on(more: dict[str, str], urls: tuple[str, ...]) -> None:
    settings = OracleSettings.from_env({**ORACLE, **more})
    assert settings.rpc_urls == urls
    assert OracleSettings.from_env(settings.to_env()) == settings


def test_an_env_file_with_one_rpc_says_nothing_of_several() -> None:
    assert not any("RPC_HOST" in key for key in OracleSettings.from_env(ORACLE).to_env())
