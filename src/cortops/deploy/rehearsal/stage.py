"""A stage: copies of nodes in a box, running what the nodes run, each adopted there as its node is on its host."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cortops.deploy.apply import Report
from cortops.deploy.host_state import HostState, apply_host, host_state, look_host
from cortops.deploy.lock import Owner
from cortops.deploy.node_programs import switched
from cortops.deploy.observed import Present
from cortops.deploy.rehearsal.box import Box
from cortops.deploy.rehearsal.copies import FOLDER, Copy, resources
from cortops.environment.declared import Environment
from cortops.surfaces.fleet.adopted import BASE, PASSED_THROUGH
from cortops.targets.ask import ask
from cortops.targets.quoting import command
from cortops.words.clock import Clock
from cortops.words.errors import StepFailed

START_TIMEOUT_S = 60.0
SEEN_UP_S = 1  # what ends sooner is not copied: its program does not run here
PRIVATE, PROGRAM = 0o600, 0o755

_START = """
begin() { # NAME FOLDER WORD...
  name=$1; cd "$2" || return; shift 2
  setsid nohup "$@" >>log 2>&1 </dev/null &
  pids="$pids$! $name
"
}
tell() {
  printf %s "$pids" | while read -r pid name; do
    if readlink "/proc/$pid/exe" >/dev/null 2>&1; then printf '%s\\tup\\n' "$name"; continue; fi
    last=$(tail -n 1 "$copied/$name/log" | tr -d '\\000-\\037' | sed 's#://[^ ]*#://…#g;s/[0-9a-fA-F]\\{40,\\}/…/g' | cut -c 1-160)
    printf '%s\\tended\\t%s\\n' "$name" "$last"
  done
}
umask 022; pids=
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What every change of copies needs, from the composition root."""

    clock: Clock
    owner: Owner
    new_apply_id: Callable[[], str]
    tool_version: str
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Copies that run and are adopted. ended: (node, why) of those whose program did not stay up here."""

    env: Environment
    state: HostState
    copies: tuple[Copy, ...]
    ended: tuple[tuple[str, str], ...]
    means: Means


@dataclass(frozen=True, slots=True)
class Now:
    """What a copy runs: sha256, "" for nothing; pid."""

    program: str
    pid: str


async def set_up(place: Box, env: Environment, copies: Sequence[Copy], files: Mapping[str, Path], means: Means) -> Stage:
    """Write the copies' files, start what their nodes run, and adopt those that stay up. files: sha256 -> the program, also of later ones.

    Raises StepFailed when the box cannot do that, and what an apply raises.
    """
    await asyncio.to_thread(_write, place.folder, copies, files)
    state = host_state(place.target, env.name, means.clock, lambda blob: files[blob.sha256])
    ended = await _start(state, copies)
    running = tuple(copy for copy in copies if copy.name not in ended)
    if running:
        wanted = resources(env, running)
        await apply_host(
            state,
            lambda record: wanted,
            apply_id=means.new_apply_id(),
            owner=means.owner,
            tool_version=means.tool_version,
            report=means.report,
            adopting=True,
        )
    return Stage(env=env, state=state, copies=running, ended=tuple(ended.items()), means=means)


def _write(folder: Path, copies: Sequence[Copy], files: Mapping[str, Path]) -> None:
    """folder: what is BASE inside. One file of each program, and a name of it in each copy's folder."""
    base = Path(BASE)
    folder.chmod(PASSED_THROUGH)
    (folder / Path(FOLDER).relative_to(base)).mkdir()
    for copy in copies:
        home = folder / Path(copy.folder).relative_to(base)
        home.mkdir()
        kept = folder / "programs" / copy.runs.program
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            shutil.copyfile(files[copy.runs.program], kept)
            kept.chmod(PROGRAM)
        os.link(kept, home / "cortensord")
        env_file = home / ".env"
        env_file.touch(PRIVATE)
        env_file.write_text(copy.env_text)


async def _start(state: HostState, copies: Sequence[Copy]) -> dict[str, str]:
    """Start them all; node -> why, of those that ended by themselves."""
    calls = [
        command("begin", copy.name, copy.folder, f"{copy.folder}/cortensord", copy.node.env_file, copy.node.runs, *copy.runs.words)
        for copy in copies
    ]
    script = "\n".join([command("copied=" + FOLDER), _START, *calls, f"sleep {SEEN_UP_S}", "tell"])
    said = await ask(state.target, script, START_TIMEOUT_S)
    if not said.ok:
        raise StepFailed(f"the copies could not be started here: {said.why}", where="this machine")
    rows = [[*line.split("\t"), "", ""] for line in said.out]
    return {row[0]: f"what it runs ended by itself here{f': {row[2]}' if row[2] else ''}" for row in rows if row[1] == "ended"}


async def now(stage: Stage) -> dict[str, Now]:
    """Copy -> what it runs. StoreUnavailable when the box gives no answer."""
    seen = await look_host(stage.state, lambda record: switched(record, {}), stage.means.tool_version)
    found = {copy.name: seen.node(copy.name) for copy in stage.copies}
    return {
        name: Now(one.attributes.get("program", ""), one.attributes.get("pid", "")) if isinstance(one, Present) else Now("", "")
        for name, one in found.items()
    }
