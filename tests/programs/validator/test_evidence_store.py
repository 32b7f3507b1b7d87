from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from cortops.programs.validator import evidence_store as module
from cortops.programs.validator.evidence import Judgement
from cortops.programs.validator.evidence_store import EvidenceStore
from cortops.words.errors import StoreUnavailable


def judgement(text: str) -> Judgement:
    return Judgement(verdicts=(), evidence=f'{{"said":"{text}"}}'.encode(), note=text)


def test_evidence_outlives_the_process_and_is_told_newest_first(tmp_path: Path) -> None:
    path = str(tmp_path / "data" / "evidence.db")
    store = EvidenceStore(path)
    for at, text in enumerate(("a", "b", "a")):
        store.keep((1, 7), judgement(text), float(at))
    store.keep((1, 8), judgement("c"), 9)
    store.close()
    found = EvidenceStore(path).of_task((1, 7))
    assert [(one.note, one.at, bytes(one.evidence)) for one in found] == [("b", 1.0, b'{"said":"b"}'), ("a", 0.0, b'{"said":"a"}')]
    assert found[1].hash == judgement("a").evidence_hash


def test_in_memory_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVIDENCE_MAX", 3)
    store = EvidenceStore("")
    for task in range(5):
        store.keep((1, task), judgement(str(task)), 0)
    assert [len(store.of_task((1, task))) for task in range(5)] == [0, 0, 1, 1, 1]


def test_a_file_that_cannot_be_used_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreUnavailable):
        EvidenceStore(str(tmp_path / "file" / "evidence.db"))
    store = EvidenceStore(str(tmp_path / "evidence.db"))
    with sqlite3.connect(tmp_path / "evidence.db") as other:
        other.execute("DROP TABLE evidence")
    with pytest.raises(StoreUnavailable):
        store.keep((1, 1), judgement("a"), 0)
