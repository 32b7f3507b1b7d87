"""The DNS side of the deploy engine: one zone that we keep in a file. It is read whole, changed whole, and published by its own command."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cortops.deploy.names import octodns, zone_file
from cortops.deploy.names.zone import TEXT_MAX_MIB, Edit, RecordSet, named, seen
from cortops.deploy.observed import Absent, Desired, Observed, Progress, Step, Unseen
from cortops.words.change import Action
from cortops.words.clock import Clock
from cortops.words.errors import BadInput, CortopsError, StepFailed
from cortops.words.resource import DnsRecord

PUBLISH_TIMEOUT_S: Final = 60.0
_COMPLAINT_MAX_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ZonePlace:
    """Where a zone is kept. octodns: as octoDNS does, else a master file. publish: run in `folder` after a change; empty: nothing is."""

    zone: str
    path: Path
    octodns: bool
    publish: tuple[str, ...]
    folder: Path


class DnsDriver:
    """Implements deploy.observed.Driver for the place `dns/ZONE`. Its journal is the file: every step finds there what is done already."""

    def __init__(self, place: str, kept: ZonePlace, mark: str, clock: Clock) -> None:
        """mark: the environment's name, by which its records are known in the zone."""
        self.place = place
        self._kept = kept
        self._mark = mark
        self._clock = clock

    async def observe(self, desired: Sequence[Desired]) -> Mapping[str, Observed]:
        """One read for all; a file that cannot be read, or is no zone, leaves every key unseen."""
        try:
            records = {record.key: record for record in await asyncio.to_thread(self._records)}
        except CortopsError as error:
            return {item.resource.key: Unseen(error.what) for item in desired}
        return {item.resource.key: self._seen(records, item) for item in desired}

    def _seen(self, records: Mapping[tuple[str, str], RecordSet], item: Desired) -> Observed:
        record = item.resource
        return seen(self._kept.zone, records, named(record), self._mark) if isinstance(record, DnsRecord) else Absent()

    async def apply(self, steps: Sequence[Step], apply_id: str) -> AsyncGenerator[Progress, None]:
        """All steps in one write, then published; where that fails the file is put back, so that the next apply does it all again."""
        keys = [step.desired.resource.key for step in steps]
        yield Progress(key=keys[0], event="begun")
        try:
            await self.change(_edit(steps))
        except CortopsError as error:
            yield Progress(key=keys[0], event="failed", text="; ".join(part for part in (error.what, error.why) if part))
            return
        yield Progress(key=keys[0], event="done", text=str(self._kept.path))
        for key in keys[1:]:
            yield Progress(key=key, event="begun")
            yield Progress(key=key, event="done")

    async def change(self, edit: Edit) -> None:
        """Make the records of ours as `edit` wants them, and publish; also for the record that shows that a name is ours (ACME dns-01).

        BadInput where the file cannot be changed so, StepFailed where it cannot be written or published.
        """
        before, after = await asyncio.to_thread(self._write, edit)
        if before == after or not self._kept.publish:
            return
        why = await self._published()
        if why:
            await asyncio.to_thread(self._put_back, before, after)
            raise StepFailed(f"{self._kept.publish[0]} {why}; {self._kept.path} is as it was", where=self.place)

    def _records(self) -> Sequence[RecordSet]:
        return read_zone(self._kept.path, self._kept.zone, octodns_kept=self._kept.octodns)

    def _write(self, edit: Edit) -> tuple[str, str]:
        """The text before and after, under the folder's lock, so that two applies never lose each other's records."""
        with _alone(self._kept.path.resolve().parent):
            before = _text(self._kept.path)
            if self._kept.octodns:
                after = octodns.edited(before, self._kept.zone, edit, self._mark)
            else:
                after = zone_file.edited(before, self._kept.zone, edit, self._mark, self._clock.now())
            if after != before:
                _replace(self._kept.path.resolve(), after)
            return before, after

    def _put_back(self, before: str, after: str) -> None:
        """The text of before, unless somebody has changed the file since."""
        with _alone(self._kept.path.resolve().parent):
            if _text(self._kept.path) == after:
                _replace(self._kept.path.resolve(), before)

    async def _published(self) -> str:
        """Run the command; why it failed, "" where it did not."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._kept.publish,
                cwd=self._kept.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as error:
            return f"cannot be started: {error.strerror or error}"
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                said, _ = await process.communicate()
        except TimeoutError:
            return f"did not end within {PUBLISH_TIMEOUT_S:.0f} s"
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        last = [line.strip() for line in said[-_COMPLAINT_MAX_BYTES:].decode("utf-8", "replace").splitlines() if line.strip()][-1:]
        return f"ended with status {process.returncode}: {''.join(last)[:200]}" if process.returncode else ""


def read_zone(path: Path, zone: str, *, octodns_kept: bool) -> Sequence[RecordSet]:
    """What stands in a zone's file. BadInput where it cannot be read, or is none."""
    try:
        return (octodns.read if octodns_kept else zone_file.read)(_text(path), zone)
    except BadInput as error:
        raise BadInput(error.what if error.where else f"{path}: {error.what}", where=str(path)) from error


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read((TEXT_MAX_MIB << 20) + 1)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}", where=str(path)) from error
    if len(data) > TEXT_MAX_MIB << 20:
        raise BadInput(f"{path} has more than {TEXT_MAX_MIB} MiB", where=str(path))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no text: {error.reason} at byte {error.start}", where=str(path)) from error


def _edit(steps: Sequence[Step]) -> Edit:
    records = [(step.action, step.desired.resource) for step in steps]
    return Edit(
        puts=tuple(named(record) for action, record in records if isinstance(record, DnsRecord) and action is not Action.DELETE),
        drops=tuple((record.name, record.type) for action, record in records if isinstance(record, DnsRecord) and action is Action.DELETE),
    )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Held for milliseconds by everyone who changes a zone in this folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise StepFailed(f"{error.filename or folder} cannot be written: {error.strerror or error}", where=str(folder)) from error
    finally:
        os.close(handle)


def _replace(path: Path, text: str) -> None:
    """Beside, synced, then renamed, with the rights that the old one had: whole or not at all."""
    beside = path.with_name(f".{path.name}.cortops-new")
    with beside.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    shutil.copymode(path, beside)
    with contextlib.suppress(PermissionError):
        os.chown(beside, path.stat().st_uid, path.stat().st_gid)
    beside.rename(path)
