"""Programs on this machine: what is taken and what is refused, folders and lists of known hashes, and the cache."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from cortops.deploy.binaries import FILES_MAX, Taken, bring, keep, look_at, look_into
from cortops.deploy.fetch import FetchProgress, Phase
from cortops.environment.release import ProgramRelease
from cortops.protocol.http import HttpClient
from cortops.testing.clock import VirtualClock
from cortops.testing.cortensord import GOOD, OLD, compiled, lfs_pointer, sha256, why_not
from cortops.words.clock import SystemClock
from cortops.words.errors import ArtifactDamaged, ArtifactUnavailable, BadInput, PermissionMissing

NOBODY = 65534
CONTENT = b"a program, for all that the cache knows" * 1000
HASH = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in's builds in a folder: cortensord-2026-03-02 and cortensord-2026-04-22."""
    if why := why_not():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("programs")
    for build in (OLD, GOOD):
        compiled(build, folder)
    return folder


@pytest.fixture
def good(programs: Path) -> Path:
    return programs / f"cortensord-{GOOD.name}"


@pytest.fixture
def old(programs: Path) -> Path:
    return programs / f"cortensord-{OLD.name}"


def copied(program: Path, to: Path) -> Path:
    to.write_bytes(program.read_bytes())
    return to


def refused(work: Callable[[], object]) -> BadInput:
    with pytest.raises(BadInput) as caught:
        work()
    assert caught.value.next
    return caught.value


def wheel(path: Path, metadata: str = "Metadata-Version: 2.4\nName: cortops\nVersion: 0.1.0\n", folder: str = "cortops-0.1.0") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cortops/__init__.py", "")
        archive.writestr(f"{folder}.dist-info/METADATA", metadata)
    return path


def test_a_program_is_told_by_hash_size_machine_and_the_day_in_its_name(good: Path, tmp_path: Path) -> None:
    taken = look_at(good, beside=good.parent)
    assert taken == Taken(
        program="cortensord",
        sha256=sha256(good),
        size=good.stat().st_size,
        date="2026-04-22",
        source="file:cortensord-2026-04-22",
        machine=taken.machine,
        file=good,
    )
    assert taken.machine == os.uname().machine
    assert taken.body["size"] == str(good.stat().st_size) and "version" not in taken.body
    assert look_at(copied(good, tmp_path / "cortensord"), beside=tmp_path).date == ""


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("dist/cortensord", "file:dist/cortensord"),
        ("my builds/cortensord", "file:my-builds/cortensord"),
        (".hidden/.cortensord", "file:cortensord"),
    ],
)
def test_a_file_is_named_from_the_environment_file(good: Path, tmp_path: Path, place: str, told: str) -> None:
    path = tmp_path / place
    path.parent.mkdir()
    assert look_at(copied(good, path), beside=tmp_path).source == told
    assert look_at(path, beside=tmp_path / "elsewhere").source == "file:cortensord"


def test_what_is_no_program_is_refused_by_name(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "cortensord"
    path.write_text(lfs_pointer(good))
    error = refused(lambda: look_at(path, beside=tmp_path))
    assert error.what == f"{path} is a Git LFS pointer to {sha256(good)[:12]}, not the program"
    assert "git lfs pull" in error.next
    for content, what in ((b"", "is empty"), (b"Not Found", "is text"), (good.read_bytes()[:-5000], "is cut off")):
        path.write_bytes(content)
        assert what in refused(lambda: look_at(path, beside=tmp_path)).what


def test_only_a_plain_file_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 5 * 1024**3)
    for name, what in (
        ("pipe", "is no plain file"),
        ("nothing", "No such file"),
        (".", "is no plain file"),
        ("huge", "is larger than 4 GiB"),
    ):
        assert what in refused(lambda name=name: look_at(tmp_path / name, beside=tmp_path)).what  # type: ignore[misc]


def test_our_wheel_is_taken_and_no_other(tmp_path: Path) -> None:
    taken = look_at(wheel(tmp_path / "cortops-0.1.0-py3-none-any.whl"), beside=tmp_path)
    assert (taken.program, taken.version, taken.machine) == ("cortops", "0.1.0", "")
    assert taken.body["from"] == "file:cortops-0.1.0-py3-none-any.whl"
    other = wheel(tmp_path / "other.whl", "Name: other\nVersion: 1\n", "other-1")
    pretender = wheel(tmp_path / "pretender.whl", "Name: other\nVersion: 1\n")
    for path in (other, pretender):
        assert "is a zip archive, and not our wheel" in refused(lambda path=path: look_at(path, beside=tmp_path)).what  # type: ignore[misc]
    cut = tmp_path / "cut.whl"
    cut.write_bytes(other.read_bytes()[:-30])
    assert "is a damaged archive" in refused(lambda: look_at(cut, beside=tmp_path)).what


