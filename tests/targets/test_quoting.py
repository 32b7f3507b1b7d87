from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.targets.quoting import command, quote
from cortops.words.errors import BadInput

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40) | st.text(
    "'\"\\$` \n;#&|<>()*?[]~!-=", max_size=12
)


@pytest.mark.real
@settings(max_examples=300, deadline=None)
@given(st.lists(TEXT, max_size=12))
def test_sh_reads_back_exactly_what_was_quoted(words: list[str]) -> None:
    program = f"printf '%s\\0' {command(*words)}" if words else ":"
    result = subprocess.run(["sh"], input=program.encode(), capture_output=True, check=True)
    assert result.stdout.split(b"\0")[:-1] == [word.encode() for word in words]


def test_a_zero_byte_is_refused() -> None:
    with pytest.raises(BadInput, match="zero byte"):
        quote("a\0b")
