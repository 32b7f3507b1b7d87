"""Every process of a running environment killed once with SIGKILL, under load: is it named in time, does the rest go on, does it come back?

Run it with `-s` to see the table: process, named as, after how long, requests meanwhile.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from cortops.testing.local import LocalEnvironment, Place, ask, bring_up, place

pytestmark = pytest.mark.proof

ANVIL = "chain-1 (its anvil)"
NAMED_WITHIN_S = 15.0
WELL_WITHIN_S = 120.0
CLIENTS = 2
REDUNDANT = ("router-1", "router-2", "miner-1", "miner-2", "miner-3", "validator-1", "oracle-1", "portal", "watch")  # no request may fail


@dataclass(slots=True)
class Load:
    """Clients that ask one question after the other until told to stop; what failed, with the reason."""

    up: LocalEnvironment
    stop: threading.Event = field(default_factory=threading.Event)
    answered: int = 0
    failed: list[str] = field(default_factory=list)

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                ask(self.up)
                self.answered += 1
            except (OSError, urllib.error.HTTPError, json.JSONDecodeError) as error:
                body = error.read(300).decode("utf-8", "replace") if isinstance(error, urllib.error.HTTPError) else ""
                self.failed.append(f"{error} {body}".strip())
                time.sleep(0.2)


@pytest.fixture(scope="module")
def up() -> Iterator[LocalEnvironment]:
    with place() as where:
        local = bring_up(where)
        _until(lambda: not _ill(where), WELL_WITHIN_S)
        yield local


def test_every_process_killed_is_named_in_time_and_comes_back(up: LocalEnvironment) -> None:
    rows = [("PROCESS", "NAMED AS", "AFTER", "NEEDED BY", "ANSWERED", "FAILED", "WELL AFTER")]
    wrong: list[str] = []
    for name in (*sorted(up.place.services()), ANVIL):
        row, faults = _kill(up, name)
        rows.append(row)
        wrong += faults
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert not wrong, "\n".join(wrong)


def _kill(up: LocalEnvironment, name: str) -> tuple[tuple[str, ...], list[str]]:
    """One process under load: its row of the table, and what was not as it should be."""
    load = Load(up)
    clients = [threading.Thread(target=load.run) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    time.sleep(1.0)  # so that it dies at work
    begun = time.monotonic()
    try:
        os.kill(_pid(up.place, name), signal.SIGKILL)
        named = _until(lambda: _named(up.place, name.partition(" ")[0]), NAMED_WITHIN_S + 5)
        after_s = time.monotonic() - begun
        well = _until(lambda: not _ill(up.place), WELL_WITHIN_S)
        well_s = time.monotonic() - begun
    finally:
        load.stop.set()
        for client in clients:
            client.join()
    wrong = []
    if not named or after_s > NAMED_WITHIN_S:
        wrong.append(f"{name}: not named within {NAMED_WITHIN_S:.0f} s")
    if not well:
        wrong.append(f"{name}: not well again within {WELL_WITHIN_S:.0f} s: {_ill(up.place)}")
    if name in REDUNDANT and load.failed:
        wrong.append(f"{name}: {len(load.failed)} requests failed: {load.failed[:3]}")
    told, needed_by = named or ("nothing", ())
    needs = f"{len(needed_by)}: {', '.join(needed_by[:2])}" if needed_by else ""
    row = (name, told[:90], f"{after_s:.1f} s", needs, str(load.answered), str(len(load.failed)), f"{well_s:.1f} s")
    return row, wrong


def _pid(where: Place, name: str) -> int:
    """Of a service, or of anvil, which is a child of the chain's."""
    services = where.services()
    if name != ANVIL:
        return services[name]
    return next(pid for pid, line in where.processes().items() if "anvil" in line.partition(" ")[0])


def _named(where: Place, name: str) -> tuple[str, tuple[str, ...]] | None:
    """(state and reason, who needs it) of the killed process, once it is told that something happened to it."""
    page = where.read("status", status=3) if name == "watch" else _page(where)
    for row in page["entities"]:
        service = row["entity"].partition("/")[2]
        mine = row["kind"] == "proxy" if name == "proxy" else service == name
        if mine and (row["state"] in ("down", "unknown") or "restarted" in row["reason"]):
            return f"{row['entity']} {row['state']}: {row['reason']}", tuple(row["needed_by"])
    return None


def _page(where: Place) -> Any:
    """What watch says, without the cost of a command."""
    monitor = where.env.monitor
    assert monitor is not None
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{monitor.port}/status.json", timeout=2) as reply:
            return json.load(reply)
    except OSError:
        return {"entities": [{"entity": "monitor/watch", "kind": "monitor", "state": "unknown", "reason": "no answer", "needed_by": []}]}


def _ill(where: Place) -> list[str]:
    """What is not well; that something was restarted a moment ago is told for a minute, and no longer ill."""
    rows = [row for row in _page(where)["entities"] if row["state"] != "ok" and not row["reason"].startswith("restarted ")]
    return [f"{row['entity']} {row['state']}: {row['reason']}" for row in rows]


def _until(look: Callable[[], Any], within_s: float) -> Any:
    """What `look` found, the first time that it is something; None when nothing was found in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.25)
    return None
