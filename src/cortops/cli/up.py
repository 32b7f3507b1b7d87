"""`cortops up`: plan and apply of one file to this machine, then what to try; in the foreground a viewer until Ctrl-C."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter

import cortops
from cortops.cli.common import Common, environment, new_apply_id
from cortops.cli.compose import Here, here
from cortops.cli.output import Progress, joined, show, show_json
from cortops.cli.progress import Phases
from cortops.cli.status import endpoints, read_status
from cortops.deploy import deployment as engine
from cortops.deploy.lock import this_process
from cortops.environment.declared import Environment
from cortops.local.down import down
from cortops.local.here import demand_writable
from cortops.protocol import keys
from cortops.surfaces.gateway.render import store
from cortops.surfaces.proxy.curls import curls
from cortops.words.errors import Refused
from cortops.words.state import State

VIEW_EVERY_S = 5.0
CURL_WIDTH = 120
SERVICE_KINDS = ("engine", "miner", "oracle", "router", "gateway")  # whose processes are of this environment
KEY_NAME = "up"
KEY_KNOWN_TRIES_MAX, KEY_KNOWN_EVERY_S = 50, 0.1
SEEN_TIMEOUT_S, SEEN_EVERY_S = 15.0, 0.25
HTTP_OK = 200

T = TypeVar("T")


def up(
    file: Path | None = None,
    /,
    *,
    detach: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Bring an environment up on this machine.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    detach
        Leave it running and return.
    """
    gc.enable()
    env = environment(file, common)
    _demand_here(env)
    return _interruptible(lambda: _up(env, common, detach))


def _demand_here(env: Environment) -> None:
    """Refused for programs on other hosts: what stands there is reviewed first, and does not end with a Ctrl-C here."""
    away = [name for name in env.own_hosts if env.hosts[name].ssh]
    if away:
        what = f"{env.name} runs programs on {joined(away)}, and `up` is for environments of this machine"
        raise Refused(what, where=str(env.position(("hosts", away[0]))), next=f"cortops plan {env.file}")


