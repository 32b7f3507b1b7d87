"""What a paid call costs, and whether an offered payment is one for it. Pure: the time comes as an argument.

The wire shapes are those of the official library, protocol version 1: networks by name, X-PAYMENT, X-PAYMENT-RESPONSE (facts H).
What is checked here needs no chain; signature, balance and whether the number was used are the facilitator's to say.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated

import msgspec
from msgspec import Meta
from x402.schemas.v1 import PaymentPayloadV1, PaymentRequiredV1, PaymentRequirementsV1

from cortops.programs.router.offers import Family
from cortops.programs.router.x402_used import Payment
from cortops.protocol.settings import RouterSettings
from cortops.words.errors import BadInput

SCHEME = "exact"
PAYMENT_BYTES_MAX = 8_000  # of a payment as text; header fields of 8 KiB pass every proxy
SETTLE_ROOM_S = 60  # of a payment's life that stays for settling it
WORK_MIN_S = 5  # a payment that leaves less time for the work is refused
PRICE_MAX_USD = Decimal(1000)

# Networks by name -> (chain id, USDC, its EIP-712 name and version). Source: the library's own tables.
NETWORKS: Mapping[str, tuple[int, str, str, str]] = {
    "base": (8453, "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin", "2"),
    "base-sepolia": (84532, "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC", "2"),
}
USDC_DECIMALS = 6

Address = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{40}$")]
Digits = Annotated[str, Meta(pattern=r"^[0-9]{1,78}$")]


class Authorization(msgspec.Struct, frozen=True, kw_only=True):
    """What the payer signed (EIP-3009). Times in Unix seconds, value in the token's smallest unit."""

    payer: Address = msgspec.field(name="from")
    to: Address
    value: Digits
    valid_after: Digits = msgspec.field(name="validAfter")
    valid_before: Digits = msgspec.field(name="validBefore")
    nonce: Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{64}$")]


