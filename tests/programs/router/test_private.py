"""Private sessions end to end on a real chain: there and back, every fault by its own code, and where the prompt stands in clear."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from tests.programs.common.storage_rig import s3_that_answers
from tests.programs.router.private_rig import ENVIRONMENT, SESSION, Rig, private_spine, seed_of
from tests.programs.router.spine_rig import play

from cortops.contracts import create2
from cortops.contracts.abi import encode_constructor
from cortops.contracts.artifact import PRIVACY, load
from cortops.contracts.network import Call, result_hash
from cortops.contracts.privacy import write_list
from cortops.contracts.wallet import Wallet
from cortops.protocol.payload import About, open_sealed
from cortops.protocol.payload_key import (
    FRESH_S,
    KEY_ROUTES,
    RESULT_ROUTE,
    KeyAsked,
    KeyGiven,
    ResultHanded,
    key_text,
    public_half,
    result_text,
    unwrap_key,
)
from cortops.protocol.payload_urn import Direction, Scope, Urn
from cortops.testing.chain import wallet_of
from cortops.testing.engine import Say

pytestmark = pytest.mark.real

PROMPT, TEMPLATE, ANSWER = "the-prompt-nobody-sees", "the-template-nobody-sees {prompt}", "the-answer-nobody-sees"
SAY = Say(pieces=("the-answer-", "nobody-sees"))
PRIVATE_HALF = hashlib.sha256(b"cortops test half").digest()


async def committed(rig: Rig, task: int) -> Urn:
    """The name that the miner put on chain."""
    events = await rig.spine.network.rpc.call("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
    found = [bytes.fromhex(event["data"][2:]) for event in events if int((event["topics"] + ["0x0"] * 3)[2], 16) == task]
    data = next(data for data in found if b":result:" in data)
    return Urn.parse(data[data.index(b"urn:") :].rstrip(b"\0").decode())


def test_a_private_prompt_is_in_clear_at_router_and_miner_only_and_every_fault_has_its_code(tmp_path: Any) -> None:
    async def run() -> None:
        async with private_spine(tmp_path, *[SAY] * 3) as rig:
            status, body = await rig.completion(PROMPT, reference="ref-1", prompt_type=0, prompt_template=TEMPLATE)
            assert (status, body["choices"][0]["text"]) == (200, ANSWER), body
            assert body["usage"]["completion_tokens"] == 2
            assert rig.spine.engine.requests[0][1]["prompt"] == TEMPLATE.replace("{prompt}", PROMPT)
            name = await committed(rig, body["task_id"])
            path = await rig.spine.path(f"{SESSION}/{body['task_id']}")
            assert [step.step for step in path.steps] == ["submitted", "assigned", "acked", "precommitted", "committed", "ended"]
            assert path.steps[3].hash == path.steps[4].hash == result_hash(str(name))
            await _only_sealed_ways_in(rig)
            await _only_the_assigned_miner_has_the_key(rig, body["task_id"], name)
            await _faults(rig, name)
            await _nowhere_in_clear(rig)
            assert len(rig.objects("result")) == 2

    play(run)


async def _only_sealed_ways_in(rig: Rig) -> None:
    """Whatever else is asked of a private session is refused before anything stands on chain."""
    before = await rig.spine.network.task_counts([SESSION])
    for version, more, code in (
        (1, {}, "private_session_v2_only"),
        (3, {}, "private_session_v2_only"),
        (2, {"stream": True}, "private_session_no_streaming"),
    ):
        status, body = await rig.completion(PROMPT, version=version, **more)
        assert (status, body["error"]["code"]) == (400, code)
    async with rig.spine.ask({"model": "m", "messages": [{"role": "user", "content": PROMPT}]}) as reply:
        assert (reply.status, (await reply.json())["error"]["code"]) == (400, "private_session_v2_only")
    assert await rig.spine.network.task_counts([SESSION]) == before


def signed(wallet: Wallet, at: float, task: int, nonce: str, *, scope: Scope = Scope.TASK, by: Wallet | None = None) -> bytes:
    """A request for a task's key. by: who signs it, when that is not the one it names."""
    asked = KeyAsked(
        address=wallet.address,
        session=SESSION,
        task=task,
        at=int(at),
        nonce=hashlib.sha256(nonce.encode()).hexdigest(),
        version=1,
        public_key=public_half(PRIVATE_HALF),
    )
    signature = (by or wallet).sign_text(key_text(ENVIRONMENT, scope, asked))
    return msgspec.json.encode(msgspec.structs.replace(asked, signature=signature))


