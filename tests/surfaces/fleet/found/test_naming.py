"""Names of found nodes: telling, never twice, and the same the next time."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.surfaces.fleet.nodes_found import node

from cortops.surfaces.fleet.found.installed import Installed, Shape
from cortops.surfaces.fleet.found.naming import identity, name_nodes, plain


def named(*nodes: Installed, known: dict[Any, str] | None = None, taken: tuple[str, ...] = ()) -> list[str]:
    names = name_nodes(nodes, known or {}, taken)
    return [names[identity(one)] for one in nodes]


SYSTEMD = node(0, shape=Shape.SYSTEMD, instance="", unit="cortensor.service", env_file="/home/deploy/.cortensor/.env")
NOHUP = node(0, shape=Shape.NOHUP, instance="", unit="", user="ops", env_file="/home/ops/.cortensor/.env")
SALT = node(0, shape=Shape.SALT, instance="miner-server-02-node-router", role="router", unit="cortensord@x.service", env_file="/opt/x/.env")
DOCKER = node(0, shape=Shape.DOCKER, instance="7", unit="cortensor-7", env_file="/home/deploy/.cortensor/.env")


def test_a_number_comes_behind_the_letter_of_the_role() -> None:
    assert named(node(7), node(10, role="validator"), node(2, host="h2", role="pool-oracle")) == ["h1-m7", "h1-v10", "h2-p2"]


def test_the_only_one_is_called_by_its_role_and_a_word_stands_for_itself() -> None:
    assert named(SYSTEMD, SALT) == ["h1-miner", "h1-miner-server-02-node-router"]


def test_where_two_would_have_one_name_the_less_usual_says_what_it_is() -> None:
    assert named(NOHUP, SYSTEMD, node(7), DOCKER) == ["h1-miner-ops", "h1-miner", "h1-m7", "h1-m7-docker"]


def test_a_name_that_is_taken_is_not_given_again() -> None:
    assert named(node(7), taken=("h1-m7", "h1-m7-ansible")) == ["h1-m7-2"]


def test_what_has_a_name_keeps_it() -> None:
    known = {identity(node(7)): "grandpa", ("h1", "", "/elsewhere"): "h1-m8"}
    assert named(node(7), node(8), known=known) == ["grandpa", "h1-m8-ansible"]


def test_containers_share_a_path_and_are_two_nodes() -> None:
    other = node(0, shape=Shape.DOCKER, instance="8", unit="cortensor-8", env_file=DOCKER.env_file)
    assert identity(DOCKER) != identity(other)
    assert identity(DOCKER) != identity(SYSTEMD)


def test_anything_becomes_plain() -> None:
    assert plain("Ops_Team.Example!") == "ops-team-example"
    assert plain("---") == ""


SHAPES = st.sampled_from(list(Shape))
INSTANCES = st.one_of(st.just(""), st.integers(0, 40).map(str), st.text("aB9-_", max_size=31))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(SHAPES, INSTANCES, st.sampled_from(["h1", "h2", "a-very-long-host-name-of-somebody"])), max_size=30))
def test_names_are_valid_unlike_and_stable(rows: list[tuple[Shape, str, str]]) -> None:
    nodes = [
        node(0, shape=shape, instance=instance, host=host, unit=f"u{index}", env_file=f"/e/{index}")
        for index, (shape, instance, host) in enumerate(rows)
    ]
    names = name_nodes(nodes, {})
    assert len(set(names.values())) == len(nodes)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name) for name in names.values())
    assert name_nodes(list(reversed(nodes)), {}) == names
    assert name_nodes(nodes[:5], names) | names == names
