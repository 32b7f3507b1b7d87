from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.contracts import abi
from cortops.contracts.artifact import load
from cortops.words.errors import ChainError, UnknownName

QUEUE = load("session_queue")
MINER = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def words(*values: int | str | bool) -> str:
    return "".join(abi.word(value) for value in values)


def log(topics: list[str], data: str) -> dict[str, object]:
    return {
        "address": "0x" + "0a" * 20,
        "topics": topics,
        "data": data,
        "blockNumber": "0x10",
        "transactionHash": "0xab",
        "logIndex": "0x2",
    }


def test_a_static_call_equals_the_general_one() -> None:
    assert abi.static_call(QUEUE, "ack(uint256,uint256)", 7, 9) == abi.encode_call(QUEUE, "ack", 7, 9) == "0xfaa073f8" + words(7, 9)
    assert abi.static_call(QUEUE, "getTaskResultState(uint256,uint256,address)", 1, 2, MINER) == abi.encode_call(
        QUEUE, "getTaskResultState", 1, 2, MINER
    )


def test_text_that_looks_like_bytes32_stays_text() -> None:
    text = "0x" + "ab" * 32
    data = abi.encode_call(QUEUE, "commit", 1, 2, text)
    assert bytes.fromhex(data[2:])[4 + 96 : 4 + 96 + 32] == len(text).to_bytes(32, "big")


@given(st.integers(0, 2**256 - 1))
def test_a_number_survives_its_word(value: int) -> None:
    assert int(abi.word(value), 16) == value


@pytest.mark.parametrize(("value", "expected"), [(True, "1"), (False, "0"), (MINER, MINER[2:].lower()), ("0x" + "Ab" * 32, "ab" * 32)])
def test_words(value: int | str | bool, expected: str) -> None:
    assert abi.word(value) == expected.rjust(64, "0")


@pytest.mark.parametrize("value", [-1, 2**256, "0x12", "0x" + "zz" * 20, "session"])
def test_what_is_no_word_is_refused(value: int | str) -> None:
    with pytest.raises(ValueError):
        abi.word(value)


def test_calls_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="takes 2 arguments, got 1"):
        abi.encode_call(QUEUE, "ack", 1)
    with pytest.raises(ValueError, match="ack"):
        abi.encode_call(QUEUE, "ack", 1, -2)
    with pytest.raises(UnknownName, match="no function nack"):
        abi.encode_call(QUEUE, "nack", 1)
    with pytest.raises(UnknownName):
        abi.static_call(QUEUE, "ack(uint256)", 1)
    with pytest.raises(ValueError, match="constructor"):
        abi.encode_constructor(QUEUE)


def test_constructor_arguments_stand_behind_the_code() -> None:
    assert abi.encode_constructor(QUEUE, MINER) == QUEUE.init_code + abi.word(MINER)


def test_a_result_is_read_with_our_types() -> None:
    data = "0x" + words(64, 128, 1, MINER, 1, "0x" + "cd" * 32)
    assert abi.decode_result(QUEUE, "getTaskResultHashes", data) == ((MINER,), ("0x" + "cd" * 32,))


@pytest.mark.parametrize("data", ["0x", "0x00", "0x" + words(64, 2**200)])
def test_a_result_of_another_shape_says_so(data: str) -> None:
    with pytest.raises(ChainError, match=r"session_queue\.getTaskResultHashes answered in another shape"):
        abi.decode_result(QUEUE, "getTaskResultHashes", data)


def test_a_log_becomes_an_event() -> None:
    topics = [QUEUE.topic("TaskPrecommitted"), "0x" + words(1), "0x" + words(2), "0x" + words(MINER)]
    event = abi.decode_log(QUEUE, log(topics, "0x" + words("0x" + "ee" * 32, 64, 2) + "6869".ljust(64, "0")))
    assert event is not None
    assert event.args == {"sessionId": 1, "taskId": 2, "miner": MINER, "hash": "0x" + "ee" * 32, "data": "hi"}
    assert (event.name, event.order, event.tx, event.address) == (
        "TaskPrecommitted",
        (16, 2),
        "0xab",
        "0x0A0A0a0a0a0a0a0A0a0a0A0a0A0A0A0a0a0a0a0a",
    )


def test_a_foreign_log_is_none_and_a_damaged_one_an_error() -> None:
    assert abi.decode_log(QUEUE, log(["0x" + "00" * 32], "0x")) is None
    assert abi.decode_log(QUEUE, log([], "0x")) is None
    with pytest.raises(ChainError, match="0 indexed values, its ABI 3"):
        abi.decode_log(QUEUE, log([QUEUE.topic("TaskAcked")], "0x"))


def test_importing_the_client_does_not_load_the_slow_libraries() -> None:
    names = "artifact abi create2 rpc wallet sender follow heads network path"
    lines = [*(f"import cortops.contracts.{name}" for name in names.split()), "import sys"]
    lines += ["from cortops.contracts.artifact import load", "load('session')"]
    lines += ["print([m for m in ('eth_abi', 'eth_account', 'aiohttp', 'vyper') if m in sys.modules])"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
