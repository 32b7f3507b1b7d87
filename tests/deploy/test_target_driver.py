from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import shutil
import signal
import subprocess
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cortops.deploy import target_driver
from cortops.deploy.journal import Journal
from cortops.deploy.kinds import desire
from cortops.deploy.observed import Absent, Desired, Observed, Present, Progress, Step, Unseen
from cortops.deploy.target_driver import TargetDriver, apply_timeout_s, read_look
from cortops.targets.local import LocalTarget
from cortops.targets.target import Ending, Exited, Line, Lost, Target, TimedOut
from cortops.testing.host import Host, host
from cortops.words.change import Action
from cortops.words.entity import Entity
from cortops.words.resource import Blob, Content, Directory, File, Resource, SecretRef, Service

pytestmark = pytest.mark.real  # real shells and their tools, hundreds of processes

SECRET = "5f1d-not-to-be-seen-5f1d"
ENTITY = Entity("node", "m1")


@pytest.fixture(name="h")
def _host() -> Iterator[Host]:
    with host() as made:
        yield made


def fill(content: Content) -> bytes:
    return "".join(part if isinstance(part, str) else SECRET for part in content).encode()


def directory(h: Host, name: str = "d") -> Directory:
    return Directory(place=h.name, entity=ENTITY, because="t:1", path=f"{h.root}/{name}")


def file(h: Host, name: str, *content: str | SecretRef) -> File:
    return File(place=h.name, entity=ENTITY, because="t:2", path=f"{h.root}/{name}", content=content, mode=0o600)


def want(h: Host, *resources: Resource) -> tuple[Desired, ...]:
    return desire(resources, fill, h.manager)


def steps(action: Action, items: tuple[Desired, ...]) -> list[Step]:
    return [Step(action=action, desired=item) for item in items]


def apply(driver: TargetDriver, todo: list[Step], apply_id: str = "a1") -> list[tuple[str, str]]:
    async def main() -> list[tuple[str, str]]:
        return [(event.key.partition(" ")[2].rpartition("/")[2], event.event) async for event in driver.apply(todo, apply_id)]

    return asyncio.run(main())


def observe(driver: TargetDriver, items: tuple[Desired, ...]) -> list[Observed]:
    seen = asyncio.run(driver.observe(items))
    return [seen[item.resource.key] for item in items]


@dataclass(slots=True)
class Counting:
    """A target that counts how often it is asked, and keeps the programs."""

    inner: Target
    programs: list[str]

    @property
    def name(self) -> str:
        return self.inner.name

    def run(self, program: str, data: AsyncIterable[bytes], deadline_s: float) -> AsyncGenerator[Line | Ending, None]:
        self.programs.append(program)
        return self.inner.run(program, data, deadline_s)


@dataclass(slots=True)
class Scripted:
    """A target that answers what it is told to."""

    name: str
    items: list[Line | Ending]

    async def run(self, program: str, data: AsyncIterable[bytes], deadline_s: float) -> AsyncGenerator[Line | Ending, None]:
        for item in self.items:
            yield item


def test_one_round_trip_to_look_and_one_to_make(h: Host) -> None:
    target = Counting(h.target, [])
    driver = TargetDriver(target, h.manager, h.blob)
    items = want(h, directory(h), *(file(h, f"d/{i}", "x" * i) for i in range(4)))
    assert observe(driver, items) == [Absent()] * 5
    told = apply(driver, steps(Action.CREATE, items))
    assert told == [(name, event) for name in ("d", *"0123") for event in ("begun", "done")]
    assert [isinstance(seen, Present) for seen in observe(driver, items)] == [True] * 5
    assert len(target.programs) == 3
    apply(driver, steps(Action.DELETE, items[::-1]))


def test_it_stops_after_the_first_failure(h: Host) -> None:
    items = want(h, directory(h), file(h, "gone/f", "x"), file(h, "d/f", "y"))
    assert apply(h.driver(), steps(Action.CREATE, items)) == [("d", "begun"), ("d", "done"), ("f", "begun"), ("f", "failed")]
    assert observe(h.driver(), items[2:]) == [Absent()]
    record = asyncio.run(Journal(h.target, str(h.root)).last_apply())
    assert record is not None
    assert [(step.resource.rpartition("/")[2], step.outcome) for step in record.steps] == [("d", "done"), ("f", "failed")]
    assert "gone/f" in record.steps[1].text
    apply(h.driver(), steps(Action.DELETE, items[:1]))


