"""The settings of a program of others are read as they were written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.protocol.foreign import ForeignSettings, parse, render
from cortops.words.errors import BadInput

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
WORDS = st.lists(TEXT, max_size=4).map(tuple)
NAMED = st.dictionaries(TEXT, TEXT, max_size=3)


@given(WORDS, TEXT, WORDS, NAMED, NAMED, NAMED)
def test_they_are_read_as_written(
    argv: tuple[str, ...], folder: str, first: tuple[str, ...], files: dict[str, str], env: dict[str, str], secrets: dict[str, str]
) -> None:
    settings = ForeignSettings(
        argv=argv, folder=folder, first_start=first, files=files, env=env, secrets=secrets, user="x", stop_signal="INT"
    )
    assert parse(render(settings), where="x") == settings


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"argv": []}', "[" * 100_000])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="x holds no settings"):
        parse(text, where="x")
