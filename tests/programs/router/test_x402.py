"""Paid calls by the official client, and payments that do not pay."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest
from tests.programs.router.agents_rig import PAY_TO, RICH, Doors, account, doors, play, without_answer
from x402 import PaymentRequirementsV1, x402Client
from x402.http.clients.httpx import x402HttpxClient
from x402.mechanisms.evm.exact.v1.client import ExactEvmSchemeV1

from cortops.programs.router.offers import Family
from cortops.testing.clock import turn_until
from cortops.testing.facilitator import PaperLedger

COMPLETIONS = "/api/v1/x402/completions"
PRICE = 1_000  # of 0.001 USD
BODY = {"prompt": "Why is the sky blue?", "session_id": 1}
PAYER = account("payer")


paid_doors = partial(doors, mcp=False, a2a=False)


def payer(label: str = "payer", asset: str = "") -> x402Client:
    """asset: a token that it pays with beside those that the library knows."""
    client = x402Client()
    if asset:
        client.set_spend_controls({"allowed_assets": [{"network": "base-sepolia", "asset": asset, "max_amount_per_payment": "1000"}]})
    return client.register_v1("base-sepolia", ExactEvmSchemeV1(account(label)))


async def required(door: Doors, path: str = COMPLETIONS) -> PaymentRequirementsV1:
    status, body, _ = await door.post(path, BODY)
    assert status == 402 and body["x402Version"] == 1
    return PaymentRequirementsV1.model_validate(body["accepts"][0])


def signed(need: PaymentRequirementsV1, label: str = "payer", **changed: Any) -> dict[str, Any]:
    """A payment as the official client signs it, for requirements of which some are changed."""
    inner = ExactEvmSchemeV1(account(label)).create_payment_payload(need.model_copy(update=changed))
    return {"x402Version": 1, "scheme": "exact", "network": need.network, "payload": inner}


def header(payment: object) -> str:
    return base64.b64encode(msgspec.json.encode(payment)).decode()


@asynccontextmanager
async def paying(door: Doors, label: str = "payer", asset: str = "") -> AsyncIterator[x402HttpxClient]:
    async with x402HttpxClient(payer(label, asset), base_url=door.url, timeout=10) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "body", "family", "version"),
    [
        (COMPLETIONS, BODY, Family.COMPLETIONS, 1),
        (f"{COMPLETIONS}/2", {"prompt": "x"}, Family.COMPLETIONS, 1),
        ("/api/v1/x402/delegate", {"task_request_input": "x"}, Family.DELEGATE, 1),
        ("/api/v1/x402/validate", {"task_request_input": "x"}, Family.VALIDATE, 1),
        ("/api/v1/x402/factcheck", {"claim": "x"}, Family.FACTCHECK, 1),
        ("/api/v1/x402/fact-check", {"claim": "x"}, Family.FACTCHECK, 1),
        ("/api/v2/x402/delegate", {"objective": "x"}, Family.DELEGATE, 2),
        ("/api/v2/x402/validate", {"claim": {}}, Family.VALIDATE, 2),
    ],
)
def test_the_official_client_pays_and_gets_its_answer_and_a_receipt(path: str, body: Any, family: Family, version: int) -> None:
    async def test() -> None:
        async with paid_doors() as door, paying(door) as client:
            reply = await client.post(path, json=body)
            assert reply.status_code == 200
            receipt = msgspec.json.decode(base64.b64decode(reply.headers["X-PAYMENT-RESPONSE"]))
            assert receipt["success"] and receipt["payer"] == PAYER.address.lower() and receipt["network"] == "base-sepolia"
            (asked,) = door.offers.asked
            assert (asked.family, asked.version, asked.stream) == (family, version, False)
            assert door.paid.asked == ["verify", "work", "settle"]
            assert door.ledger.balances[PAY_TO] == PRICE

    play(test)


def test_ping_and_the_402_say_what_is_taken_without_an_internal_address() -> None:
    async def test() -> None:
        async with paid_doors(x402_price_delegate="0.25") as door:
            status, body = await door.get(f"{door.url}/api/v1/x402/ping")
            assert status == 200 and body["payTo"] == PAY_TO
            assert body["prices"] == {"completions": "1000", "delegate": "250000", "validate": "1000", "factcheck": "1000"}
            need = await required(door, "/api/v2/x402/delegate")
            assert need.resource == "https://router.lab.example/api/v2/x402/delegate"
            assert (need.max_amount_required, need.extra) == ("250000", {"name": "USDC", "version": "2"})
            assert "127.0.0.1" not in need.model_dump_json()

    play(test)


def test_a_fixed_session_wins_and_a_payer_names_no_reference() -> None:
    async def test() -> None:
        async with paid_doors(x402_completions_session=2) as door, paying(door) as client:
            reply = await client.post(f"{COMPLETIONS}/1", json=BODY | {"client_reference": "of-somebody-else", "request_id": "x"})
            assert reply.status_code == 200
            (asked,) = door.offers.asked
            assert asked.session == 2 and asked.reference.startswith("x402-")
            assert not {"client_reference", "request_id"} & set(asked.body)

    play(test)


async def _wrong(door: Doors, payment: object, words: str, status: int = 402, ledger: str = "", worked: bool = False) -> None:
    found, body, _ = await door.post(COMPLETIONS, BODY, X_PAYMENT=payment if isinstance(payment, str) else header(payment))
    assert found == status, body
    assert words in (body["error"] if isinstance(body["error"], str) else body["error"]["code"])
    assert bool(door.offers.asked) == worked
    assert door.ledger.balances.get(PAY_TO, 0) == 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"max_amount_required": "999"}, "payment_wrong_amount"),
        ({"max_amount_required": "1001"}, "payment_wrong_amount"),
        ({"pay_to": "0x" + "11" * 20}, "payment_wrong_recipient"),
        ({"max_timeout_seconds": 20}, "payment_expired"),
        ({"max_timeout_seconds": -100}, "payment_expired"),
        ({"max_timeout_seconds": 10**6}, "payment_too_long"),
        ({"network": "base"}, "payment_refused: invalid_exact_evm_payload_signature"),
        ({"asset": "0x" + "22" * 20}, "payment_refused: invalid_exact_evm_payload_signature"),
    ],
)
def test_a_payment_for_something_else_does_no_work(changed: dict[str, Any], words: str) -> None:
    async def test() -> None:
        async with paid_doors() as door:
            need = await required(door)
            await _wrong(door, signed(need, **changed), words)

    play(test)


def test_what_is_no_payment_does_no_work() -> None:
    async def test() -> None:
        async with paid_doors() as door:
            need = await required(door)
            good = signed(need)
            later = msgspec.json.decode(msgspec.json.encode(good))
            later["payload"]["authorization"]["validAfter"] = str(int(time.time()) + 100)
            other = msgspec.json.decode(msgspec.json.encode(good))
            other["payload"]["authorization"]["from"] = "0x" + "33" * 20
            for payment, words in (
                ("not base64!", "payment_unreadable"),
                (header([]), "payment_unreadable"),
                (header({}), "payment_unreadable"),
                ("x" * 8_001, "payment_unreadable"),
                (header(good | {"x402Version": 2}), "payment_unreadable"),
                (header(good | {"network": "base"}), "payment_wrong_network"),
                (header(good | {"scheme": "upto"}), "payment_wrong_scheme"),
                (header(later), "payment_not_valid_yet"),
                (header(other), "payment_refused: invalid_exact_evm_payload_signature"),
                (header(signed(need, "poor")), "payment_refused: insufficient_funds"),
            ):
                await _wrong(door, payment, words)
            assert "settle" not in door.paid.asked

    play(test)


def test_a_payment_pays_once() -> None:
    async def test() -> None:
        async with paid_doors() as door:
            payment = header(signed(await required(door)))
            first = await door.post(COMPLETIONS, BODY, X_PAYMENT=payment)
            again = await door.post(COMPLETIONS, BODY, X_PAYMENT=payment)
            assert first[0] == 200
            assert again[0] == 402 and again[1]["error"].startswith("payment_used")
            assert len(door.offers.asked) == 1 and door.ledger.balances[PAY_TO] == PRICE

    play(test)


def test_two_calls_at_once_by_one_payment_are_one() -> None:
    async def test() -> None:
        async with paid_doors() as door:
            payment = header(signed(await required(door)))
            door.offers.hold = asyncio.Event()
            first = asyncio.ensure_future(door.post(COMPLETIONS, BODY, X_PAYMENT=payment))
            await turn_until(lambda: bool(door.offers.asked))
            second = await door.post(COMPLETIONS, BODY, X_PAYMENT=payment)
            assert second[0] == 409 and second[1]["error"]["code"] == "payment_in_use"
            door.offers.hold.set()
            assert (await first)[0] == 200 and len(door.offers.asked) == 1

    play(test)


def test_a_call_that_failed_is_not_settled_and_the_payment_is_good_again() -> None:
    async def test() -> None:
        async with paid_doors() as door:
            payment = header(signed(await required(door)))
            door.offers.refuse = without_answer(502, "engine_failed")
            status, body, headers = await door.post(COMPLETIONS, BODY, X_PAYMENT=payment)
            assert status == 502 and body["error"]["code"] == "engine_failed" and "X-PAYMENT-RESPONSE" not in headers
            assert "settle" not in door.paid.asked and door.ledger.balances[PAYER.address.lower()] == RICH
            door.offers.refuse = None
            assert (await door.post(COMPLETIONS, BODY, X_PAYMENT=payment))[0] == 200
            assert len({asked.reference for asked in door.offers.asked}) == 1  # so that the task is found, not run again

    play(test)


def test_a_facilitator_that_is_down_means_no_work() -> None:
    async def test() -> None:
        async with paid_doors() as door:
            payment = header(signed(await required(door)))
            door.paid.down = frozenset({"verify"})
            await _wrong(door, payment, "facilitator_unreachable", status=503)
        async with paid_doors(x402_facilitator_url="http://127.0.0.1:1") as door:
            await _wrong(door, header(signed(await required(door))), "facilitator_unreachable", status=503)

    play(test)


def test_what_could_not_be_settled_is_held_back_and_handed_out_when_it_is() -> None:
    async def test() -> None:
        async with paid_doors() as door:
            payment = header(signed(await required(door)))
            door.paid.down = frozenset({"settle"})
            await _wrong(door, payment, "facilitator_unreachable", status=503, worked=True)
            door.paid.down = frozenset()
            status, _, headers = await door.post(COMPLETIONS, BODY, X_PAYMENT=payment)
            assert status == 200 and "X-PAYMENT-RESPONSE" in headers
            first, second = door.offers.asked
            assert first.reference == second.reference

    play(test)


def test_a_payment_that_is_gone_when_the_work_is_done_gets_nothing() -> None:
    async def test() -> None:
        async with paid_doors() as door:
            payment = header(signed(await required(door)))
            door.offers.hold = asyncio.Event()
            asking = asyncio.ensure_future(door.post(COMPLETIONS, BODY, X_PAYMENT=payment))
            await turn_until(lambda: bool(door.offers.asked))
            door.ledger.balances[PAYER.address.lower()] = 0  # spent elsewhere meanwhile
            door.offers.hold.set()
            status, body, headers = await asking
            assert status == 402 and body["error"] == "payment_unsettled: insufficient_funds" and "X-PAYMENT-RESPONSE" not in headers

    play(test)


def test_an_unsure_settlement_is_said_and_logged_for_the_operator() -> None:
    async def test() -> None:
        async with paid_doors() as door:
            payment = header(signed(await required(door)))
            door.paid.lost = True
            status, body, _ = await door.post(COMPLETIONS, BODY, X_PAYMENT=payment)
            assert status == 503 and body["error"]["code"] == "facilitator_unreachable"
            (line,) = [one for one in door.events if one["event"] == "payment_unsure"]
            assert line["payer"] == PAYER.address.lower() and line["nonce"].startswith("0x")
            door.paid.lost = False
            assert (await door.post(COMPLETIONS, BODY, X_PAYMENT=payment))[0] == 402  # its number is used: nothing is handed out twice

    play(test)


def test_a_client_that_leaves_before_it_is_settled_has_not_paid() -> None:
    async def test() -> None:
        async with paid_doors() as door:
            payment = header(signed(await required(door)))
            door.offers.hold = asyncio.Event()
            asking = asyncio.ensure_future(door.post(COMPLETIONS, BODY, X_PAYMENT=payment))
            await turn_until(lambda: bool(door.offers.asked))
            asking.cancel()
            await turn_until(lambda: door.offers.left)
            door.offers.hold = None
            assert door.paid.asked == ["verify", "work"]
            assert (await door.post(COMPLETIONS, BODY, X_PAYMENT=payment))[0] == 200  # and may come back with the same payment

    play(test)


def test_a_client_that_leaves_while_it_is_settled_has_paid() -> None:
    async def test() -> None:
        async with paid_doors() as door:
            payment = header(signed(await required(door)))
            door.paid.hold = asyncio.Event()
            asking = asyncio.ensure_future(door.post(COMPLETIONS, BODY, X_PAYMENT=payment))
            await turn_until(lambda: door.paid.asked[-1:] == ["settle"])
            asking.cancel()
            await asyncio.wait({asking})
            door.paid.hold.set()
            await turn_until(lambda: any(one["event"] == "payment_settled" for one in door.events))
            assert door.ledger.balances[PAY_TO] == PRICE
            assert (await door.post(COMPLETIONS, BODY, X_PAYMENT=payment))[1]["error"].startswith("payment_used")

    play(test)


def test_a_router_that_stops_lets_a_settlement_end() -> None:
    async def test() -> None:
        async with paid_doors() as door:
            door.paid.hold = asyncio.Event()
            asking = asyncio.ensure_future(door.post(COMPLETIONS, BODY, X_PAYMENT=header(signed(await required(door)))))
            await turn_until(lambda: door.paid.asked[-1:] == ["settle"])
            asking.cancel()
            asyncio.get_running_loop().call_soon(door.paid.hold.set)
        assert door.ledger.balances[PAY_TO] == PRICE
        assert any(one["event"] == "payment_settled" for one in door.events)

    play(test)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_request"),
        (b"[]", 400, "invalid_request"),
        (b'{"prompt": "x", "stream": true}', 400, "invalid_request"),
        (b'{"prompt": "' + b"x" * (4 * 2**20) + b'"}', 413, "body_too_large"),
    ],
)
def test_a_bad_body_costs_nothing(body: bytes, status: int, code: str) -> None:
    async def test() -> None:
        async with paid_doors() as door:
            found, said, _ = await door.post(COMPLETIONS, body, X_PAYMENT=header(signed(await required(door))))
            assert (found, said["error"]["code"]) == (status, code)
            assert door.paid.asked == []

    play(test)


def test_a_router_without_payments_has_no_paid_routes() -> None:
    async def test() -> None:
        async with paid_doors(x402=False) as door:
            assert (await door.post(COMPLETIONS, BODY))[0] in (401, 404)

    play(test)


def test_the_paper_ledger_keeps_the_tokens_rules() -> None:
    async def test() -> None:
        from cortops.testing.facilitator import Transfer

        ledger = PaperLedger({"a": 10})
        one = Transfer(payer="a", to="b", value=7, valid_after=0, valid_before=1, nonce="1", signature="")
        assert (await ledger.move(one))[1] == ""
        assert (await ledger.move(one))[1] == "authorization_used"
        assert (await ledger.move(replace(one, nonce="2")))[1] == "insufficient_funds"
        assert ledger.balances == {"a": 3, "b": 7}

    play(test)


def test_the_official_client_gives_up_after_one_payment() -> None:
    async def test() -> None:
        async with paid_doors() as door, paying(door, "poor") as client:
            reply = await client.post(COMPLETIONS, json=BODY)
            assert isinstance(reply, httpx.Response) and reply.status_code == 402

    play(test)