def test_a_secret_travels_as_data_only(h: Host) -> None:
    target = Counting(h.target, [])
    driver = TargetDriver(target, h.manager, h.blob)
    items = want(h, file(h, "env", "KEY=", SecretRef("m1/key"), "\n"))
    apply(driver, steps(Action.CREATE, items))
    assert (h.root / "env").read_text() == f"KEY={SECRET}\n"
    assert observe(driver, items)[0] == Present(items[0].attributes)
    told = "\n".join(target.programs) + (h.root / "journal.jsonl").read_text() + repr(items)
    assert SECRET not in told
    apply(driver, steps(Action.DELETE, items))


def test_journal_lines_are_json_whatever_the_names(h: Host) -> None:
    odd = file(h, 'a "quoted" \\ name\twith\nall', "x")
    items = want(h, odd)
    apply(h.driver(), steps(Action.CREATE, items), 'id with "quotes"')
    lines = [json.loads(line) for line in (h.root / "journal.jsonl").read_text().splitlines()]
    assert [(line["event"], line["action"], line["resource"]) for line in lines] == [
        ("intent", "create", odd.id),
        ("done", "create", odd.id),
    ]
    apply(h.driver(), steps(Action.DELETE, items))


def test_what_cannot_be_seen_is_not_absent(h: Host) -> None:
    hidden = h.root / "hidden"
    items = want(h, file(h, "hidden/inner/f", "x"))
    program = h.driver().observe_program(items)
    hidden.mkdir(mode=0o700)
    h.root.parent.chmod(0o755)
    h.root.chmod(0o755)
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if hidden.owner() == "root" else []
    if not as_nobody:
        hidden.chmod(0)
    result = subprocess.run([*as_nobody, "sh"], input=program, capture_output=True, text=True, check=True)
    hidden.chmod(0o700)
    seen = read_look(result.stdout.strip("\n").partition("\t")[2])
    assert isinstance(seen, Unseen)
    assert seen.why.startswith(f"{hidden} cannot be searched by")


@pytest.mark.parametrize(
    ("ending", "why"),
    [
        (Lost("connection reset"), "connection reset"),
        (TimedOut(60), "no answer within 60 s"),
        (Exited(2), "exit status 2"),
        (Exited(0), "it gave no answer for this one"),
    ],
)
def test_no_answer_is_unseen(h: Host, ending: Ending, why: str) -> None:
    items = want(h, file(h, "a", "x"), file(h, "b", "x"))
    driver = TargetDriver(Scripted("h1", [Line("out", "1\tpresent\tmode=600"), ending]), h.manager, h.blob)
    assert observe(driver, items) == [Unseen(why), Present({"mode": "600"})]


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (Lost("connection reset"), "outcome unknown: connection reset; the next plan looks at what was left"),
        (TimedOut(40), "not done within 40 s; the next plan looks at what was left"),
        (Exited(1), "an earlier apply is still working here"),
    ],
)
def test_an_apply_that_is_cut_off_says_which_step_and_why(h: Host, ending: Ending, text: str) -> None:
    items = want(h, file(h, "a", "x"), file(h, "b", "x"))
    script = ["0\tbegun\t", "0\tdone\t", "1\tbegun\t"]
    lines: list[Line | Ending] = [Line("out", line) for line in script]
    driver = TargetDriver(Scripted("h1", [*lines, Line("err", "an earlier apply is still working here"), ending]), h.manager, h.blob)

    async def main() -> list[Progress]:
        return [event async for event in driver.apply(steps(Action.CREATE, items), "a1")]

    assert asyncio.run(main())[-1] == Progress(key=items[1].resource.key, event="failed", text=text)


def test_the_deadline_grows_with_what_is_sent(h: Host) -> None:
    big = Blob(place="h1", entity=ENTITY, because="t:1", path="/b", release="r", sha256="0" * 64, size=100 << 20)
    assert apply_timeout_s([Step(action=Action.CREATE, desired=Desired(resource=big, attributes={}))]) > 400
    assert apply_timeout_s(steps(Action.CREATE, want(h, directory(h)))) < 100


