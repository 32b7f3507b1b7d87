"""The network under bad weather, by seeds: what must hold of the chain and of every client in the end."""

from __future__ import annotations

import random

import pytest

from cortops.testing.simulation.ledger import Weather
from cortops.testing.simulation.queue import Submit
from cortops.testing.simulation.world import World, storm

STORM = Weather(unread=0.05, unsure=0.05, lost=0.03, back=0.03, crash=0.05, double=0.1, engine_fails=0.05)
REQUESTS = 12


def test_in_calm_weather_everybody_is_answered() -> None:
    result = World(1, Weather()).run(REQUESTS)
    assert (result.answered, result.tasks, result.failed, result.violations) == (REQUESTS, REQUESTS, {}, [])


@pytest.mark.parametrize("seed", range(1, 4))
def test_in_a_storm_nothing_is_submitted_or_ended_twice(seed: int) -> None:
    result = World(seed, STORM).run(REQUESTS)
    assert result.violations == []
    assert result.rewinds > 0 and result.answered >= REQUESTS * 0.75, "there was a storm, and most came through it"


def test_equal_seeds_tell_equal_stories() -> None:
    one, two = World(7, STORM).run(REQUESTS), World(7, STORM).run(REQUESTS)
    assert (one.steps, one.tasks, one.failed) == (two.steps, two.tasks, two.failed)


def test_what_must_hold_is_looked_at() -> None:
    """A router whose calls arrive twice breaks the rule, and the run says so."""
    world = World(3, Weather())
    for _ in range(2):
        world.ledger.take(Submit(session=1, reference="twice", text="question"), "0xrouter-1")
    result = world.run(1)
    assert result.violations == ["twice was submitted 2 times"]


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(100, 130))
def test_storms_of_every_kind(seed: int) -> None:
    weather = storm(Weather(unread=0.1, unsure=0.2, lost=0.1, back=0.1, crash=0.15, double=0.3, engine_fails=0.2), random.Random(seed))
    assert World(seed, weather).run(20).violations == []
