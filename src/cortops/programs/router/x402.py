"""Calls that are paid for one by one (x402): 402 says the price, X-PAYMENT pays, X-PAYMENT-RESPONSE is the receipt. Facts A.3, H.

The order is the point. A payment is looked at and verified before any work, settled only after the work is done, and what could not be
settled is not handed out. A call that failed is not settled: there is no refund in this protocol, so nothing is taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from aiohttp import web
from x402.http.constants import X_PAYMENT_HEADER, X_PAYMENT_RESPONSE_HEADER
from x402.http.utils import encode_payment_response_header
from x402.schemas import SettleResponse
from x402.schemas.v1 import PaymentRequirementsV1

from cortops.programs.common.health import Handler
from cortops.programs.common.logs import Log
from cortops.programs.router.doors import ID, header_timeout_s, read_body, send
from cortops.programs.router.offers import Answered, Asked, Family, Offers
from cortops.programs.router.refusals import refused
from cortops.programs.router.trial import REFERENCE_KEYS
from cortops.programs.router.x402_facilitator import Facilitator, Silent
from cortops.programs.router.x402_terms import Offered, Terms, Unfit, asked_to_pay, read_payment, unfit
from cortops.programs.router.x402_used import Stand, Used
from cortops.words.clock import Clock

WHY_CHARS_MAX = 200  # of a facilitator's reason
STOP_TIMEOUT_S = 5.0  # for settlements that are under way when the router stops


@dataclass(slots=True, kw_only=True)
class Payments:
    """The one paid way to `Offers`; REST, MCP and who else takes payments ask through it. sessions: those that win over the caller's."""

    terms: Terms
    sessions: Mapping[Family, int]
    offers: Offers
    facilitator: Facilitator
    clock: Clock
    log: Log
    used: Used = field(default_factory=Used)
    _settling: set[asyncio.Task[SettleResponse | Silent]] = field(default_factory=set)

    async def answer(self, asked: Asked, payment: str, path: str) -> Answered:
        """The answer of a call that `payment` (the value of X-PAYMENT) pays for, or why it does not. path: of what is paid for."""
        required = self.terms.required(asked.family, path)
        if not payment:
            return _pay(required, code="payment_required", why=f"send {X_PAYMENT_HEADER}")
        offered = read_payment(payment)
        if isinstance(offered, Unfit):
            return _pay(required, code=offered.code, why=offered.why)
        if why := unfit(offered, required, self.clock.now()):
            return _pay(required, code=why.code, why=why.why)
        match self.used.take(offered.payment, float(offered.authorization.valid_before), self.clock.now()):
            case Stand.HELD:
                return refused(409, "payment_in_use", "this payment pays for a call that is under way")
            case Stand.SPENT:
                return _pay(required, code="payment_used", why="this payment is settled, and pays once")
            case Stand.FULL:
                return refused(503, "payments_full", "this router remembers as many payments as it can; ask again later")
        with self._held(offered) as hold:
            return await self._held_answer(asked, offered, required, hold)

    async def _held_answer(self, asked: Asked, offered: Offered, required: PaymentRequirementsV1, hold: _Hold) -> Answered:
        verified = await self.facilitator.verify(offered.payload, required)
        if isinstance(verified, Silent):
            self.log.warning("facilitator_silent", step="verify", why=verified.why)
            return refused(503, "facilitator_unreachable", "the payment could not be verified, so nothing was done; ask again with it")
        if not verified.is_valid:
            return _pay(required, code="payment_refused", why=verified.invalid_reason or "no reason given")
        answered = await self.offers.answer(self._bound(asked, offered))
        if not answered.fine:
            return answered
        hold.passed_on = True  # from here on the settlement says what becomes of the payment, whoever still waits
        settling = asyncio.ensure_future(self._settle(offered, required, asked.family))
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)
        settled = await asyncio.shield(settling)
        if isinstance(settled, Silent):
            why = "the task is done and could not be settled, so its answer is held back; ask again with the same payment"
            return refused(503, "facilitator_unreachable", why)
        if not settled.success:
            return _pay(required, code="payment_unsettled", why=settled.error_reason or "no reason given")
        return replace(answered, headers={**answered.headers, X_PAYMENT_RESPONSE_HEADER: encode_payment_response_header(settled)})

    async def _settle(self, offered: Offered, required: PaymentRequirementsV1, family: Family) -> SettleResponse | Silent:
        try:
            settled = await self.facilitator.settle(offered.payload, required)
        except BaseException:  # the router stops, or something nobody expected: the payment is not ours to keep
            self.used.release(offered.payment)
            raise
        about = {"family": str(family), "amount": required.max_amount_required, "payer": offered.payment.payer}
        if isinstance(settled, Silent):
            self.used.release(offered.payment)
            self.log.warning(
                "payment_unsure" if settled.sent else "payment_unsettled", nonce=offered.payment.nonce, why=settled.why, **about
            )
        elif not settled.success:
            self.used.release(offered.payment)
            self.log.warning("payment_unsettled", nonce=offered.payment.nonce, why=settled.error_reason, **about)
        else:
            self.used.spend(offered.payment)
            self.log.info("payment_settled", transaction=settled.transaction, **about)
        return settled

    def _bound(self, asked: Asked, offered: Offered) -> Asked:
        """The call as it is asked: in the declared session, under the payment's reference, in the time that the payment leaves.

        A payer names no reference of its own: with somebody else's it would be given that one's answer.
        """
        left_s = offered.work_s(self.clock.now())
        return replace(
            asked,
            session=self.sessions.get(asked.family) or asked.session,
            body={key: value for key, value in asked.body.items() if key not in REFERENCE_KEYS},
            reference=offered.reference(asked.family, asked.version),
            timeout_s=left_s if asked.timeout_s is None else min(left_s, asked.timeout_s),
            stream=False,
            streams=False,
        )

    @contextmanager
    def _held(self, offered: Offered) -> Iterator[_Hold]:
        hold = _Hold()
        try:
            yield hold
        finally:
            if not hold.passed_on:
                self.used.release(offered.payment)

    async def close(self) -> None:
        """Wait for settlements that are under way, 5 s at most."""
        if self._settling:
            _, left = await asyncio.wait(self._settling, timeout=STOP_TIMEOUT_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)


