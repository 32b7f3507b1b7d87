"""What can be adopted, under which release, and what the file says afterwards. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.deploy.test_fleet_driver import FOUND
from tests.deploy.test_node_programs import manifest
from tests.deploy.test_program_plan import NEW, OLD

from cortops.deploy.adopt import Adoption, adopted, adoption, chosen, with_sizes
from cortops.deploy.node_programs import HostRecord
from cortops.deploy.observed import Present
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.environment.reason import Invalid
from cortops.surfaces.fleet.adopted import blob_path, declared_on
from cortops.surfaces.fleet.found.discover import HostFound, read
from cortops.surfaces.fleet.found.installed import Installed
from cortops.words.errors import UnknownName
from cortops.words.resource import NodeProgram, Resource

LAB = """format: 1
environment: lab
owners: {{default: ops@lab.example}}
hosts: {{h1: {{ssh: me@h1.lab.example, sudo: true}}, h2: {{ssh: me@h2.lab.example, sudo: true}}}}
network: {{chain_id: 31338, rpc: {{url: "http://rpc.lab.example"}}, contracts: {{runtime: "0x{runtime}"}}}}
releases:
  april: {{program: cortensord, sha256: {april}, size: 127, date: 2026-04-22}}
nodes:
  m7: {{program: cortensord, role: miner, runs: minerv4, host: h1, shape: ansible, instance: 7, unit: cortensor-7.service,
       env_file: /home/deploy/.cortensor/.env-7, log: /var/log/cortensord-7.log, binary: /usr/local/bin/cortensord{release}}}
  m8: {{program: cortensord, role: miner, runs: minerv4, host: h2, shape: docker, unit: cortensor-1,
       env_file: /home/deploy/.cortensor/.env, log: "docker:cortensor-1", binary: /home/deploy/.cortensor/cortensord}}
"""
SEEN = replace(FOUND, address="", running_sha256=OLD)


def lab(release: str = "") -> Environment:
    loaded = load(LAB.format(runtime="b2" * 20, april=NEW, release=release), "lab.yaml")
    assert not isinstance(loaded, Invalid), loaded.text
    return loaded


def host(*nodes: Installed, name: str = "h1", root: bool = True) -> HostFound:
    return replace(read("", name), complete=True, root=root, user="root" if root else "me", machine="x86_64", nodes=nodes)


def about(seen: Installed, env: Environment | None = None, **more: bool) -> Adoption:
    return adoption(env or lab(), ["m7"], {"h1": host(seen, **more)}, {})


def test_what_runs_is_named_by_its_hash_and_where_it_was_found() -> None:
    found = about(SEEN)
    (node,) = found.nodes["h1"]
    assert (node.name, node.program, node.release) == ("m7", OLD, "found-3f2a9c00")
    assert (node.blob, node.saved) == (blob_path("lab", OLD), "/var/lib/cortops/lab/adopted/m7")
    assert found.builds == {"found-3f2a9c00": {"program": "cortensord", "sha256": OLD, "from": "found@h1", "machine": "x86_64"}}
    assert found.named == {"m7": "found-3f2a9c00"} and found.refused == {}


def test_a_build_that_the_file_knows_keeps_its_name() -> None:
    found = about(replace(SEEN, running_sha256=NEW))
    assert found.nodes["h1"][0].release == "april"
    assert (found.builds, found.named) == ({}, {"m7": "april"})


def test_a_node_that_names_its_release_already_keeps_that_one() -> None:
    found = about(SEEN, lab(", release: april"))
    assert found.nodes["h1"][0].program == OLD, "what runs is recorded, whatever it should be"
    assert found.named == {}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"running": False, "pid": None}, "it does not run, so there is no program to come back to: start it first"),
        ({"running_sha256": ""}, "the program that it runs cannot be read"),
        ({"env_sha256": ""}, "its env file /home/deploy/.cortensor/.env-7 cannot be read"),
        ({"notes": ("runs 2 times: pids 7, 8",)}, "it runs 2 times: pids 7, 8: end all but one first"),
        ({"runs": "minerv2"}, "its runs is minerv2, declared otherwise: let cortops discover --write correct the file first"),
    ],
)
def test_what_cannot_be_copied_whole_is_left_alone(change: Mapping[str, object], why: str) -> None:
    found = about(replace(SEEN, **change))  # type: ignore[arg-type]
    assert (found.nodes, found.refused) == ({}, {"m7": why})


def test_a_host_that_is_silent_or_asked_without_root_is_told() -> None:
    silent = adoption(lab(), ["m7", "m8"], {"h1": host(SEEN, root=False)}, {"h2": "connection timed out"})
    assert silent.nodes == {}
    assert silent.refused == {
        "m7": "h1 was asked as me, and only root may copy its program, unit and env file: set hosts.h1.sudo",
        "m8": "connection timed out",
    }
    assert adoption(lab(), ["m7"], {"h1": host()}, {}).refused == {"m7": "it was not found on h1"}


def test_words_choose_nodes_and_hosts() -> None:
    env = lab()
    assert chosen(env, []) == chosen(env, ["h1", "m8"]) == ("m7", "m8")
    assert chosen(env, ["h2"]) == ("m8",)
    with pytest.raises(UnknownName, match="m9 is neither a cortensord node nor a host of"):
        chosen(env, ["m9"])


def programs(resources: tuple[Resource, ...]) -> dict[str, NodeProgram]:
    return {one.name: one for one in resources if isinstance(one, NodeProgram)}


def test_a_later_adoption_keeps_what_is_recorded_and_accepts_what_was_changed_by_hand() -> None:
    env, (node,) = lab(), about(SEEN).nodes["h1"]
    none = HostRecord(host="h1", environment="lab", latest=None, first=None, cut_off=None)
    first = adopted(none, env, "h1", [node])
    assert list(programs(first)) == ["m7"]
    known = replace(node, unit_sha256="u0", env_sha256="e0")
    record = replace(none, latest=manifest(0, *first[:-1], known))
    more = adopted(record, env, "h1", [replace(node, name="m9"), replace(node, program=NEW)])
    assert programs(more)["m9"].env_sha256 == ""
    assert (programs(more)["m7"].program, programs(more)["m7"].env_sha256) == (NEW, "e0")
    assert len({one.key for one in more}) == len(more)


def test_sizes_come_from_the_hosts() -> None:
    seen = {"h1 node-program:m7": Present({"program": OLD, "bytes": "842664"}), "h1 directory:/x": Present({"mode": "700"})}
    assert with_sizes({"f": {"sha256": OLD}, "g": {"sha256": NEW}}, [seen]) == {
        "f": {"sha256": OLD, "size": "842664"},
        "g": {"sha256": NEW},
    }


def test_the_file_renders_folders_the_program_and_who_runs_it() -> None:
    env = lab(", release: april")
    assert declared_on(env, "h2") == () == declared_on(lab(), "h1")
    resources = declared_on(env, "h1")
    assert [one.id for one in resources] == [
        "directory:/var/lib/cortops/lab/blobs",
        "directory:/var/lib/cortops/lab/adopted",
        f"blob:{blob_path('lab', NEW)}",
        "node-program:m7",
    ]
    node = programs(resources)["m7"]
    assert resources[2].key in node.needs and (node.program, node.release) == (NEW, "april")
    assert node.because == "lab.yaml:9"
