"""A declared node among those found on its host."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.deploy.test_fleet_driver import DOCKER, FOUND, NOHUP, SHAPES, declared, on_h1

from cortops.surfaces.fleet.found.installed import Installed
from cortops.surfaces.fleet.found.match import Missing, match


@pytest.mark.parametrize("node", SHAPES, ids=lambda node: node.shape.value)
def test_every_shape_is_found_again_among_the_others(node: Installed) -> None:
    assert match(declared(node), on_h1(*SHAPES)) is node


def test_a_unit_decides_and_without_it_the_env_file_or_the_log() -> None:
    moved, other = replace(FOUND, unit="cortensor-8.service"), replace(FOUND, env_file="/elsewhere", log="/elsewhere")
    assert match(declared(FOUND), on_h1(moved, other)) is other
    assert match(declared(FOUND), on_h1(moved)) is moved, "the same env file is the same node, and its unit differs"
    assert match(declared(FOUND), on_h1(replace(other, unit="cortensor-8.service"))) == Missing("gone")
    assert match(declared(NOHUP), on_h1(replace(NOHUP, log="/elsewhere"))) == replace(NOHUP, log="/elsewhere")
    assert match(declared(NOHUP), on_h1(replace(NOHUP, env_file="/elsewhere"))) == replace(NOHUP, env_file="/elsewhere")


def test_of_a_moved_container_the_same_name_is_the_same_node() -> None:
    assert match(declared(DOCKER), on_h1(replace(DOCKER, env_file="/app/.env"))) == replace(DOCKER, env_file="/app/.env")
