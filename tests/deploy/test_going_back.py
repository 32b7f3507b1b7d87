"""Which generation going back means, and what of it can come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.deploy.test_plan import CHAIN, ENV, ETC, ROUTER, TOKEN, desired

from cortops.deploy.going_back import content_of, generation_meant, going_back, off_chain
from cortops.deploy.journal import ApplyRecord
from cortops.deploy.manifest import Manifest
from cortops.deploy.observed import Desired
from cortops.deploy.plan import in_order
from cortops.words.errors import BadInput
from cortops.words.resource import Resource


def manifest(generation: int, resources: Sequence[Resource] = (), restores: int | None = None) -> Manifest:
    return Manifest(
        generation=generation,
        apply=f"a{generation}",
        at=0,
        by="ops@laptop",
        environment="lab",
        digest="",
        tool_version="1",
        resources=tuple(map(desired, resources)),
        restores=restores,
    )


def ended(how: str | None, to: int | None = None) -> ApplyRecord:
    return ApplyRecord(apply="a", begun=0, by="ops", digest="", steps=(), finished=how, to=to)


@pytest.mark.parametrize(
    ("kept", "latest", "last", "to", "meant"),
    [
        ((1, 2, 3), manifest(3), ended("ok"), None, 2),
        ((1, 2, 3), manifest(3), ended("ok"), 1, 1),
        ((1, 2, 3), manifest(3), None, None, 2),
        ((1, 2, 3, 4), manifest(4, restores=2), ended("ok", 2), None, 1),  # back twice leads further back, never to 3
        ((1, 2, 3, 4, 5), manifest(5), ended("ok"), None, 4),
        ((1, 2, 3), manifest(3), ended("failed"), None, 3),  # what was there before an apply that failed
        ((1, 2, 3), manifest(3), ended(None), None, 3),
        ((1, 2, 3), manifest(3), ended(None, 1), None, 1),  # a going back that was cut off is finished
        ((1, 2, 3), manifest(3), ended("failed", 1), None, 1),
        ((4, 5), manifest(5), ended(None, 1), None, 5),  # the generation that it led to is not kept any more
        ((1, 2, 3), manifest(3), ended(None), 2, 2),
    ],
)
def test_the_generation_that_is_meant(
    kept: tuple[int, ...], latest: Manifest, last: ApplyRecord | None, to: int | None, meant: int
) -> None:
    assert generation_meant(kept, latest, last, to) == meant


@pytest.mark.parametrize(
    ("kept", "latest", "to", "what"),
    [
        ((), None, None, "nothing is recorded yet"),
        ((1,), manifest(1), None, "before generation 1 nothing is kept"),
        ((1, 2), manifest(2, restores=1), None, "before generation 2, which is as 1 was, nothing is kept"),
        ((3, 4), manifest(4), 2, "generation 2 is not kept"),
    ],
)
def test_where_there_is_none_that_is_said(kept: tuple[int, ...], latest: Manifest | None, to: int | None, what: str) -> None:
    with pytest.raises(BadInput, match=what):
        generation_meant(kept, latest, ended("ok"), to)


def test_a_generation_that_goes_back_holds_what_an_earlier_one_held() -> None:
    assert (content_of(manifest(4)), content_of(manifest(4, restores=2))) == (4, 2)


WHOLE: tuple[Resource, ...] = (ETC, ENV, CHAIN, TOKEN, ROUTER)


def test_what_is_on_chain_stays_and_is_recorded_on_and_what_is_new_there_is_named() -> None:
    newer = replace(TOKEN, name="newer")
    found = going_back(manifest(1, WHOLE), manifest(2, (*WHOLE, newer)))
    assert [item.id for item in found.resources] == [ETC.id, ENV.id, CHAIN.id, ROUTER.id]
    assert [item.resource for item in found.stays] == [TOKEN, newer]
    assert found.named == ("contract:newer",)


def test_a_value_on_chain_that_was_another_then_is_named_too() -> None:
    latest = manifest(2, WHOLE)
    moved = tuple(Desired(resource=item.resource, attributes={"value": "other"}) for item in latest.resources)
    assert going_back(manifest(1, WHOLE), replace(latest, resources=moved)).named == ("contract:token",)
    assert going_back(manifest(1, WHOLE), latest).named == ()


def test_what_needed_a_contract_waits_for_the_chain_itself() -> None:
    resources = going_back(manifest(1, WHOLE), manifest(2, WHOLE)).resources
    router = next(item for item in resources if item.id == ROUTER.id)
    assert router.needs == (ENV.key, CHAIN.key)
    assert [item.id for item in in_order(resources)] == [ETC.id, ENV.id, CHAIN.id, ROUTER.id]


def test_only_what_is_on_targets_is_compared() -> None:
    assert [item.resource for item in off_chain(manifest(1, WHOLE).resources)] == [ETC, ENV, CHAIN, ROUTER]
