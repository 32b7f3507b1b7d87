"""The key on its way from a router to a miner: sealed to a half that the miner signed."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from cortops.protocol.payload_key import FRESH_S, KeyAsked, ResultHanded, is_fresh, key_text, public_half, result_text, unwrap_key, wrap_key
from cortops.protocol.payload_urn import Scope
from cortops.words.errors import BadInput, PayloadAltered


def chance(label: str) -> bytes:
    return hashlib.sha256(f"payload key test {label}".encode()).digest()


KEY, MINER, ROUTER = chance("key"), chance("miner"), chance("router")
ASKED = KeyAsked(address="0x" + "Ab" * 20, session=7, task=3, at=1_000, nonce="cd" * 32, version=2, public_key=public_half(MINER))
TEXT = key_text("lab", Scope.TASK, ASKED)


def test_only_the_private_half_opens_the_answer() -> None:
    given = wrap_key(KEY, TEXT, ASKED, ROUTER)
    assert unwrap_key(given, TEXT, MINER) == KEY
    assert KEY.hex() not in msgspec.json.encode(given).decode()
    for private, text in ((chance("another"), TEXT), (MINER, key_text("lab", Scope.SESSION, ASKED))):
        with pytest.raises(PayloadAltered):
            unwrap_key(given, text, private)


def test_two_answers_to_one_request_have_nothing_in_common() -> None:
    first, second = (wrap_key(KEY, TEXT, ASKED, chance(label)) for label in ("one", "two"))
    assert first.sealed != second.sealed
    assert first.public_key != second.public_key


@pytest.mark.parametrize(
    "changed", [{"sealed": "00" * 48}, {"sealed": "xyz"}, {"sealed": ""}, {"public_key": "00" * 32}, {"public_key": "ff"}]
)
def test_a_damaged_answer_holds_no_key(changed: dict[str, str]) -> None:
    given = msgspec.structs.replace(wrap_key(KEY, TEXT, ASKED, ROUTER), **changed)
    with pytest.raises(PayloadAltered):
        unwrap_key(given, TEXT, MINER)


def test_a_half_without_a_secret_is_refused() -> None:
    with pytest.raises(BadInput, match="public_key"):
        wrap_key(KEY, TEXT, msgspec.structs.replace(ASKED, public_key="00" * 32), ROUTER)


def test_every_part_of_a_request_is_signed() -> None:
    others = {
        "session": 8,
        "task": 4,
        "at": 1_001,
        "nonce": "ce" * 32,
        "version": 3,
        "public_key": "11" * 32,
        "address": "0x" + "ab" * 19 + "ac",
    }
    texts = {key_text("lab", Scope.TASK, msgspec.structs.replace(ASKED, **{name: value})) for name, value in others.items()}
    texts |= {TEXT, key_text("lab2", Scope.TASK, ASKED), key_text("lab", Scope.SESSION, ASKED)}
    assert len(texts) == len(others) + 3
    handed = ResultHanded(address=ASKED.address, session=7, task=3, at=1_000, nonce="cd" * 32, urn="urn:x", sealed=b"y")
    changed = {"session": 8, "task": 4, "at": 1_001, "nonce": "ce" * 32, "urn": "urn:z"}
    signed = {result_text("lab", msgspec.structs.replace(handed, **{name: value})) for name, value in changed.items()}
    assert len(signed | {result_text("lab", handed), result_text("lab2", handed)}) == len(changed) + 2


@pytest.mark.parametrize(("age_s", "fresh"), [(0, True), (FRESH_S, True), (-FRESH_S, True), (FRESH_S + 1, False), (-FRESH_S - 1, False)])
def test_old_requests_and_those_of_the_future_are_stale(age_s: float, fresh: bool) -> None:
    assert is_fresh(1_000, 1_000 + age_s) is fresh


@pytest.mark.parametrize(
    "changed", [{"nonce": "short"}, {"address": "me"}, {"version": 0}, {"task": -1}, {"public_key": "AB" * 32}, {"at": "now"}]
)
def test_bodies_outside_the_grammar_are_refused(changed: dict[str, object]) -> None:
    body = {**msgspec.to_builtins(ASKED), **changed}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(body, KeyAsked)
    assert msgspec.json.decode(msgspec.json.encode(ASKED), type=KeyAsked) == ASKED
