"""`cortops drill`: what is meant, how it is told, and drills on copies of an adopted node, as people hold them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from tests.cli.fleet_stage import LAB
from tests.cli.inside_box import Inside, adopted
from tests.deploy.test_drills import DRILL

import cortops
from cortops.cli.common import Common
from cortops.cli.drill import as_text, listed, meant
from cortops.cli.drill_own import BASES, demand_own, free_base
from cortops.environment.declared import Environment
from cortops.environment.load import load, load_file
from cortops.testing.cortensord import OLD, compiled, sha256
from cortops.words.errors import BadInput, Refused, UnknownName

FILE = LAB.replace('a1a1"}', 'a1a1", release: march}') + (
    "releases:\n"
    f"  march: {{program: cortensord, sha256: {'3f' * 32}, date: 2026-03-02}}\n"
    f"  april: {{program: cortensord, sha256: {'9a' * 32}, size: 5, date: 2026-04-22}}\n"
)


def lab(text: str = FILE) -> Environment:
    loaded = load(text, "lab.yaml")
    assert isinstance(loaded, Environment), loaded.text
    return loaded


def bundled() -> Environment:
    loaded = load_file(Path(cortops.__file__).parent.parent.parent / "examples" / "local.yaml")
    assert isinstance(loaded, Environment)
    return loaded


# --- what is meant ---


def test_words_may_come_in_any_order() -> None:
    assert meant(lab(), "deploy", []) == ("", ("m07",))
    assert meant(lab(), "deploy", ["h1", "april"]) == ("april", ("m07",))
    assert meant(lab(), "rollback", ["m07"]) == ("", ("m07",))
    assert meant(bundled(), "deploy", []) == ("", ()), "nothing is adopted there"


@pytest.mark.parametrize(
    ("words", "error", "why"),
    [
        (["may"], UnknownName, "may is no release, node or host of lab.yaml"),
        (["march", "april"], BadInput, "march and april are two releases"),
        (["h2"], BadInput, "none of h2 is adopted"),
    ],
)
def test_words_that_make_no_drill(words: list[str], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        meant(lab(), "deploy", words)


def test_bad_releases_are_made_and_not_named() -> None:
    with pytest.raises(BadInput, match="makes its own, and takes no april") as refused:
        meant(lab(), "bad-release", ["april"])
    assert refused.value.next.endswith("cortops upgrade april --rehearse")


def test_which_environment_may_stand_twice_on_this_machine() -> None:
    local = bundled()
    demand_own(local, "deploy", "")
    with pytest.raises(BadInput, match="has no adopted node to copy"):
        demand_own(local, "bad-release", "")
    with pytest.raises(BadInput, match="no adopted node, and no program of ours"):
        demand_own(lab(), "deploy", "")
    with pytest.raises(Refused, match="has no chain of its own"):
        demand_own(replace(local, nodes={name: node for name, node in local.nodes.items() if node.role != "chain"}), "deploy", "")
    far = {name: host.model_copy(update={"local": False, "ssh": "me@far"}) for name, host in local.hosts.items()}
    with pytest.raises(Refused, match="only be made on this machine"):
        demand_own(replace(local, hosts=far), "deploy", "")


def test_a_second_one_never_takes_the_place_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTOPS_DATA", str(tmp_path))
    monkeypatch.setattr("cortops.cli.drill_own._is_free", lambda port: True)
    local = bundled()
    (tmp_path / f"{local.name}@{BASES[0]}").mkdir()
    assert free_base(local, Common()) == BASES[1]
    monkeypatch.setattr("cortops.cli.drill_own._is_free", lambda port: False)
    with pytest.raises(Refused, match="no room for a second local on this machine"):
        free_base(local, Common())


# --- how it is told ---


def test_drills_are_listed_with_what_is_missing() -> None:
    assert listed("lab", ()) == "No drill of lab was held yet.    next: cortops drill deploy"
    step = msgspec.structs.replace(DRILL.steps[0], outcome="failed", text="m07 runs nothing")
    failed = msgspec.structs.replace(DRILL, kind="deploy", outcome="failed", steps=(DRILL.steps[0], step))
    lines = listed("lab", (DRILL, failed)).splitlines()
    assert lines[0] == "2 drills of lab" and lines[-1] == "next: cortops drill rollback"
    assert lines[2].split()[:5] == ["2026-11-27", "18:20:00", "UTC", "bad-release", "ok"]
    assert " ".join(lines[2].split()).endswith("me@laptop 1 of 1 april")
    assert lines[3].endswith("1 of 2  april     one that ends at its start is taken back: m07 runs nothing")


def test_one_drill_is_told_step_by_step() -> None:
    lines = as_text(DRILL).splitlines()
    assert lines[0] == "bad-release drill of lab: ok, in 37 s, on copies of m1's on this machine"
    assert lines[1].split()[:4] == ["ok", "3.2", "s", "one"]
    assert lines[2:] == [
        "took no part: m2: it is not adopted",
        "kept as 20261127T100000-aaaa. No host was changed.",
        "next: cortops drill    lists all",
    ]


# --- held ---


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with adopted(tmp_path_factory.mktemp("drill")) as place:
        yield place


@pytest.mark.real
@pytest.mark.proof
def test_every_drill_on_copies_shows_what_it_should_and_is_kept(inside: Inside) -> None:
    old, pid = sha256(compiled(OLD, inside.folder.parent)), inside.run("pgrep -x cortensord").out
    told = {}
    for kind in ("deploy", "bad-release", "rollback"):
        said = inside.cortops("drill", kind, "lab.yaml", "--json")
        assert said.ok, (said.out, said.err)
        told[kind] = json.loads("\n".join(said.out))
    assert [step["outcome"] for drill in told.values() for step in drill["steps"]] == ["ok"] * 6
    assert [step["step"] for step in told["bad-release"]["steps"]] == [
        "one that ends at its start is taken back",
        "one that ends 4 s after its start is taken back",
        "one that takes 3 s to end goes back",
    ]
    assert all(drill["releases"][0]["sha256"] == old for drill in told.values())
    assert json.loads("\n".join(inside.cortops("drill", "lab.yaml", "--json").out)) == list(told.values())
    assert inside.run("pgrep -x cortensord").out == pid, "the node itself was not touched"
    assert [path.name for path in inside.folder.glob("cortops-*")] == []