def _interruptible(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run to the end; Ctrl-C and SIGTERM cancel the work, which cleans up after itself, once: a second Ctrl-C changes nothing."""

    async def run() -> T:
        task = asyncio.ensure_future(work())
        asked: list[int] = []

        def stop() -> None:
            if not asked:
                asked.append(1)
                task.cancel()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        return await task

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _up(env: Environment, common: Common, detach: bool) -> int:
    progress = Progress(sys.stderr)
    async with here(env, common) as place:
        demand_writable(place.root)
        if not common.json:
            progress.say(f"cortops {cortops.__version__} · environment {env.name} · this machine")
        try:
            await _apply(place, progress, common)
        except asyncio.CancelledError:
            await _stop(place, progress)
            raise
        if detach:
            return 0
        try:
            await _view(place, progress, env)
        except asyncio.CancelledError:  # Ctrl-C is how a viewer ends: nothing went wrong
            await _stop(place, progress)
    return 0


async def _apply(place: Here, progress: Progress, common: Common) -> None:
    deployment = place.deployment
    begun = deployment.clock.monotonic()
    phases = Phases(progress, deployment.clock)
    applied = await engine.apply(deployment, apply_id=new_apply_id(), owner=this_process(), digest=None, report=phases.report)
    phases.finish()
    progress.say(*(f"  {note}" for note in applied.notes))
    env = deployment.env
    if not applied.made:
        progress.say(f"Nothing to do: {_reasons(applied.plan.unchanged)}.")
        key = ""
    else:
        key = issue_key(place, env)
        await _until_known(place, env, key)
        await _until_seen(place)
    shown = endpoints(place)
    if common.json:
        show_json({"environment": env.name, "changes": applied.made, "generation": applied.generation, "endpoints": shown, "key": key})
        return
    elapsed_s = deployment.clock.monotonic() - begun
    show(_invitation(place, shown, key, elapsed_s))


def _reasons(unchanged: tuple[Any, ...]) -> str:
    """`31 of 31 as declared: 14 content and mode as declared, ...`."""
    counts: dict[str, int] = {}
    for item in unchanged:
        counts[item.reason] = counts.get(item.reason, 0) + 1
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items(), key=lambda pair: -pair[1]))
    return f"{len(unchanged)} of {len(unchanged)} resources need no change ({told})"


def issue_key(place: Here, env: Environment) -> str:
    """A fresh key for trying out; the ones that earlier `up`s printed are taken back."""
    if env.gateway is None:
        return ""
    now = place.deployment.clock.now()
    database = keys.open_keys(store(env.gateway, place.deployment.hosts[env.gateway.on].root).keys_db)
    try:
        for row in keys.list_keys(database):
            if row.name == KEY_NAME and row.revoked_at is None:
                keys.revoke(database, row.id, now=now)
        return keys.issue(database, environment=env.name, name=KEY_NAME, now=now, random_bytes=secrets.token_bytes).key
    finally:
        database.close()


async def _until_known(place: Here, env: Environment, key: str) -> None:
    """Until every process of the gateway lets the key in, so that what is printed works at once; each reads its store every second."""
    if env.gateway is None:
        return
    waiting = list(env.gateway.ports().values())
    for _ in range(KEY_KNOWN_TRIES_MAX):
        url = f"http://127.0.0.1:{waiting[0]}/v1/models"
        reply = await place.http.request("GET", url, headers=(("authorization", f"Bearer {key}"),), timeout_s=2)
        if reply.status != HTTP_OK:
            await place.deployment.clock.sleep(KEY_KNOWN_EVERY_S)
        elif not waiting[1:]:
            return
        else:
            del waiting[0]


async def _until_seen(place: Here) -> None:
    """Until watch has seen what the gate saw, so that the next `status` does not tell of the start; for SEEN_TIMEOUT_S at most."""
    clock = place.deployment.clock
    end = clock.monotonic() + SEEN_TIMEOUT_S
    while place.deployment.env.monitor is not None and clock.monotonic() < end:
        if (await read_status(place)).state is State.OK:
            return
        await clock.sleep(SEEN_EVERY_S)


def _invitation(place: Here, shown: dict[str, str], key: str, elapsed_s: float) -> str:
    env = place.deployment.env
    lines = [f"{env.name} is up after {elapsed_s:.1f} s."]
    if env.monitor is not None:
        lines.append(f"  console  {shown['console']}  watches, asking every {env.monitor.every_s:g} s")
    if "portal" in shown:
        lines.append(f"  portal   {shown['portal']}  keys and usage, for customers")
    lines.append(f"  rpc      {shown['rpc']}  chain {env.network.chain_id}")
    if key and env.proxy:
        lines.append("Try it:")
        for curl in curls(env, _short(shown["ca"]), key):
            lines += ["", f"  # {curl.hostname}: {curl.shows}", *(f"  {line}" for line in curl.lines(CURL_WIDTH))]
        lines.append("")
    elif env.gateway is not None:
        lines.append(f"A key of your own: cortops keys issue{_file_argument(env)} --name me")
    return "\n".join(lines)


def _file_argument(env: Environment) -> str:
    return f" {os.path.relpath(env.file)}"


def _short(path: str) -> str:
    home = os.environ.get("HOME", "")
    return "~" + path[len(home) :] if home and path.startswith(home + "/") else path


async def _view(place: Here, progress: Progress, env: Environment) -> None:
    """Until Ctrl-C: a line whenever the state of an entity changes. Ends by itself when another command stopped the environment."""
    progress.say("Ctrl-C stops everything; cortops up --detach leaves it running.")
    known: dict[str, State] = {}
    while True:
        page = await read_status(place)
        for row in page.entities:
            before = known.get(row.entity, State.OK)
            if row.state is not before:
                progress.say(f"  {row.entity}: {before} -> {row.state}, {row.reason}")
            known[row.entity] = row.state
        if all(row.state is State.DOWN for row in page.entities if row.kind in SERVICE_KINDS):
            progress.say(f"{env.name} was stopped from elsewhere.")
            return
        await place.deployment.clock.sleep(VIEW_EVERY_S)


async def _stop(place: Here, progress: Progress) -> None:
    progress.say("", "stopping …")
    await down(place.deployment, place.target, place.manager, targets={}, owner=this_process(), apply_id=new_apply_id(), purge=False)
    progress.say("stopped; the data stays (cortops up brings it back, cortops down --purge removes it)")
