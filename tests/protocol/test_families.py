"""Bodies of the families: `cases/families/NAME.case` holds family, version and body, then what shall be run, or what is wrong."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.protocol.families import FACTCHECK_RUNS_MAX, read_create, read_delegate, read_factcheck, read_validate
from cortops.protocol.routes import family_task, over_bound
from cortops.protocol.verdict import judge_body
from cortops.words.errors import BadInput

CASES = sorted((Path(__file__).parent / "cases" / "families").glob("*.case"))
MARK = "----\n"
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


def read(family: str, version: int, body: dict[str, Any]) -> Any:
    match family:
        case "delegate":
            return read_delegate(body, version)
        case "validate":
            return read_validate(body, version)
        case "factcheck":
            return read_factcheck(body)
        case _:
            return read_create(body)


def shown(family: str, version: int, body: dict[str, Any]) -> str:
    try:
        found = read(family, version, body)
    except BadInput as error:
        return f"error: {error.what}\n"
    plain = msgspec.to_builtins(found if isinstance(found, msgspec.Struct) else asdict(found))
    plain.pop("rubric", None)
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode() + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_body_is_read_as_this(case: Path) -> None:
    """After a change that is meant: CORTOPS_WRITE_GOLDEN=1 pytest tests/protocol, then read the difference."""
    given_text, _, expected = case.read_text().partition(MARK)
    head, _, body = given_text.partition("\n")
    family, version = head.split()
    text = shown(family, int(version), msgspec.json.decode(body))
    if os.environ.get("CORTOPS_WRITE_GOLDEN"):
        case.write_text(given_text + MARK + text)
        expected = text
    assert text == expected


@given(st.sampled_from(["delegate", "validate", "factcheck", "create"]), st.integers(1, 3), st.dictionaries(st.text(max_size=8), ANY_JSON))
def test_no_body_breaks_the_reading(family: str, version: int, body: dict[str, Any]) -> None:
    try:
        read(family, version, body)
    except BadInput as error:
        assert error.what


@given(st.text(max_size=60), st.integers(3, FACTCHECK_RUNS_MAX))
def test_a_claim_becomes_a_task_that_the_chain_takes(claim: str, runs: int) -> None:
    if not claim:
        return
    job = read_factcheck({"claim": claim, "redundancy": runs})
    task = family_task(judge_body(job.rubric, job.parts), 4, "r", 30)
    assert (task.session, task.prompt_type, task.request_params[0], over_bound(task)) == (4, 2, 30, "")
    assert msgspec.json.decode(task.text)["messages"][1]["content"].startswith("<<<CLAIM>>>")