class _Exact(msgspec.Struct, frozen=True, kw_only=True):
    signature: Annotated[str, Meta(pattern=r"^0x([0-9a-fA-F]{2}){1,2048}$")]
    authorization: Authorization


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    x402_version: int = msgspec.field(name="x402Version")
    scheme: Annotated[str, Meta(max_length=32)]
    network: Annotated[str, Meta(max_length=64)]
    payload: _Exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A payment as it came. payload: for the facilitator."""

    payload: PaymentPayloadV1
    authorization: Authorization

    @property
    def payment(self) -> Payment:
        """What makes it the same one, however it is spelled."""
        return Payment(self.authorization.payer.lower(), self.authorization.nonce.lower())

    def reference(self, family: Family, version: int) -> str:
        """The reference of the call that it pays for: offered again it finds the same task, and nobody else's payment does."""
        about = "|".join((*self.payment, self.payload.network, family, str(version)))
        return "x402-" + hashlib.sha256(about.encode()).hexdigest()[:40]

    def work_s(self, now: float) -> float:
        """How long the work may take, so that the payment can be settled afterwards."""
        return int(self.authorization.valid_before) - SETTLE_ROOM_S - now


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """Why a payment does not pay. code: as our errors have it; why: one sentence."""

    code: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """What is paid with: a token, and its name and version in signatures."""

    address: str
    decimals: int
    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is asked of payers.

    amounts: of each family, in the token's smallest unit. base: the declared public address, "" where there is none.
    """

    network: str
    pay_to: str
    asset: Asset
    amounts: Mapping[Family, int]
    base: str
    timeout_s: int

    @classmethod
    def of(cls, settings: RouterSettings, base: str) -> Terms:
        """Raises BadInput, naming the key, for settings that nobody could pay by."""
        asset = _asset(settings)
        prices = {
            Family.COMPLETIONS: settings.x402_price_completions,
            Family.DELEGATE: settings.x402_price_delegate,
            Family.VALIDATE: settings.x402_price_validate,
            Family.FACTCHECK: settings.x402_price_factcheck,
        }
        if not _is_address(settings.x402_pay_to):
            raise _wrong("X402_ROUTER_NODE_PAY_TO is no address")
        return cls(
            network=settings.x402_network,
            pay_to=settings.x402_pay_to,
            asset=asset,
            amounts={family: _amount(price or settings.x402_price, asset.decimals) for family, price in prices.items()},
            base=base,
            timeout_s=settings.request_timeout_s + SETTLE_ROOM_S,
        )

    def required(self, family: Family, path: str) -> PaymentRequirementsV1:
        """What a call of this family costs at this path."""
        return PaymentRequirementsV1(
            scheme=SCHEME,
            network=self.network,
            max_amount_required=str(self.amounts[family]),
            resource=self.base + path,
            description=f"one call of {family}",
            mime_type="application/json",
            pay_to=self.pay_to,
            max_timeout_seconds=self.timeout_s,
            asset=self.asset.address,
            extra={"name": self.asset.name, "version": self.asset.version},
        )


def asked_to_pay(required: PaymentRequirementsV1, error: str) -> dict[str, object]:
    """The body of a 402: what is accepted, and why nothing was."""
    return PaymentRequiredV1(error=error, accepts=[required]).model_dump(mode="json", by_alias=True, exclude_none=True)


def read_payment(text: str) -> Offered | Unfit:
    """The value of X-PAYMENT -> what was offered."""
    if len(text) > PAYMENT_BYTES_MAX:
        return Unfit(code="payment_unreadable", why=f"a payment has at most {PAYMENT_BYTES_MAX} characters")
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
        read = msgspec.json.decode(raw, type=_Payload)
    except (UnicodeEncodeError, UnicodeDecodeError, binascii.Error, msgspec.DecodeError) as error:
        return Unfit(code="payment_unreadable", why=f"the payment cannot be read: {str(error)[:200]}")
    if read.x402_version != 1:
        return Unfit(code="payment_unreadable", why="the payment is not one of x402 version 1")
    payload = PaymentPayloadV1(scheme=read.scheme, network=read.network, payload=msgspec.to_builtins(read.payload))
    return Offered(payload=payload, authorization=read.payload.authorization)


def unfit(offered: Offered, required: PaymentRequirementsV1, now: float) -> Unfit | None:
    """Why it does not pay for this, as far as that can be seen without a chain."""
    signed = offered.authorization
    if offered.payload.scheme != required.scheme:
        return Unfit(code="payment_wrong_scheme", why=f"the scheme is {required.scheme}")
    if offered.payload.network != required.network:
        return Unfit(code="payment_wrong_network", why=f"payments are settled on {required.network}")
    if signed.to.lower() != required.pay_to.lower():
        return Unfit(code="payment_wrong_recipient", why="the payment goes to another address")
    if int(signed.value) != int(required.max_amount_required):
        return Unfit(code="payment_wrong_amount", why=f"the price is {required.max_amount_required}, in the token's smallest unit")
    if int(signed.valid_after) > now:
        return Unfit(code="payment_not_valid_yet", why="the payment is not valid yet")
    if int(signed.valid_before) > now + required.max_timeout_seconds + SETTLE_ROOM_S:
        return Unfit(code="payment_too_long", why=f"a payment is valid for at most {required.max_timeout_seconds} s")
    if offered.work_s(now) < WORK_MIN_S:
        return Unfit(code="payment_expired", why=f"the payment ends too soon: it must be valid for {SETTLE_ROOM_S + WORK_MIN_S} s more")
    return None


def _asset(settings: RouterSettings) -> Asset:
    network = NETWORKS.get(settings.x402_network)
    if network is None:
        raise _wrong(f"X402_ROUTER_NODE_NETWORK is {settings.x402_network[:40]!r}; known are {', '.join(NETWORKS)}")
    if not settings.x402_asset:
        _, address, name, version = network
        return Asset(address=address, decimals=USDC_DECIMALS, name=name, version=version)
    parts = settings.x402_asset.split(",")
    if len(parts) != 4 or not _is_address(parts[0]) or not parts[1].isdecimal() or int(parts[1]) > 18 or not parts[2]:
        raise _wrong("X402_ROUTER_NODE_ASSET is not ADDRESS,DECIMALS,NAME,VERSION")
    return Asset(address=parts[0], decimals=int(parts[1]), name=parts[2], version=parts[3])


def _amount(price: str, decimals: int) -> int:
    try:
        usd = Decimal(price)
    except InvalidOperation:
        raise _wrong(f"a price is {price[:40]!r}, which is no number") from None
    amount = usd.scaleb(decimals) if usd.is_finite() else Decimal(0)
    if amount < 1 or amount != amount.to_integral_value() or usd > PRICE_MAX_USD:
        raise _wrong(
            f"a price is {price[:40]} USD: it must be a whole number of the token's smallest unit, above 0, at most {PRICE_MAX_USD}"
        )
    return int(amount)


def _is_address(text: str) -> bool:
    return len(text) == 42 and text.startswith("0x") and all(sign in "0123456789abcdefABCDEF" for sign in text[2:])


def _wrong(what: str) -> BadInput:
    return BadInput(f"the router cannot take payments: {what}", where="env file")
