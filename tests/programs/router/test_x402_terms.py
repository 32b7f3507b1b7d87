"""Prices and recipients that nobody could pay by are refused before the router starts."""

from __future__ import annotations

from typing import Any

import pytest
from tests.programs.router.agents_rig import PAY_TO, settings_of

from cortops.programs.router.mcp_advert import internal, public_base
from cortops.programs.router.offers import Family
from cortops.programs.router.x402_terms import NETWORKS, USDC_DECIMALS, Terms
from cortops.words.errors import BadInput

TOKEN = "0x" + "aa" * 20


def terms(**more: Any) -> Terms:
    settings = settings_of(**{"x402": True, "x402_pay_to": PAY_TO} | more)
    return Terms.of(settings, public_base(settings))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"x402_pay_to": ""}, "PAY_TO"),
        ({"x402_pay_to": "0x" + "zz" * 20}, "PAY_TO"),
        ({"x402_network": "base-goerli"}, "NETWORK"),
        ({"x402_price": "free"}, "no number"),
        ({"x402_price": "0"}, "above 0"),
        ({"x402_price": "-1"}, "above 0"),
        ({"x402_price": "NaN"}, "above 0"),
        ({"x402_price": "0.0000001"}, "whole number"),
        ({"x402_price_delegate": "1001"}, "at most 1000"),
        ({"x402_asset": "USDC"}, "ADDRESS,DECIMALS,NAME,VERSION"),
        ({"x402_asset": f"{TOKEN},19,Dollar,2"}, "ADDRESS,DECIMALS,NAME,VERSION"),
        ({"x402_asset": f"{TOKEN},0,Dollar,2"}, "whole number"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        terms(**wrong)


def test_prices_become_whole_numbers_of_the_tokens_smallest_unit() -> None:
    found = terms(x402_price_completions="0.25", x402_asset=f"{TOKEN},18,Dollar,1")
    assert found.amounts[Family.COMPLETIONS] == 25 * 10**16 and found.amounts[Family.FACTCHECK] == 10**15
    assert found.required(Family.COMPLETIONS, "/x").extra == {"name": "Dollar", "version": "1"}


def test_the_tokens_are_those_that_the_official_client_knows() -> None:
    from x402.mechanisms.evm.v1.utils import get_asset_info, get_evm_chain_id

    for network, (chain_id, address, name, version) in NETWORKS.items():
        known = get_asset_info(network, address)
        assert get_evm_chain_id(network) == chain_id
        assert (known["address"], known["name"], known["version"], known["decimals"]) == (address, name, version, USDC_DECIMALS)


@pytest.mark.parametrize(
    ("text", "is_internal"),
    [
        ("https://router.lab.example/mcp", False),
        ("8.8.8.8", False),
        ("hello there", False),
        ("http://127.0.0.1:8001", True),
        ("10.0.0.11:5010", True),
        ("http://[::1]:80/x", True),
        ("http://[fd00::1]", True),
        ("localhost", True),
        ("http://router.lan/x", True),
        ("http://[broken", False),
    ],
)
def test_an_internal_address_is_known_as_one(text: str, is_internal: bool) -> None:
    assert bool(internal(text)) == is_internal


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        ({}, "https://router.lab.example"),
        ({"proxy_port": 8443}, "https://router.lab.example:8443"),
        ({"rest_tls": False, "proxy_port": 80}, "http://router.lab.example"),
        ({"external_domain": ""}, ""),
        ({"external_domain": "", "external_ip": "10.0.0.11"}, ""),
    ],
)
def test_the_public_address_is_the_declared_one_or_none(settings: dict[str, Any], base: str) -> None:
    assert public_base(settings_of(**settings)) == base
