"""Nodes that were there before us: found again as declared, told, and never touched."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.deploy.test_deployment import World, deployment_in

from cortops.deploy import deployment as engine
from cortops.deploy.fleet_driver import FleetDriver, attributes_of, seen_as
from cortops.deploy.lock import this_process
from cortops.deploy.observed import Absent, Desired, Driver, Observed, Present, Progress, Step, Unseen
from cortops.deploy.plan import plan
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.surfaces.fleet.found.discover import HostFound, read
from cortops.surfaces.fleet.found.installed import Installed, Shape
from cortops.testing.installed import installed
from cortops.words.change import Action, Plan
from cortops.words.entity import Entity
from cortops.words.errors import BadInput
from cortops.words.question import Answer, NoAnswer, Question, Reply, Shell, Silence
from cortops.words.resource import Cortensord, Directory

WALLET = "0x" + "aB" * 20
FOUND = installed(7, address=WALLET, pid=812, started_at=1_795_576_320.0, binary_sha256="b2" * 32, running_sha256="3f2a1b" + "0" * 58)
ASKED = Shell(id="installed:h1", target="h1", script="true")


def declared(node: Installed, name: str = "m07") -> Cortensord:
    """As `discover` writes it down."""
    return Cortensord(
        place=node.host,
        entity=Entity(node.role, name),
        because="lab.yaml:12",
        name=name,
        shape=str(node.shape),
        runs=node.runs,
        unit=node.unit,
        env_file=node.env_file,
        log=node.log,
        binary=node.binary,
        address=node.address.lower(),
    )


def on_h1(*nodes: Installed, **changes: object) -> HostFound:
    """A host that told all that it knows."""
    return replace(read("", "h1"), **{"complete": True, "docker": "ok", "nodes": nodes, **changes})  # type: ignore[arg-type]


def want(resource: Cortensord) -> Desired:
    return Desired(resource=resource, attributes=attributes_of(resource))


def planned(*pairs: tuple[Cortensord, Observed], recorded: Sequence[Desired] = ()) -> Plan:
    return plan("lab", [want(resource) for resource, _ in pairs], {resource.key: seen for resource, seen in pairs}, recorded, "1")


SYSTEMD = replace(FOUND, shape=Shape.SYSTEMD, instance="", unit="cortensor.service", env_file="/home/deploy/.cortensor/.env", log="/a.log")
NOHUP = replace(FOUND, shape=Shape.NOHUP, instance="", unit="", env_file="/home/me/.cortensor/.env", log="/home/me/.cortensor/logs/c.log")
SALT = replace(FOUND, shape=Shape.SALT, instance="a", unit="cortensord@a.service", env_file="/opt/cortensor/a/.env-a", log="/s.log")
DOCKER = replace(FOUND, shape=Shape.DOCKER, instance="1", unit="cortensor-1", env_file="/app/.cortensor/.env", log="docker:cortensor-1")
SHAPES = (FOUND, SYSTEMD, NOHUP, SALT, DOCKER)


@pytest.mark.parametrize("node", SHAPES, ids=lambda node: node.shape.value)
def test_what_was_just_found_plans_to_no_change_and_says_what_runs(node: Installed) -> None:
    resource = declared(node)
    result = planned((resource, seen_as(resource, on_h1(*SHAPES))))
    assert (result.changes, result.unknown, result.differing) == ((), (), ())
    assert [item.reason for item in result.unchanged] == ["runs 3f2a1b as found, pid 812 since 2026-11-25 03:12 UTC; not adopted"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"running": False, "pid": None, "running_sha256": "", "started_at": None}, "as found, and it does not run; not adopted"),
        ({"running_sha256": "", "started_at": None}, "runs a program that we may not read as found, pid 812; not adopted"),
        ({"binary_sha256": "ff" * 32}, "runs 3f2a1b as found, pid 812 since 2026-11-25 03:12 UTC; not adopted"),
        ({"address": "", "env_sha256": ""}, "runs 3f2a1b as found, pid 812 since 2026-11-25 03:12 UTC; not adopted"),
    ],
)
def test_what_is_not_declared_or_could_not_be_read_is_no_difference(change: dict[str, object], reason: str) -> None:
    resource = declared(FOUND)
    result = planned((resource, seen_as(resource, on_h1(replace(FOUND, **change)))))  # type: ignore[arg-type]
    assert [(item.reason, item.differs) for item in result.unchanged] == [(reason, False)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"runs": "minerv5"}, "runs is minerv5, declared minerv4"),
        ({"log": "/var/log/other.log"}, "log is /var/log/other.log, declared /var/log/cortensord-7.log"),
        ({"address": "0x" + "cd" * 20}, f"address is 0x{'cd' * 20}, declared {WALLET.lower()}"),
        ({"address": ""}, f"address is none, declared {WALLET.lower()}"),
    ],
)
def test_what_is_not_as_declared_is_told_and_nothing_is_planned(change: dict[str, str], told: str) -> None:
    resource = declared(FOUND)
    result = planned((resource, seen_as(resource, on_h1(replace(FOUND, **change)))))  # type: ignore[arg-type]
    assert result.changes == ()
    assert [item.reason for item in result.differing] == [f"{told} (lab.yaml:12); not adopted, so nothing is planned"]


def test_a_file_without_an_address_compares_none() -> None:
    resource = replace(declared(FOUND), address="")
    assert not planned((resource, seen_as(resource, on_h1(FOUND)))).differing


def test_a_node_that_is_gone_is_told_by_name_and_not_made() -> None:
    resource = declared(FOUND)
    result = planned((resource, seen_as(resource, on_h1(SYSTEMD, DOCKER))))
    assert (result.changes, result.unchanged) == ((), ())
    assert [(item.target, item.resource, item.why) for item in result.unknown] == [
        ("h1", "cortensord:m07", "m07 is gone: its unit, env file and process are not there, and nothing is planned for it")
    ]


@pytest.mark.parametrize(
    ("node", "changes", "why"),
    [
        (FOUND, {"complete": False}, "m07 was not found, and the answer was cut off"),
        (DOCKER, {"docker": "silent"}, "m07 was not found, and docker does not answer us there; sudo: true may help"),
        (NOHUP, {"unseen": ("/home/ops", "/home/me")}, "m07 was not found, and we may not look into /home/me there; sudo: true may help"),
    ],
)
def test_where_we_could_not_look_nothing_is_gone(node: Installed, changes: dict[str, object], why: str) -> None:
    resource = declared(node)
    result = planned((resource, seen_as(resource, on_h1(**changes))))
    assert (result.changes, result.unchanged) == ((), ())
    assert [(item.target, item.why, item.resource) for item in result.unknown] == [("h1", why, "")]


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        ("", Absent()),
        ("m07\tgone\t\tthere is no env file", Absent()),
        ("m07\tstopped\t\tno process of it", Present(attributes_of(declared(NOHUP)) | {"running": "no"})),
        ("m07\tunseen\t\tit belongs to another user", Unseen("m07 was not found: it belongs to another user")),
        ("m07\trunning\t12\t", Unseen("m07 was not found, and it runs as pid 12")),
    ],
)
def test_a_node_that_stands_still_where_discover_does_not_look_is_not_gone(row: str, seen: Observed) -> None:
    light = Answer(question="running:h1", at=1, elapsed_s=0, status=0, body=row.encode())
    assert asyncio.run(driver(ANSWER, found=on_h1(), light=light).observe([want(declared(NOHUP))])) == {"h1 cortensord:m07": seen}


def test_a_node_that_is_no_longer_declared_is_not_deleted() -> None:
    assert planned(recorded=[want(declared(FOUND))]).changes == ()


def test_of_two_that_match_the_running_one_is_meant() -> None:
    dead = replace(NOHUP, running=False, pid=None)
    seen = seen_as(declared(NOHUP), on_h1(dead, replace(NOHUP, pid=5), dead))
    assert isinstance(seen, Present)
    assert seen.attributes["pid"] == "5"


WORD = st.sampled_from(["", "a", "b", "cortensor-7.service", "/home/deploy/.cortensor/.env-7", "/var/log/cortensord-7.log"])


@given(st.lists(st.tuples(WORD, WORD, WORD, WORD, st.booleans(), st.sampled_from(Shape)), max_size=4), st.booleans())
def test_whatever_is_found_nothing_is_ever_planned(found: list[tuple[str, str, str, str, bool, Shape]], is_recorded: bool) -> None:
    nodes = [
        replace(FOUND, unit=unit, env_file=env_file, log=log, address=address, running=running, shape=shape)
        for unit, env_file, log, address, running, shape in found
    ]
    resource = declared(FOUND)
    result = planned((resource, seen_as(resource, on_h1(*nodes))), recorded=[want(resource)] if is_recorded else [])
    assert result.changes == ()
    assert len(result.unchanged) + len(result.unknown) == 1


def driver(
    reply: Answer | NoAnswer, beside: Driver | None = None, found: HostFound | None = None, light: Reply | None = None
) -> FleetDriver:
    light = light or replace(reply, question="running:h1")

    async def ask(questions: Sequence[Question]) -> Mapping[str, Reply]:
        assert [question.id for question in questions] == [ASKED.id, "running:h1"], "two questions, one round trip"
        return {ASKED.id: reply, "running:h1": light}

    def told(text: str) -> HostFound:
        assert text == "found"
        return found or on_h1(FOUND)

    return FleetDriver(ASKED, told, ask, beside)


ANSWER = Answer(question=ASKED.id, at=1, elapsed_s=0, status=0, body=b"found")
SILENT = NoAnswer(question=ASKED.id, at=1, elapsed_s=0, silence=Silence.TIMEOUT, why="connection timed out")


def test_one_question_finds_all_nodes_of_a_host() -> None:
    items = [want(declared(FOUND)), want(declared(replace(SYSTEMD, unit="cortensor-9.service"), "m09"))]
    seen = asyncio.run(driver(ANSWER).observe(items))
    assert isinstance(seen["h1 cortensord:m07"], Present)
    assert seen["h1 cortensord:m09"] == Absent()
    assert asyncio.run(driver(ANSWER).observe([])) == {}


def test_a_host_that_gives_no_answer_leaves_its_nodes_unseen_and_is_told_once() -> None:
    items = [declared(FOUND), declared(NOHUP, "m08")]
    seen = asyncio.run(driver(SILENT).observe([want(item) for item in items]))
    assert set(seen.values()) == {Unseen("connection timed out")}
    result = planned(*((item, seen[item.key]) for item in items))
    assert (result.changes, result.unchanged) == ((), ())
    assert [(item.target, item.why, item.resource) for item in result.unknown] == [("h1", "connection timed out", "")]


def test_a_step_for_such_a_node_fails_before_anything_is_made() -> None:
    world = World()
    ours = Directory(place="h1", entity=Entity("host", "h1"), because="lab.yaml:3", path="/srv")
    steps = [Step(action=Action.CREATE, desired=Desired(resource=item, attributes={})) for item in (ours, declared(FOUND))]

    async def told(one: FleetDriver, given: Sequence[Step]) -> list[Progress]:
        return [progress async for progress in one.apply(given, "a1")]

    assert [item.event for item in asyncio.run(told(driver(ANSWER, world.driver("h1")), steps))] == ["failed"]
    assert world.made == []
    assert [item.event for item in asyncio.run(told(driver(ANSWER, world.driver("h1")), steps[:1]))] == ["done"]
    assert world.made == [ours.key]
    assert [item.event for item in asyncio.run(told(driver(ANSWER), steps[:1]))] == ["failed"], "nothing of ours is made on such a host"


def test_nothing_of_ours_is_looked_for_on_a_host_that_is_only_looked_at() -> None:
    ours = Directory(place="h1", entity=Entity("host", "h1"), because="lab.yaml:3", path="/srv")
    with pytest.raises(BadInput, match="directory:/srv is to be made on h1, which is only looked at"):
        asyncio.run(driver(ANSWER).observe([Desired(resource=ours, attributes={})]))


FLEET = f"""format: 1
environment: lab
owners: {{default: ops@lab.example}}
hosts: {{h1: {{ssh: ops@h1.lab.example}}, h2: {{ssh: ops@h2.lab.example}}}}
network: testnet-0
nodes:
  m07: {{program: cortensord, role: miner, runs: minerv4, host: h1, shape: ansible, unit: cortensor-7.service, binary: {FOUND.binary},
        env_file: {FOUND.env_file}, log: {FOUND.log}, address: "{WALLET}"}}
"""


def fleet_in(root: Path, reply: Answer | NoAnswer = ANSWER) -> engine.Deployment:
    env = load(FLEET, "lab.yaml")
    assert isinstance(env, Environment)
    made = deployment_in(root, World())
    return replace(made, env=env, hosts={}, managers={}, drivers=lambda _view: {"h1": driver(reply)})


def test_a_fleet_as_found_needs_nothing_not_even_a_secret(tmp_path: Path) -> None:
    seen = asyncio.run(engine.look(fleet_in(tmp_path)))
    assert [(item.target, item.resource) for item in seen.plan.unchanged] == [("h1", "cortensord:m07")]
    assert (seen.plan.changes, seen.plan.unknown, seen.view.wanted, seen.unseen) == ((), (), (), ())


@pytest.mark.parametrize("reply", [ANSWER, SILENT])
def test_an_apply_of_a_fleet_makes_and_writes_nothing(tmp_path: Path, reply: Answer | NoAnswer) -> None:
    deployment = fleet_in(tmp_path, reply)
    applied = asyncio.run(engine.apply(deployment, apply_id="a1", owner=this_process(), digest=None, report=lambda event: None))
    assert (applied.made, applied.generation) == (0, 0)
    assert list(tmp_path.iterdir()) == []
