"""From what a host tells to a file and back: a freshly discovered file plans to no change, whatever the shapes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.surfaces.fleet.fake_root import FakeRoot
from tests.surfaces.fleet.found.test_discover import docker_node, nohup_node, salt_node, systemd_node

from cortops.deploy.fleet_driver import attributes_of, seen_as
from cortops.deploy.observed import Desired
from cortops.deploy.plan import plan
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.environment.write import NetworkText, fresh
from cortops.surfaces.fleet.found.discover import HostFound, read
from cortops.surfaces.fleet.found.entries import node_entries
from cortops.surfaces.fleet.found.naming import identity
from cortops.surfaces.fleet.render import render
from cortops.surfaces.site import Site
from cortops.words.change import Plan
from cortops.words.resource import Cortensord


def a_host(folder: Path) -> HostFound:
    """Eight nodes in five shapes, one of them not running."""
    root = FakeRoot(folder)
    pid = systemd_node(root, number=1)
    for number in range(2, 5):
        systemd_node(root, unit=f"cortensor-{number}.service", user="ops", env=f".env-{number}", number=number, running=number != 4)
    salt_node(root, "alpha", number=5)
    salt_node(root, "beta", role="routerv1", number=6)
    nohup_node(root, "me", number=7)
    docker_node(root, number=8)
    root.systemd({"cortensor.service": {"ActiveState": "active", "MainPID": str(pid), "UnitFileState": "enabled"}})
    return read(root.tell(), "h1")


def declared(found: HostFound) -> tuple[Cortensord, ...]:
    """Written as `discover` writes, read back, and rendered."""
    names = {identity(node): f"n{number}" for number, node in enumerate(found.nodes)}
    text = fresh("lab", NetworkText(like="testnet-0"), {"h1": {"ssh": "ops@h1.lab.example"}}, node_entries(found.nodes, names, {}).bodies)
    env = load(text, "lab.yaml")
    assert isinstance(env, Environment)
    return tuple(item for item in render(env, Site(hosts={}, public={})) if isinstance(item, Cortensord))


def planned(resources: tuple[Cortensord, ...], found: HostFound) -> Plan:
    desired = [Desired(resource=item, attributes=attributes_of(item)) for item in resources]
    return plan("lab", desired, {item.key: seen_as(item, found) for item in resources}, [], "1")


def test_a_file_just_written_plans_to_no_change(tmp_path: Path) -> None:
    found = a_host(tmp_path)
    result = planned(declared(found), found)
    assert len(result.unchanged) == len(found.nodes) == 8
    assert (result.changes, result.unknown, result.differing) == ((), (), ())
    assert sorted(item.reason.partition(" as found")[0][:4] for item in result.unchanged) == ["as f"] * 3 + ["runs"] * 5


def test_what_changed_since_is_told_of_that_node_alone(tmp_path: Path) -> None:
    found = a_host(tmp_path)
    resources = declared(found)
    router = next(node for node in found.nodes if node.role == "router")
    moved = replace(router, log="/var/log/other.log")
    later = replace(found, nodes=tuple(moved if node is router else node for node in found.nodes if node.shape != "docker"))
    result = planned(resources, later)
    assert result.changes == ()
    assert [item.reason.partition(",")[0] for item in result.differing] == ["log is /var/log/other.log"]
    assert [item.resource for item in result.unknown] == [item.id for item in resources if item.shape == "docker"]
