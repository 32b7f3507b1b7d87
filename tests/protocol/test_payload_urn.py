"""The name of a payload: written one way, read one way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.protocol.payload_urn import SESSION_MAX, URN_CHARS_MAX, VERSION_MAX, Direction, Scope, Urn, is_urn
from cortops.words.errors import BadInput

DIGEST = "ab" * 32
GOOD = f"urn:cortops:payload:1:lab:7:prompt:task:v2:{DIGEST}"

urns = st.builds(
    Urn,
    environment=st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True),
    session=st.integers(0, SESSION_MAX),
    direction=st.sampled_from(Direction),
    scope=st.sampled_from(Scope),
    version=st.integers(1, VERSION_MAX),
    digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
)


@given(urns)
def test_what_is_written_is_read_again(urn: Urn) -> None:
    text = str(urn)
    assert Urn.parse(text) == urn
    assert is_urn(text)
    assert len(text) <= URN_CHARS_MAX


def test_a_name_in_full() -> None:
    urn = Urn.parse(GOOD)
    assert (urn.environment, urn.session, urn.direction, urn.scope, urn.version) == ("lab", 7, Direction.PROMPT, Scope.TASK, 2)
    assert urn.place == f"lab/7/prompt/{DIGEST}"
    assert str(urn) == GOOD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        GOOD + "\n",
        " " + GOOD,
        GOOD.upper(),
        GOOD.replace(":1:lab", ":2:lab"),
        GOOD.replace(":lab:", ":Lab:"),
        GOOD.replace(":lab:", ":-lab:"),
        GOOD.replace(":lab:", "::"),
        GOOD.replace(":7:", ":07:"),
        GOOD.replace(":7:", ":-7:"),
        GOOD.replace(":7:", f":{10**18}:"),
        GOOD.replace("prompt", "answer"),
        GOOD.replace(":task:", ":node:"),
        GOOD.replace(":v2:", ":v0:"),
        GOOD.replace(":v2:", ":v02:"),
        GOOD.replace(":v2:", ":2:"),
        GOOD[:-1],
        GOOD + "0",
        GOOD.replace("ab", "AB"),
        GOOD.replace(":7:", ":٧:"),
        GOOD.replace("lab", "l" * 300),
    ],
)
def test_anything_else_is_no_name(text: str) -> None:
    assert not is_urn(text)
    with pytest.raises(BadInput):
        Urn.parse(text)


@given(st.text(max_size=300))
def test_text_of_any_kind_is_read_or_refused(text: str) -> None:
    assert not is_urn(text) or str(Urn.parse(text)) == text


def test_a_part_outside_the_grammar_makes_no_name() -> None:
    with pytest.raises(BadInput):
        Urn(environment="a:b", session=1, direction=Direction.PROMPT, scope=Scope.TASK, version=1, digest=DIGEST)
