"""The canary, the objects past their days, and requests that come twice: with a storage that fails when told to."""

from __future__ import annotations

import asyncio
import hashlib
import io
import itertools
import json
from typing import Any, cast

import pytest

from cortops.programs.common.chain import Chain
from cortops.programs.common.logs import make_log
from cortops.programs.common.payload_storage import Storage
from cortops.programs.common.process import _secrets
from cortops.programs.router import payload_door
from cortops.programs.router.payload_care import CANARY_EVERY_S, DAY_S, SWEEP_EVERY_S, Care
from cortops.programs.router.payload_door import Nonces
from cortops.programs.router.private import Private, Secrecy
from cortops.protocol.payload_key import FRESH_S
from cortops.protocol.settings import RouterSettings
from cortops.testing.clock import VirtualClock
from cortops.words.errors import BadInput, CredentialRefused, PayloadError, PayloadMissing

SEED = hashlib.sha256(b"cortops care test seed").hexdigest()
COUNT = itertools.count()


def chance(size: int) -> bytes:
    return hashlib.sha512(f"care {next(COUNT)}".encode()).digest()[:size]


class Memory:
    """A storage that forgets, alters or refuses when told to."""

    where = "/memory"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.fault: PayloadError | None = None
        self.alter = False
        self.swept: list[tuple[str, float]] = []

    async def put(self, place: str, data: bytes) -> None:
        if self.fault is not None:
            raise self.fault
        self.objects[place] = data + b"x" * self.alter

    async def get(self, place: str) -> bytes:
        if place not in self.objects:
            raise PayloadMissing("there is no such object in the storage")
        return self.objects[place]

    async def delete(self, place: str) -> None:
        self.objects.pop(place, None)

    async def delete_older(self, below: str, before: float) -> int:
        self.swept.append((below, before))
        return 3


def settings(**changed: Any) -> RouterSettings:
    base = {"name": "r", "rpc_url": "", "chain_id": 1, "runtime": "", "address": "", "private_key": "", "api_key": "k"}
    private = {"payload_environment": "lab", "payload_storage": "/memory", "private_sessions": (7,), "seed": SEED}
    return RouterSettings(**{**base, **private, **changed})


def care_of(memory: Memory, clock: VirtualClock, out: io.BytesIO) -> Care:
    private = Private(Secrecy.read(settings()), cast(Chain, None), cast(Storage, memory), chance)
    return Care(private, 30, chance, clock, make_log("router", out, clock))


def test_a_canary_goes_there_and_back_and_says_what_went_wrong() -> None:
    clock, memory, out = VirtualClock(), Memory(), io.BytesIO()
    care = care_of(memory, clock, out)

    def canary() -> Any:
        return care.facts()["canary"]

    async def story() -> None:
        assert canary() is None
        running = asyncio.ensure_future(care.run())
        await clock.advance(1)
        assert canary()["code"] == "" and memory.objects == {}, "nothing of it is left"
        memory.fault = CredentialRefused("the storage does not take our credential")
        await clock.advance(CANARY_EVERY_S)
        assert canary()["code"] == "payload_credential_refused"
        memory.fault, memory.alter = None, True
        await clock.advance(CANARY_EVERY_S)
        assert canary()["code"] == "payload_altered"
        memory.alter = False
        await clock.advance(CANARY_EVERY_S)
        assert canary()["code"] == "" and canary()["at"] == clock.now() - 1
        running.cancel()

    asyncio.run(asyncio.wait_for(story(), 20))
    said = [json.loads(line) for line in out.getvalue().splitlines()]
    codes = [line["code"] for line in said if line["event"] == "payload_storage"]
    assert codes == ["payload_credential_refused", "payload_altered", ""], "each change once"


def test_objects_past_their_days_are_deleted_once_an_hour() -> None:
    clock, memory, out = VirtualClock(), Memory(), io.BytesIO()
    care = care_of(memory, clock, out)

    async def story() -> None:
        running = asyncio.ensure_future(care.run())
        await clock.advance(SWEEP_EVERY_S + CANARY_EVERY_S)
        running.cancel()

    began = clock.now()
    asyncio.run(asyncio.wait_for(story(), 20))
    assert [below for below, _ in memory.swept] == ["lab", "lab"]
    assert memory.swept[0][1] == began - 30 * DAY_S
    assert care.facts()["deleted"] == 6


def test_what_anybody_may_know_holds_no_seed() -> None:
    facts = str(care_of(Memory(), VirtualClock(), io.BytesIO()).facts())
    assert SEED not in facts and "/memory" not in facts


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"seed": ""}, "ENCRYPTION_SEED"),
        ({"seed": "00" * 32}, "placeholder"),
        ({"payload_storage": ""}, "PAYLOAD_STORAGE"),
        ({"payload_environment": "A B"}, "PAYLOAD_ENVIRONMENT"),
        ({"key_per": "node"}, "ENCRYPTION_KEY_PER"),
        ({"allowed_list": "7:0x" + "1" * 40}, "nobody holds"),
        ({"allowed_list": "nonsense"}, "is not of the form"),
        ({"allow_by_contract": True, "privacy_contract": "0x1"}, "CONTRACT_ADDRESS_PRIVACY"),
    ],
)
def test_a_router_does_not_start_with_what_would_not_be_private(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told) as caught:
        Secrecy.read(settings(**changed))
    assert SEED not in str(caught.value.as_dict())


def test_a_request_counts_once_and_is_forgotten_when_it_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    nonces = Nonces()
    assert nonces.use("0xAb", "n", 1_000)
    assert not nonces.use("0xaB", "n", 1_000 + FRESH_S), "whatever the case of the address"
    assert nonces.use("0xcd", "n", 1_001) and nonces.use("0xab", "m", 1_002)
    assert nonces.use("0xab", "n", 1_001 + 2 * FRESH_S), "too old to be taken by then, so it need not be known"
    monkeypatch.setattr(payload_door, "NONCES_MAX", 3)
    assert not nonces.use("0xab", "o", 1_001 + 2 * FRESH_S), "full: refused rather than forgotten"


def test_every_seed_and_credential_is_kept_out_of_logs_by_value() -> None:
    older = hashlib.sha256(b"cortops care test older seed").hexdigest()
    held = settings(seed=SEED, older_seeds=((1, older),), storage_secret="storage-secret", storage_token="storage-token")
    assert {SEED, older, "storage-secret", "storage-token"} <= set(_secrets(held))
