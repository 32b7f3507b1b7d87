"""The router's REST and MCP ports with their doors, an `Offers` that answers as told, and payers with real signatures."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from aiohttp import ClientSession

from cortops.contracts.keccak import keccak256
from cortops.contracts.wallet import new_private_key
from cortops.programs.common.health import listening
from cortops.programs.common.logs import make_log
from cortops.programs.router.agents import doors_for_agents
from cortops.programs.router.offers import Answered, Asked, Family
from cortops.programs.router.refusals import refused
from cortops.programs.router.server import Server
from cortops.programs.router.trial import Trial
from cortops.protocol.routes import sse
from cortops.protocol.settings import RouterSettings
from cortops.testing.chain import wallet_of
from cortops.testing.facilitator import Facilitator, Ledger, PaperLedger, facilitator
from cortops.words.clock import SystemClock

KEY = "key-of-this-test"
PUBLIC = "router.lab.example"
PAY_TO = "0x" + "5e" * 20
RICH = 10**9
PATIENCE_S = 20.0
BEARER = {"Authorization": f"Bearer {KEY}"}


def account(label: str) -> Any:
    """A payer's wallet, as eth-account has it; the same in every run."""
    from eth_account import Account

    return Account.from_key(new_private_key(keccak256(f"cortops test {label}".encode())))


@dataclass
class ToldOffers:
    """Answers each family with something of its shape, unless told otherwise; remembers what it was asked."""

    asked: list[Asked] = field(default_factory=list)
    refuse: Answered | None = None
    hold: asyncio.Event | None = None
    log: list[str] = field(default_factory=list)
    left: bool = False

    async def answer(self, asked: Asked) -> Answered:
        self.asked.append(asked)
        self.log.append("work")
        if self.hold is not None:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.left = True
                raise
        if self.refuse is not None:
            return self.refuse
        if asked.stream:
            return Answered(status=200, body={}, events=_events())
        match asked.family:
            case Family.COMPLETIONS:
                return Answered(status=200, body={"id": "cmpl-1-2", "choices": [{"index": 0, "text": "Hello.", "finish_reason": "stop"}]})
            case Family.DELEGATE:
                return Answered(status=200, body={"object": "delegation", "output": "Done."})
            case Family.VALIDATE | Family.FACTCHECK:
                return Answered(status=200, body={"verdict": "VALID", "reasons": ["it fits"]})
            case _:
                return Answered(status=200, body={"family": str(asked.family), "asked": dict(asked.body)})


async def _events() -> AsyncIterator[bytes]:
    for text, finish in (("Hel", None), ("lo", None), (".", None), ("", "stop")):
        yield sse({"choices": [{"index": 0, "text": text, "finish_reason": finish}]})
    yield b"data: [DONE]\n\n"


@dataclass(kw_only=True)
class Doors:
    """url, mcp: of the two ports, without a path."""

    url: str
    mcp: str
    web: ClientSession
    offers: ToldOffers
    paid: Facilitator
    ledger: PaperLedger
    log: io.BytesIO

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any, dict[str, str]]:
        url = path if path.startswith("http") else self.url + path
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.web.post(url, data=io.BytesIO(data), headers=given) as reply:
            return reply.status, msgspec.json.decode(await reply.read() or b"null"), dict(reply.headers)

    async def get(self, url: str, **headers: str) -> tuple[int, Any]:
        async with self.web.get(url, headers=headers) as reply:
            return reply.status, msgspec.json.decode(await reply.read() or b"null")

    @property
    def events(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.log.getvalue().splitlines()]


def settings_of(**more: Any) -> RouterSettings:
    common: dict[str, Any] = {
        "name": "router-1",
        "rpc_url": "http://127.0.0.1:1",
        "chain_id": 31338,
        "runtime": "0x" + "00" * 20,
        "address": wallet_of("router").address,
        "private_key": new_private_key(keccak256(b"cortops test router")),
        "api_key": KEY,
        "port": 0,
        "sessions": (1, 2),
        "external_domain": PUBLIC,
        "rest_tls": True,
        "proxy_port": 443,
        "mcp_port": 0,
    }
    return RouterSettings(**common | more)


@asynccontextmanager
async def doors(ledger: Ledger | None = None, **more: Any) -> AsyncIterator[Doors]:
    """Everything on, where `more` says nothing else. ledger: where payments are settled, None = on paper."""
    clock, log = SystemClock(), io.BytesIO()
    paper = PaperLedger({account("payer").address.lower(): RICH})
    logger = make_log("router", log, clock)
    async with facilitator(ledger or paper, clock) as paid, ClientSession() as web:
        wanted = {"x402": True, "x402_pay_to": PAY_TO, "x402_facilitator_url": paid.url, "mcp": True, "a2a": True, "a2a_session": 1}
        settings = settings_of(**wanted | more)
        offers = ToldOffers(log=paid.asked)
        trial = Trial.of(settings, offers, clock) if settings.trial_enabled else None
        async with doors_for_agents(settings, offers, trial, clock, logger) as found:
            reads = SimpleNamespace(health=lambda: None)
            server = Server(
                settings=settings,
                offers=offers,
                tasks=cast("Any", None),
                reads=cast("Any", reads),
                clock=clock,
                new_reference=lambda: "req-1",
                doors=(*found, *((trial,) if trial else ())),
            )
            async with listening(server.application(), ("127.0.0.1",), 0, handler_cancellation=True) as port:
                served = [msgspec.json.decode(line) for line in log.getvalue().splitlines()]
                mcp = next((one["mcp"] for one in served if one["event"] == "serving_mcp"), "")
                yield Doors(url=f"http://127.0.0.1:{port}", mcp=f"http://{mcp}", web=web, offers=offers, paid=paid, ledger=paper, log=log)


def play(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), PATIENCE_S))


def without_answer(status: int, code: str) -> Answered:
    return refused(status, code, "as told")
