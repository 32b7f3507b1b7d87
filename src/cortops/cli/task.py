"""`cortops task show S/T`: the path of one task, from the chain and the usage database alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from cortops.cli.common import Common, environment
from cortops.cli.compose import here
from cortops.cli.output import show, show_json, table
from cortops.cli.places import gateway_store
from cortops.cli.records import ask_records
from cortops.cli.task_evidence import Evidence, evidence_of, lines
from cortops.contracts.network import Network
from cortops.contracts.path import TaskPath, read_path
from cortops.contracts.rpc import RpcClient
from cortops.deploy.secrets_of import secrets_of
from cortops.environment.declared import Environment
from cortops.programs.gateway.usage_records import TaskUsage
from cortops.protocol.usage import UsageRow
from cortops.surfaces.chain.addresses import contract_addresses, rpc_url
from cortops.surfaces.site import Site, node_names
from cortops.words.errors import BadInput

_ADDRESS = re.compile("0x[0-9a-fA-F]{40}")


def show_(task: str, file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """The path of one task: SESSION/TASK.

    Parameters
    ----------
    task
        SESSION/TASK, as the reply's header X-Cortensor-Task gives it.
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    """
    session, task_id = _parse(task)
    env = environment(file, common)

    async def read() -> tuple[TaskPath, dict[str, str], list[Evidence]]:
        async with here(env, common, only_asks=True) as place:
            site = Site(hosts=place.deployment.hosts, public=place.deployment.secrets.publics(secrets_of(env)))
            network = Network(RpcClient(rpc_url(env), place.http), contract_addresses(env, site))
            found, named = await read_path(network, session, task_id), node_names(env, site)
            return found, named, await evidence_of(env, place.http, session, task_id, found.steps, named)

    path, names, evidence = asyncio.run(read())
    steps = [
        {
            "step": step.step,
            "by": names.get(step.by.lower(), step.by),
            "at": step.at,
            "block": step.block,
            "tx": step.tx,
            "hash": step.hash,
            "note": _named(step.note, names),
        }
        for step in path.steps
    ]
    steps += [
        {"step": "usage", "by": row.member, "at": row.finished_at, "block": None, "tx": None, "hash": None, "request": row.request_id}
        for row in _usage(env, common, session, task_id)
    ]
    if common.json:
        show_json(
            {
                "session": session,
                "task": task_id,
                "state": path.state,
                "steps": steps,
                "evidence": [msgspec.structs.asdict(one) for one in evidence],
            }
        )
        return 0
    rows = [
        (str(step["step"]), _time(step["at"]), str(step["block"] or ""), str(step["by"]), _proof(step), str(step.get("note", "")))
        for step in steps
    ]
    show(f"task {session}/{task_id} · {path.state}\n" + table([("STEP", "AT", "BLOCK", "BY", "PROOF", "NOTE"), *rows], "  "))
    for told in evidence:
        show("\n".join(lines(told, names)))
    return 0


def _parse(task: str) -> tuple[int, int]:
    session, slash, number = task.partition("/")
    if not (slash and session.isdigit() and number.isdigit()):
        raise BadInput(f"{task!r} is not of the form SESSION/TASK", next="For example: cortops task show 1/1")
    return int(session), int(number)


def _usage(env: Environment, common: Common, session: int, task: int) -> list[UsageRow]:
    request = TaskUsage(usage_db=gateway_store(env, common).usage_db, session=session, task=task)
    return ask_records(env, common, request, list[UsageRow])


def _named(text: str, names: Mapping[str, str]) -> str:
    """A note with the names of nodes in place of their addresses; strangers write in it too, so nothing in it moves a cursor."""
    shown = "".join(sign if sign.isprintable() else "?" for sign in text)
    return _ADDRESS.sub(lambda found: names.get(found[0].lower(), found[0]), shown)


def _time(at: object) -> str:
    return datetime.fromtimestamp(float(str(at)), UTC).strftime("%H:%M:%S UTC")


def _proof(step: dict[str, object]) -> str:
    if step["step"] == "usage":
        return f"usage row {step['request']}"
    tx = f"tx {str(step['tx'])[:12]}…"
    return f"{tx}  hash {str(step['hash'])[:12]}…" if step["hash"] else tx
