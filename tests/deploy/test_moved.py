"""A program that was moved: first away from where it was, then there; and not at all while nobody knows."""

from __future__ import annotations

import pytest

from cortops.deploy.moved import hold_moved
from cortops.deploy.observed import Absent, Desired, Observed, Present, Unseen
from cortops.deploy.plan import plan
from cortops.words.change import Action
from cortops.words.entity import Entity
from cortops.words.resource import Service

RUNNING = {"definition": "d", "running": "yes"}


def miner(place: str) -> Desired:
    service = Service(
        place=place, entity=Entity("miner", "m1"), because="lab.yaml:9", name="m1", argv=("m",), directory="/x", log_path="/x/m1.log"
    )
    return Desired(resource=service, attributes=RUNNING)


OLD, NEW = miner("h3"), miner("h1")


def test_it_goes_before_it_comes() -> None:
    seen: dict[str, Observed] = {OLD.resource.key: Present(RUNNING), NEW.resource.key: Absent()}
    changes = plan("lab", [NEW], hold_moved(seen, [NEW], [OLD], {"h1", "h3"}), [OLD], "0").changes
    assert [(change.wave, change.action, change.target) for change in changes] == [(1, Action.DELETE, "h3"), (2, Action.CREATE, "h1")]


@pytest.mark.parametrize(
    ("old", "new", "declared", "blocked"),
    [
        (Unseen("connection timed out"), Absent(), {"h1", "h3"}, True),
        (Unseen("connection timed out"), Absent(), {"h1"}, False),
        (Unseen("connection timed out"), Present(RUNNING), {"h1", "h3"}, False),
        (Absent(), Absent(), {"h1", "h3"}, False),
    ],
    ids=["nobody knows", "its host was taken out of the file", "it runs there already", "it is gone there"],
)
def test_it_does_not_start_while_it_may_run_elsewhere(old: Observed, new: Observed, declared: set[str], blocked: bool) -> None:
    held = hold_moved({OLD.resource.key: old, NEW.resource.key: new}, [NEW], [OLD], declared)[NEW.resource.key]
    assert bool(getattr(held, "blocked", "")) is blocked
    if blocked:
        assert held == Absent(
            blocked="m1 may still run on h3, which could not be looked at: connection timed out. "
            "Take h3 out of the file once it is gone for good"
        )
