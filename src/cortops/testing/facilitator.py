"""A facilitator of x402 payments for tests and for trying out: what it says of a payment is true of its own ledger, and of no other.

Signatures are real (EIP-712 over EIP-3009, checked with eth-account). The ledger is one of two: `PaperLedger`, balances in memory, or
`ChainLedger`, the token `payment/dollar` on a development chain. Neither is money: nobody else honours what is settled here.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
from aiohttp import web

from cortops.contracts.abi import decode_result, encode_call, encode_constructor
from cortops.contracts.artifact import PAYMENT, load
from cortops.contracts.network import Call
from cortops.programs.common.health import listening
from cortops.testing.chain import Chain
from cortops.words.clock import Clock
from cortops.words.errors import CallReverted

BODY_MAX_BYTES = 64 * 1024
CHAIN_IDS: Mapping[str, int] = {"base": 8453, "base-sepolia": 84532}
VERIFY_ROOM_S = 6  # a payment must be valid for that long, as with public facilitators
TYPES = {
    "TransferWithAuthorization": [
        {"name": "from", "type": "address"},
        {"name": "to", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "validAfter", "type": "uint256"},
        {"name": "validBefore", "type": "uint256"},
        {"name": "nonce", "type": "bytes32"},
    ]
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What a payer signed, as numbers; addresses in lower case."""

    payer: str
    to: str
    value: int
    valid_after: int
    valid_before: int
    nonce: str
    signature: str


class Ledger(Protocol):
    """Where payments are settled."""

    async def refusal(self, transfer: Transfer) -> str:
        """Why this transfer would fail now, "" when it would not."""

    async def move(self, transfer: Transfer) -> tuple[str, str]:
        """Do it; (transaction hash, why it failed), one of them empty."""


@dataclass(slots=True)
class PaperLedger:
    """Balances in memory. It keeps the token's rules: a number is used once, nobody pays more than he has."""

    balances: dict[str, int]
    used: set[tuple[str, str]] = field(default_factory=set)

    async def refusal(self, transfer: Transfer) -> str:
        if (transfer.payer, transfer.nonce) in self.used:
            return "authorization_used"
        return "" if self.balances.get(transfer.payer, 0) >= transfer.value else "insufficient_funds"

    async def move(self, transfer: Transfer) -> tuple[str, str]:
        if why := await self.refusal(transfer):
            return "", why
        self.used.add((transfer.payer, transfer.nonce))
        self.balances[transfer.payer] -= transfer.value
        self.balances[transfer.to] = self.balances.get(transfer.to, 0) + transfer.value
        return "0x" + hashlib.sha256(f"{transfer.payer}{transfer.nonce}".encode()).hexdigest(), ""


@dataclass(frozen=True, slots=True)
class ChainLedger:
    """The token on a development chain; the facilitator's wallet pays for gas."""

    chain: Chain
    token: str
    wallet: str = "facilitator"

    async def refusal(self, transfer: Transfer) -> str:
        """Asked by calling it without sending it."""
        try:
            await self.chain.rpc.call("eth_call", {"to": self.token, "data": self._data(transfer)}, "latest")
        except CallReverted as error:
            return error.why
        return ""

    async def move(self, transfer: Transfer) -> tuple[str, str]:
        try:
            return (await self.chain.do(self.wallet, Call(self.token, self._data(transfer)))).tx, ""
        except CallReverted as error:
            return "", error.why

    async def balance(self, address: str) -> int:
        """In the token's smallest unit."""
        artifact = load(PAYMENT)
        answer = await self.chain.rpc.call("eth_call", {"to": self.token, "data": encode_call(artifact, "balanceOf", address)}, "latest")
        return int(decode_result(artifact, "balanceOf", answer)[0])

    def _data(self, transfer: Transfer) -> str:
        raw = bytes.fromhex(transfer.signature[2:])
        r, s, v = raw[:32], raw[32:64], raw[64] + (27 if raw[64] < 27 else 0)
        signed = (transfer.payer, transfer.to, transfer.value, transfer.valid_after, transfer.valid_before, transfer.nonce)
        return encode_call(load(PAYMENT), "transferWithAuthorization", *signed, v, "0x" + r.hex(), "0x" + s.hex())


async def deploy_token(chain: Chain, minter: str, balances: Mapping[str, int]) -> str:
    """The token on `chain`, with `balances` minted by the wallet `minter`; its address."""
    from cortops.contracts import create2
    from cortops.testing.chain import wallet_of

    artifact = load(PAYMENT)
    code = encode_constructor(artifact, wallet_of(minter).address)
    await chain.do(minter, Call(create2.DEPLOYER, create2.deploy_calldata(code)))
    token = create2.address(code)
    await chain.do(minter, *(Call(token, encode_call(artifact, "mint", holder, amount)) for holder, amount in balances.items()))
    return token


