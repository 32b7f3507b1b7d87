"""/metrics: the table of measures is kept, told on the page of documents, and understood by the library's own parser."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from tests.programs.common.metrics_rules import PROCESS, families_of, values_of

from cortops.programs.common.measures import MEASURES, OURS, UNMEASURED, Measure
from cortops.programs.common.metrics import Metrics

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "reference" / "metrics.md"
PROGRAMS = ROOT / "src" / "cortops" / "programs"
LABELS = {"status": "200", "step": "acked", "pool": "smollm2", "member": "router-1", "verdict": "VALID", "code": "no_member"}


def sample_of(measure: Measure) -> Any:
    labels = tuple(LABELS[label] for label in measure.labels)
    return {labels[0] if len(labels) == 1 else labels: 7} if labels else 7


def page(up: bool = True, **facts: Any) -> bytes:
    return Metrics(lambda: (up, facts)).page()


def row(measure: Measure) -> str:
    labels = f"{{{', '.join(measure.labels)}}}" if measure.labels else ""
    return f"| `{measure.name}{labels}` | {measure.kind} | {measure.unit} | {', '.join(measure.programs)} | {measure.meaning} |"


def test_the_document_shows_every_measure_as_it_is() -> None:
    shown = [line for line in PAGE.read_text().splitlines() if line.startswith("| `cortops_")]
    assert shown == [row(measure) for measure in MEASURES]
    own = set(re.findall(r"^\| `(process_\w+)", PAGE.read_text(), re.MULTILINE))
    assert own == PROCESS
    elsewhere = set(re.findall(r"cortops_\w+", PAGE.read_text())) - {measure.name for measure in MEASURES}
    console = "".join(path.read_text() for path in (ROOT / "src" / "cortops" / "console").glob("*.py"))
    assert {name for name in elsewhere if f'"{name}"' not in console} == set()


def test_names_follow_the_rules_of_prometheus() -> None:
    names = [measure.name for measure in MEASURES]
    assert len(set(names)) == len(names)
    for measure in MEASURES:
        assert re.fullmatch(r"cortops(_[a-z]+)+", measure.name)
        assert measure.name.endswith("_total") == (measure.kind == "counter"), measure.name
        assert measure.name.endswith("_seconds") == measure.unit.startswith("seconds"), measure.name
        assert set(measure.programs) <= set(OURS) and not measure.meaning.endswith(".")


@pytest.mark.parametrize("program", OURS)
def test_every_name_of_a_program_is_read_by_the_library_and_by_promtool(program: str) -> None:
    own = [measure for measure in MEASURES if program in measure.programs]
    found = families_of(page(**{measure.facts[0]: sample_of(measure) for measure in own if measure.facts}))
    assert set(found) == {measure.name for measure in own} | PROCESS
    for measure in own:
        family = found[measure.name]
        assert (family.type, family.documentation) == (measure.kind, measure.meaning)
        assert all(set(sample.labels) == set(measure.labels) for sample in family.samples)


def test_what_is_not_known_is_absent_and_yes_is_one() -> None:
    found = values_of(page(head=None, head_age_s=0.5, registered=True, engine_reachable=False, routers_connected=["a:1", "b:2"]))
    assert found["cortops_head_age_seconds"] == 0.5
    assert (found["cortops_registered"], found["cortops_engine_reachable"], found["cortops_routers_connected"]) == (1, 0, 2)
    assert "cortops_head_block" not in found
    assert (found["cortops_up"], values_of(page(up=False))["cortops_up"]) == (1, 0)


def test_words_stay_out() -> None:
    text = page(address="0xabc", restored_from="newest", notes=("a note",), sessions=[{"id": 4711, "in_flight": 1}], head="words").decode()
    ours = [line for line in text.splitlines() if not line.startswith(("#", "process_"))]
    assert not re.search("0xabc|newest|a note|4711|words", "\n".join(ours))
    assert values_of(text.encode())["cortops_notes"] == 1


def test_a_label_with_odd_letters_comes_back_as_it_was() -> None:
    (sample,) = families_of(page(queued={'a"b\\c\nd': 1}))["cortops_pool_queued"].samples
    assert sample.labels == {"pool": 'a"b\\c\nd'}


def test_each_page_is_read_anew_from_a_registry_of_its_own() -> None:
    facts: dict[str, Any] = {"head": 1}
    metrics = Metrics(lambda: (True, facts))
    assert values_of(metrics.page())["cortops_head_block"] == 1
    facts["head"] = 2
    assert values_of(metrics.page())["cortops_head_block"] == 2
    assert not any(family.name.startswith("cortops") for family in REGISTRY.collect())


def facts_of(tree: ast.AST) -> set[str]:
    """Keywords of every `Health.judge(…)` of a module."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Health.judge"]
    return {keyword.arg for call in calls for keyword in call.keywords if keyword.arg}


def test_every_fact_of_a_health_page_is_a_measure_or_declared_to_be_none() -> None:
    named = {fact for measure in MEASURES for fact in measure.facts} | UNMEASURED
    for path in PROGRAMS.rglob("*.py"):
        assert facts_of(ast.parse(path.read_text())) - named == set(), path.name
    assert facts_of(ast.parse("Health.judge(why, **a, head=1, odd=2)")) == {"head", "odd"}
