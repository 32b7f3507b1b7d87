"""What runs here as one archive: the same bytes each time, nothing of this machine in it, known at once when nothing changed."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from cortops.deploy import runtime as packing
from cortops.deploy.runtime import pack, runtime
from cortops.words.errors import ArtifactUnavailable

MAX_MIB = 30


@pytest.fixture(name="cache", scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.real
def test_what_runs_here_is_packed_once_and_has_nothing_of_this_machine(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = runtime(cache)
    assert made.path == cache / "artifacts" / made.sha256
    assert made.size == made.path.stat().st_size < MAX_MIB << 20
    with tarfile.open(made.path) as tar:
        infos = tar.getmembers()
    names = [info.name for info in infos]
    packages = f"lib/python{made.python}/site-packages"
    assert names == sorted(names)
    assert {(info.uid, info.gid, info.mtime) for info in infos} == {(0, 0, 0)}
    assert {info.mode for info in infos} == {0o644, 0o755}
    assert all(info.isfile() for info in infos), "an archive of plain files cannot lead out of its folder"
    assert {"pyvenv.cfg", f"{packages}/cortops/cli/__init__.py", f"{packages}/cortops/examples/local.yaml"} <= set(names)
    assert any(name.startswith(f"{packages}/asyncssh/") for name in names)
    assert not [
        name for name in names if "__pycache__" in name or "/cortops/testing/" in name or name.endswith((".pth", "direct_url.json"))
    ]
    assert not [name for name in names if name.startswith((f"{packages}/pytest", f"{packages}/supervisor"))], "extras were not asked for"

    def no_more(members: object, file: object) -> None:
        raise AssertionError("it was packed a second time")

    monkeypatch.setattr(packing, "pack", no_more)
    assert runtime(cache) == made
    made.path.unlink()
    with pytest.raises(AssertionError):
        runtime(cache)


def test_the_same_files_give_the_same_bytes_whatever_their_times_and_owners(tmp_path: Path) -> None:
    def packed(folder: Path, mode: int, at: float) -> bytes:
        folder.mkdir()
        for name in ("b.py", "a.so"):
            (folder / name).write_text(name)
            (folder / name).chmod(mode)
            os.utime(folder / name, (at, at))
        file = io.BytesIO()
        pack({name: folder / name for name in ("b.py", "a.so")} | {"c": b"c"}, file)
        return file.getvalue()

    assert packed(tmp_path / "one", 0o644, 1.0) == packed(tmp_path / "two", 0o600, 2e9)


def test_another_extra_or_another_file_of_ours_is_another_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain = packing._key(frozenset())
    assert packing._key(frozenset()) == plain
    assert packing._key(frozenset({"local"})) != plain
    ours = tmp_path / "new.py"
    ours.write_text("")
    monkeypatch.setattr(packing, "_own_files", lambda: iter([("cortops/new.py", ours)]))
    assert packing._key(frozenset()) != plain


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packing, "OWN", "no-such-library-of-anybody")
    with pytest.raises(ArtifactUnavailable, match="no-such-library-of-anybody is required and not installed here"):
        runtime(tmp_path)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("")
    with pytest.raises(ArtifactUnavailable, match="cannot be packed: File exists"):
        runtime(tmp_path)
