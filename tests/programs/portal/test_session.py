"""Cookies: what we sealed is opened again, and no other text is."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.programs.portal.session import COOKIE_MAX, Session, Signer, new_session

NOW = 1_800_000_000
SIGNER = Signer("s" * 32)
IDS = st.text(alphabet="0123456789abcdef", min_size=32, max_size=32)
KEYS = st.from_regex(r"[A-Za-z0-9_-]{0,64}", fullmatch=True)
SESSIONS = st.builds(Session, id=IDS, key_id=KEYS, ends_at=st.integers(NOW + 1, 10**11))


@given(SESSIONS)
@settings(max_examples=30, deadline=None)
def test_what_was_sealed_is_opened_until_it_ends(session: Session) -> None:
    cookie = SIGNER.seal(session)
    assert len(cookie) <= COOKIE_MAX and SIGNER.open(cookie, NOW) == session
    assert SIGNER.open(cookie, session.ends_at) is None
    assert Signer("t" * 32).open(cookie, NOW) is None
    assert SIGNER.is_form_token(session, SIGNER.form_token(session))


@given(SESSIONS, st.integers(0, 200), st.characters())
@settings(max_examples=60, deadline=None)
def test_one_other_letter_makes_it_worthless(session: Session, place: int, letter: str) -> None:
    cookie = SIGNER.seal(session)
    changed = cookie[: place % len(cookie)] + letter + cookie[place % len(cookie) + 1 :]
    assert SIGNER.open(changed, NOW) == (session if changed == cookie else None)


@given(st.text(max_size=300))
@settings(max_examples=30, deadline=None)
def test_no_text_of_others_is_a_session_or_a_token(text: str) -> None:
    assert SIGNER.open(text, NOW) is None
    assert not SIGNER.is_form_token(new_session(bytes, NOW, 60), text)


def test_a_form_token_is_of_one_session() -> None:
    one, other = new_session(lambda count: b"1" * count, NOW, 60), new_session(lambda count: b"2" * count, NOW, 60)
    assert not SIGNER.is_form_token(one, SIGNER.form_token(other))
    assert SIGNER.form_token(one) not in SIGNER.seal(one)
