"""The installer as a real git repository with Git LFS pointers: what stood in it at a commit, and all that ever did."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from cortops.deploy.installer import FILE, build_at, history, is_clone
from cortops.surfaces.fleet.builds.binaries import Known
from cortops.testing.cortensord import GOOD, OLD, compiled, lfs_pointer, sha256, why_not
from cortops.words.errors import BadInput

pytestmark = pytest.mark.real  # real shells and their tools, hundreds of processes


def git(folder: Path, *words: str, day: str = "2026-01-01") -> str:
    """One command, at a day of its own and as nobody in particular."""
    env = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z",
        "GIT_COMMITTER_DATE": f"{day}T12:00:00Z",
        **{f"GIT_{who}_{what}": "tester@lab.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    return subprocess.run(["git", "-C", str(folder), *words], env=env, capture_output=True, text=True, check=True).stdout.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Installer:
    """A clone with two builds, `old` of 2 March and `good` of 22 April, and commits around them. commits: by what they did."""

    folder: Path
    old: Path
    good: Path
    commits: dict[str, str]

    def commit(self, name: str, day: str, files: dict[str, str | bytes]) -> str:
        for path, content in files.items():
            (self.folder / path).parent.mkdir(exist_ok=True)
            (self.folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "-m", name, day=day)
        self.commits[name] = git(self.folder, "rev-parse", "HEAD")
        return self.commits[name]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if why := why_not():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("builds")
    return compiled(OLD, folder), compiled(GOOD, folder)


@pytest.fixture
def installer(builds: tuple[Path, Path], tmp_path: Path) -> Installer:
    old, good = builds
    folder = tmp_path / "installer"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    made = Installer(folder=folder, old=old, good=good, commits={})
    made.commit("readme", "2026-02-01", {"README.md": "the installer"})
    made.commit("old", "2026-03-02", {FILE: lfs_pointer(old)})
    made.commit("script", "2026-03-09", {"install.sh": "#!/bin/sh\n"})
    made.commit("good", "2026-04-22", {FILE: lfs_pointer(good)})
    made.commit("example", "2026-04-29", {"dist/.env-example": "HOST=\n"})
    return made


def test_a_commit_tells_hash_size_and_the_day_of_its_build(installer: Installer) -> None:
    at = installer.commits["example"]
    taken = build_at(installer.folder, at[:7])
    assert (taken.sha256, taken.size) == (sha256(installer.good), installer.good.stat().st_size)
    assert taken.date == "2026-04-22", "the build's own day, not that of the commit that was named"
    assert taken.source == f"installer@{at[:12]}"
    assert (taken.file, taken.machine) == (None, "")
    assert taken.notes == (f"only its hash is known; for its file: git -C {installer.folder} lfs fetch origin {at[:12]} -I {FILE}",)
    assert "file" not in taken.body


@pytest.mark.parametrize("revision", ["HEAD", "main", "v1", "HEAD~1", "main^"])
def test_branches_and_tags_are_commits_too(installer: Installer, revision: str) -> None:
    git(installer.folder, "tag", "v1")
    assert build_at(installer.folder, revision).sha256 == sha256(installer.good)


def test_an_older_commit_has_the_older_build(installer: Installer) -> None:
    taken = build_at(installer.folder, installer.commits["script"])
    assert (taken.sha256, taken.date) == (sha256(installer.old), "2026-03-02")


def test_the_file_comes_along_where_git_lfs_has_it(installer: Installer) -> None:
    oid = sha256(installer.good)
    stored = installer.folder / ".git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    stored.parent.mkdir(parents=True)
    stored.write_bytes(installer.good.read_bytes())
    taken = build_at(installer.folder, "HEAD")
    assert (taken.file, taken.machine, taken.notes) == (stored, os.uname().machine, ())
    stored.write_bytes(stored.read_bytes()[::-1])
    assert build_at(installer.folder, "HEAD").file is None, "a file with another hash is none of it"
    (installer.folder / FILE).write_bytes(installer.good.read_bytes())
    assert build_at(installer.folder, "HEAD").file == installer.folder / FILE


@pytest.mark.parametrize(
    ("revision", "what", "next_step"),
    [
        ("nope", "has no commit nope", "fetch"),
        ("--all", "'--all' is no commit", "installer@COMMIT"),
        ("a..b", "'a..b' is no commit", "installer@COMMIT"),
        ("", "'' is no commit", "installer@COMMIT"),
        ("a b", "'a b' is no commit", "installer@COMMIT"),
        ("HEAD:dist/cortensord", "is no commit", "installer@COMMIT"),
        ("HEAD~4", f"at HEAD~4 there is no {FILE}", "later commit"),
    ],
)
def test_what_is_no_commit_with_a_build_is_refused(installer: Installer, revision: str, what: str, next_step: str) -> None:
    with pytest.raises(BadInput) as caught:
        build_at(installer.folder, revision)
    assert what in caught.value.what
    assert next_step in caught.value.next


def test_a_damaged_pointer_and_a_program_in_plain_git_are_refused(installer: Installer) -> None:
    installer.commit("damaged", "2026-05-01", {FILE: lfs_pointer(installer.good).replace("oid", "id")})
    with pytest.raises(BadInput, match="damaged Git LFS pointer"):
        build_at(installer.folder, "HEAD")
    installer.commit("plain", "2026-05-02", {FILE: installer.good.read_bytes()})
    with pytest.raises(BadInput, match="is no Git LFS pointer") as caught:
        build_at(installer.folder, "HEAD")
    assert "show HEAD:dist/cortensord > ./cortensord" in caught.value.next
    assert len(history(installer.folder)) == 2, "neither is a known build"


@pytest.mark.parametrize("place", ["empty", "nowhere"])
def test_a_folder_that_is_no_clone_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    for work in (lambda folder: build_at(folder, "HEAD"), history):
        with pytest.raises(BadInput, match="is no clone of the installer") as caught:
            work(tmp_path / place)
        assert "--clone FOLDER" in caught.value.next
    assert not is_clone(tmp_path / place)


def test_without_git_the_cure_is_another_source(installer: Installer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BadInput, match="no git on this machine"):
        build_at(installer.folder, "HEAD")


def test_all_builds_of_the_installer_are_told_with_their_days(installer: Installer) -> None:
    git(installer.folder, "checkout", "-q", "-b", "dev", installer.commits["readme"])
    early = installer.commit("early", "2026-02-20", {FILE: lfs_pointer(installer.old)})
    git(installer.folder, "checkout", "-q", "main")
    assert set(history(installer.folder)) == {
        Known(sha256=sha256(installer.old), date="2026-02-20", source=f"installer@{early[:12]}"),
        Known(sha256=sha256(installer.good), date="2026-04-22", source=f"installer@{installer.commits['good'][:12]}"),
    }


def test_a_clone_without_the_file_has_no_history_of_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "nothing")
    with pytest.raises(BadInput, match="has no commit with dist/cortensord"):
        history(tmp_path)


def test_a_shallow_clone_does_not_know_how_old_its_build_is(installer: Installer, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{installer.folder}", str(shallow))
    taken = build_at(shallow, "HEAD")
    assert (taken.sha256, taken.date) == (sha256(installer.good), "")
    assert f"git -C {shallow} fetch --unshallow" in taken.notes[0]
    assert [known.date for known in history(shallow)] == [""]


def test_the_clone_runs_nothing_of_its_own(installer: Installer, tmp_path: Path) -> None:
    """Whatever its configuration names, and whatever our own surroundings say of other repositories."""
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path / 'sprung'}\n")
    trap.chmod(0o755)
    for key in (
        "core.fsmonitor",
        "core.pager",
        "diff.external",
        "gpg.program",
        "diff.lfs.textconv",
        "core.sshCommand",
        "filter.lfs.smudge",
    ):
        git(installer.folder, "config", key, str(trap))
    git(installer.folder, "config", "log.showSignature", "true")
    (installer.folder / ".gitattributes").write_text("dist/cortensord diff=lfs filter=lfs\n")
    assert build_at(installer.folder, "HEAD").sha256 == sha256(installer.good)
    assert len(history(installer.folder)) == 2
    assert not (tmp_path / "sprung").exists()


def test_our_own_surroundings_do_not_lead_git_elsewhere(installer: Installer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert build_at(installer.folder, "HEAD").sha256 == sha256(installer.good)


def test_a_bare_clone_is_one_too(installer: Installer, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    git(tmp_path, "clone", "-q", "--bare", str(installer.folder), str(bare))
    assert is_clone(bare) and is_clone(installer.folder)
    assert build_at(bare, "main").sha256 == sha256(installer.good)
    assert len(history(bare)) == 2
