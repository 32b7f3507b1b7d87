"""The network's installer as a clone on this machine: which build of cortensord stood in it at a commit, and all that ever did.

The binary is a Git LFS object there, and the pointer in git holds its sha256 and size: the only public proof of a version (facts I).
git reads only, asks no network, and runs nothing of the clone's own configuration.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cortops.deploy.archive import sha256_of
from cortops.deploy.binaries import Taken
from cortops.environment.cortensord import CORTENSORD
from cortops.surfaces.fleet.builds.binaries import Known
from cortops.surfaces.fleet.builds.program_file import HEAD_BYTES, POINTER_MAX_BYTES, Program, pointer, recognise
from cortops.words.errors import BadInput

FILE = "dist/cortensord"
COMMIT_SHOWN = 12
BUILDS_MAX = 5_000
GIT_MAX_S = 60.0
OUTPUT_MAX_BYTES = 16 << 20

_REVISION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._/~^-]{0,99}")
_CHANGE = re.compile(r":\d{6} \d{6} [0-9a-f]{40,64} ([0-9a-f]{40,64}) [AMT]\t")
_QUIET = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "log.showSignature=false", "--no-pager")
_SURROUNDINGS = {
    "GIT_ALLOW_PROTOCOL": "none",  # a partial clone would fetch what it lacks
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


@dataclass(frozen=True, slots=True)
class _Said:
    status: int
    output: bytes
    error: str


def build_at(clone: Path, revision: str) -> Taken:
    """The build that stood in the installer at a commit, tag or branch. Its file, where git-lfs has it on this machine, comes along.

    Raises BadInput: no clone, no such commit, no cortensord in it, or a damaged pointer.
    """
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise BadInput(f"{revision!r} is no commit", next="Write installer@COMMIT, for example: installer@0c55ced")
    commit = _line(clone, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not commit:
        raise BadInput(f"{clone} has no commit {revision}", where=str(clone), next=f"git -C {clone} fetch   (then the same command again)")
    size = _line(clone, "cat-file", "-s", f"{commit}:{FILE}")
    if not size:
        raise BadInput(f"at {revision} there is no {FILE} in {clone}", where=str(clone), next="Name a later commit of the installer.")
    date, notes = _dated(clone, commit)
    if int(size) > POINTER_MAX_BYTES:
        what = f"at {revision} {FILE} in {clone} is no Git LFS pointer: {int(size):,} bytes"
        next_step = f"git -C {clone} show {revision}:{FILE} > ./{CORTENSORD}   (then: cortops releases add NAME ./{CORTENSORD})"
        raise BadInput(what, where=str(clone), next=next_step)
    content = _git(clone, "cat-file", "blob", f"{commit}:{FILE}").output
    found = pointer(content, len(content))
    if found is None:
        raise BadInput(f"at {revision} {FILE} in {clone} is a damaged Git LFS pointer", where=str(clone), next="Name another commit.")
    file, machine = _stored(clone, found.sha256, found.size)
    if file is None:
        notes = (*notes, f"only its hash is known; for its file: git -C {clone} lfs fetch origin {commit[:COMMIT_SHOWN]} -I {FILE}")
    return Taken(
        program=CORTENSORD,
        sha256=found.sha256,
        size=found.size,
        date=date,
        source=f"installer@{commit[:COMMIT_SHOWN]}",
        machine=machine,
        file=file,
        notes=notes,
    )


def is_clone(folder: Path) -> bool:
    """Whether a folder is the top of a git work tree, or a bare repository."""
    return (folder / ".git").exists() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir())


def history(clone: Path) -> tuple[Known, ...]:
    """Every build that ever stood in the installer, by all branches that the clone has; of one in several commits the first. BadInput."""
    told = _git(clone, "log", "--all", "--format=%x00%H %cs", "--raw", "--no-abbrev", "--no-renames", "-m", "--", FILE)
    if told.status != 0:
        raise _no_clone(clone, told)
    commits: dict[str, tuple[str, str]] = {}
    cut = _grafts(clone)
    for entry in told.output.decode("utf-8", "replace").split("\0"):
        head, _, changes = entry.partition("\n")
        commit, _, date = head.partition(" ")
        for blob in _CHANGE.findall(changes):
            day = "" if commit in cut else date.strip()
            if blob not in commits or (day and day < (commits[blob][1] or "9")):
                commits[blob] = (commit, day)
    if not commits:
        raise BadInput(f"{clone} has no commit with {FILE}", where=str(clone), next="Name a clone of the installer.")
    if len(commits) > BUILDS_MAX:
        raise BadInput(f"{clone} has more than {BUILDS_MAX:,} builds", where=str(clone), next="Name a folder of known hashes.")
    return tuple(
        Known(sha256=sha256, date=commits[blob][1], source=f"installer@{commits[blob][0][:COMMIT_SHOWN]}")
        for blob, sha256 in _pointers(clone, list(commits)).items()
    )


def _pointers(clone: Path, blobs: list[str]) -> dict[str, str]:
    """git blob -> the sha256 that it points to; blobs that are no pointers are left out."""
    sizes = _git(clone, "cat-file", "--batch-check=%(objectname) %(objectsize)", said="\n".join(blobs)).output.decode().splitlines()
    small = [name for name, _, size in (line.partition(" ") for line in sizes) if size.isdigit() and int(size) <= POINTER_MAX_BYTES]
    data = _git(clone, "cat-file", "--batch=%(objectname) %(objectsize)", said="\n".join(small)).output
    found: dict[str, str] = {}
    while data:
        head, _, rest = data.partition(b"\n")
        name, _, size = head.decode("ascii", "replace").partition(" ")
        if not size.isdigit():
            break
        content, data = rest[: int(size)], rest[int(size) + 1 :]
        if (one := pointer(content, len(content))) is not None:
            found[name] = one.sha256
    return found


def _dated(clone: Path, commit: str) -> tuple[str, tuple[str, ...]]:
    """The day on which the file last changed up to a commit; a shallow clone does not know that of what lies behind its end."""
    changed, _, date = _line(clone, "log", "-1", "--format=%H %cs", commit, "--", FILE).partition(" ")
    if not changed or changed in _grafts(clone):
        return "", (f"the clone is shallow, so its date is not known: git -C {clone} fetch --unshallow",)
    return date, ()


def _grafts(clone: Path) -> frozenset[str]:
    """The commits at which a shallow clone ends."""
    folder = _line(clone, "rev-parse", "--git-common-dir")
    shallow = clone / folder / "shallow"
    return frozenset(shallow.read_text().split()) if folder and shallow.is_file() else frozenset()


def _stored(clone: Path, sha256: str, size: int) -> tuple[Path | None, str]:
    """The program's file where git-lfs keeps it, else in the work tree, and its machine; only one with the right hash."""
    folder = _line(clone, "rev-parse", "--git-common-dir")
    for path in (clone / folder / "lfs" / "objects" / sha256[:2] / sha256[2:4] / sha256, clone / FILE):
        if path.is_file() and path.stat().st_size == size and sha256_of(path) == sha256:
            with path.open("rb") as file:
                kind = recognise(file.read(HEAD_BYTES), size)
            if isinstance(kind, Program):
                return path, kind.machine
    return None, ""