@dataclass(slots=True)
class _Hold:
    passed_on: bool = False


def _pay(required: PaymentRequirementsV1, *, code: str, why: str) -> Answered:
    """402, with our code before the reason: the protocol's body has one text for both."""
    return Answered(status=402, body=asked_to_pay(required, f"{code}: {why[:WHY_CHARS_MAX]}"))


@dataclass(frozen=True, slots=True)
class PaidDoor:
    """The routes of paid calls, without a key."""

    payments: Payments

    PATHS = (
        ("/api/v1/x402/completions", Family.COMPLETIONS, 1),
        (f"/api/v1/x402/completions/{{sid:{ID}}}", Family.COMPLETIONS, 1),
        ("/api/v1/x402/delegate", Family.DELEGATE, 1),
        ("/api/v1/x402/validate", Family.VALIDATE, 1),
        ("/api/v1/x402/factcheck", Family.FACTCHECK, 1),
        ("/api/v1/x402/fact-check", Family.FACTCHECK, 1),
        ("/api/v2/x402/delegate", Family.DELEGATE, 2),
        ("/api/v2/x402/validate", Family.VALIDATE, 2),
    )
    PING = "/api/v1/x402/ping"

    @property
    def open_paths(self) -> frozenset[str]:
        return frozenset({self.PING, *(path.replace(f":{ID}", "") for path, _, _ in self.PATHS)})

    def routes(self) -> Iterator[web.RouteDef]:
        yield web.get(self.PING, self._ping)
        for path, family, version in self.PATHS:
            yield web.post(path, self._paid(family, version))

    def _paid(self, family: Family, version: int) -> Handler:
        async def paid(request: web.Request) -> web.StreamResponse:
            body = await read_body(request)
            if body.get("stream"):
                what = "a paid answer comes whole, since it is settled when it is done"
                return await send(request, refused(400, "invalid_request", what, "stream"))
            named = request.match_info.get("sid")
            asked = Asked(
                family=family,
                version=version,
                session=int(named) if named is not None else None,
                body=body,
                timeout_s=header_timeout_s(request),
            )
            return await send(request, await self.payments.answer(asked, request.headers.get(X_PAYMENT_HEADER, ""), request.path))

        return paid

    async def _ping(self, request: web.Request) -> web.StreamResponse:
        """Ours: what is taken, so that a payer can tell before it asks."""
        terms = self.payments.terms
        body = {
            "message": "pong",
            "x402Version": 1,
            "network": terms.network,
            "asset": terms.asset.address,
            "payTo": terms.pay_to,
            "prices": {str(family): str(amount) for family, amount in terms.amounts.items()},
        }
        return await send(request, Answered(status=200, body=body))
