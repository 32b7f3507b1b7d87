"""Who has signed in, as a signed cookie: whose key, until when. Pure: time and chance come as arguments.

Nothing is kept here, so any process takes a session that another one made; that the key is still valid is asked of the store at every
request. The secret is the environment's: with another one every session ends.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass

COOKIE = "__Host-portal"  # browsers take it over TLS, for the whole host and for no other one only (RFC 6265bis 4.1.3.2)
ID_BYTES = 16
COOKIE_MAX = 256
_SHAPE = re.compile(r"([0-9a-f]{32})\.([A-Za-z0-9_-]{0,64})\.([0-9]{1,12})\.([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """id: random, made anew at every sign-in. key_id: whose it is, "" for a visitor. ends_at: seconds since 1970."""

    id: str
    key_id: str = ""
    ends_at: int


class Signer:
    """Seals sessions and their form tokens with one secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def seal(self, session: Session) -> str:
        """The cookie's value."""
        told = f"{session.id}.{session.key_id}.{session.ends_at}"
        return f"{told}.{self._mac('session', told)}"

    def open(self, cookie: str, now: float) -> Session | None:
        """The session of a cookie's value; None for one that we did not make, or that has ended."""
        found = _SHAPE.fullmatch(cookie) if len(cookie) <= COOKIE_MAX else None
        if found is None or not hmac.compare_digest(self._mac("session", cookie.rpartition(".")[0]), found[4]):
            return None
        session = Session(id=found[1], key_id=found[2], ends_at=int(found[3]))
        return session if now < session.ends_at else None

    def form_token(self, session: Session) -> str:
        """What each form of this session carries: pages of others cannot know it."""
        return self._mac("form", session.id)

    def is_form_token(self, session: Session, token: str) -> bool:
        return hmac.compare_digest(self.form_token(session).encode(), token.encode("utf-8", "replace"))

    def _mac(self, purpose: str, text: str) -> str:
        return hmac.new(self._secret, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()


def new_session(random_bytes: Callable[[int], bytes], now: float, lasts_s: float, key_id: str = "") -> Session:
    """A session that nobody has had before."""
    return Session(id=random_bytes(ID_BYTES).hex(), key_id=key_id, ends_at=int(now + lasts_s))
