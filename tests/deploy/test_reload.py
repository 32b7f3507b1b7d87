"""A change that is taken by a reload: the plan says so, the check comes first, and what runs is never ended for it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.deploy import reloading

from cortops.deploy.kinds import desire
from cortops.deploy.observed import Desired, Observed, Present, Progress, Step
from cortops.deploy.plan import plan
from cortops.testing.host import Host, host
from cortops.words.change import Action, Plan
from cortops.words.errors import BadInput
from cortops.words.resource import Content

pytestmark = pytest.mark.real


def fill(content: Content) -> bytes:
    return "".join(str(part) for part in content).encode()


@pytest.fixture(name="h")
def _host() -> Iterator[Host]:
    with host() as made:
        yield made
        (made.root / "m1.log").unlink()


def want(h: Host, text: str) -> tuple[Desired, ...]:
    file = reloading.config(h.name, str(h.root), text)
    return desire((file, reloading.service(file, str(h.root), f"{h.root}/m1.log")), fill, h.manager)


def look(h: Host, items: tuple[Desired, ...]) -> dict[str, Observed]:
    return dict(asyncio.run(h.driver().observe(items)))


def planned(h: Host, items: tuple[Desired, ...]) -> Plan:
    return plan("lab", items, look(h, items), (), "1")


def do(h: Host, found: Plan, items: tuple[Desired, ...]) -> list[Progress]:
    by_id = {item.resource.id: item for item in items}
    steps = [Step(action=change.action, desired=by_id[change.resource]) for change in found.changes]

    async def main() -> list[Progress]:
        return [event async for event in h.driver().apply(steps, "a1")]

    return asyncio.run(main())


def make(h: Host, text: str) -> list[Progress]:
    items = want(h, text)
    return do(h, planned(h, items), items)


def remove(h: Host, items: tuple[Desired, ...]) -> None:
    steps = [Step(action=Action.DELETE, desired=item) for item in reversed(items)]

    async def main() -> list[str]:
        return [event.event async for event in h.driver().apply(steps, "a2")]

    assert asyncio.run(main())[-1] == "done"


def pid(h: Host, items: tuple[Desired, ...]) -> int:
    seen = look(h, items)[items[1].resource.key]
    assert isinstance(seen, Present)
    return int(seen.attributes["pid"])


def read_by(h: Host, lines: int) -> list[str]:
    """What the program has read so far, once that is so many times."""
    log = Path(f"{h.root}/m1.log")
    for _ in range(200):
        if log.exists() and len(told := log.read_text().split("\n")) > lines:
            return [line.removeprefix("read ") for line in told if line]
        time.sleep(0.02)
    raise AssertionError(log.read_text())


def test_a_changed_file_is_read_by_the_same_process_and_the_plan_says_so(h: Host) -> None:
    one, two = want(h, "one"), want(h, "two")
    make(h, "one")
    before = pid(h, one)
    assert read_by(h, 1) == ["one"]
    assert not planned(h, one).changes
    found = planned(h, two)
    file, service = found.changes
    assert (file.action, service.action, file.wave, service.wave) == (Action.UPDATE, Action.RELOAD, 1, 1)
    assert service.reason == f"after {two[0].resource.id}; sh first; HUP to what runs, no restart"
    assert [event.event for event in do(h, found, two)] == ["begun", "done", "begun", "done"]
    assert read_by(h, 2) == ["one", "two"]
    assert pid(h, two) == before
    assert not planned(h, two).changes
    back = planned(h, one)
    assert [change.action for change in back.changes] == [Action.UPDATE, Action.RELOAD], "the way back is a reload too"
    remove(h, two)
    assert not (h.root / "run/loaded").exists()


def test_what_the_check_refuses_never_takes_the_files_place(h: Host) -> None:
    one = want(h, "one")
    make(h, "one")
    before = pid(h, one)
    told = make(h, "bad")
    assert [event.event for event in told] == ["begun", "failed"]
    assert told[-1].text == f"refused by sh: unexpected bad in {h.root}/m1.conf.cortops-new:1"
    assert (h.root / "m1.conf").read_text() == "one\n"
    assert not planned(h, one).changes, "nothing is left to do to stay as it was"
    assert pid(h, one) == before
    remove(h, one)


def test_files_that_do_not_fit_together_are_not_loaded_started_or_restarted(h: Host) -> None:
    """As when somebody else put one in place, past its own check."""
    one = want(h, "one")
    make(h, "one")
    before = pid(h, one)
    (h.root / "m1.conf").write_text("bad\n")
    bad = want(h, "bad")
    found = planned(h, bad)
    assert [change.action for change in found.changes] == [Action.RELOAD]
    assert do(h, found, bad)[-1].text == f"refused by sh: unexpected bad in {h.root}/m1.conf:1"
    assert (pid(h, bad), read_by(h, 1)) == (before, ["one"])
    steps = [Step(action=Action.RESTART, desired=bad[1])]
    assert asyncio.run(_last(h, steps)).event == "failed"
    assert pid(h, bad) == before
    assert [change.action for change in planned(h, bad).changes] == [Action.RELOAD], "it is still to be done"
    remove(h, one)


async def _last(h: Host, steps: list[Step]) -> Progress:
    return [event async for event in h.driver().apply(steps, "a3")][-1]


def test_cut_off_between_the_file_and_the_signal_the_next_plan_reloads(h: Host) -> None:
    two = want(h, "two")
    make(h, "one")
    assert asyncio.run(_last(h, [Step(action=Action.UPDATE, desired=two[0])])).event == "done"
    (change,) = planned(h, two).changes
    assert change.action is Action.RELOAD and change.reason.startswith("its files are newer than what it has read; ")
    do(h, planned(h, two), two)
    assert read_by(h, 2) == ["one", "two"]
    remove(h, two)


def test_a_file_that_somebody_else_changed_is_put_back_and_read_again(h: Host) -> None:
    one = want(h, "one")
    make(h, "one")
    before = pid(h, one)
    (h.root / "m1.conf").write_text("theirs\n")
    os.kill(before, signal.SIGHUP)
    assert read_by(h, 2) == ["one", "theirs"]
    found = planned(h, one)
    assert [change.action for change in found.changes] == [Action.UPDATE, Action.RELOAD]
    do(h, found, one)
    assert read_by(h, 3) == ["one", "theirs", "one"]
    assert pid(h, one) == before and not planned(h, one).changes
    remove(h, one)


def test_one_that_ended_is_started_and_reads_what_is_there(h: Host) -> None:
    one, two = want(h, "one"), want(h, "two")
    make(h, "one")
    before = pid(h, one)
    manager = int((h.root / "run/supervisord.pid").read_text())
    os.kill(manager, signal.SIGKILL)
    os.kill(before, signal.SIGKILL)
    found = planned(h, two)
    assert [change.action for change in found.changes] == [Action.UPDATE, Action.START]
    do(h, found, two)
    assert read_by(h, 2) == ["one", "two"], "read once, by the start alone"
    assert not planned(h, two).changes
    remove(h, two)


def test_a_reload_names_files_only(h: Host) -> None:
    file = reloading.config(h.name, str(h.root), "one")
    service = reloading.service(file, str(h.root), f"{h.root}/m1.log")
    assert service.reload is not None
    (h.root / "m1.log").touch()
    with pytest.raises(BadInput, match="reloads h1 directory:/x, which is no file"):
        desire((file, replace(service, reload=replace(service.reload, on=("h1 directory:/x",)))), fill, h.manager)