async def _only_the_assigned_miner_has_the_key(rig: Rig, task: int, name: Urn) -> None:
    miner, stranger, now = wallet_of("miner"), wallet_of("oracle"), rig.spine.chain.clock.now()
    route = KEY_ROUTES[Scope.TASK]
    for what, body, expected in (
        ("signed by another", signed(miner, now, task, "a", by=stranger), (401, "signature_invalid")),
        ("too old", signed(miner, now - FRESH_S - 5, task, "b"), (401, "request_stale")),
        ("not on the list", signed(stranger, now, task, "c"), (403, "payload_address_not_allowed")),
        ("a task that is not its own", signed(miner, now, task + 50, "d"), (403, "payload_address_not_allowed")),
        ("no request", b"{}", (400, "invalid_request")),
    ):
        status, answer = await rig.post(route, body)
        assert (status, answer["error"]["code"]) == expected, what
    body = signed(miner, now, task, "e")
    status, answer = await rig.post(route, body)
    assert status == 200
    asked = msgspec.json.decode(body, type=KeyAsked)
    key = unwrap_key(msgspec.convert(answer, KeyGiven), key_text(ENVIRONMENT, Scope.TASK, asked), PRIVATE_HALF)
    about = About(environment=ENVIRONMENT, session=SESSION, reference="ref-1", direction=Direction.RESULT, writer=miner.address)
    sealed = (rig.folder / name.place).read_bytes()
    assert open_sealed(name, sealed, about, key).text == ANSWER
    status, answer = await rig.post(route, body)
    assert (status, answer["error"]["code"]) == (409, "request_replayed")
    body = signed(miner, now, task, "f", scope=Scope.SESSION)
    status, answer = await rig.post(KEY_ROUTES[Scope.SESSION], body)
    assert (status, answer["error"]["code"]) == (400, "invalid_request"), "keys of this router are for one task each"

    handed = ResultHanded(
        address=miner.address, session=SESSION, task=task, at=int(now), nonce="ab" * 32, urn=str(name), sealed=sealed[:-1] + b"!"
    )
    altered = msgspec.structs.replace(handed, signature=miner.sign_text(result_text(ENVIRONMENT, handed)))
    status, answer = await rig.post(RESULT_ROUTE, msgspec.json.encode(altered))
    assert (status, answer["error"]["code"]) == (502, "payload_altered")
    async with rig.spine.web.get(f"{rig.spine.url}/health/payloads") as reply:
        told = await reply.json()
    assert told["canary"]["code"] == "" and told["seed_version"] == 1 and told["answered"]["key"] == 2
    assert not any(secret in str(told) for secret in (seed_of("one"), str(rig.folder), key.hex()))


async def _faults(rig: Rig, name: Urn) -> None:
    """Each on the retry of an answered request, which opens its result anew; then one that no miner may open."""

    async def retried() -> tuple[int, str]:
        status, body = await rig.completion(PROMPT, reference="ref-1")
        return status, body["error"]["code"] if status != 200 else body["choices"][0]["text"]

    assert await retried() == (200, ANSWER)
    result = rig.folder / name.place
    whole = result.read_bytes()
    result.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert await retried() == (502, "payload_altered")
    result.unlink()
    assert await retried() == (502, "payload_missing")
    result.write_bytes(whole)
    await rig.restart("router", seed=seed_of("another"))
    assert await retried() == (500, "payload_seed_wrong")
    await rig.restart("router", seed=seed_of("two"), seed_version=2)
    assert await retried() == (500, "payload_seed_missing")

    await rig.restart("router", seed=seed_of("two"), seed_version=2, older_seeds=((1, seed_of("one")),))
    assert await retried() == (200, ANSWER), "objects of the version before still open"
    status, body = await rig.completion(PROMPT, reference="ref-2")
    assert (status, body["choices"][0]["text"]) == (200, ANSWER)
    assert (await committed(rig, body["task_id"])).version == 2

    await rig.restart("router", allowed_list="")
    status, body = await rig.completion(PROMPT, reference="ref-3")
    assert (status, body["error"]["code"]) == (502, "payload_address_not_allowed")


async def _nowhere_in_clear(rig: Rig) -> None:
    places = await rig.places()
    assert any(name.startswith("chain log") and b":prompt:" in data for name, data in places.items()), "the search reads the chain"
    assert {name for name in places if name.startswith("log ")} == {"log router", "log miner", "log oracle"}
    words = (PROMPT, TEMPLATE[:20], ANSWER, seed_of("one"), seed_of("two"), "a-secret-that-has-ended")
    strays = [(name, word) for name, data in places.items() for word in words if word.encode() in data]
    assert not strays


def test_a_list_on_chain_decides_and_a_key_may_be_for_a_whole_session(tmp_path: Any) -> None:
    async def run() -> None:
        admin, miner = wallet_of("admin"), wallet_of("miner")
        code = encode_constructor(load(PRIVACY), admin.address)
        contract = create2.address(code)
        by_contract = {"allow_by_contract": True, "allowed_list": "", "privacy_contract": contract, "key_per": "session"}
        async with private_spine(tmp_path, *[SAY] * 2, router=by_contract) as rig:
            await rig.spine.chain.do("admin", Call(create2.DEPLOYER, create2.deploy_calldata(code)))
            await rig.spine.chain.do("admin", Call(contract, write_list(SESSION, [miner.address])))
            status, body = await rig.completion(PROMPT)
            assert (status, body["choices"][0]["text"]) == (200, ANSWER), body
            name = await committed(rig, body["task_id"])
            assert name.scope is Scope.SESSION

            await rig.spine.chain.do("admin", Call(contract, write_list(SESSION, [])))
            status, body = await rig.completion(PROMPT)
            assert (status, body["error"]["code"]) == (502, "payload_address_not_allowed"), "removed on chain, at once"

            tasks = await rig.spine.network.task_counts([SESSION])
            async with s3_that_answers(400, "ExpiredToken") as s3:
                expired = {"payload_storage": "s3://lab-payloads", "payload_endpoint": s3.endpoint, "payload_key_id": "id"}
                await rig.restart("router", **expired, storage_secret="a-secret-that-has-ended")
                status, body = await rig.completion(PROMPT)
                assert (status, body["error"]["code"]) == (503, "payload_credential_refused")
                async with rig.spine.web.get(f"{rig.spine.url}/health/payloads") as reply:
                    assert (await reply.json())["canary"]["code"] == "payload_credential_refused"
            assert await rig.spine.network.task_counts([SESSION]) == tasks, "nothing was put on chain"
            await _nowhere_in_clear(rig)

    play(run)
