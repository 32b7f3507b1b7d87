"""What a person or a program of an organisation may do: each action once, whoever asks and however it is shown. Everything is audited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cortops.programs.common.logs import Log
from cortops.programs.portal.asked import NewKey, refused
from cortops.programs.portal.attempts import Attempts, Spent
from cortops.programs.portal.bars import span_of
from cortops.programs.portal.books import Books
from cortops.programs.portal.session import Session, Signer, new_session
from cortops.protocol.keys import IssuedKey, KeyRow, Organisation
from cortops.protocol.openai import ApiError
from cortops.protocol.portal import PortalConfig
from cortops.protocol.usage import DAY_S
from cortops.protocol.usage_days import UsageDay
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, StoreUnavailable, UnknownName

KEY_LENGTH_MAX = 256
KEYS_MAX = 1000  # of one organisation, those that are valid
OVERLAP_S = 86_400.0
SIGN_INS_FAILED_MAX, REQUESTS_FAILED_MAX, FAILED_WINDOW_S = 10, 100, 600.0

NO_KEY = ApiError(
    status=401, code="invalid_api_key", message="No key came with the request. Send one with the scope portal: Authorization: Bearer KEY."
)
WRONG_KEY = ApiError(status=401, code="invalid_api_key", message="This key is not valid here, or not any more.")
NOT_PORTAL = ApiError(
    status=403,
    code="scope_missing",
    message="This key may not look after keys: it needs the scope portal, and an organisation. Whoever runs the gateway issues one.",
)
OLD_FORM = ApiError(status=403, code="form_expired", message="This form belongs to another session. Load the page again, then send it.")
SENT_ALREADY = ApiError(
    status=409, code="sent_already", message="This form was sent already. Its key was shown then, and is not shown again."
)
NO_SUCH_KEY = ApiError(status=404, code="key_not_found", message="Your organisation has no key with this id.")
NOT_HERE = ApiError(
    status=403, code="operator_only", message="A key with the scope portal is issued and rotated by whoever runs the gateway."
)
NOT_VALID = ApiError(status=409, code="key_not_valid", message="This key is revoked or expired: make a new one instead.")
TOO_MANY = ApiError(status=409, code="too_many_keys", message=f"Your organisation has {KEYS_MAX} valid keys. Revoke one first.")
NO_KEYS_NOW = ApiError(
    status=503, code="key_store_unavailable", message="Keys cannot be read now. Try again.", type="api_error", retry_after_s=5
)
NO_USAGE_NOW = ApiError(
    status=503, code="usage_unavailable", message="Usage cannot be read now. Try again.", type="api_error", retry_after_s=5
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: the row of their key, the address they come from, and their session, None where the key itself came with the request."""

    row: KeyRow
    address: str
    session: Session | None = None

    @property
    def organisation(self) -> str:
        return self.row.organisation


