"""A zone's file as a place: what cannot be read is unseen, a change is published, and taken back where that fails."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from cortops.deploy.names.dns_driver import DnsDriver, ZonePlace
from cortops.deploy.names.zone import Edit, dns_attributes
from cortops.deploy.observed import Absent, Desired, Present, Progress, Step, Unseen
from cortops.environment.dns import NamedRecord
from cortops.testing.clock import VirtualClock
from cortops.words.change import Action
from cortops.words.entity import Entity
from cortops.words.errors import StepFailed
from cortops.words.resource import DnsRecord

ZONE, PLACE = "lab.example", "dns/lab.example"
TEXT = "$TTL 1h\n@ IN SOA ns1 host 7 3600 600 86400 300\n@ IN NS ns1\nns1 IN A 192.0.2.1\n"
A = DnsRecord(
    place=PLACE, entity=Entity("dns", "api.lab.example"), because="x", name="api.lab.example", type="A", values=("203.0.113.7",), ttl_s=300
)
ITEM = Desired(resource=A, attributes=dns_attributes(A))


def driver(folder: Path, publish: tuple[str, ...] = ()) -> DnsDriver:
    kept = ZonePlace(zone=ZONE, path=folder / "zone", octodns=False, publish=publish, folder=folder)
    return DnsDriver(PLACE, kept, "lab", VirtualClock())


def applied(one: DnsDriver, action: Action = Action.CREATE) -> list[Progress]:
    async def run() -> list[Progress]:
        async with aclosing(one.apply([Step(action=action, desired=ITEM)], "a1")) as told:
            return [progress async for progress in told]

    return asyncio.run(run())


def seen(one: DnsDriver) -> object:
    return asyncio.run(one.observe([ITEM]))[A.key]


def test_a_file_that_cannot_be_read_leaves_all_unseen(tmp_path: Path) -> None:
    assert seen(driver(tmp_path)) == Unseen(f"{tmp_path}/zone cannot be read: No such file or directory")
    (tmp_path / "zone").write_bytes(b"\xff\xfe")
    assert isinstance(found := seen(driver(tmp_path)), Unseen) and "is no text" in found.why
    (tmp_path / "zone").write_text("nothing")
    assert isinstance(found := seen(driver(tmp_path)), Unseen) and "is no zone file of lab.example" in found.why


def test_a_change_is_published_in_the_files_folder_and_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "zone"
    path.write_text(TEXT)
    path.chmod(0o640)
    one = driver(tmp_path, ("/bin/sh", "-c", "cp zone published"))
    assert seen(one) == Absent()
    assert [(item.event, item.text) for item in applied(one)] == [("begun", ""), ("done", str(path))]
    assert seen(one) == Present({"leads": "203.0.113.7", "ttl_s": "300"})
    assert (tmp_path / "published").read_text() == path.read_text()
    assert path.stat().st_mode & 0o777 == 0o640
    (tmp_path / "published").unlink()
    assert applied(one)[-1].event == "done" and not (tmp_path / "published").exists()  # nothing changed, nothing to publish
    assert applied(one, Action.DELETE)[-1].event == "done"
    assert seen(one) == Absent()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["published", "zone"]


@pytest.mark.parametrize(
    ("publish", "why"),
    [
        (("/bin/sh", "-c", "echo rndc: connection refused; exit 3"), "/bin/sh ended with status 3: rndc: connection refused"),
        (("/nowhere/rndc",), "/nowhere/rndc cannot be started: No such file or directory"),
    ],
)
def test_what_could_not_be_published_is_put_back(tmp_path: Path, publish: tuple[str, ...], why: str) -> None:
    path = tmp_path / "zone"
    path.write_text(TEXT)
    failed = applied(driver(tmp_path, publish))[-1]
    assert (failed.event, failed.text) == ("failed", f"{why}; {path} is as it was")
    assert path.read_text() == TEXT


def test_what_somebody_wrote_meanwhile_is_not_put_back(tmp_path: Path) -> None:
    path = tmp_path / "zone"
    path.write_text(TEXT)
    failed = applied(driver(tmp_path, ("/bin/sh", "-c", "echo '; theirs' >>zone; exit 1")))[-1]
    assert failed.event == "failed"
    assert path.read_text().endswith("; cortops lab\n; theirs\n")


def test_many_at_once_lose_no_record(tmp_path: Path) -> None:
    (tmp_path / "zone").write_text(TEXT)
    names = [f"n{number}.{ZONE}" for number in range(8)]

    async def run() -> None:
        edits = [Edit(puts=(NamedRecord(name=name, type="A", values=("203.0.113.7",), ttl_s=60),)) for name in names]
        await asyncio.gather(*(driver(tmp_path).change(edit) for edit in edits))

    asyncio.run(run())
    text = (tmp_path / "zone").read_text()
    assert [name for name in names if f"{name}.\t60" not in text] == []
    assert " 15 3600" in text  # the serial went up eight times


def test_a_file_that_cannot_be_written_is_told_and_stays(tmp_path: Path) -> None:
    (tmp_path / "zone").write_text(TEXT)
    (tmp_path / ".zone.cortops-new").mkdir()
    with pytest.raises(StepFailed, match="cannot be written: Is a directory"):
        asyncio.run(driver(tmp_path).change(Edit(puts=(NamedRecord(name=A.name, type="A", values=A.values, ttl_s=60),))))
    assert (tmp_path / "zone").read_text() == TEXT