@dataclass(slots=True)
class KilledAt:
    """A target whose sh kills itself at the n-th line it would write into the journal: before or after it."""

    inner: LocalTarget
    at: int
    after: bool

    @property
    def name(self) -> str:
        return self.inner.name

    def run(self, program: str, data: AsyncIterable[bytes], deadline_s: float) -> AsyncGenerator[Line | Ending, None]:
        write = '>>"$apply_journal"\n}'
        kill = f'lines=$((${{lines-0}} + 1)); [ "$lines" != {self.at} ] || kill -{signal.SIGKILL.value} $$'
        before, after = ("", kill) if self.after else (kill, "")
        assert program.count(write) == 1
        program = program.replace(write, f'>>"$apply_journal"\n{after}\n}}').replace("{ # EVENT MEMBERS\n", "{\n" + before + "\n")
        return self.inner.run(program, data, deadline_s)


KILLS = [(at, after) for at in range(1, 9) for after in (False, True)]


@pytest.mark.real
@pytest.mark.parametrize(("at", "after"), KILLS)
def test_killed_at_any_boundary_the_next_apply_finishes(h: Host, at: int, after: bool) -> None:
    service = Service(
        place=h.name, entity=ENTITY, because="t:3", name="m1", argv=("sleep", "3600"), directory=f"{h.root}/d", log_path=f"{h.root}/d/log"
    )
    items = want(h, directory(h), file(h, "d/f", "new"), file(h, "d/g", "new"), service)
    driver = h.driver()
    assert observe(driver, items) == [Absent()] * 4
    killed = TargetDriver(KilledAt(h.target, at, after), h.manager, h.blob)
    told = apply(killed, steps(Action.CREATE, items))
    assert told[-1][1] == "failed"
    seen = observe(driver, items)
    truth = [Path(f"{h.root}/d").is_dir(), Path(f"{h.root}/d/f").exists(), Path(f"{h.root}/d/g").exists(), at == 8]
    assert [isinstance(one, Present) for one in seen] == truth
    record = asyncio.run(Journal(h.target, str(h.root)).last_apply())
    cut = at % 2 == (1 if after else 0)  # between an intent and its outcome
    assert (record.steps[-1].outcome == "unknown" if record and record.steps else False) == cut
    left = [item for item, one in zip(items, seen, strict=True) if not _as_declared(item, one)]
    assert [event for _, event in apply(driver, steps(Action.CREATE, tuple(left)), "a2")] == ["begun", "done"] * len(left)
    assert all(_as_declared(item, one) for item, one in zip(items, observe(driver, items), strict=True))
    Path(f"{h.root}/d/log").unlink(missing_ok=True)
    assert apply(driver, steps(Action.DELETE, items[::-1]))[-1] == ("d", "done")