def test_a_folder_of_programs_and_a_list_are_put_together(programs: Path, tmp_path: Path) -> None:
    copied(programs / f"cortensord-{OLD.name}", tmp_path / "cortensord-2026-03-02")
    good = copied(programs / f"cortensord-{GOOD.name}", tmp_path / "cortensord")
    (tmp_path / "README.md").write_text("what this is")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "SHA256SUMS").write_text(f"{sha256(good)}  2026-04-22  cortensord\n{'a' * 64}  2026-01-15  cortensord-jan\n")
    found = look_into(tmp_path, beside=tmp_path)
    assert [(build.date, build.source, build.file is not None) for build in found] == [
        ("2026-01-15", "list:SHA256SUMS", False),
        ("2026-03-02", "file:cortensord-2026-03-02", True),
        ("2026-04-22", "file:cortensord", True),
    ]
    assert found[0].size is None and found[0].sha256 == "a" * 64


def test_a_list_alone_is_a_source_too(tmp_path: Path) -> None:
    path = tmp_path / "cortensord.sha256"
    path.write_text(f"{'a' * 64}  2026-01-15\n{'a' * 64}  2026-01-15\n{'b' * 64}\n")
    assert [(build.sha256[0], build.date) for build in look_into(path, beside=tmp_path)] == [("a", "2026-01-15"), ("b", "")]


def test_a_program_with_another_hash_than_its_list_says_is_refused(good: Path, tmp_path: Path) -> None:
    copied(good, tmp_path / "cortensord")
    (tmp_path / "SHA256SUMS").write_text(f"# ours\n{'a' * 64} *dist/cortensord\n")
    error = refused(lambda: look_into(tmp_path, beside=tmp_path))
    assert error.what == f"{tmp_path / 'cortensord'} has the hash {sha256(good)[:12]}, and its list says {'a' * 12}"
    assert error.where == f"{tmp_path / 'SHA256SUMS'}:2"


def test_a_folder_with_something_wrong_is_refused_whole(good: Path, tmp_path: Path) -> None:
    assert "holds no program and no list" in refused(lambda: look_into(tmp_path, beside=tmp_path)).what
    (tmp_path / "SHA256SUMS").write_text("cortensord is fine\n")
    error = refused(lambda: look_into(tmp_path, beside=tmp_path))
    assert (error.where, "64 hex digits" in error.what) == (f"{tmp_path / 'SHA256SUMS'}:1", True)
    (tmp_path / "SHA256SUMS").write_text("# nothing yet\n")
    assert "lists no hash" in refused(lambda: look_into(tmp_path, beside=tmp_path)).what
    (tmp_path / "SHA256SUMS").unlink()
    copied(good, tmp_path / "cortensord-2026-04-22")
    (tmp_path / "cortensord").write_text(lfs_pointer(good))
    assert "is a Git LFS pointer" in refused(lambda: look_into(tmp_path, beside=tmp_path)).what
    (tmp_path / "cortensord").write_text("404: Not Found")
    assert "is text, not a program" in refused(lambda: look_into(tmp_path, beside=tmp_path)).what


def test_a_folder_of_everything_is_not_searched(tmp_path: Path) -> None:
    for number in range(FILES_MAX + 1):
        (tmp_path / str(number)).touch()
    assert f"holds {FILES_MAX + 1} files" in refused(lambda: look_into(tmp_path, beside=tmp_path)).what


class World:
    """A cache, and what was said."""

    def __init__(self, cache: Path) -> None:
        self.cache, self.clock = cache, VirtualClock()
        self.said: list[FetchProgress] = []

    def keep(self, taken: Taken) -> Path:
        return self.clock.run(keep("april", taken, self.cache, self.said.append, self.clock))

    def bringing(self, release: ProgramRelease, beside: Path, http: HttpClient | None = None) -> Coroutine[Any, Any, Path]:
        return bring("april", release, self.cache, self.said.append, self.clock, beside=beside, http=http)

    def bring(self, release: ProgramRelease, beside: Path) -> Path:
        return self.clock.run(self.bringing(release, beside))

    def left(self) -> list[str]:
        return sorted(str(path.relative_to(self.cache)) for path in self.cache.rglob("*") if path.is_file() and path.parent.name != "locks")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "cache")


def release(**fields: Any) -> ProgramRelease:
    return ProgramRelease.model_validate({"program": "cortensord", "sha256": HASH, "size": len(CONTENT), **fields})


def test_a_kept_program_lies_in_the_cache_under_its_hash(good: Path, world: World) -> None:
    taken = look_at(good, beside=good.parent)
    path = world.keep(taken)
    assert path == world.cache / "artifacts" / taken.sha256
    assert (sha256(path), world.left()) == (taken.sha256, [f"artifacts/{taken.sha256}"])
    assert world.keep(taken) == path
    assert [told.phase for told in world.said] == [Phase.DOWNLOADING, Phase.CHECKING, Phase.READY, Phase.CACHED]


