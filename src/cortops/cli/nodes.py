"""`cortops nodes`: which installed nodes earn, and why the others do not."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.common import Common, environment
from cortops.cli.fleet import fleet
from cortops.cli.output import Progress, show, show_json, table
from cortops.environment.declared import Environment
from cortops.surfaces.fleet.builds.binaries import dates
from cortops.surfaces.nodes.assemble import page_of
from cortops.surfaces.nodes.page import SHA_CHARS, NodeRow, NodesPage, as_json
from cortops.surfaces.nodes.sight import clock_text, span
from cortops.words.errors import BadInput
from cortops.words.state import State

ATTENTION = 3
SINCE_MIN_S, SINCE_MAX_S = 600, 7 * 86_400
ROWS_MAX = 12  # of a longer table those that are well are told in one line
WELL_SHOWN = 3
_UNITS = {"m": 60, "min": 60, "h": 3_600, "d": 86_400}
_MARKS = {State.OK: " ", State.DEGRADED: "▲", State.DOWN: "■", State.UNKNOWN: "◌", State.MAINTENANCE: "◇"}
_HEAD = ("", "NODE", "HOST", "EARNING", "SELECTED", "COMMITTED", "GAS", "BINARY", "WHY")


def nodes(
    file: Path | None = None,
    /,
    *,
    since: str = "24h",
    all: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Which nodes earn, from their logs and the chain; exit 3 when one wants attention. Nothing is changed anywhere.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    since
        How far back: 10m to 7d.
    all
        A line for every node, also where there are many that are well.
    """
    since_s = seconds(since)
    env = environment(file, common)
    if not env.installed:
        raise BadInput(
            f"{env.file} declares no node that runs cortensord", next="Write a file from your hosts: cortops discover USER@HOST ..."
        )
    page = asyncio.run(_look(env, since_s, common))
    if common.json:
        show_json(as_json(page))
    else:
        show(as_text(page, every=all))
    return ATTENTION if page.wants_attention else 0


async def _look(env: Environment, since_s: float, common: Common) -> NodesPage:
    from cortops.probes.nodes import observe

    progress = Progress(sys.stderr)
    quiet = replace(common, json=True)  # nobody is asked about an unknown host: while a person thinks, the other answers would be late
    async with fleet(env, quiet) as hosts:
        seen = await observe(env, hosts.ask, hosts.http, hosts.clock, since_s=since_s, report=progress.now)
    progress.say()
    return page_of(env, seen.chain, seen.hosts, seen.found, at=seen.at, since_s=since_s, released=dates(env))


def seconds(text: str) -> float:
    """`40m`, `24h`, `7d` -> seconds; BadInput for anything else, or beyond 10 min to 7 d."""
    found = re.fullmatch(r"([0-9]{1,4})(m|min|h|d)", text.strip())
    value = int(found[1]) * _UNITS[found[2]] if found else 0
    if not SINCE_MIN_S <= value <= SINCE_MAX_S:
        raise BadInput(f"--since {text} is not a time from 10m to 7d", next="For example: cortops nodes --since 24h")
    return float(value)


def as_text(page: NodesPage, *, every: bool = False) -> str:
    """For people: a line a node, the worst first, then one sentence about the network, and the next command."""
    shown, rest = _shown(page.rows, every)
    asked = datetime.fromtimestamp(page.at, UTC)
    lines = [
        f"{_count(len(page.rows), 'node')} on {_count(page.hosts, 'host')} · {page.environment} · "
        f"last {span(page.window.now - page.window.begins_at)} · asked {asked:%H:%M:%S} UTC (now)",
        table([_HEAD, *(_cells(row, page.at, page.network.text) for row in shown)]),
    ]
    lines += [f"   … {told}" for told in rest]
    lines += [f"Network: {_sentence(page)}", *(f"note: {note}" for note in page.notes)]
    ill = list(dict.fromkeys(row.host for row in page.rows if _wants_doctor(row)))
    return "\n".join([*lines, *([f"next: cortops doctor {' '.join(ill)}"] if ill else [])])


def _shown(rows: tuple[NodeRow, ...], every: bool) -> tuple[tuple[NodeRow, ...], list[str]]:
    """The rows that get a line, and what is said of the others."""
    ill = tuple(row for row in rows if row.earning.state is not State.OK)
    well = tuple(row for row in rows if row.earning.state is State.OK)
    if every or len(rows) <= ROWS_MAX:
        return rows, []
    hidden = well[WELL_SHOWN:]
    earn = sum(row.earning.earning is True for row in hidden)
    told = [f"{earn} more earn"] if earn else []
    told += [f"{len(hidden) - earn} more are well, and had no work"] if len(hidden) > earn else []
    return (*ill, *well[:WELL_SHOWN]), told


def _cells(row: NodeRow, now: float, network: str) -> tuple[str, ...]:
    earning = row.earning
    since = "" if earning.since is None or earning.earning else f" since {clock_text(earning.since, now)}"
    return (
        _MARKS[earning.state],
        row.node,
        row.host,
        earning.headline + since,
        _number(row.selected),
        _number(row.commits),
        _gas(row),
        row.binary[:SHA_CHARS] + (f" ({row.binary_date})" if row.binary_date else "") or "?",
        earning.cause.replace(network, "see below", 1) if earning.verdict == "network" else earning.cause,
    )


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)


def _gas(row: NodeRow) -> str:
    if row.gas_days is None:
        return "-" if row.gas_why == "nothing was spent" else "?"
    return f"{row.gas_days:.0f} d" if row.gas_days >= 2 else f"{row.gas_days:.1f} d"


def _sentence(page: NodesPage) -> str:
    """What the network does, and whose fault it is."""
    accused = {row.earning.verdict for row in page.rows if row.earning.state in (State.DOWN, State.DEGRADED)}
    text = f"{page.network.text}."
    if page.network.moving is False:
        return f"{text} It is the network, not you{': your red nodes aside' if accused & {'me', 'rpc'} else ''}."
    if page.network.moving and accused & {"me", "rpc"}:
        return f"{text} It is you, not the network."
    return text


def _wants_doctor(row: NodeRow) -> bool:
    return row.earning.state is not State.OK and row.earning.verdict != "network"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
