"""The contracts made alone: what they are, what they need, and that all else stays as it was recorded."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.deploy.test_deployment import World, apply, deployment_in
from tests.deploy.test_deployment import no_gate as no_gate
from tests.surfaces.stage import example, site_of

from cortops import surfaces
from cortops.deploy import deployment as engine
from cortops.deploy.alone import alone, is_contract
from cortops.deploy.manifest import recorded

ENV = example()
RESOURCES = surfaces.render(ENV, site_of(ENV))


def test_without_a_choice_everything_is_as_it_was() -> None:
    assert alone(RESOURCES, None) == RESOURCES


def test_the_contracts_are_contracts_links_and_the_gas_for_them() -> None:
    chosen = alone(RESOURCES, is_contract)
    assert {item.id.partition(":")[0] for item in chosen} == {"contract", "contract-state", "funded"}
    assert [item.id for item in chosen if item.id.startswith("funded")] == ["funded:deployer"]
    assert not any("registered" in item.id or "session 1" in item.id or "role" in item.id for item in chosen)
    keys = {item.key for item in chosen}
    assert all(set(item.needs) <= keys for item in chosen)


@pytest.mark.real
@pytest.mark.usefixtures("no_gate")
def test_an_apply_of_them_alone_touches_and_forgets_nothing_else(tmp_path: Path) -> None:
    world = World()
    whole = deployment_in(tmp_path, world)
    only = replace(whole, only=is_contract)
    made = apply(only)
    assert made.made and all(key.startswith("chain ") for key in world.made)
    everything = apply(whole)
    assert everything.made and apply(whole).made == 0
    lost = next(key for key in world.there if "contract:session" in key)
    del world.there[lost]
    service = next(key for key in world.there if "service:gateway" in key)
    del world.there[service]
    world.made.clear()
    again = apply(only)
    assert world.made == [lost] and again.made == 1 and service not in world.there
    latest = asyncio.run(whole.manifests.latest())
    assert service in {item.resource.key for item in recorded(latest)}
    assert {change.resource for change in asyncio.run(engine.look(whole)).plan.changes} == {service.partition(" ")[2]}


def test_the_command_names_the_verb_that_makes_it(tmp_path: Path) -> None:
    only = replace(deployment_in(tmp_path, World()), only=is_contract)
    assert only.command("0123456789abcdef").startswith("cortops contracts deploy ")
