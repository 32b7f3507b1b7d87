from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from cortops.deploy import journal
from cortops.deploy.journal import Journal, StepRecord, entries, last_apply
from cortops.deploy.observed import Desired, Step
from cortops.testing.host import Host, host
from cortops.words.change import Action
from cortops.words.entity import Entity
from cortops.words.errors import StoreUnavailable
from cortops.words.resource import Directory


@pytest.fixture(name="h")
def _host() -> Iterator[Host]:
    with host() as made:
        yield made


INTENT = '{"at":5,"apply":"a2","event":"intent","step":0,"action":"create","resource":"file:/x"}'
DONE = '{"at":6,"apply":"a2","event":"done","step":0,"action":"create","resource":"file:/x","text":"t"}'
BEGUN = '{"at":4,"apply":"a2","event":"begun","by":"me@here","digest":"d1"}'
FINISHED = '{"at":7,"apply":"a2","event":"finished","outcome":"ok"}'
OLDER = '{"at":1,"apply":"a1","event":"begun","by":"you@there","digest":"d0"}'


def test_the_newest_apply_with_its_steps() -> None:
    record = last_apply(entries([OLDER, BEGUN, INTENT, DONE, FINISHED]))
    assert record is not None
    assert (record.apply, record.begun, record.by, record.digest, record.finished) == ("a2", 4, "me@here", "d1", "ok")
    assert record.steps == (StepRecord(resource="file:/x", action="create", outcome="done", at=6, text="t"),)


def test_a_cut_off_apply_is_not_finished_and_its_step_unknown() -> None:
    record = last_apply(entries([BEGUN, INTENT, DONE[:40]]))
    assert record is not None
    assert record.finished is None
    assert [step.outcome for step in record.steps] == ["unknown"]


def test_no_journal_no_apply(h: Host) -> None:
    assert last_apply([]) is None
    assert asyncio.run(Journal(h.target, str(h.root)).last_apply()) is None


def test_written_and_read_back_on_the_target(h: Host) -> None:
    directory = Directory(place="h1", entity=Entity("node", "m1"), because="t:1", path=f"{h.root}/d")
    step = Step(action=Action.CREATE, desired=Desired(resource=directory, attributes={"mode": "755"}))

    async def main() -> None:
        book = Journal(h.target, str(h.root))
        await book.begin("a1", by='me "the op" @here', digest="d1")
        async for _ in h.driver().apply([step], "a1"):
            pass
        record = await book.last_apply()
        assert record is not None
        assert (record.by, record.finished) == ('me "the op" @here', None)
        assert [(one.resource, one.outcome) for one in record.steps] == [(directory.id, "done")]
        assert abs(record.begun - time.time()) < 60
        await book.finish("a1", "ok")
        record = await book.last_apply()
        assert record is not None
        assert record.finished == "ok"

    asyncio.run(main())


def test_the_begin_of_an_apply_says_who_from_where_with_what_and_what_was_accepted(h: Host) -> None:
    async def main() -> None:
        book = Journal(h.target, str(h.root))
        await book.begin("a1", by="me@here", digest="d1", via="sudo by alice", tool_version="1.2", accepted=["--accept-large"], to=3)
        await book.begin("a2", by="me@here", digest="d2")
        first, second = await book.read()
        assert (first.via, first.tool_version, first.accepted, first.to) == ("sudo by alice", "1.2", ("--accept-large",), 3)
        assert (second.by, second.via, second.accepted, second.to) == ("me@here", "", (), None)
        assert '"via"' not in (h.root / "journal.jsonl").read_text().splitlines()[1], "what is not known is not written"
        last = await book.last_apply()
        assert last is not None and (last.apply, last.to) == ("a2", None)

    asyncio.run(main())


def test_how_gates_ended_is_kept_and_belongs_to_no_apply(h: Host) -> None:
    async def main() -> None:
        book = Journal(h.target, str(h.root))
        await book.begin("a1", by="me", digest="d1")
        await book.finish("a1", "ok")
        for outcome in ("begun", "passed"):
            await book.judge("g1", resource="node-program:m7", program="9a3f", outcome=outcome, text='said "yes"', by="me")
        record = await book.last_apply()
        assert record is not None
        assert (record.apply, record.finished) == ("a1", "ok")
        judged = await book.judgements()
        told = [(one.resource, one.digest, one.outcome, one.text) for one in judged if one.resource.endswith("m7")]
        assert told == [("node-program:m7", "9a3f", outcome, 'said "yes"') for outcome in ("begun", "passed")]

    asyncio.run(main())


def test_it_turns_over_and_is_read_across(h: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "JOURNAL_MAX_MIB", 0)

    async def main() -> None:
        book = Journal(h.target, str(h.root))
        await book.begin("a1", by="me", digest="d1")
        await book.begin("a2", by="me", digest="d2")
        assert (h.root / "journal.1.jsonl").read_text().count("\n") == 1
        record = await book.last_apply()
        assert record is not None
        assert record.apply == "a2"

    asyncio.run(main())
    (h.root / "journal.1.jsonl").unlink()


def test_a_journal_that_cannot_be_written_says_so(h: Host) -> None:
    (h.root / "journal.jsonl").mkdir()
    with pytest.raises(StoreUnavailable, match="the journal on h1 cannot be written"):
        asyncio.run(Journal(h.target, str(h.root)).begin("a1", by="me", digest="d"))
    (h.root / "journal.jsonl").rmdir()
