"""Cross-checks of releases: each node names one of the right kind, a build has one name, the minimum has a day to compare with."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.cortensord import CORTENSORD
from cortops.environment.declared import Declared
from cortops.environment.model import ValidatorNode
from cortops.environment.reason import Finding, Path, list_of, printable
from cortops.environment.release import MINIMUM, is_date


def releases_are_of_the_right_kind(declared: Declared) -> Iterator[Finding]:
    """Our programs start from files of packages; cortensord is a build of cortensord."""
    builds = list_of(name for name, program in declared.programs.items() if program.program == CORTENSORD)
    for name, node in declared.nodes.items():
        keys = ("release", "tokenizer") if isinstance(node, ValidatorNode) else ("release",) if hasattr(node, "release") else ()
        for key in keys:
            release = getattr(node, key)
            if release in declared.programs:
                what = f"is {printable(release)} (line {declared.line('releases', release)}), a build of {_program(declared, release)}"
                yield Finding(("nodes", name, key), what, f"Name one with a package: {list_of(declared.releases) or 'none is declared'}.")
    for name, installed in declared.installed.items():
        release = installed.release
        if release is not None and (release in declared.releases or _program(declared, release) not in ("", CORTENSORD)):
            what = f"is {printable(release)} (line {declared.line('releases', release)}), which is no build of cortensord"
            cure = f"Name one that is: {builds}." if builds else f"Add one: cortops releases add NAME ./{CORTENSORD}"
            yield Finding(("nodes", name, "release"), what, cure)


def _program(declared: Declared, release: str) -> str:
    program = declared.programs.get(release)
    return program.program if program else ""


def builds_have_one_name(declared: Declared) -> Iterator[Finding]:
    """What runs is told by its hash, so a hash leads to one name."""
    first: dict[str, str] = {}
    for name, program in declared.programs.items():
        other = first.setdefault(program.sha256, name)
        if other != name:
            what = f"has the hash of {printable(other)} (line {declared.line('releases', other)})"
            yield Finding(("releases", name, "sha256"), what, "One build has one name: keep one of the two.")


def minimum_has_a_date(declared: Declared) -> Iterator[Finding]:
    """Builds are older or newer by their dates, so the minimum is a day, or a build that has one."""
    if declared.minimum is None:
        return
    path: Path = ("releases", MINIMUM, CORTENSORD)
    least = declared.minimum.cortensord
    program = declared.programs.get(least)
    if program is not None and program.program == CORTENSORD:
        if program.date is None:
            what = f"is {printable(least)} (line {declared.line('releases', least)}), which has no date"
            yield Finding(path, what, f"Add releases.{printable(least)}.date, or write a day: YYYY-MM-DD.")
    elif not is_date(least) and (declared.is_unknown("releases", least) or program is not None or least in declared.releases):
        dated = list_of(name for name, one in declared.programs.items() if one.program == CORTENSORD and one.date)
        known = f"Write one that has: {dated}, or a day: YYYY-MM-DD." if dated else "Write a day: YYYY-MM-DD, for example 2026-03-01."
        yield Finding(path, f"is {printable(least)}, which is neither a day nor a build of cortensord with a date", known)
