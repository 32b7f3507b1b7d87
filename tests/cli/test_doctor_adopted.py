"""What doctor says of an adopted node."""

from __future__ import annotations

import pytest

from cortops.cli.doctor_adopted import finding
from cortops.deploy.waves.read import AdoptedNow
from cortops.words.entity import Entity

ENTITY = Entity("miner", "m7")
EDITED = "its unit was edited by hand since it was recorded (59d155 -> 8d58c8), and is kept as it is"


@pytest.mark.parametrize(
    ("program", "edited", "outcome", "text", "cure"),
    [
        ("aaaaaa1", (), "ok", "as its host has recorded it", ""),
        ("", (), "ok", "as its host has recorded it", ""),
        ("aaaaaa1", (EDITED,), "bad", EDITED, "cortops adopt m7 lab.yaml"),
        ("bbbbbb1", (), "bad", "runs bbbbbb, and aaaaaa is recorded", "cortops plan lab.yaml"),
        ("bbbbbb1", (EDITED,), "bad", f"runs bbbbbb, and aaaaaa is recorded; {EDITED}", "cortops plan lab.yaml"),
    ],
)
def test_a_node_is_as_recorded_or_the_next_command_is_told(
    program: str, edited: tuple[str, ...], outcome: str, text: str, cure: str
) -> None:
    made = finding(ENTITY, AdoptedNow(program=program, recorded="aaaaaa1", edited=edited), "lab.yaml")
    assert (made.outcome, made.text, made.cure, made.check) == (outcome, text, cure, "recorded")
