"""What a host should hold: its newest generation with one program replaced, an earlier one, or what the file says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.deploy.test_program_plan import NEW, NODE, OLD, OTHER

from cortops.deploy.manifest import Manifest
from cortops.deploy.node_programs import BLOBS_KEPT_MAX, HostRecord, Program, declared, programs, restored, strangers, switched
from cortops.deploy.observed import Desired
from cortops.deploy.plan import in_order
from cortops.surfaces.fleet.adopted import blob_path, folders, program_blob
from cortops.words.errors import Refused, UnknownName
from cortops.words.resource import Blob, Directory, NodeProgram, Resource

FOLDERS = folders("h1", "lab", "lab.yaml:3")
NEEDS = tuple(folder.key for folder in FOLDERS)
M7 = replace(NODE, needs=NEEDS, program=OLD, release="found-3f2a9c00", blob=blob_path("lab", OLD), unit_sha256="u0", env_sha256="e0")
M8 = replace(M7, name="m8", env_sha256="e8")


def manifest(generation: int, *resources: Resource) -> Manifest:
    return Manifest(
        generation=generation,
        apply="a",
        at=1.0,
        by="me",
        environment="lab",
        digest="d",
        tool_version="1",
        resources=tuple(Desired(resource=one, attributes={}) for one in resources),
    )


FIRST = manifest(0, *FOLDERS, M7, M8)
RECORD = HostRecord(host="h1", environment="lab", latest=FIRST, first=FIRST, cut_off=None)
APRIL = Program(sha256=NEW, size=10, release="april")


def nodes(resources: tuple[Resource, ...]) -> dict[str, NodeProgram]:
    return {one.name: one for one in resources if isinstance(one, NodeProgram)}


def blobs(resources: tuple[Resource, ...]) -> list[str]:
    return [one.sha256 for one in resources if isinstance(one, Blob)]


def test_one_node_changes_and_every_other_stays_as_it_is_and_as_it_is_recorded() -> None:
    found = switched(RECORD, {"m7": APRIL})
    assert nodes(found)["m8"] == replace(M8, untouched=True)
    assert not nodes(found)["m7"].untouched
    changed = nodes(found)["m7"]
    assert (changed.program, changed.release, changed.blob) == (NEW, "april", blob_path("lab", NEW))
    assert (changed.unit_sha256, changed.env_sha256, changed.whole) == ("u0", "e0", False)
    assert blobs(found) == [NEW]
    assert f"h1 blob:{blob_path('lab', NEW)}" in changed.needs
    assert [type(one) for one in in_order(found)][:3] == [Directory, Directory, Blob]


def test_without_a_size_nothing_is_sent() -> None:
    found = switched(RECORD, {"m7": replace(APRIL, size=None)})
    assert blobs(found) == [] and nodes(found)["m7"].needs == NEEDS


def test_a_node_that_was_never_adopted_is_refused_with_the_next_command() -> None:
    with pytest.raises(Refused, match="m9 is not adopted on h1") as refused:
        switched(RECORD, {"m9": APRIL})
    assert refused.value.next == "cortops adopt m9"
    with pytest.raises(Refused):
        switched(replace(RECORD, latest=None), {"m7": APRIL})


def test_back_to_an_earlier_generation_as_a_whole() -> None:
    second = manifest(1, *switched(RECORD, {"m7": APRIL, "m8": APRIL}))
    record = replace(RECORD, latest=second)
    one = restored(record, FIRST, {"m7"})
    assert nodes(one)["m7"] == replace(M7, whole=True)
    assert (nodes(one)["m8"].program, nodes(one)["m8"].whole) == (NEW, False)
    every = restored(record, FIRST)
    assert {node.program for node in nodes(every).values()} == {OLD} and all(node.whole for node in nodes(every).values())
    assert blobs(every) == [NEW], "the program that was replaced stays for a while"
    again = restored(replace(record, latest=manifest(2, *every)), second, {"m7"})
    assert (nodes(again)["m7"].program, nodes(again)["m7"].whole) == (NEW, True)


def test_a_node_that_is_not_in_that_generation_is_named() -> None:
    with pytest.raises(UnknownName, match="m9 is not in generation 0 of h1"):
        restored(RECORD, FIRST, {"m9"})


def test_sent_programs_that_nobody_runs_are_kept_up_to_a_limit_and_those_in_use_always() -> None:
    record = RECORD
    shas = [f"{number:02x}" * 32 for number in range(1, BLOBS_KEPT_MAX + 4)]
    for number, sha in enumerate(shas, start=1):
        record = replace(record, latest=manifest(number, *switched(record, {"m7": Program(sha256=sha, size=1, release=f"r{number}")})))
    kept = blobs(tuple(item.resource for item in record.latest.resources)) if record.latest else []
    assert kept[-2:] == shas[-2:], "the one that runs, and the one before"
    assert len(kept) == BLOBS_KEPT_MAX + 2
    assert shas[0] not in kept


def test_the_file_says_what_adopted_nodes_run_and_nothing_of_others() -> None:
    april = replace(M7, program=NEW, release="april", blob=blob_path("lab", NEW), unit_sha256="", env_sha256="")
    blob = program_blob("h1", "lab", "lab.yaml:4", sha256=NEW, size=10, release="april")
    stranger = replace(april, name="m9")
    found = declared(RECORD, (*FOLDERS, blob, april, stranger))
    assert set(nodes(found)) == {"m7", "m8"}
    assert (nodes(found)["m7"].program, nodes(found)["m7"].env_sha256) == (NEW, "e0"), "what is recorded of its files is known"
    assert nodes(found)["m8"] == M8
    assert strangers(RECORD, (april, stranger)) == ("m9",)
    assert declared(RECORD, ()) == (*FOLDERS, M7, M8)
    nothing = replace(RECORD, latest=None, first=None)
    assert declared(nothing, (*FOLDERS, blob, april)) == (), "where nothing was adopted nothing is planned"
    assert strangers(nothing, (april,)) == ("m7",)


def test_other_programs_may_share_one_file_on_the_host() -> None:
    found = switched(RECORD, {"m7": APRIL, "m8": APRIL})
    assert blobs(found) == [NEW]
    assert len(nodes(switched(RECORD, {"m7": APRIL, "m8": Program(sha256=OTHER, size=1, release="may")}))) == 2
    assert programs(None) == {}
