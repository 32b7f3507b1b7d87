"""What may leave a host, and what may not: the table of keys, and the form that each value must have."""

from __future__ import annotations

import pytest

from cortops.surfaces.fleet.found.public_keys import FORMS, as_words, fits, form_of

ADDRESS = "0x" + "a1" * 20
KEY_LIKE = "a1" * 32


@pytest.mark.parametrize("key", ["PRIVATE_KEY", "MNEMONIC", "X402_KEY", "TAVILY_API_KEY", "RPC", "node_public_key", "", "LLM_API_KEY"])
def test_a_key_that_is_not_listed_is_never_told(key: str) -> None:
    assert form_of(key) is None
    assert not fits(key, "1") and not fits(key, "")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("NODE_PUBLIC_KEY", ADDRESS),
        ("NODE_PUBLIC_KEY", ADDRESS[2:]),
        ("CONTRACT_ADDRESS_RUNTIME", ADDRESS),
        ("CONTRACT_ADDRESS_ANYTHING", ADDRESS),
        ("CHAINID", "18964747554"),
        ("ENABLE_TX_QUEUE_MODE", "1"),
        ("DISABLE_VERSION_CHECK", "True"),
        ("HOST", "https://rpc.example:8443#sha256:0123456789abcdef"),
        ("RPC_HOST_19", "?://?#sha256:0123456789abcdef"),
        ("ROUTER_EXTERNAL_IP", "2001:db8::1"),
        ("LLM_CONTAINER_IMAGE", "cortensor/llm-engine-test-1"),
        ("DEDICATED_NODE_AUTHORIZED_SESSIONS", "10,11"),
        ("NODE_PRIVATE_KEY", "set"),
        ("API_KEY", "default"),
        ("CHAINID", "?"),
        ("CHAINID", ""),
    ],
)
def test_a_listed_key_is_told_in_its_form(key: str, value: str) -> None:
    assert fits(key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("NODE_PUBLIC_KEY", f"0x{KEY_LIKE}"),
        ("NODE_PUBLIC_KEY", "mine"),
        ("CONTRACT_ADDRESS_RUNTIME", KEY_LIKE),
        ("CHAINID", "0x" + "1" * 64),
        ("CHAINID", "9" * 30),
        ("ENABLE_X", "password"),
        ("HOST", "https://rpc.example/v1/secret"),
        ("HOST", "https://user:pw@rpc.example#sha256:0123456789abcdef"),
        ("ROUTER_EXTERNAL_DOMAIN", KEY_LIKE),
        ("ROUTER_EXTERNAL_DOMAIN", "a b"),
        ("DEDICATED_NODE_AUTHORIZED_SESSIONS", "0x1"),
        ("NODE_PRIVATE_KEY", KEY_LIKE),
        ("ENCRYPTION_SEED", "hunter2"),
    ],
)
def test_another_form_is_refused(key: str, value: str) -> None:
    assert not fits(key, value)


def test_the_host_gets_the_same_table() -> None:
    assert dict(word.split("=") for word in as_words().split()) == FORMS
