"""The generations of our own programs in words and as JSON, with who made them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.deploy.test_going_back import manifest
from tests.deploy.test_plan import CHAIN, ENV, ETC, ROUTER
from tests.deploy.waves.records import history

from cortops.cli import generations
from cortops.cli.generations_own import Recorded, as_json, as_lines
from cortops.deploy.journal import Entry
from cortops.deploy.observed import Desired

CAME = Entry(at=1, apply="a2", event="begun", by="ops@laptop", via="ssh from 203.0.113.9", accepted=("--accept-large",))
FIRST = manifest(1, (ETC, ENV, CHAIN))
MOVED = tuple(Desired(resource=item.resource, attributes={"value": "w"}) if item.resource is ENV else item for item in FIRST.resources)
SECOND = replace(manifest(2, (ROUTER,)), resources=(*MOVED[1:], *manifest(2, (ROUTER,)).resources))
THIRD = replace(FIRST, generation=3, apply="a3", restores=1)


def found(*journal: Entry) -> Recorded:
    return Recorded(environment="lab", generations=(FIRST, SECOND, THIRD), journal=journal)


def ended(outcome: str | None, to: int | None = None) -> list[Entry]:
    begun = [Entry(at=9, apply="a4", event="begun", by="bob@ops", to=to), Entry(at=9, apply="a4", event="intent", resource="file:/x")]
    return begun if outcome is None else [*begun, Entry(at=9, apply="a4", event="finished", outcome=outcome)]


def test_the_newest_first_with_who_from_where_what_changed_and_what_was_accepted() -> None:
    told = "\n".join(as_lines(found(CAME, *ended("ok")), "lab.yaml")).splitlines()
    assert [" ".join(line.split()) for line in told] == [
        "lab 3 generations of our own programs",
        "GEN AT BY TOOL CHANGED",
        "* 3 1 Jan 00:00:00 UTC ops@laptop 1 back to 1; new directory:etc; gone service:r1; changed file:r1.env",
        "2 1 Jan 00:00:00 UTC ops@laptop (ssh from 203.0.113.9) 1 new service:r1; gone directory:etc; changed file:r1.env; "
        "accepted --accept-large",
        "1 1 Jan 00:00:00 UTC ops@laptop 1 3 resources made",
    ]


@pytest.mark.parametrize(
    ("outcome", "to", "how", "back"),
    [
        ("failed", None, "failed", "takes it back"),
        (None, None, "was cut off", "takes it back"),
        (None, 1, "was cut off", "finishes going back to 1"),
    ],
)
def test_an_apply_that_left_no_generation_is_said_with_both_ways_on(outcome: str | None, to: int | None, how: str, back: str) -> None:
    assert as_lines(found(*ended(outcome, to)), "lab.yaml")[-2:] == [
        f"  the apply a4 by bob@ops {how} after 1 steps and left no generation",
        f"  next: cortops plan lab.yaml shows what is left; cortops rollback lab.yaml {back}",
    ]
    alone = Recorded(environment="lab", journal=tuple(ended(outcome, to)))
    assert as_lines(alone, "lab.yaml")[-1] == "  next: cortops plan lab.yaml shows what is left"


def test_nothing_recorded_is_no_line_and_silence_is_said() -> None:
    assert as_lines(Recorded(environment="lab"), "lab.yaml") == []
    assert as_lines(Recorded(environment="lab", silent="h1 gives no answer"), "lab.yaml") == [
        "lab  the generations of our own programs could not be read: h1 gives no answer"
    ]


def test_as_json() -> None:
    told = as_json(found(CAME, *ended(None, 1)))
    assert [(one["generation"], one["restores"], one["via"]) for one in told["generations"]] == [  # type: ignore[attr-defined]
        (3, 1, ""),
        (2, None, "ssh from 203.0.113.9"),
        (1, None, ""),
    ]
    assert told["unfinished"] == {"apply": "a4", "by": "bob@ops", "steps": 1, "to": 1}


def test_the_generations_of_a_host_say_it_too() -> None:
    made = history({"a": "XY"})
    begun = {"apply-1": replace_entry("apply-1")}
    rows = generations._rows(replace(made, begun=begun))
    assert rows[1][3] == "ops@laptop (ssh from 203.0.113.9)" and rows[1][-1].endswith("; accepted --accept-large")
    assert rows[0][3] == "ops@laptop"


def replace_entry(apply: str) -> Entry:
    return Entry(at=1, apply=apply, event="begun", by=CAME.by, via=CAME.via, accepted=CAME.accepted)
