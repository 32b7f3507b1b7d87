"""Which source names a contract first."""

from __future__ import annotations

from cortops.contracts.keccak import keccak_hex
from cortops.surfaces.nodes.chain_places import choose, from_env, read_runtime, runtime_calls
from cortops.words.errors import CallReverted

A, B, C = (f"0x{digit * 40}" for digit in "abc")
WORD = "0x" + "0" * 24


def test_declared_then_runtime_then_env_file() -> None:
    places = choose(
        {"session_queue": A.upper().replace("0X", "0x")}, {"session_queue": B, "cognitive": ""}, [{"CONTRACT_ADDRESS_COGNITIVEV0": C}]
    )
    assert places.addresses == {"session_queue": A, "cognitive": C}
    assert places.how == {"session_queue": "declared", "cognitive": "env file"}
    assert places.missing == ()
    assert choose({}, {"session_queue": B}, []).missing == ("cognitive",)


def test_the_runtime_is_asked_by_every_known_getter() -> None:
    calls = runtime_calls(A)
    assert [method for method, _ in calls] == ["eth_call"] * 5
    assert calls[0][1] == ({"to": A, "data": keccak_hex(b"getSessionQueueAddress()")[:10]}, "latest")
    answers: list[object] = [CallReverted("no"), WORD + "b" * 40, "0x", WORD + "0" * 40, WORD + "c" * 40]
    assert read_runtime(answers) == {"session_queue": B, "cognitive": C}
    assert read_runtime(["0x" + "f" * 64, None, {}, 5, "0x"]) == {}


def test_of_env_files_that_differ_the_majority_counts() -> None:
    envs = [{"K": A}, {"K": B}, {"K": B}, {"K": "?"}, {}]
    assert from_env(envs, ("NONE", "K")) == B
    assert from_env(envs, ("NONE",)) == ""
