"""Sealing: what opens, what does not, and which error says so."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.protocol.payload import About, Content, Seed, Seeds, open_sealed, read_seed, seal
from cortops.protocol.payload_urn import Direction, Scope
from cortops.words.errors import BadInput, PayloadAltered, PayloadTooLarge, SeedMissing, SeedWrong


def chance(label: str, size: int = 32) -> bytes:
    return hashlib.sha256(f"payload test {label}".encode()).digest()[:size]


OLD, NEW = (Seed(version=number, secret=chance(f"seed {number}")) for number in (1, 2))
ABOUT = About(environment="lab", session=7, reference="req-1", direction=Direction.PROMPT)
NONCE = chance("nonce", 12)
CONTENT = Content(text="a question", template="be kind: {prompt}")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
abouts = st.builds(
    About,
    environment=st.sampled_from(["lab", "lab2"]),
    session=st.integers(0, 3),
    reference=texts,
    direction=st.sampled_from(Direction),
    scope=st.sampled_from(Scope),
    writer=st.sampled_from(["", "0x" + "ab" * 20]),
)


@given(texts, texts, abouts, st.binary(min_size=12, max_size=12))
def test_what_is_sealed_opens_with_the_same_key_for_the_same_purpose(text: str, template: str, about: About, nonce: bytes) -> None:
    content = Content(text=text, template=template)
    named = seal(content, about, 2, NEW.key(about), nonce)
    assert open_sealed(named.urn, named.sealed, about, NEW.key(about)) == content
    assert len(text.encode()) < 12 or text.encode() not in named.sealed


@given(abouts, abouts)
def test_for_another_purpose_it_stays_shut(sealed_for: About, opened_for: About) -> None:
    named = seal(CONTENT, sealed_for, 2, NEW.key(sealed_for), NONCE)
    if sealed_for == opened_for:
        return
    with pytest.raises(SeedWrong):
        open_sealed(named.urn, named.sealed, opened_for, NEW.key(sealed_for))


@given(st.integers(min_value=0), st.integers(1, 255))
def test_any_altered_byte_is_told_from_a_wrong_key(at: int, change: int) -> None:
    named = seal(CONTENT, ABOUT, 2, NEW.key(ABOUT), NONCE)
    altered = bytearray(named.sealed)
    altered[at % len(altered)] ^= change
    with pytest.raises(PayloadAltered):
        open_sealed(named.urn, bytes(altered), ABOUT, NEW.key(ABOUT))


def test_a_wrong_seed_is_told_from_altered_bytes() -> None:
    named = seal(CONTENT, ABOUT, 2, NEW.key(ABOUT), NONCE)
    with pytest.raises(SeedWrong, match="version 2"):
        open_sealed(named.urn, named.sealed, ABOUT, Seed(version=2, secret=chance("other")).key(ABOUT))


def test_what_is_no_sealed_object_is_altered_even_under_its_own_name() -> None:
    named = seal(CONTENT, ABOUT, 2, NEW.key(ABOUT), NONCE)
    for junk in (b"", b"CPP1", b"CPP1" + NONCE, b"GIF8" + named.sealed[4:]):
        urn = replace(named.urn, digest=hashlib.sha256(junk).hexdigest())
        with pytest.raises(PayloadAltered):
            open_sealed(urn, junk, ABOUT, NEW.key(ABOUT))


def test_another_version_in_the_name_does_not_open() -> None:
    named = seal(CONTENT, ABOUT, 2, NEW.key(ABOUT), NONCE)
    with pytest.raises(SeedWrong):
        open_sealed(replace(named.urn, version=1), named.sealed, ABOUT, NEW.key(ABOUT))


def test_a_key_is_for_one_task_or_for_one_session() -> None:
    other = replace(ABOUT, reference="req-2")
    assert NEW.key(ABOUT) != NEW.key(other)
    of_session, other_of_session = (replace(about, scope=Scope.SESSION) for about in (ABOUT, other))
    assert NEW.key(of_session) == NEW.key(other_of_session)
    keys = {NEW.key(about) for about in (ABOUT, of_session, replace(of_session, session=8), replace(of_session, environment="x"))}
    assert len(keys | {OLD.key(ABOUT)}) == 5
    assert NEW.key(ABOUT) == NEW.key(replace(ABOUT, direction=Direction.RESULT, writer="0x" + "ab" * 20))  # one key, both directions


def test_after_a_rotation_old_objects_open_and_new_ones_have_the_new_version() -> None:
    old = Seeds.read(OLD.secret.hex(), 1)
    named = seal(CONTENT, ABOUT, old.current.version, old.current.key(ABOUT), NONCE)
    rotated = Seeds.read(NEW.secret.hex(), 2, [(1, OLD.secret.hex())])
    assert open_sealed(named.urn, named.sealed, ABOUT, rotated.of(named.urn.version).key(ABOUT)) == CONTENT
    assert rotated.current.version == 2
    assert rotated.versions == (1, 2)
    with pytest.raises(SeedMissing, match=r"version 1 .* held: 2"):
        Seeds.read(NEW.secret.hex(), 2).of(1)


def test_a_fingerprint_tells_seeds_apart_and_says_nothing_of_them() -> None:
    same = Seed(version=1, secret=OLD.secret)
    assert OLD.fingerprint == same.fingerprint
    assert len({OLD.fingerprint, NEW.fingerprint, Seed(version=2, secret=OLD.secret).fingerprint}) == 3
    assert OLD.fingerprint not in OLD.secret.hex()


@pytest.mark.parametrize("text", ["", "seed", "ab" * 31, "ab" * 33, "zz" * 32, "00" * 32, "ab" * 32, "change-me-" * 6])
def test_what_nobody_drew_by_chance_is_no_seed_and_is_not_quoted(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_seed(text, 1)
    assert not text or text not in f"{caught.value} {caught.value.as_dict()}"


def test_a_seed_may_be_written_as_the_tokens_that_an_apply_makes() -> None:
    token = base64.urlsafe_b64encode(NEW.secret).decode().rstrip("=")
    assert read_seed(token, 2) == NEW == read_seed(NEW.secret.hex(), 2)
    assert read_seed(f" {NEW.secret.hex().upper()}\n", 2) == NEW


def test_a_seed_shows_itself_nowhere() -> None:
    seeds = Seeds.read("0x" + NEW.secret.hex(), 2, [(1, OLD.secret.hex())])
    shown = repr(seeds) + str(seeds)
    assert NEW.secret.hex() not in shown
    assert repr(NEW.secret) not in shown
    with pytest.raises(BadInput, match="ENCRYPTION_SEED_VERSION"):
        Seeds.read(NEW.secret.hex(), 0)


def test_too_large_is_said_before_it_is_written() -> None:
    with pytest.raises(PayloadTooLarge):
        seal(Content(text="x" * 2**20), ABOUT, 2, NEW.key(ABOUT), NONCE)
    with pytest.raises(ValueError, match="12 bytes"):
        seal(CONTENT, ABOUT, 2, NEW.key(ABOUT), NONCE[1:])
