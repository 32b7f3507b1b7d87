"""Two adopted nodes that are copied to this machine, of the stand-in for cortensord; skips where no box can be opened."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.cli.fleet_stage import LAB

from cortops.deploy.lock import this_process
from cortops.deploy.rehearsal.box import box
from cortops.deploy.rehearsal.copies import Runs, cast
from cortops.deploy.rehearsal.made import Made
from cortops.deploy.rehearsal.play import Told
from cortops.deploy.rehearsal.stage import Means, Stage, set_up
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.testing import cortensord
from cortops.words.clock import SystemClock
from cortops.words.errors import Refused

KEY = ("0x" + "1" * 64, "0x" + "ab" * 20)
M08 = (
    "  m08: {program: cortensord, role: miner, runs: minerv4, host: h2, shape: ansible, unit: cortensor-1.service,\n"
    "        env_file: /opt/c/.env-1, log: /var/log/cortensord-1.log, binary: /usr/local/bin/cortensord}\n"
)


def lab() -> Environment:
    loaded = load(LAB + M08, "lab.yaml")
    assert isinstance(loaded, Environment), loaded.text
    return loaded


def demand_box(folder: Path) -> None:
    """Skips where this machine allows no box."""

    async def opened() -> None:
        async with box("copies", folder):
            pass

    try:
        asyncio.run(opened())
    except Refused as refused:
        pytest.skip(refused.what)


def file_of(made: Made, folder: Path) -> Path:
    path = folder / made.name
    path.write_bytes(made.data)
    return path


def old_program(folder: Path) -> Path:
    if why := cortensord.why_not():
        pytest.skip(why)
    return cortensord.compiled(cortensord.OLD, folder)


def means() -> Means:
    ids = itertools.count(1)
    return Means(
        clock=SystemClock(),
        owner=this_process(),
        new_apply_id=lambda: f"20261127T0000{next(ids):02}-test",
        tool_version="0",
        report=lambda event: None,
    )


@asynccontextmanager
async def stage(folder: Path, old: Path, files: dict[str, Path]) -> AsyncIterator[Stage]:
    """Both copies running `old`; files: of later programs, by hash."""
    env, sha256 = lab(), cortensord.sha256(old)
    runs = Runs(program=sha256, release="march", words=("1", "docker"))
    chosen = cast(env, ["m07", "m08"], {}, {"m07": runs, "m08": runs}, {"m07": KEY, "m08": KEY}, "http://127.0.0.1:9")
    async with box("copies", folder) as place:
        yield await set_up(place, env, chosen.copies, {sha256: old, **files}, means())


def told(said: list[str]) -> Told:
    return Told(
        say=lambda node, text: said.append(f"{node}: {text}"),
        tell=lambda tell, upgrade: said.append(f"{tell.node}: {tell.text}"),
        report=lambda event: None,
    )
