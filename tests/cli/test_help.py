"""Every verb explains itself: what it does, each of its words, and nothing that only the code knows."""

from __future__ import annotations

import pytest

from cortops.cli import _GROUPS, _VERBS, main

WORDS = [(verb,) for verb, _ in _VERBS] + [(group, verb) for group, _, verbs in _GROUPS for verb, _ in verbs]


def helped(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main((*words, "--help"))
    assert not ended.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_verb_says_what_it_takes(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    text = helped(words, capsys)
    assert f"Usage: cortops {' '.join(words)}" in text
    for option in ("--port-base", "--json", "--debug", "--ask-sudo"):
        assert option in text
    flat = " ".join(text.replace("│", " ").split())
    assert "Shift every local port by this" in flat
    assert "--common" not in text and "----" not in text and "noqa" not in text


@pytest.mark.parametrize("group", [name for name, _, _ in _GROUPS])
def test_a_group_names_its_verbs(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = helped((group,), capsys)
    for name, _, verbs in _GROUPS:
        if name == group:
            assert all(f"│ {verb} " in text for verb, _ in verbs)


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_an_unknown_option_is_named_on_stderr_with_status_2(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main((*words, "--frob"))
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == "" and "--frob" in said.err