@dataclass(slots=True)
class CutUpload:
    """A target whose line breaks after so many bytes of data; stands: after them nothing comes, and nobody is told."""

    inner: LocalTarget
    after_bytes: int
    stands: bool = False

    @property
    def name(self) -> str:
        return self.inner.name

    def run(self, program: str, data: AsyncIterable[bytes], deadline_s: float) -> AsyncGenerator[Line | Ending, None]:
        return self.inner.run(program, self._some(data), deadline_s)

    async def _some(self, data: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        left = self.after_bytes
        async for chunk in data:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0 and self.stands:
                await asyncio.Event().wait()
            if left <= 0:
                raise ConnectionResetError("cut")


def test_an_upload_cut_in_the_middle_is_resumed(h: Host) -> None:
    data = bytes(range(256)) * (12 << 12)
    digest = hashlib.sha256(data).hexdigest()
    (h.cache / digest).write_bytes(data)
    items = want(h, Blob(place=h.name, entity=ENTITY, because="t:4", path=f"{h.root}/b", release="r", sha256=digest, size=len(data)))
    cut = TargetDriver(CutUpload(h.target, 5 << 20), h.manager, h.blob)
    with pytest.raises(ConnectionResetError, match="cut"):
        apply(cut, steps(Action.CREATE, items))
    assert not (h.root / "b").exists()
    assert 0 < (h.root / "b.part").stat().st_size <= 5 << 20
    assert apply(h.driver(), steps(Action.CREATE, items), "a2") == [("b", "begun"), ("b", "done")]
    assert (h.root / "b").read_bytes() == data
    apply(h.driver(), steps(Action.DELETE, items))


def test_an_upload_that_nobody_goes_on_with_is_ended_by_the_next_apply(h: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sent it is gone without a word: the host waits for bytes until its deadline, minutes later."""
    monkeypatch.setattr(target_driver, "APPLY_WAIT_S", 1)
    data = bytes(range(256)) * (12 << 12)
    digest = hashlib.sha256(data).hexdigest()
    (h.cache / digest).write_bytes(data)
    items = want(h, Blob(place=h.name, entity=ENTITY, because="t:4", path=f"{h.root}/b", release="r", sha256=digest, size=len(data)))

    async def main() -> list[str]:
        gone = TargetDriver(CutUpload(h.target, 5 << 20, stands=True), h.manager, h.blob).apply(steps(Action.CREATE, items), "a1")
        assert (await anext(gone)).event == "begun"
        silent = asyncio.ensure_future(anext(gone))
        while not (h.root / "b.part").exists() or not (h.root / "b.part").stat().st_size:  # noqa: ASYNC110 — another process writes it
            await asyncio.sleep(0.02)
        found = [event.event async for event in h.driver().apply(steps(Action.CREATE, items), "a2")]
        assert (await silent).event == "failed"
        await gone.aclose()
        return found

    assert asyncio.run(main()) == ["begun", "done"]
    assert (h.root / "b").read_bytes() == data and not (h.root / "run/taking").exists()
    apply(h.driver(), steps(Action.DELETE, items))


def _as_declared(item: Desired, seen: Observed) -> bool:
    return isinstance(seen, Present) and all(seen.attributes.get(name) == value for name, value in item.attributes.items())


def test_what_an_earlier_apply_still_does_is_waited_for_then_named(h: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_driver, "APPLY_WAIT_S", 0)
    (h.root / "run").mkdir()
    items = want(h, directory(h))

    async def main() -> list[Progress]:
        return [event async for event in h.driver().apply(steps(Action.CREATE, items), "a2")]

    with (h.root / "run/apply.flock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        assert asyncio.run(main()) == [Progress(key=items[0].resource.key, event="failed", text="an earlier apply is still working here")]
    assert [event.event for event in asyncio.run(main())] == ["begun", "done"]
    apply(h.driver(), steps(Action.DELETE, items))


@pytest.mark.parametrize("shell", [["dash"], ["bash", "--posix"], ["bash"]])
def test_other_shells_see_the_same(h: Host, shell: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed here")
    items = want(h, directory(h), file(h, "d/odd 'name'", "x"), file(h, "none", "x"))
    apply(h.driver(), steps(Action.CREATE, items[:2]))
    result = subprocess.run(shell, input=h.driver().observe_program(items), capture_output=True, text=True, check=True)
    seen = [read_look(line.partition("\t")[2]) for line in result.stdout.splitlines()]
    assert seen == [Present(items[0].attributes), Present(items[1].attributes), Absent()]
    checked = subprocess.run(
        [*shell, "-n"], input=h.driver().apply_program(steps(Action.CREATE, items), "a"), capture_output=True, text=True
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    apply(h.driver(), steps(Action.DELETE, items[1::-1]))


@pytest.mark.parametrize(
    ("status", "event", "blames"), [(0, "done", False), (1, "failed", False), (target_driver.BLAMES_PROGRAM, "failed", True)]
)
def test_a_step_tells_by_its_status_whether_the_new_program_is_to_blame(
    h: Host, monkeypatch: pytest.MonkeyPatch, status: int, event: str, blames: bool
) -> None:
    driver, item = h.driver(), want(h, directory(h))
    program = driver.apply_program(steps(Action.CREATE, item), "a1").replace(" make_directory ", f' sh -c "echo said; exit {status}" ')
    monkeypatch.setattr(TargetDriver, "apply_program", lambda *_: program)

    async def main() -> list[Progress]:
        return [progress async for progress in driver.apply(steps(Action.CREATE, item), "a1")]

    assert asyncio.run(main())[-1] == Progress(key=item[0].resource.key, event=event, text="said", blames_program=blames)  # type: ignore[arg-type]
    assert json.loads((h.root / "journal.jsonl").read_text().splitlines()[-1])["event"] == event
