from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.contracts.keccak import keccak256
from cortops.contracts.wallet import Transaction, Wallet, address_of, new_private_key, recover
from cortops.words.errors import BadInput

KEY = new_private_key(keccak256(b"cortops test wallet"))
OTHER = new_private_key(keccak256(b"cortops test other"))


def test_the_address_is_the_one_the_library_gives() -> None:
    from eth_account import Account

    assert Wallet(KEY).address == address_of(KEY) == Account.from_key(KEY).address


def test_a_wallet_does_not_show_its_key() -> None:
    shown = repr(Wallet(KEY)) + str(Wallet(KEY))
    assert KEY[2:] not in shown and Wallet(KEY).address in shown


@pytest.mark.parametrize("key", ["", "0x", "0x12", "0x" + "00" * 32, "0x" + "ff" * 32, "0x" + "zz" * 32, KEY + "00"])
def test_what_is_no_key_is_refused_without_quoting_it(key: str) -> None:
    for use in (Wallet, address_of):
        with pytest.raises(BadInput) as caught:
            use(key)
        assert len(key) < 10 or key[2:] not in str(caught.value)


def test_any_32_bytes_make_a_key_and_fewer_do_not() -> None:
    for chance in (b"\0" * 32, b"\xff" * 32, b"\xff" * 48):
        address_of(new_private_key(chance))
    with pytest.raises(ValueError, match="32 random bytes"):
        new_private_key(b"\1" * 31)


@pytest.mark.parametrize("text", ["", "cortops-miner:nonce:0xrouter", "é" * 200])
def test_a_text_names_its_signer(text: str) -> None:
    from eth_account import Account
    from eth_account.messages import encode_defunct

    signature = Wallet(KEY).sign_text(text)
    assert recover(text, signature) == Wallet(KEY).address
    assert Account.recover_message(encode_defunct(text=text), signature=signature) == Wallet(KEY).address
    assert recover(text, Wallet(OTHER).sign_text(text)) != Wallet(KEY).address
    assert recover(text + "x", signature) != Wallet(KEY).address


@pytest.mark.parametrize(
    "signature", ["", "0x", "0x" + "11" * 64, "0x" + "ff" * 64 + "1b", "0x" + "00" * 64 + "1b", "0x" + "11" * 64 + "05", "zz"]
)
def test_what_is_no_signature_is_refused(signature: str) -> None:
    with pytest.raises(BadInput, match="not an EIP-191 signature"):
        recover("text", signature)


NUMBERS = st.one_of(st.integers(0, 300), st.integers(0, 2**64))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 2**53),
    NUMBERS,
    NUMBERS,
    st.integers(21_000, 30_000_000),
    st.binary(max_size=200),
    st.integers(0, 2**200),
    st.sampled_from([KEY, OTHER]),
)
def test_a_transaction_is_signed_as_the_library_signs_it(
    chain_id: int, nonce: int, fee: int, gas: int, data: bytes, value: int, key: str
) -> None:
    from eth_account import Account

    to = address_of(OTHER)
    raw = Wallet(key).sign(
        Transaction(chain_id=chain_id, nonce=nonce, max_fee_per_gas=fee, gas=gas, to=to, data="0x" + data.hex(), value=value)
    )
    fields = {"type": 2, "to": to, "data": data, "value": value, "chainId": chain_id, "nonce": nonce, "gas": gas}
    signed = Account.sign_transaction(fields | {"maxFeePerGas": fee, "maxPriorityFeePerGas": 0}, key)
    assert raw == "0x" + bytes(signed.raw_transaction).hex()
    assert Account.recover_transaction(raw) == Wallet(key).address


@pytest.mark.real
def test_signing_brings_no_library_that_raises_the_recursion_limit() -> None:
    """In a process of its own: with it, a nested JSON body would end the process."""
    program = (
        "import sys; limit = sys.getrecursionlimit()\n"
        "from cortops.contracts.wallet import load_signing; load_signing()\n"
        "assert sys.getrecursionlimit() == limit, sys.getrecursionlimit()\n"
        "print(sorted(name for name in sys.modules if name in ('eth_account', 'py_ecc', 'eth_keyfile')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "[]\n"
