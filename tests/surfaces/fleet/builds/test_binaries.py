"""Which build runs: what a file declares, what others know, what was found -> how each node stands, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.surfaces.fleet.stage import NOW, fleet, host_found, installed, network_replies

from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.environment.reason import Invalid
from cortops.surfaces.fleet.builds.binaries import Known, Page, Standing, builds, dates, floor_of, known_builds, label, page_of, why_refused
from cortops.surfaces.fleet.doctor import examined
from cortops.surfaces.fleet.doctor.ailments import MachineSeen, findings
from cortops.surfaces.fleet.doctor.examined import Subject

CASES = sorted(Path(__file__).parent.glob("*.case"))
NODE = (
    "{{program: cortensord, role: miner, runs: minerv4, host: {host}, shape: ansible, instance: '{n}', unit: cortensor-{n}.service, "
    "env_file: /home/deploy/.cortensor/.env-{n}, log: /var/log/cortensord-{n}.log, binary: /usr/local/bin/cortensord{release}}}"
)


def sha(letter: str) -> str:
    """`a` stands for 64 of them."""
    return letter * 64 if letter else ""


def environment(case: dict[str, Any]) -> Environment:
    """The lab with the case's releases and nodes."""
    hosts = dict.fromkeys(node.get("host", "h1") for node in case["nodes"].values())
    bodies = {
        name: {key: sha(value) if key == "sha256" else value for key, value in body.items()}
        | ({"program": "cortensord"} if "sha256" in body else {})
        for name, body in case.get("releases", {}).items()
    }
    nodes = [
        f"  {name}: "
        + NODE.format(host=node.get("host", "h1"), n=number, release=f", release: {node['release']}" if "release" in node else "")
        for number, (name, node) in enumerate(case["nodes"].items())
    ]
    text = "\n".join(
        [
            "format: 1\nenvironment: lab\nowners: {default: ops@lab.example}\nnetwork: testnet-0\nhosts:",
            *(f"  {host}: {{ssh: ops@{host}.lab.example}}" for host in hosts),
            yaml.safe_dump({"releases": bodies}, default_flow_style=None, width=1000),
            "nodes:",
            *nodes,
        ]
    )
    env = load(text, "lab.yaml")
    assert not isinstance(env, Invalid), env.text
    return env


def seen(case: dict[str, Any]) -> Page:
    """The page of a case: of each node what runs, what its file is, and whether its host answered."""
    env, found, silent = environment(case), {}, {}
    for number, (_, node) in enumerate(case["nodes"].items()):
        host = node.get("host", "h1")
        if "silent" in node:
            silent[host] = node["silent"]
            continue
        here = found.setdefault(host, [])
        if not node.get("gone"):
            here.append(
                installed(
                    host=host,
                    unit=f"cortensor-{number}.service",
                    running=node.get("running", True),
                    running_sha256=sha(node.get("runs", "")),
                    binary_sha256=sha(node.get("file", node.get("runs", ""))),
                    binary_kind=node.get("kind", "program"),
                    lfs_oid=sha(node.get("oid", "")),
                )
            )
    for host, extra in case.get("others", {}).items():
        found[host] += [installed(host=host, unit=f"other-{number}.service") for number in range(int(extra))]
    more = [Known(sha256=sha(one["sha256"]), date=one.get("date", ""), source=one.get("from", "")) for one in case.get("known", ())]
    told = {host: host_found(*nodes, host=host) for host, nodes in found.items()}
    return page_of(env, told, silent, known_builds(env, more), at=0.0)


def as_lines(page: Page) -> str:
    lines = [
        f"minimum {page.floor.text if page.floor else '-'}; outside {', '.join(page.outside) or '-'}; attention {page.wants_attention}"
    ]
    lines += [
        f"{build.standing} {label(build.sha256, page.known) or '-'}: {', '.join(node.node for node in build.nodes)}"
        for build in builds(page.nodes, page.known)
    ]
    for node in page.nodes:
        for one in node.remarks:
            lines += [f"! {one.kind}: {one.text}", f"  next: {one.next}"]
    lines += [f"{host} has {count} more" for host, count in page.strays.items()]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_what_runs_is_judged(case: Path) -> None:
    text, _, expected = case.read_text().rpartition("----\n")
    assert as_lines(seen(yaml.load(text, Loader=yaml.BaseLoader))) == expected


def test_there_are_cases() -> None:
    assert len(CASES) >= 10


