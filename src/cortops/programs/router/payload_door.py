"""Where miners come for keys and hand in results: signed routes that judge for themselves, and how the payloads are. Ours (facts J)."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import TypeVar

import msgspec
from aiohttp import web

from cortops.contracts.wallet import recover
from cortops.programs.common.health import Handler
from cortops.programs.common.logs import Log
from cortops.programs.router.payload_care import Care
from cortops.programs.router.payload_errors import status_of
from cortops.programs.router.private import Private
from cortops.programs.router.refusals import error_response
from cortops.protocol.payload_key import FRESH_S, KEY_ROUTES, RESULT_ROUTE, KeyAsked, ResultHanded, Signed, is_fresh, result_text
from cortops.protocol.payload_urn import Scope
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, PayloadError

NONCES_MAX = 100_000  # of requests that are still fresh
HEALTH_PATH = "/health/payloads"

S = TypeVar("S", bound=Signed)


class Nonces:
    """Those of requests that could be sent again and would still be fresh."""

    def __init__(self) -> None:
        self._used: OrderedDict[tuple[str, str], float] = OrderedDict()

    def use(self, address: str, nonce: str, now: float) -> bool:
        """Whether this is the first time; False too when NONCES_MAX of them are fresh."""
        while self._used and next(iter(self._used.values())) < now - 2 * FRESH_S:
            self._used.popitem(last=False)
        key = (address.lower(), nonce)
        if key in self._used or len(self._used) >= NONCES_MAX:
            return False
        self._used[key] = now
        return True


class PayloadDoor:
    """A programs.router.doors.Door."""

    def __init__(self, private: Private, care: Care, clock: Clock, log: Log) -> None:
        self._private = private
        self._care = care
        self._clock = clock
        self._log = log
        self._nonces = Nonces()
        self._answered: Counter[str] = Counter()

    @property
    def open_paths(self) -> frozenset[str]:
        """No bearer key: who may come in is told by a signature."""
        return frozenset({*KEY_ROUTES.values(), RESULT_ROUTE, HEALTH_PATH})

    def routes(self) -> Iterable[web.RouteDef]:
        """The routes."""
        for scope, path in KEY_ROUTES.items():
            yield web.post(path, self._key(scope))
        yield web.post(RESULT_ROUTE, self._result)
        yield web.get(HEALTH_PATH, self._health)

    def _key(self, scope: Scope) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            """POST /api/v1/auth/payload_enc_key/{session,task}."""
            try:
                asked = _read(await request.read(), KeyAsked)
                text = self._private.text_of(scope, asked)
                if (refused := self._unsigned(asked, text)) is not None:
                    return refused
                given = await self._private.given(scope, asked, text)
            except PayloadError as error:
                return self._refuse(error, scope=scope)
            self._answered["key"] += 1
            self._log.info("payload_key_given", session=asked.session, task=asked.task, miner=asked.address, version=asked.version)
            return _json(given)

        return handle

    async def _result(self, request: web.Request) -> web.StreamResponse:
        """POST /api/v3/offchain/result."""
        try:
            handed = _read(await request.read(), ResultHanded)
            if (refused := self._unsigned(handed, result_text(self._private.secrecy.environment, handed))) is not None:
                return refused
            urn = await self._private.taken(handed)
        except PayloadError as error:
            return self._refuse(error, scope="result")
        self._answered["result"] += 1
        self._log.info("payload_result_kept", session=handed.session, task=handed.task, miner=handed.address, urn=str(urn))
        return _json({"urn": str(urn)})

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        """GET /health/payloads: what the checks of the payloads read. No key, no seed and no address of the storage."""
        return _json({**self._care.facts(), "answered": self._answered})

    def _unsigned(self, asked: Signed, text: str) -> web.Response | None:
        """Why this request is not what its signer sent just now, for the first time."""
        now = self._clock.now()
        if not is_fresh(asked.at, now):
            return self._no(401, "request_stale", f"the request is of {asked.at}, more than {FRESH_S:g} s from our clock")
        try:
            signer = recover(text, asked.signature)
        except BadInput:
            signer = ""
        if signer.lower() != asked.address.lower():
            return self._no(401, "signature_invalid", f"the signature is not that of {asked.address} over this request")
        if not self._nonces.use(asked.address, asked.nonce, now):
            return self._no(409, "request_replayed", "this request was answered before; make a new one")
        return None

    def _no(self, status: int, code: str, message: str) -> web.Response:
        self._answered[code] += 1
        return error_response(status, code, message)

    def _refuse(self, error: PayloadError, scope: str) -> web.Response:
        self._answered[error.code] += 1
        self._log.warning("payload_refused", scope=scope, code=error.code, what=error.what)
        return error_response(status_of(error), error.code, error.what)


def _read(body: bytes, kind: type[S]) -> S:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(str(error)) from error


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
