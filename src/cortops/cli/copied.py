"""What copies of nodes need, brought to this machine: what they run, what is public of them, the programs, and a key made for each."""

from __future__ import annotations

import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import cortops
from cortops.cli.common import new_apply_id
from cortops.cli.compose import Here
from cortops.cli.output import Progress
from cortops.cli.upgrade_told import Lines
from cortops.contracts.wallet import Wallet
from cortops.deploy.lock import this_process
from cortops.deploy.rehearsal.box import box
from cortops.deploy.rehearsal.copies import COPIES_MAX, HERE, Cast, Runs, cast
from cortops.deploy.rehearsal.play import Told
from cortops.deploy.rehearsal.programs import at_hand, read_back
from cortops.deploy.rehearsal.stage import Means, Stage, set_up
from cortops.environment.declared import Environment
from cortops.surfaces.chain.addresses import rpc_url
from cortops.surfaces.fleet.doctor.examine import nodes_id, nodes_question, read_nodes
from cortops.surfaces.fleet.found.installed import Installed
from cortops.words.errors import CortopsError
from cortops.words.question import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Whom to copy, and the programs that they run by hash."""

    cast: Cast
    files: Mapping[str, Path]


async def gather(
    env: Environment, place: Here, names: Sequence[str], found: Mapping[str, Installed], runs: Mapping[str, Runs], progress: Progress
) -> Gathered:
    """Ask the hosts for the words of each start line, and for programs that are not in the cache. Hosts are read, and nothing else.

    names: in the order in which they are wanted. found: as discover found them. runs: by their hosts' records.
    """
    wanted = [name for name in names if name in runs and runs[name].program][: 2 * COPIES_MAX]
    words = await _words(env, place, {name: found[name] for name in wanted if name in found})
    files, missing = await _files(env, place, wanted, runs, progress)
    known = {
        name: Runs(program=one.program, release=one.release, words=words.get(name, ()))
        for name, one in runs.items()
        if one.program not in missing
    }
    keys = {name: _key() for name in wanted}
    made = cast(env, [name for name in names if name not in runs or runs[name].program not in missing], found, known, keys, rpc_url(env))
    left = [(name, missing[runs[name].program]) for name in names if name in runs and runs[name].program in missing]
    return Gathered(cast=Cast(copies=made.copies, left=(*made.left, *left)), files=files)


async def _words(env: Environment, place: Here, found: Mapping[str, Installed]) -> dict[str, tuple[str, ...]]:
    by_host: dict[str, dict[str, Installed]] = {}
    for name, node in found.items():
        by_host.setdefault(env.installed[name].host, {})[name] = node
    replies = await place.deployment.ask([nodes_question(host, nodes) for host, nodes in by_host.items()]) if by_host else {}
    looks = {name: look for host in by_host if isinstance(reply := replies.get(nodes_id(host)), Answer) for name, look in _looks(reply)}
    return {name: looks[name] for name in found if name in looks}


def _looks(reply: Answer) -> Sequence[tuple[str, tuple[str, ...]]]:
    return [(name, look.words_after_role) for name, look in read_nodes(reply.text).items()]


async def _files(
    env: Environment, place: Here, names: Sequence[str], runs: Mapping[str, Runs], progress: Progress
) -> tuple[dict[str, Path], dict[str, str]]:
    """sha256 -> the file here, and sha256 -> why it cannot be had."""
    files: dict[str, Path] = {}
    missing: dict[str, str] = {}
    cache = place.deployment.cache
    for name in names:
        sha256 = runs[name].program
        if sha256 in files or sha256 in missing:
            continue
        host = env.installed[name].host
        try:
            progress.now(f"looking for the program {sha256[:6]} …")
            path = await at_hand(sha256, cache)
            if path is None:
                progress.now(f"reading the program {sha256[:6]} back from {host} …")
                path = await read_back(sha256, place.deployment.states[host], cache)
            files[sha256] = path
        except CortopsError as error:
            missing[sha256] = error.what
    progress.say()
    return files, missing


def _key() -> tuple[str, str]:
    """A private key that is in no other place, and its address."""
    key = f"0x{secrets.token_hex(32)}"
    return key, Wallet(key).address.lower()


@asynccontextmanager
async def stage_of(env: Environment, place: Here, gathered: Gathered, files: Mapping[str, Path], lines: Lines) -> AsyncIterator[Stage]:
    """Copies that run in a box, which is gone afterwards. files: of later programs. Refused where this machine allows no box."""
    means = Means(
        clock=place.deployment.clock,
        owner=this_process(),
        new_apply_id=new_apply_id,
        tool_version=cortops.__version__,
        report=lines.step,
    )
    async with box(HERE) as inside:
        yield await set_up(inside, env, gathered.cast.copies, {**gathered.files, **files}, means)


def told_by(lines: Lines) -> Told:
    """What happens to copies, as lines of progress."""
    return Told(say=lines.node, tell=lines.told, report=lines.step)


def lines_about(place: Here, gathered: Gathered) -> Lines:
    """Progress on standard error; the place of every line is here."""
    return Lines(Progress(sys.stderr), place.deployment.clock, {copy.name: HERE for copy in gathered.cast.copies})