def test_a_floor_is_a_day_or_a_build_with_one() -> None:
    nodes = {"m1": {}}
    named = environment({"releases": {"april": {"sha256": "a", "date": "2026-04-22"}, "minimum": {"cortensord": "april"}}, "nodes": nodes})
    day = environment({"releases": {"minimum": {"cortensord": "2026-03-01"}}, "nodes": nodes})
    called_so = {"2026-03-02": {"sha256": "a", "date": "2026-03-02"}, "minimum": {"cortensord": "2026-03-02"}}
    floors = [floor_of(env) for env in (named, day, environment({"releases": called_so, "nodes": nodes}), environment({"nodes": nodes}))]
    assert [floor.text if floor else None for floor in floors] == ["april (2026-04-22)", "2026-03-01", "2026-03-02", None]


@pytest.mark.parametrize(
    ("release", "why"),
    [
        ("april", ""),
        ("march", ""),
        ("jan", "jan (2026-01-15) is older than the minimum, march (2026-03-02)"),
        ("found", "found has no date, so whether it is older than the minimum, march (2026-03-02), is not known"),
    ],
)
def test_no_upgrade_leads_below_the_minimum(release: str, why: str) -> None:
    releases = {
        "jan": {"sha256": "a", "date": "2026-01-15"},
        "march": {"sha256": "b", "date": "2026-03-02"},
        "april": {"sha256": "c", "date": "2026-04-22"},
        "found": {"sha256": "d"},
    }
    env = environment({"releases": {**releases, "minimum": {"cortensord": "march"}}, "nodes": {"m1": {}}})
    assert why_refused(env, release) == why
    assert why_refused(environment({"releases": releases, "nodes": {"m1": {}}}), release) == ""


def test_what_the_file_says_of_a_build_wins() -> None:
    env = environment({"releases": {"april": {"sha256": "a", "date": "2026-04-22"}, "found": {"sha256": "b"}}, "nodes": {"m1": {}}})
    more = [
        Known(sha256=sha("a"), date="2026-04-20", source="installer@0123456"),
        Known(sha256=sha("b"), date="2026-03-09", source="installer@1234567"),
        Known(sha256=sha("b"), date="2026-03-02", source="installer@2345678"),
        Known(sha256=sha("b")),
    ]
    known = known_builds(env, more)
    assert known[sha("a")] == Known(sha256=sha("a"), date="2026-04-22", name="april", source="installer@0123456")
    assert known[sha("b")] == Known(sha256=sha("b"), date="2026-03-02", name="found", source="installer@2345678")
    assert dates(env) == {sha("a"): "2026-04-22"}


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.sampled_from(["", "jan", "april"])), min_size=1, max_size=8))
def test_every_node_stands_in_just_one_row_and_only_the_outside_is_named(nodes: list[tuple[str, bool, str]]) -> None:
    releases = {
        "jan": {"sha256": "a", "date": "2026-01-15"},
        "april": {"sha256": "b", "date": "2026-04-22"},
        "undated": {"sha256": "c"},
        "minimum": {"cortensord": "2026-03-01"},
    }
    declared = {
        f"m{number}": {"runs": runs, "running": running} | ({"release": release} if release else {})
        for number, (runs, running, release) in enumerate(nodes)
    }
    page = seen({"releases": releases, "nodes": declared})
    rows = [node.node for build in builds(page.nodes, page.known) for node in build.nodes]
    assert sorted(rows) == sorted(declared)
    runs_now = {name: node["runs"] if node["running"] else "" for name, node in declared.items()}
    assert set(page.outside) == {name for name, runs in runs_now.items() if runs in ("a", "c", "d")}
    assert {node.standing for node in page.nodes if not runs_now[node.node]} <= {Standing.STOPPED}


def test_doctor_judges_builds_by_the_same_minimum() -> None:
    env = environment(
        {
            "releases": {
                "jan": {"sha256": "a", "date": "2026-01-15"},
                "april": {"sha256": "b", "date": "2026-04-22"},
                "minimum": {"cortensord": "2026-03-01"},
            },
            "nodes": {"m1": {}},
        }
    )
    machine = MachineSeen(file="lab.yaml", keys={}, agent=False, ssh_hosts=1)
    subject = Subject(name="lab", ways={"h1": ""}, asked_as={"h1": "h1"}, sudo=frozenset(), env=env, machine=machine, records={})
    told = examined.assemble(subject, {}, 0.0)
    assert (told.releases, told.too_old, told.minimum) == ({sha("a"), sha("b")}, {sha("a")}, "2026-03-01")
    for letter, expected in (("a", "aaaaaaaa is older than the minimum, 2026-03-01"), ("b", "its binary is a declared release")):
        one = installed(running_sha256=sha(letter), binary_sha256=sha(letter))
        seen = fleet(one, releases=told.releases, too_old=told.too_old, minimum=told.minimum)
        found = findings(examined.ailments(seen), network_replies(), NOW)
        assert [finding.text for finding in found if finding.check == "known"] == [expected]
