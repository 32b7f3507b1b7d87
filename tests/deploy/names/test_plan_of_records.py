"""Case files: what is declared, a zone as it is, the plan of its records, and the zone after it. `UPDATE=1` writes the last two."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import yaml

from cortops.deploy.limits import lasting
from cortops.deploy.names.dns_driver import DnsDriver, ZonePlace
from cortops.deploy.names.zone import dns_attributes
from cortops.deploy.observed import Absent, Desired, Present, Progress, Step
from cortops.deploy.plan import plan
from cortops.environment.dns import Dns, records_of, zone_of
from cortops.testing.clock import VirtualClock
from cortops.words.change import Change, Plan, Reversal
from cortops.words.entity import Entity
from cortops.words.resource import DnsRecord

CASES = sorted((Path(__file__).parent / "cases").glob("*.case"))
ZONE, PLACE = "lab.example", "dns/lab.example"
NOW = 1_795_800_000.0  # 2026-11-27
LINE = "----\n"


def declared(text: dict[str, Any]) -> list[Desired]:
    """The records of `proxy`, hostname -> host."""
    dns = Dns.model_validate(text["dns"] | {"zones": {ZONE: {"zone-file": "unused"}}})
    found = [
        record(one.name, one.type, one.values, one.ttl_s)
        for hostname, host in text.get("proxy", {}).items()
        if zone_of(dns, hostname) == ZONE
        for one in records_of(dns, hostname, host)
    ]
    return [Desired(resource=one, attributes=dns_attributes(one)) for one in found]


def recorded(text: dict[str, Any]) -> list[Desired]:
    """What the last apply left: `NAME/TYPE` -> value."""
    split = [(*name.split("/"), value) for name, value in text.get("recorded", {}).items()]
    return [Desired(resource=(one := record(name, kind, (value,), 300)), attributes=dns_attributes(one)) for name, kind, value in split]


def record(name: str, kind: str, values: tuple[str, ...], ttl_s: int) -> DnsRecord:
    entity = Entity("dns", name)
    return DnsRecord(place=PLACE, entity=entity, because="lab.yaml:7", name=name, type=kind, values=values, ttl_s=ttl_s)


def driver(folder: Path, *, octodns: bool, publish: tuple[str, ...] = ()) -> DnsDriver:
    path = folder / (f"{ZONE}.yaml" if octodns else "zone")
    return DnsDriver(
        PLACE, ZonePlace(zone=ZONE, path=path, octodns=octodns, publish=publish, folder=folder), "lab", VirtualClock(start=NOW)
    )


async def made(one: DnsDriver, found: Plan, items: dict[str, Desired]) -> list[Progress]:
    steps = [Step(action=change.action, desired=items[f"{change.target} {change.resource}"]) for change in found.changes]
    async with aclosing(one.apply(steps, "a1")) as told:
        return [progress async for progress in told]


def told(change: Change) -> str:
    return f"{change.action} {change.resource}  {change.reason}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_plan_and_the_zone_after_it(case: Path, tmp_path: Path) -> None:
    head, zone, *expected = case.read_text().split(LINE)
    text, octodns = yaml.safe_load(head), case.stem.startswith("octodns")
    path = tmp_path / (f"{ZONE}.yaml" if octodns else "zone")
    path.write_text(zone)
    one, wanted, kept = driver(tmp_path, octodns=octodns), declared(text), recorded(text)
    items = {item.resource.key: item for item in (*kept, *wanted)}
    observed = asyncio.run(one.observe(list(items.values())))
    found = plan("lab", wanted, observed, kept, "1")
    blocked = [seen.blocked for seen in observed.values() if isinstance(seen, Present | Absent) and seen.blocked]
    lines = [*map(told, found.changes), *(f"no change {item.resource}  {item.reason}" for item in found.unchanged)]
    lines += [f"blocked {why}" for why in blocked] + [f"unknown {place.why}".replace(f"{tmp_path}/", "") for place in found.unknown]
    assert {change.reversal for change in found.changes} <= {Reversal.EXTERNAL}
    assert bool(found.changes) == bool(lasting(found, development=False))
    if found.changes and not blocked:
        assert [item.event for item in asyncio.run(made(one, found, items))] == ["begun", "done"] * len(found.changes)
    got = ["".join(f"{line}\n" for line in lines), path.read_text()]
    if os.environ.get("UPDATE"):
        case.write_text(LINE.join([head, zone, *got]))
        expected = got
    assert got == expected
    again = plan("lab", wanted, asyncio.run(one.observe(list(items.values()))), kept, "1")
    assert not again.changes or blocked or found.unknown


def test_there_are_cases() -> None:
    assert len(CASES) >= 10