def test_a_file_that_changes_while_it_is_kept_is_refused(good: Path, tmp_path: Path, world: World) -> None:
    taken = look_at(copied(good, tmp_path / "cortensord"), beside=tmp_path)
    (tmp_path / "cortensord").write_bytes(good.read_bytes() + b"more")
    with pytest.raises(ArtifactDamaged, match="what came has sha256"):
        world.keep(taken)
    assert world.left() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_places_that_are_not_ours_are_told(good: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        taken = look_at(copied(good, place / "cortensord"), beside=place)
        (place / "locked").mkdir(mode=0o700)
        os.seteuid(NOBODY)
        try:
            with pytest.raises(PermissionMissing, match="is not ours to write"):
                World(place / "cache").keep(taken)
            assert "Permission denied" in refused(lambda: look_into(place / "locked", beside=place)).what
            assert "Permission denied" in refused(lambda: look_at(place / "locked" / "cortensord", beside=place)).what
        finally:
            os.seteuid(0)


def test_a_declared_build_comes_from_the_cache_first(world: World, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "cortensord").write_bytes(CONTENT)
    declared = release(**{"from": "file:dist/cortensord"})
    path = world.bring(declared, tmp_path)
    assert path.read_bytes() == CONTENT
    (tmp_path / "dist" / "cortensord").unlink()
    assert world.bring(declared, tmp_path) == path
    assert world.bring(release(size=None), tmp_path) == path, "a hash is enough for what is there"


def test_a_file_beside_that_is_another_now_is_not_taken(world: World, tmp_path: Path) -> None:
    (tmp_path / "cortensord").write_bytes(CONTENT[::-1])
    with pytest.raises(ArtifactDamaged, match="april from file:cortensord is not what was declared"):
        world.bring(release(**{"from": "file:cortensord"}), tmp_path)
    assert world.left() == []


@pytest.mark.parametrize(
    ("fields", "next_step"),
    [
        ({"from": "installer@0c55ced"}, "cortops releases add april installer@0c55ced --clone FOLDER"),
        ({"from": "file:dist/cortensord"}, "cortops releases add april dist/cortensord"),
        ({"from": "found@h1"}, "cortops releases add april ./cortensord"),
        ({}, "cortops releases add april ./cortensord"),
        ({"size": None, "from": "list:SHA256SUMS"}, "cortops releases add april ./cortensord"),
    ],
)
def test_a_build_that_is_nowhere_is_told_with_the_command_that_brings_it(
    world: World, tmp_path: Path, fields: dict[str, Any], next_step: str
) -> None:
    with pytest.raises(ArtifactUnavailable) as caught:
        world.bring(release(**fields), tmp_path)
    assert caught.value.next.endswith(next_step)


async def answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[str], status: str, body: bytes, length: int
) -> None:
    asked.append((await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode())
    writer.write(f"HTTP/1.1 {status}\r\nLocation: http://elsewhere.example/\r\nContent-Length: {length}\r\n\r\n".encode() + body)
    await writer.drain()
    writer.close()


def downloaded(
    world: World, tmp_path: Path, status: str = "200 OK", body: bytes = CONTENT, length: int | None = None
) -> tuple[Path, list[str]]:
    """A build by its url from a server that answers so; the paths that it was asked for."""
    asked: list[str] = []

    async def main() -> Path:
        server = await asyncio.start_server(
            lambda reader, writer: answer(reader, writer, asked, status, body, len(body) if length is None else length), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        http = HttpClient(clock=SystemClock())
        try:
            return await world.bringing(release(url=f"http://127.0.0.1:{port}/builds/{{sha256}}"), tmp_path, http)
        finally:
            await http.close()
            server.close()
            await server.wait_closed()

    return asyncio.run(main()), asked


def test_a_declared_url_is_asked_and_what_comes_is_checked(world: World, tmp_path: Path) -> None:
    path, asked = downloaded(world, tmp_path)
    assert (path.read_bytes(), asked) == (CONTENT, [f"/builds/{HASH}"])
    assert (Phase.DOWNLOADING, len(CONTENT)) in {(told.phase, told.received) for told in world.said}


@pytest.mark.parametrize(
    ("answered", "kind", "why"),
    [
        ({"status": "404 Not Found"}, ArtifactUnavailable, "answers 404"),
        ({"status": "302 Found", "body": b""}, ArtifactUnavailable, "leads to another address"),
        ({"body": CONTENT + b"x"}, ArtifactUnavailable, "sends more than the declared"),
        ({"body": CONTENT[:-1]}, ArtifactDamaged, "what came has sha256"),
        ({"body": CONTENT[::-1]}, ArtifactDamaged, "what came has sha256"),
        ({"body": CONTENT[:9], "length": len(CONTENT)}, ArtifactUnavailable, "GET http"),
    ],
)
def test_a_download_that_is_not_it_leaves_nothing(
    world: World, tmp_path: Path, answered: dict[str, Any], kind: type[ArtifactUnavailable], why: str
) -> None:
    with pytest.raises(kind, match=why):
        downloaded(world, tmp_path, **answered)
    assert world.left() == []