@dataclass(slots=True, kw_only=True)
class Facilitator:
    """The program. asked: every question in its order.

    Faults: `down`: these questions are answered with 503; `lost`: it settles and drops the connection; `hold`: it settles when that is set.
    """

    ledger: Ledger
    clock: Clock
    asked: list[str] = field(default_factory=list)
    down: frozenset[str] = frozenset()
    lost: bool = False
    hold: asyncio.Event | None = None
    url: str = ""

    def application(self) -> web.Application:
        """/verify, /settle and /supported, as the official client asks them."""
        app = web.Application(client_max_size=BODY_MAX_BYTES)
        app.router.add_post("/verify", self._verify)
        app.router.add_post("/settle", self._settle)
        app.router.add_get("/supported", self._supported)
        return app

    async def _verify(self, request: web.Request) -> web.Response:
        await self._asked("verify")
        network, required, transfer = _read(await request.read())
        why = await self._wrong(network, required, transfer)
        return _json({"isValid": not why, "invalidReason": why or None, "payer": transfer.payer})

    async def _settle(self, request: web.Request) -> web.Response:
        await self._asked("settle")
        network, required, transfer = _read(await request.read())
        transaction, why = "", await self._wrong(network, required, transfer)
        if not why:
            transaction, why = await self.ledger.move(transfer)
        if self.lost and request.transport is not None:
            request.transport.close()
        return _json(
            {"success": not why, "errorReason": why or None, "transaction": transaction, "network": network, "payer": transfer.payer}
        )

    async def _supported(self, _request: web.Request) -> web.Response:
        return _json({"kinds": [{"x402Version": 1, "scheme": "exact", "network": network} for network in CHAIN_IDS]})

    async def _asked(self, what: str) -> None:
        self.asked.append(what)
        if what == "settle" and self.hold is not None:
            await self.hold.wait()
        if what in self.down:
            raise web.HTTPServiceUnavailable

    async def _wrong(self, network: str, required: Mapping[str, Any], transfer: Transfer) -> str:
        now = self.clock.now()
        if transfer.to != required["payTo"].lower():
            return "invalid_exact_evm_payload_recipient_mismatch"
        if transfer.value != int(required["maxAmountRequired"]):
            return "invalid_exact_evm_payload_authorization_value"
        if transfer.valid_before < now + VERIFY_ROOM_S:
            return "invalid_exact_evm_payload_authorization_valid_before"
        if transfer.valid_after > now:
            return "invalid_exact_evm_payload_authorization_valid_after"
        if signer_of(transfer, CHAIN_IDS[network], required["asset"], required["extra"]) != transfer.payer:
            return "invalid_exact_evm_payload_signature"
        return await self.ledger.refusal(transfer)


def signer_of(transfer: Transfer, chain_id: int, asset: str, names: Mapping[str, str]) -> str:
    """Whose signature it is, in lower case; "" when it is none."""
    limit = sys.getrecursionlimit()
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    sys.setrecursionlimit(limit)  # py_ecc, which comes with it, raises it: nested JSON of a stranger would overflow the stack
    domain = {"name": names["name"], "version": names["version"], "chainId": chain_id, "verifyingContract": asset}
    message = {
        "from": transfer.payer,
        "to": transfer.to,
        "value": transfer.value,
        "validAfter": transfer.valid_after,
        "validBefore": transfer.valid_before,
        "nonce": bytes.fromhex(transfer.nonce[2:]),
    }
    try:
        signable = encode_typed_data(domain_data=domain, message_types=TYPES, message_data=message)
        return str(Account.recover_message(signable, signature=transfer.signature)).lower()
    except Exception as error:
        if type(error).__name__ in ("BadSignature", "ValidationError", "ValueError", "EthUtilsValueError"):
            return ""
        raise


def _read(body: bytes) -> tuple[str, Mapping[str, Any], Transfer]:
    asked = msgspec.json.decode(body, type=dict[str, Any])
    inner = asked["paymentPayload"]["payload"]
    signed = inner["authorization"]
    transfer = Transfer(
        payer=signed["from"].lower(),
        to=signed["to"].lower(),
        value=int(signed["value"]),
        valid_after=int(signed["validAfter"]),
        valid_before=int(signed["validBefore"]),
        nonce=signed["nonce"].lower(),
        signature=inner["signature"],
    )
    return asked["paymentRequirements"]["network"], asked["paymentRequirements"], transfer


def _json(value: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


@asynccontextmanager
async def facilitator(ledger: Ledger, clock: Clock) -> AsyncIterator[Facilitator]:
    """One on a free port of this machine while inside."""
    one = Facilitator(ledger=ledger, clock=clock)
    async with listening(one.application(), ("127.0.0.1",), 0) as port:
        one.url = f"http://127.0.0.1:{port}"
        yield one
