"""Who verifies and settles payments: asked through the official client, at the declared address and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import httpx
from x402.http.facilitator_client import FacilitatorConfig, HTTPFacilitatorClient
from x402.http.facilitator_client_base import AuthHeaders
from x402.schemas import SettleResponse, VerifyResponse
from x402.schemas.v1 import PaymentPayloadV1, PaymentRequirementsV1

VERIFY_TIMEOUT_S = 15.0
SETTLE_TIMEOUT_S = 50.0  # below SETTLE_ROOM_S: what comes later would not be settled
CONNECTIONS_MAX = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """No usable answer. sent: the question may have arrived, so a payment may be settled without our knowing."""

    why: str
    sent: bool = True


class Facilitator(Protocol):
    """Answers are the library's; silence is a value."""

    async def verify(self, payment: PaymentPayloadV1, required: PaymentRequirementsV1) -> VerifyResponse | Silent:
        """Whether it could be settled now. Moves nothing."""

    async def settle(self, payment: PaymentPayloadV1, required: PaymentRequirementsV1) -> SettleResponse | Silent:
        """Move the money."""


@dataclass(frozen=True, slots=True)
class _Bearer:
    secret: str

    def get_auth_headers(self) -> AuthHeaders:
        header = {"Authorization": f"Bearer {self.secret}"}
        return AuthHeaders(verify=header, settle=header, supported=header)


class Remote:
    """A Facilitator over HTTP."""

    def __init__(self, url: str, secret: str, client: httpx.AsyncClient) -> None:
        auth = _Bearer(secret) if secret else None
        self._client = HTTPFacilitatorClient(FacilitatorConfig(url=url, http_client=client, auth_provider=auth))

    async def verify(self, payment: PaymentPayloadV1, required: PaymentRequirementsV1) -> VerifyResponse | Silent:
        try:
            async with asyncio.timeout(VERIFY_TIMEOUT_S):
                return await self._client.verify(payment, required)
        except (httpx.HTTPError, TimeoutError, ValueError) as error:  # ValueError: a status that is not 200, or a body that is none
            return _silent(error)

    async def settle(self, payment: PaymentPayloadV1, required: PaymentRequirementsV1) -> SettleResponse | Silent:
        try:
            return await self._client.settle(payment, required)
        except (httpx.HTTPError, ValueError) as error:
            return _silent(error)


def _silent(error: Exception) -> Silent:
    return Silent(why=type(error).__name__, sent=not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout))


@asynccontextmanager
async def remote(url: str, secret: str) -> AsyncIterator[Facilitator]:
    """The facilitator at `url`. No redirect is followed and no proxy of the environment is used: it is asked where it was declared."""
    timeout = httpx.Timeout(SETTLE_TIMEOUT_S, connect=5.0, pool=5.0)
    limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
    async with httpx.AsyncClient(timeout=timeout, limits=limits, follow_redirects=False, trust_env=False) as client:
        yield Remote(url, secret, client)