def _line(clone: Path, *words: str) -> str:
    """What git says in its first line; "" where it refuses. BadInput where there is no clone at all."""
    told = _git(clone, *words)
    if told.status == 128 and ("not a git repository" in told.error or "cannot change to" in told.error or "dubious" in told.error):
        raise _no_clone(clone, told)
    return told.output.decode("utf-8", "replace").partition("\n")[0].strip() if told.status == 0 else ""


def _no_clone(clone: Path, told: _Said) -> BadInput:
    why = told.error.strip().partition("\n")[0][:200]
    if "dubious ownership" in why:
        what = f"{clone} belongs to another user, and git reads no such clone"
        return BadInput(what, where=str(clone), why=why, next=f"git config --global --add safe.directory {clone.absolute()}")
    what = f"{clone} is no clone of the installer"
    return BadInput(what, where=str(clone), why=why, next="Name the folder of one: --clone FOLDER, or --known FOLDER")


def _git(clone: Path, *words: str, said: str = "") -> _Said:
    """One git command in the clone."""
    argv = ["git", *_QUIET, "-C", str(clone), *words]
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | _SURROUNDINGS
    try:
        done = subprocess.run(argv, input=said.encode(), capture_output=True, timeout=GIT_MAX_S, check=False, env=env)
    except FileNotFoundError as error:
        raise BadInput("there is no git on this machine", next="Install git, or name the program's file instead.") from error
    except subprocess.TimeoutExpired as error:
        raise BadInput(f"git gave no answer about {clone} in {GIT_MAX_S:.0f} s", where=str(clone)) from error
    if len(done.stdout) > OUTPUT_MAX_BYTES:
        raise BadInput(f"{clone} has a longer history than is read", where=str(clone), next="Name a folder of known hashes.")
    return _Said(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))
