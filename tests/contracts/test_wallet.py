from __future__ import annotations

import subprocess
import sys

import pytest

from cortops.contracts.keccak import keccak256
from cortops.contracts.wallet import Wallet, address_of, new_private_key, recover
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


def test_a_signed_transaction_comes_from_the_wallet() -> None:
    from eth_account import Account

    fields = {"type": 2, "to": address_of(OTHER), "data": "0x", "value": 1, "chainId": 31338, "nonce": 3, "gas": 21000}
    raw = Wallet(KEY).sign(fields | {"maxFeePerGas": 5, "maxPriorityFeePerGas": 0})
    assert raw.startswith("0x02")
    assert Account.recover_transaction(raw) == Wallet(KEY).address


@pytest.mark.real
def test_signing_leaves_the_recursion_limit_as_it_was() -> None:
    """In a process of its own: what eth_account brings would raise it, and a nested JSON body would then end the process."""
    program = (
        "import sys; limit = sys.getrecursionlimit()\n"
        "from cortops.contracts.wallet import load_signing; load_signing()\n"
        "assert sys.getrecursionlimit() == limit, sys.getrecursionlimit()\n"
        "import msgspec\n"
        "try: msgspec.json.decode(b'[' * 100_000)\n"
        "except RecursionError: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "refused\n"
