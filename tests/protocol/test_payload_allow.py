"""The list of those who may have keys, as an env file holds it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.protocol.payload_allow import Allowlist
from cortops.words.errors import BadInput

ANN, BOB, EVE = ("0x" + digits * 4 for digits in ("a1b2c3d4e5", "0918273645", "fe12dc34ba"))

entries = st.dictionaries(
    st.tuples(st.integers(0, 10**18 - 1), st.none() | st.integers(0, 10**18 - 1)),
    st.frozensets(st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex()), min_size=1, max_size=4),
    max_size=6,
)


@given(entries)
def test_what_is_written_is_read_again(found: dict[tuple[int, int | None], frozenset[str]]) -> None:
    listed = Allowlist(entries=found)
    assert Allowlist.parse(str(listed)) == listed


def test_an_entry_of_a_session_is_for_all_of_its_tasks_and_one_of_a_task_for_that_alone() -> None:
    listed = Allowlist.parse(f"7:{ANN},{BOB.upper().replace('0X', '0x')};7-3:{EVE}; 8:{ANN};")
    assert listed.allows(ANN.upper().replace("0X", "0x"), 7)
    assert listed.allows(BOB, 7, 99)
    assert listed.allows(EVE, 7, 3)
    assert not listed.allows(EVE, 7, 4)
    assert not listed.allows(EVE, 7)
    assert not listed.allows(BOB, 8, 1)
    assert not listed.allows(ANN, 9)
    assert listed.sessions == {7, 8}


def test_nobody_is_allowed_by_an_empty_list() -> None:
    assert Allowlist.parse("") == Allowlist.parse(" ; ;") == Allowlist()
    assert not Allowlist().allows(ANN, 1)


@pytest.mark.parametrize(
    "text", ["7", "7:", f"7:{ANN},", f"x:{ANN}", f"7-:{ANN}", f"-7:{ANN}", f"07:{ANN}", f"7:{ANN[:-1]}", f"7:{ANN[2:]}", f"7 8:{ANN}", ANN]
)
def test_what_does_not_fit_is_named(text: str) -> None:
    with pytest.raises(BadInput, match="is not of the form"):
        Allowlist.parse(text)


def test_addresses_of_shipped_examples_are_told_apart() -> None:
    dummies = ("0x" + "1" * 40, "0x" + "0" * 40, "0x" + "0" * 39 + "1", "0x1234567890" + "12" * 15)
    assert set(Allowlist.parse(f"1:{ANN},{','.join(dummies)}").dummies) == set(dummies)
    assert Allowlist.parse(f"1:{ANN},{BOB},{EVE}").dummies == ()
