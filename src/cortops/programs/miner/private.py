"""A private task at its miner: the prompt read from the storage and opened, the result sealed and handed in. Nothing in clear leaves.

The key comes from a router, for a request that this node's key has signed; it is kept as long as the task runs. Ours (facts J.3, J.4).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import msgspec

from cortops.contracts.wallet import Wallet
from cortops.programs.common.payload_storage import Storage, open_storage
from cortops.programs.common.progress import Key, Progress
from cortops.protocol.http import HttpClient, HttpFailure
from cortops.protocol.payload import NONCE_BYTES, About, Content, open_sealed, seal
from cortops.protocol.payload_key import (
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
from cortops.protocol.payload_urn import Direction, Urn
from cortops.protocol.settings import MinerSettings
from cortops.words import errors
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, PayloadError

ASK_TIMEOUT_S = 15.0
ANSWER_MIB_MAX = 0.1
NONCE_HEX_BYTES = 32

_FAULTS = {kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PayloadError)}


class _Refused(msgspec.Struct, frozen=True):
    """A router's error, as far as it is read."""

    code: str = ""
    message: str = ""


class _Answer(msgspec.Struct, frozen=True):
    error: _Refused = _Refused()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A private task in clear, in memory only: what the engine is asked, and what its result is sealed with."""

    progress: Progress = field(repr=False)
    urn: Urn
    key: bytes = field(repr=False)


class Payloads:
    """`open` before a private task is run, `keep` after it."""

    def __init__(
        self,
        settings: MinerSettings,
        wallet: Wallet,
        http: HttpClient,
        clock: Clock,
        storage: Storage,
        chance: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._settings = settings
        self._wallet = wallet
        self._http = http
        self._clock = clock
        self._storage = storage
        self._chance = chance

    @classmethod
    def of(cls, settings: MinerSettings, wallet: Wallet, http: HttpClient, clock: Clock) -> Payloads:
        """As the env file says. BadInput where it names no storage or no router, PayloadError where the storage cannot be opened."""
        if not (settings.payload_storage and settings.payload_routers and settings.payload_environment):
            raise BadInput("a task of a private session, and this miner has no PAYLOAD_STORAGE, PAYLOAD_ROUTERS and PAYLOAD_ENVIRONMENT")
        return cls(settings, wallet, http, clock, open_storage(settings))

    async def open(self, key: Key, progress: Progress) -> Opened:
        """The task with its prompt in clear. Raises PayloadError, BadInput."""
        session, task = key
        urn = Urn.parse(progress.text)
        if (urn.environment, urn.session, urn.direction) != (self._settings.payload_environment, session, Direction.PROMPT):
            raise PayloadError(f"task {session}/{task} names a payload of something else")
        sealed = await self._storage.get(urn.place)
        opener = await self._key(urn, task)
        content = open_sealed(urn, sealed, self._about(urn, progress, Direction.PROMPT), opener)
        return Opened(progress=replace(progress, text=content.text, template=content.template), urn=urn, key=opener)

    async def keep(self, key: Key, opened: Opened, text: str) -> str:
        """Seal the result and hand it in; its name, which is what this miner commits. Raises PayloadError, BadInput."""
        about = self._about(opened.urn, opened.progress, Direction.RESULT, writer=self._wallet.address)
        named = seal(Content(text=text), about, opened.urn.version, opened.key, self._chance(NONCE_BYTES))
        session, task = key
        handed = ResultHanded(
            address=self._wallet.address,
            session=session,
            task=task,
            at=int(self._clock.now()),
            nonce=self._chance(NONCE_HEX_BYTES).hex(),
            urn=str(named.urn),
            sealed=named.sealed,
        )
        await self._ask(RESULT_ROUTE, self._signed(handed, result_text(self._settings.payload_environment, handed)))
        return str(named.urn)

    async def _key(self, urn: Urn, task: int) -> bytes:
        private = self._chance(32)
        asked = KeyAsked(
            address=self._wallet.address,
            session=urn.session,
            task=task,
            at=int(self._clock.now()),
            nonce=self._chance(NONCE_HEX_BYTES).hex(),
            version=urn.version,
            public_key=public_half(private),
        )
        text = key_text(self._settings.payload_environment, urn.scope, asked)
        answer = await self._ask(KEY_ROUTES[urn.scope], self._signed(asked, text))
        try:
            given = msgspec.json.decode(answer, type=KeyGiven)
        except msgspec.DecodeError as error:
            raise errors.PayloadAltered("the router's answer holds no key for this request") from error
        return unwrap_key(given, text, private)

    def _about(self, urn: Urn, progress: Progress, direction: Direction, writer: str = "") -> About:
        return About(
            environment=urn.environment,
            session=urn.session,
            reference=progress.reference,
            direction=direction,
            scope=urn.scope,
            writer=writer,
        )

    def _signed(self, asked: KeyAsked | ResultHanded, text: str) -> KeyAsked | ResultHanded:
        return msgspec.structs.replace(asked, signature=self._wallet.sign_text(text))

    async def _ask(self, route: str, asked: KeyAsked | ResultHanded) -> bytes:
        """The first router that answers decides; one that does not answer leaves it to the next. Raises PayloadError, HttpFailure."""
        failed: HttpFailure | None = None
        body = msgspec.json.encode(asked)
        for router in self._settings.payload_routers:
            headers = (("content-type", "application/json"),)
            try:
                reply = await self._http.request(
                    "POST", router.rstrip("/") + route, headers=headers, body=body, timeout_s=ASK_TIMEOUT_S, body_max_mib=ANSWER_MIB_MAX
                )
            except HttpFailure as error:
                failed = error
                continue
            if reply.status == 200:
                return reply.body
            raise _fault(reply.status, reply.body)
        raise failed or BadInput("PAYLOAD_ROUTERS names no router")


def _fault(status: int, body: bytes) -> PayloadError:
    """What a router refuses with, as the error that it is there."""
    try:
        refused = msgspec.json.decode(body, type=_Answer).error
    except msgspec.DecodeError:
        refused = _Refused()
    kind = _FAULTS.get(refused.code, PayloadError)
    return kind(refused.message[:200] or f"the router answered HTTP {status}", why=refused.code[:64])