class Desk:
    """One portal's actions. Answers are values, refusals ApiError."""

    def __init__(
        self, config: PortalConfig, books: Books, *, clock: Clock, log: Log, random_bytes: Callable[[int], bytes], signer: Signer
    ) -> None:
        self.config = config
        self.signer = signer
        self.clock = clock
        self.random_bytes = random_bytes
        self._books = books
        self._log = log
        self._sign_ins = Attempts(SIGN_INS_FAILED_MAX, FAILED_WINDOW_S)
        self._requests = Attempts(REQUESTS_FAILED_MAX, FAILED_WINDOW_S)
        self._ended = Spent()  # sessions
        self._sent = Spent()  # forms

    async def by_key(self, key: str, address: str) -> Caller | ApiError:
        """The caller whose key came with the request."""
        found = await self._checked(key, address, self._requests)
        return Caller(row=found, address=address) if isinstance(found, KeyRow) else found

    async def by_cookie(self, cookie: str, address: str) -> Caller | ApiError | None:
        """The caller who signed in before, None for a visitor; a key that was revoked since ends the session here."""
        session = self.session_of(cookie)
        if session is None or not session.key_id:
            return None
        row = await self._read(lambda: self._books.key(session.key_id))
        if isinstance(row, ApiError):
            return row
        if row is None or not row.is_valid(self.clock.now()) or not _may_come_in(row):
            self._ended.spend(session.id)
            return None
        return Caller(row=row, address=address, session=session)

    def session_of(self, cookie: str) -> Session | None:
        """The session of a cookie, a visitor's too; None for one that has ended."""
        session = self.signer.open(cookie, self.clock.now())
        return None if session is None or session.id in self._ended else session

    def visit(self) -> Session:
        """A session of nobody, for the sign-in form."""
        return new_session(self.random_bytes, self.clock.now(), self._lasts_s)

    async def sign_in(self, key: str, before: Session, address: str) -> Session | ApiError:
        """A new session for whoever has the key; the visitor's own ends, so an id that somebody else knows is worth nothing."""
        row = await self._checked(key, address, self._sign_ins)
        if isinstance(row, ApiError):
            return row
        now = self.clock.now()
        lasts_s = self._lasts_s if row.expires_at is None else min(self._lasts_s, row.expires_at - now)
        self._ended.spend(before.id)
        session = new_session(self.random_bytes, now, lasts_s, row.id)
        self._audit("sign_in", Caller(row=row, address=address))
        return session

    def sign_out(self, caller: Caller) -> None:
        """The session ends, wherever its cookie is."""
        if caller.session is not None:
            self._ended.spend(caller.session.id)
        self._audit("sign_out", caller)

    def first_time(self, once: str) -> bool:
        """Whether a form is sent for the first time: loading the page again would make another key."""
        return self._sent.spend(once[:64])

    async def organisation(self, caller: Caller) -> Organisation | ApiError | None:
        """The caller's organisation with its limits; None where the operator has not made it."""
        return await self._read(lambda: self._books.organisation(caller.organisation))

    async def keys(self, caller: Caller) -> list[KeyRow] | ApiError:
        """Every key of the organisation, the newest first."""
        found = await self._read(lambda: self._books.keys_of(caller.organisation))
        return found if isinstance(found, ApiError) else sorted(found, key=lambda row: (-row.created_at, row.id))

    async def key(self, caller: Caller, id: str) -> KeyRow | ApiError:
        """One key of the organisation; that another organisation has it is not told."""
        row = await self._read(lambda: self._books.key(id))
        if isinstance(row, ApiError):
            return row
        return row if row is not None and row.organisation == caller.organisation else NO_SUCH_KEY

    async def create(self, caller: Caller, asked: NewKey) -> IssuedKey | ApiError:
        """Make a key that may do no more than its maker's organisation, and whose rights are no wider than those of the maker's own key."""
        now = self.clock.now()
        organisation, rows = await self.organisation(caller), await self.keys(caller)
        if isinstance(organisation, ApiError) or isinstance(rows, ApiError):
            return NO_KEYS_NOW
        why = refused(asked, caller.row, organisation, self.config)
        if why is None and sum(row.is_valid(now) for row in rows) >= KEYS_MAX:
            why = TOO_MANY
        if why is not None:
            return self._told("key_created", caller, why, "")
        expires_at = None if asked.expires_in_days is None else now + asked.expires_in_days * DAY_S
        made = await self._read(lambda: self._books.issue(caller.organisation, asked, now=now, expires_at=expires_at))
        return self._told("key_created", caller, made, made.row.id if isinstance(made, IssuedKey) else "")

    async def revoke(self, caller: Caller, id: str) -> KeyRow | ApiError:
        """Take a key back, one's own too."""
        row = await self.key(caller, id)
        if isinstance(row, ApiError):
            return self._told("key_revoked", caller, row, id)
        done = await self._read(lambda: self._books.revoke(row.id, now=self.clock.now()))
        return self._told("key_revoked", caller, done, id)

    async def rotate(self, caller: Caller, id: str) -> IssuedKey | ApiError:
        """Another key with the same rights; the old one works for OVERLAP_S longer."""
        row = await self.key(caller, id)
        if isinstance(row, KeyRow) and row.allows_portal:
            row = NOT_HERE
        if isinstance(row, KeyRow) and not row.is_valid(self.clock.now()):
            row = NOT_VALID
        if isinstance(row, ApiError):
            return self._told("key_rotated", caller, row, id)
        made = await self._read(lambda: self._books.rotate(row.id, now=self.clock.now(), overlap_s=OVERLAP_S))
        return self._told("key_rotated", caller, made, id)

    async def usage(self, caller: Caller, days: int) -> list[UsageDay] | ApiError:
        """The organisation's own, of the last `days` days, UTC."""
        since, until = span_of(self.clock.now(), days)
        ids = await self._read(lambda: [row.id for row in self._books.keys_of(caller.organisation)])
        if isinstance(ids, ApiError):
            return ids
        return await self._read(lambda: self._books.usage(since, until, ids), NO_USAGE_NOW)

    async def trouble(self) -> str:
        """Why keys cannot be read now, "" when they can."""
        try:
            await asyncio.to_thread(self._books.ask)
        except StoreUnavailable as error:
            return error.what
        return ""

    @property
    def _lasts_s(self) -> float:
        return self.config.session_max_h * 3600

    async def _checked(self, key: str, address: str, attempts: Attempts) -> KeyRow | ApiError:
        """The row of a key that may come in. Whoever has failed too often waits, whatever they send."""
        wait_s = attempts.wait_s(address, self.clock.monotonic())
        if wait_s:
            message = f"Too many keys from your address were not valid. Try again in {wait_s} s."
            return ApiError(status=429, code="too_many_attempts", message=message, retry_after_s=wait_s)
        if not key:
            return NO_KEY
        row = await self._read(lambda: self._books.verify(key, now=self.clock.now())) if len(key) <= KEY_LENGTH_MAX else None
        if row is None:
            attempts.failed(address, self.clock.monotonic())
            self._log.warning("audit", action="key_refused", source=address, outcome=WRONG_KEY.code)
            return WRONG_KEY
        if isinstance(row, KeyRow) and not _may_come_in(row):
            self._log.warning("audit", action="key_refused", source=address, by=row.id, outcome=NOT_PORTAL.code)
            return NOT_PORTAL
        return row

    async def _read(self, ask: Callable[[], T], unavailable: ApiError = NO_KEYS_NOW) -> T | ApiError:
        """What a store answers, asked in a thread."""
        try:
            return await asyncio.to_thread(ask)
        except StoreUnavailable as error:
            self._log.error("store_unavailable", **error.as_dict())
            return unavailable
        except UnknownName:
            return NO_SUCH_KEY
        except BadInput as error:
            return ApiError(status=400, code="invalid_body", message=f"{error.what[:1].upper()}{error.what[1:]}.")

    def _told(self, action: str, caller: Caller, answer: T, key_id: str) -> T:
        """The answer, after the log has it."""
        self._audit(action, caller, key=key_id[:64], outcome=answer.code if isinstance(answer, ApiError) else "done")
        return answer

    def _audit(self, action: str, caller: Caller, *, key: str = "", outcome: str = "done") -> None:
        """Who, what, from where, with what result."""
        self._log.info(
            "audit",
            action=action,
            organisation=caller.organisation,
            by=caller.row.id,
            source=caller.address,
            outcome=outcome,
            **({"key": key} if key else {}),
        )


def _may_come_in(row: KeyRow) -> bool:
    """Without an organisation there is nothing that a key could look after."""
    return row.allows_portal and bool(row.organisation)
