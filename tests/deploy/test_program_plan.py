"""What is decided about the program of an adopted node, and how it is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cortops.deploy.kinds.node_program import NodeProgramKind
from cortops.deploy.observed import Absent, Desired, Observed, Present
from cortops.deploy.plan import plan
from cortops.deploy.program_plan import decide
from cortops.testing.host import host
from cortops.words.change import Action, Reversal
from cortops.words.entity import Entity
from cortops.words.resource import NodeProgram

OLD, NEW, OTHER = "3f2a9c" + "0" * 58, "9a3f1b" + "1" * 58, "77d0aa" + "2" * 58
NODE = NodeProgram(
    place="h1",
    entity=Entity("miner", "m7"),
    because="lab.yaml:9",
    name="m7",
    shape="ansible",
    unit="cortensor-7.service",
    env_file="/home/deploy/.cortensor/.env-7",
    log="/var/log/cortensord-7.log",
    binary="/usr/local/bin/cortensord",
    runs="minerv4",
    address="0x" + "ab" * 20,
    program=NEW,
    release="april",
    blob="/var/lib/cortops/lab/blobs/cortensord-9a3f1b1111111111",
    saved="/var/lib/cortops/lab/adopted/m7",
    unit_sha256="aaaa01",
    env_sha256="bbbb01",
)
WELL = {"running": "yes", "program": NEW, "starts": NEW, "finished": "yes", "unit": "aaaa01", "env": "bbbb01", "pid": "812"}
WELL |= {"started_at": "1795814763"}


def wanted(node: NodeProgram) -> dict[str, str]:
    with host() as place:
        return dict(NodeProgramKind().attributes(node, b"", place.manager))


@pytest.mark.parametrize(
    ("seen", "action", "reason"),
    [
        ({}, None, "runs 9a3f1b as declared, pid 812 since 2026-11-27 21:26 UTC"),
        ({"pid": "", "started_at": ""}, None, "runs 9a3f1b as declared"),
        ({"program": OLD, "starts": OLD}, Action.RESTART, "runs 3f2a9c, april is 9a3f1b (lab.yaml:9)"),
        ({"program": OLD}, Action.RESTART, "runs 3f2a9c, april is 9a3f1b (lab.yaml:9)"),
        ({"program": "", "running": "no"}, Action.START, "does not run; april is 9a3f1b (lab.yaml:9)"),
        ({"starts": OLD}, Action.UPDATE, "runs 9a3f1b, and its next start would take 3f2a9c: set right without a restart"),
        (
            {"starts": "unfinished"},
            Action.UPDATE,
            "runs 9a3f1b, and its next start would take what an apply left half done: set right without a restart",
        ),
        (
            {"starts": "missing"},
            Action.UPDATE,
            "runs 9a3f1b, and its next start would take a file that is not there: set right without a restart",
        ),
        ({"finished": "no"}, Action.RESTART, "an apply was cut off after it put files back; started anew with them"),
    ],
)
def test_each_difference_has_its_action(seen: dict[str, str], action: Action | None, reason: str) -> None:
    made = decide(NODE, wanted(NODE), Present(WELL | seen))
    assert (made.action, made.reason, made.differs) == (action, reason, False)


def test_a_node_that_is_not_adopted_is_copied_and_not_restarted() -> None:
    made = decide(NODE, wanted(NODE), Absent())
    assert (made.action, made.reason) == (
        Action.CREATE,
        "adopted: its program, unit and env file are copied here, and nothing is restarted",
    )


def test_what_was_edited_by_hand_is_told_and_kept_whatever_is_planned() -> None:
    edited = {"env": "cccc02"}
    kept = decide(NODE, wanted(NODE), Present(WELL | edited))
    told = "its env file was edited by hand since it was recorded (bbbb01 -> cccc02), and is kept as it is"
    assert (kept.action, kept.differs) == (None, True)
    assert kept.reason.endswith(f"; {told}")
    restarted = decide(NODE, wanted(NODE), Present(WELL | edited | {"program": OLD, "unit": "dddd03"}))
    assert restarted.action is Action.RESTART
    assert restarted.reason.endswith(told) and "its unit was edited by hand" in restarted.reason


def test_one_that_the_plan_is_not_about_is_left_whatever_it_runs() -> None:
    left = replace(NODE, untouched=True)
    made = decide(left, wanted(left), Present(WELL | {"program": OLD, "running": "no", "starts": "missing", "env": "cccc02"}))
    assert (made.action, made.reason) == (None, "another node of this host; left as it is")


def test_as_a_whole_unit_and_env_file_come_back_and_the_plan_names_them() -> None:
    whole = replace(NODE, whole=True)
    both = decide(whole, wanted(whole), Present(WELL | {"env": "cccc02", "unit": "dddd03"}))
    assert (both.action, both.reason) == (Action.RESTART, "its unit and env file are put back as recorded")
    with_program = decide(whole, wanted(whole), Present(WELL | {"env": "cccc02", "program": OLD}))
    assert with_program.reason == "runs 3f2a9c, april is 9a3f1b (lab.yaml:9), and its env file put back as recorded"
    assert decide(whole, wanted(whole), Present(WELL)).action is None


def test_in_a_plan_it_can_be_taken_back_and_no_longer_declaring_it_removes_nothing() -> None:
    item = Desired(resource=NODE, attributes=wanted(NODE))
    seen: dict[str, Observed] = {NODE.key: Present(WELL | {"program": OLD})}
    (change,) = plan("lab", [item], seen, [item], "1").changes
    assert (change.resource, change.action, change.reversal) == ("node-program:m7", Action.RESTART, Reversal.RESTORE)
    assert plan("lab", [], seen, [item], "1").changes == ()


def test_pid_and_start_are_told_and_not_compared() -> None:
    item = Desired(resource=NODE, attributes=wanted(NODE))
    digests = {plan("lab", [item], {NODE.key: Present(WELL | {"pid": pid})}, [], "1").digest for pid in ("1", "2")}
    assert len(digests) == 1
