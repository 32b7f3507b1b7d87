"""`cortops releases add`: a build gets a name in the environment file, and its file lies ready for an apply."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cortops.cli.common import Common
from cortops.cli.discover import OWN_FILE
from cortops.cli.output import Progress, show, show_json
from cortops.deploy.binaries import Taken, is_list, keep, look_at, look_into
from cortops.deploy.fetch import cache_root
from cortops.deploy.installer import build_at, is_clone
from cortops.environment.cortensord import CORTENSORD
from cortops.environment.declared import Environment
from cortops.environment.load import load, load_file
from cortops.environment.reason import Invalid
from cortops.environment.release import MINIMUM, is_date
from cortops.environment.write import merge
from cortops.surfaces.fleet.builds.binaries import SHA_CHARS, floor_of
from cortops.words.clock import SystemClock
from cortops.words.errors import BadInput, UnknownName

ADD_MAX = 64
INSTALLER = "installer@"
NEXT_SOURCE = "Name ./cortensord, a folder or list of known hashes, installer@COMMIT with --clone FOLDER, or our wheel."

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of one build. state: `added`, `completed` or `same`; kept: its file is in the cache."""

    name: str
    taken: Taken
    state: str
    kept: bool


def add_(
    name: str,
    source: str,
    /,
    *,
    write: Path | None = None,
    clone: Path | None = None,
    sha256: str = "",
    date: str = "",
    url: str = "",
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Name a build in the environment file, so that `nodes.NODE.release` can name it, and keep its file for an apply.

    Anything but a whole program is refused: Git LFS pointers, text, other machines' programs, files cut off, another hash than was said.

    Parameters
    ----------
    name
        The name to give it: a to z, 0 to 9 and -. Several builds of a folder get NAME-DATE.
    source
        ./cortensord, a folder or list of known hashes, installer@COMMIT, or our wheel.
    write
        The environment file; default ./cortops.yaml. What it says already stays.
    clone
        The installer's clone on this machine, for installer@COMMIT. No network is asked.
    sha256
        The hash that it must have.
    date
        When it was released, YYYY-MM-DD, where the source does not tell.
    url
        Where an apply may download it; `{sha256}` in it stands for the hash.
    """
    file = write or OWN_FILE
    env = _environment(file)
    demand_name(name)
    found = take(source, clone, beside=file.parent)
    demand(found, source, sha256, date)
    named = names(name, [replace(one, date=one.date or date) for one in found], env)
    asyncio.run(_keep_all(named, common))
    added = write_file(file, env, named, url)
    if common.json:
        show_json(as_json(file, added))
    else:
        show(as_text(file, env, added))
    return 0


def _environment(file: Path) -> Environment:
    if not file.exists():
        raise BadInput(
            f"there is no {file}", next="Name the environment file: --write FILE; or make one: cortops discover USER@HOST --write FILE"
        )
    loaded = load_file(file)
    if isinstance(loaded, Invalid):
        raise loaded.error()
    return loaded


def demand_name(name: str) -> None:
    """BadInput for what cannot be the name of a release."""
    if not _NAME.fullmatch(name) or name == MINIMUM:
        what = f"{name!r} is not a name that can be used"
        raise BadInput(what, next=f"Use a to z, 0 to 9 and -, at most 31 characters, and not the word {MINIMUM}.")


def take(source: str, clone: Path | None, *, beside: Path) -> tuple[Taken, ...]:
    """What a source holds: one build, or several. BadInput, with the cure, for anything that is no source."""
    if source.startswith(INSTALLER):
        if clone is None:
            next_step = f"git clone the installer, then: cortops releases add NAME {source} --clone FOLDER"
            raise BadInput(f"{source} is read from the installer's clone on this machine, and none is named", next=next_step)
        return (build_at(clone.expanduser(), source.removeprefix(INSTALLER)),)
    path = Path(source).expanduser()
    if not os.path.lexists(path):  # where we may not look, reading it tells why
        raise BadInput(f"there is no {source}", next=NEXT_SOURCE)
    if path.is_dir() and is_clone(path):
        next_step = f"cortops releases add NAME {INSTALLER}HEAD --clone {source}"
        raise BadInput(f"{source} is a clone, which holds many builds: name the commit", next=next_step)
    return look_into(path, beside=beside) if path.is_dir() or is_list(path) else (look_at(path, beside=beside),)


def demand(taken: Sequence[Taken], source: str, sha256: str, date: str) -> None:
    """What was said about the source holds: its hash and day, "" where nothing was said. BadInput otherwise, and for too many builds."""
    if date and not is_date(date):
        raise BadInput(f"--date {date} is no day", next="Write YYYY-MM-DD, for example: --date 2026-04-22")
    if date and (len(taken) > 1 or taken[0].date not in ("", date)):
        told = f"tells {taken[0].date}" if len(taken) == 1 else f"holds {len(taken)} builds"
        raise BadInput(f"{source} {told}, and --date {date} was said", next="Leave --date out.")
    if len(taken) > ADD_MAX:
        next_step = f"Name one of its files, or look only: cortops releases --known {source}"
        raise BadInput(f"{source} holds {len(taken)} builds, more than {ADD_MAX}", next=next_step)
    if not sha256:
        return
    if not re.fullmatch(r"[0-9a-f]{64}", sha256.lower()):
        raise BadInput("--sha256 is no hash", next="Write its 64 hex digits, as sha256sum prints them.")
    if [one.sha256 for one in taken] != [sha256.lower()]:
        found = ", ".join(one.sha256[:12] for one in taken[:4])
        raise BadInput(
            f"{source} has the hash {found}, not {sha256[:12].lower()} as was said",
            where=source,
            next="Do not use this file: download it again, or correct --sha256.",
        )


def names(name: str, taken: Sequence[Taken], env: Environment) -> dict[str, Taken]:
    """Name -> build: the given name for one; NAME-DATE for several, with the hash where that is not enough. Builds with a name keep it.

    BadInput where the name stands for another build, UnknownName where the one build has another name.
    """
    declared = {program.sha256: other for other, program in env.programs.items()}
    if len(taken) == 1:
        one = taken[0]
        other = declared.get(one.sha256, name)
        if other != name:
            raise UnknownName(f"{one.sha256[:SHA_CHARS]} is {other} already in {env.file}", next=f"Use that name: {other}")
        _demand_free(name, one, env)
        return {name: one}
    result: dict[str, Taken] = {}
    for one in taken:
        day = f"{name}-{one.date}" if one.date else f"{name}-{one.sha256[:SHA_CHARS]}"
        given = declared.get(one.sha256) or (day if day not in result else f"{day}-{one.sha256[:SHA_CHARS]}")
        demand_name(given)
        _demand_free(given, one, env)
        result[given] = one
    return result


def _demand_free(name: str, one: Taken, env: Environment) -> None:
    program = env.programs.get(name)
    if name in env.releases or (program is not None and program.sha256 != one.sha256):
        at = env.position(f"releases.{name}")
        what = f"another build ({program.sha256[:SHA_CHARS]})" if program else "a file of a package"
        raise BadInput(
            f"{name} is {what} in {at}, and this one is {one.sha256[:SHA_CHARS]}",
            where=str(at),
            next="A release keeps its hash: choose another name.",
        )


async def _keep_all(named: Mapping[str, Taken], common: Common) -> None:
    cache, clock, progress = cache_root(os.environ), SystemClock(), Progress(sys.stderr)
    for name, one in named.items():
        if one.file is not None:
            await keep(name, one, cache, lambda told: progress.now(told.text), clock)
    progress.say()


def write_file(file: Path, env: Environment, named: Mapping[str, Taken], url: str) -> tuple[Added, ...]:
    """Put the builds into the file; what it says of them already stays. BadInput where it would not be valid."""
    bodies: dict[str, dict[str, str]] = {}
    for name, one in named.items():
        program = env.programs.get(name)
        known = {} if program is None else {key: value for key, value in program.model_dump(by_alias=True).items() if value is not None}
        if one.file is not None and str(known.get("from", "")).startswith("list:"):
            del known["from"]  # now it is known where the file itself was
        wanted = one.body | ({"url": url} if url else {})
        bodies[name] = {key: value for key, value in wanted.items() if key not in known}
    before = file.read_bytes().decode()  # with its own line ends
    merged = merge(before, {}, {}, releases={name: body for name, body in bodies.items() if body})
    checked = load(merged.text, str(file))
    if isinstance(checked, Invalid):
        raise checked.error()
    if merged.left:
        raise BadInput(f"{file} is laid out so that this cannot be put into it: {merged.left[0]}", next="Write it there by hand.")
    if merged.text != before:
        _replace(file, merged.text)
    states = {**dict.fromkeys(merged.changed, "completed"), **dict.fromkeys(merged.added, "added")}
    return tuple(Added(name=name, taken=one, state=states.get(name, "same"), kept=one.file is not None) for name, one in named.items())


def _replace(file: Path, text: str) -> None:
    """The whole new text or the whole old one, whenever we are cut off."""
    place = file.resolve()
    handle, written = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as target:
            target.write(text)
            target.flush()
            os.fsync(target.fileno())
        Path(written).chmod(place.stat().st_mode & 0o7777)
        Path(written).replace(place)
    except BaseException:
        Path(written).unlink(missing_ok=True)
        raise


def as_json(file: Path, added: tuple[Added, ...]) -> dict[str, object]:
    """The shape of `releases add --json`."""
    return {
        "file": str(file),
        "releases": [
            {
                "name": one.name,
                "state": one.state,
                "kept": one.kept,
                **{key: int(value) if key == "size" else value for key, value in one.taken.body.items()},
                "notes": list(one.taken.notes),
            }
            for one in added
        ],
    }


def as_text(file: Path, env: Environment, added: tuple[Added, ...]) -> str:
    """For people: what each is, what the file says now, and the next command."""
    floor, lines = floor_of(env), list[str]()
    for one in added:
        taken = one.taken
        date = f" ({taken.date})" if taken.date else ""
        facts = [f"{taken.size / 1e6:.1f} MB" if taken.size else "", f"for {taken.machine}" if taken.machine else "", taken.version]
        facts += [f"from {taken.source}", "its file is kept for an apply" if one.kept else "known by its hash only"]
        lines.append(f"{one.name} is {taken.program} {taken.sha256[:SHA_CHARS]}{date}: {', '.join(filter(None, facts))}")
        if floor and taken.date and taken.date < floor.date:
            lines.append(f"!  it is older than the minimum, {floor.text}: no upgrade leads to it")
        lines += [f"   note: {note}" for note in taken.notes]
    new, more = (sum(one.state == state for one in added) for state in ("added", "completed"))
    changes = ", ".join(part for part in (f"{new} added" if new else "", f"{more} completed" if more else "") if part)
    lines.append(f"{file}: {changes}." if changes else f"{file} says all this already; it was not changed.")
    usable = next((one for one in added if one.taken.program == CORTENSORD), None)
    if usable is not None:
        first = "" if any(node.release for node in env.installed.values()) else f"cortops adopt {file}, then: "
        named = "" if file == OWN_FILE else f" {file}"
        lines.append(f"next: {first}cortops upgrade {usable.name}{named}" if usable.kept else f"next: cortops releases {file}")
    return "\n".join(lines)
