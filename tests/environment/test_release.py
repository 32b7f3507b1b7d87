"""Releases in the file: files of packages and builds of programs side by side, the minimum, and how `merge` writes a build."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError
from tests.environment.test_schema import judged

from cortops.environment.declared import Environment
from cortops.environment.document import read
from cortops.environment.release import Minimum, ProgramRelease, Release, is_date, is_program
from cortops.environment.write import merge
from cortops.words.errors import ArtifactUnavailable

A, B, C = "a" * 64, "b" * 64, "c" * 64
RELEASES = f"""releases:
  anvil: {{from: "npm:anvil@1.7.1", archive_sha256: {A}, file: bin/anvil, sha256: {B}, size: 4096}}
  april: {{program: cortensord, sha256: {A}, size: 127004624, date: 2026-04-22, from: installer@0c55ced, machine: x86_64}}
  ours: {{program: cortops, sha256: {B}, version: 0.1.0, from: "file:dist/cortops-0.1.0-py3-none-any.whl"}}
  found: {{program: cortensord, sha256: {C}}}
  minimum: {{cortensord: april}}
"""


@pytest.fixture
def text(fleet_text: str) -> str:
    return fleet_text.replace("network: ", RELEASES + "network: ").replace(
        "owner: api@lab.example", "owner: api@lab.example, release: april"
    )


def build(**fields: Any) -> ProgramRelease:
    return ProgramRelease.model_validate({"program": "cortensord", "sha256": A, **fields})


def test_files_of_packages_and_builds_of_programs_stand_side_by_side(text: str, loaded: Callable[[str], Environment]) -> None:
    env = loaded(text)
    assert list(env.releases) == ["anvil"] and isinstance(env.releases["anvil"], Release)
    assert list(env.programs) == ["april", "ours", "found"]
    april = env.programs["april"]
    assert (april.sha256, april.size, april.date, april.source, april.machine) == (
        A,
        127_004_624,
        "2026-04-22",
        "installer@0c55ced",
        "x86_64",
    )
    assert (env.programs["ours"].version, env.programs["found"].size) == ("0.1.0", None)
    assert env.minimum == Minimum(cortensord="april")
    assert {name: node.release for name, node in env.installed.items() if node.release} == {"r1": "april"}
    assert str(env.position("releases.minimum.cortensord")) == f"local.yaml:{text.splitlines().index('  minimum: {cortensord: april}') + 1}"


def test_a_file_without_a_minimum_has_none(fleet_text: str, loaded: Callable[[str], Environment]) -> None:
    env = loaded(fleet_text)
    assert (env.minimum, env.programs) == (None, {})


def test_the_schema_takes_both_kinds_and_the_minimum(text: str) -> None:
    assert judged(text) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("program: cortensord, sha256: " + A, "program: cortensor, sha256: " + A),
        ("from: installer@0c55ced", "from: git@0c55ced"),
        ("machine: x86_64", "machine: arm"),
        ("{cortensord: april}", "{cortensord: April}"),
        ("{cortensord: april}", "april"),
    ],
)
def test_the_schema_refuses_other_forms(text: str, old: str, new: str) -> None:
    assert old in text
    assert judged(text.replace(old, new)) != []


def test_a_build_fits_its_kind_of_machine() -> None:
    fits = build(machine="x86_64")
    assert fits.on("x86_64") is fits
    assert fits.on("") is fits, "nobody knows the machine"
    assert build().on("riscv64") == build()
    with pytest.raises(ArtifactUnavailable, match="april is a program for x86_64, and the machine is aarch64"):
        fits.on("aarch64", "april")


@pytest.mark.parametrize(
    "source",
    ["installer@0c55ced", "installer@" + "0" * 40, "file:cortensord", "file:dist/cortensord-2026-04-22", "list:SHA256SUMS", "found@h1"],
)
def test_a_source_is_one_of_four(source: str) -> None:
    assert build(**{"from": source}).source == source
    assert is_program({"from": source})


@pytest.mark.parametrize(
    "source", ["installer@0c5", "installer@HEAD", "file:/opt/cortensord", "file:a/../b", "list:", "found@H1", "pip:cortops==1"]
)
def test_no_other_text_is_a_source(source: str) -> None:
    with pytest.raises(ValidationError):
        build(**{"from": source})


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("2026-04-22", True),
        ("2024-02-29", True),
        ("2026-02-29", False),
        ("2026-4-22", False),
        ("20260422", False),
        ("2026-W17-3", False),
        ("", False),
    ],
)
def test_a_day_is_written_in_one_way(text: str, is_one: bool) -> None:
    assert is_date(text) is is_one


BODY = {"program": "cortensord", "sha256": A, "size": "4096", "date": "2026-04-22"}


@pytest.mark.parametrize(
    "before",
    [
        "format: 1\nnodes: {}  # none yet\n",
        "format: 1\nreleases:\n  # ours\n  found: {program: cortensord, sha256: " + C + "}  # as it was\n\nnodes: {}\n",
        "format: 1\nreleases:\n  minimum: {cortensord: 2026-03-01}\nnodes: {}\n",
        "format: 1\nreleases: {}\nnodes: {}\n",
        "format: 1\nreleases:\nnodes: {}\n",
        "format: 1\nreleases:\n  april:\n    program: cortensord  # the network's\n    sha256: " + A + "\nnodes: {}\n",
        "format: 1\nreleases: {april: {program: cortensord, sha256: " + A + "}}\nnodes: {}\n",
    ],
)
def test_a_build_is_put_into_an_own_file_and_nothing_else_changes(before: str) -> None:
    merged = merge(before, {}, {}, releases={"april": BODY})
    after: Any = read(merged.text).tree
    assert after["releases"].pop("april") == BODY
    old: Any = read(before).tree
    assert {**after, "releases": after["releases"] or None} == {
        **old,
        "releases": {name: body for name, body in (old.get("releases") or {}).items() if name != "april"} or None,
    }
    assert [line for line in before.splitlines() if "#" in line and line not in merged.text] == []
    assert [*merged.added, *merged.changed] == ["april"]
    assert merge(merged.text, {}, {}, releases={"april": BODY}).text == merged.text
