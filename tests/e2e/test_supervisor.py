"""The service manager and the eye of a running environment, stopped and killed: it is said, and `up` repairs what nothing else would."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPException
from typing import Any

import pytest

from cortops.environment.model import RouterNode
from cortops.testing.local import QUESTION, LocalEnvironment, Place, ask, bring_up, place, until

pytestmark = pytest.mark.real

WATCH = "monitor/watch"
LONG = {**QUESTION, "max_tokens": 1500}


@pytest.fixture(scope="module")
def up() -> Iterator[LocalEnvironment]:
    """The tests below leave it as it was, well."""
    with place() as where:
        yield bring_up(where)


@pytest.fixture
def well(up: LocalEnvironment) -> LocalEnvironment:
    up.place.until_well()
    return up


def test_while_watch_stands_still_nothing_is_known(well: LocalEnvironment) -> None:
    where = well.place
    pid = where.services()["watch"]
    os.kill(pid, signal.SIGSTOP)  # the service manager starts what ends again, and this does not end
    try:
        page = where.read("status", status=3)
        assert page["state"] == "unknown" and page["note"].startswith("watch ")
        rows = {row["entity"]: row for row in page["entities"]}
        assert {row["state"] for name, row in rows.items() if name != WATCH} == {"unknown"}
        assert rows["rpc/chain-1"]["reason"].startswith("not watched; asked now: ok, "), "what a question brings is told all the same"
        assert rows[WATCH]["state"] in ("unknown", "down"), rows[WATCH]
        for_people = where.run("status")
        assert for_people.returncode == 3 and "nothing is known: watch " in for_people.stdout.splitlines()[0]
        assert {row["state"] for row in where.status("--now")["entities"] if row["kind"] == "miner"} == {"ok"}
    finally:
        os.kill(pid, signal.SIGCONT)
    page = where.until_well()
    assert (page["asked"], page["note"]) == ("watch", "") and where.services()["watch"] == pid


def test_a_killed_service_manager_takes_all_along_and_up_repairs_it(well: LocalEnvironment) -> None:
    where = well.place
    _kill_manager(where)
    until(lambda: not where.processes(), "its children have ended")
    where.assert_quiet()
    page = where.read("status", status=3)
    assert page["state"] == "down"
    for row in page["entities"]:
        if row["kind"] in ("miner", "router", "gateway", "engine", "oracle", "validator", "monitor"):
            assert row["state"] == "down" and row["reason"].startswith("not started: the service manager of here does not run"), row
    _assert_repaired(well)


@pytest.mark.proof
def test_up_repairs_it_while_the_others_are_still_ending(well: LocalEnvironment) -> None:
    """They are at work, so that it takes them a while to let go of their ports."""
    up = replace(well, key=well.place.read("keys", "issue", "--name", "me")["key"])
    up.until_let_in()
    with ThreadPoolExecutor(2) as clients:
        asked = [clients.submit(_breaks_off, up) for _ in range(2)]
        until(lambda: sum(row["in_flight"] for row in _sessions(up)) == 2, "both are at work")
        _kill_manager(up.place)
        _assert_repaired(up)
        assert [one.result() for one in asked] == [True, True]


def _breaks_off(up: LocalEnvironment) -> bool:
    try:
        ask(up, LONG)
    except urllib.error.HTTPError as error:
        return error.code in (502, 503)
    except (OSError, HTTPException):
        return True
    return False


def _sessions(up: LocalEnvironment) -> list[Any]:
    """Of both routers, by their own word."""
    found = []
    for name in ("router-1", "router-2"):
        node = up.place.env.nodes[name]
        assert isinstance(node, RouterNode)
        with urllib.request.urlopen(f"http://127.0.0.1:{node.port}/api/v1/status", timeout=10) as reply:
            found += json.load(reply)["sessions"]
    return found


def test_a_killed_watch_is_started_again_and_says_so(well: LocalEnvironment) -> None:
    where = well.place
    killed = where.services()["watch"]
    os.kill(killed, signal.SIGKILL)

    def told_of_it() -> Any:
        page = where.status()
        row = next(row for row in page["entities"] if row["entity"] == WATCH)
        restarted = "restarted" in row["reason"]
        assert restarted or page["state"] != "ok" or " (as of " in row["reason"], "well without a word, as if nothing had happened"
        return row if restarted else None

    told = until(told_of_it, "watch says that it was restarted")
    assert f"pid {killed} ended, now pid {where.services()['watch']}" in told["reason"]

    def others() -> set[str]:
        return {row["state"] for row in where.status()["entities"] if row["entity"] not in (WATCH, "proxy/console.localhost")}

    until(lambda: others() == {"ok"}, "the others are well, and known to be")


def _kill_manager(where: Place) -> None:
    manager = where.manager()
    assert manager is not None
    os.kill(manager, signal.SIGKILL)


def _assert_repaired(up: LocalEnvironment) -> None:
    """`up` exits 0, everything is there once, and a request is answered."""
    where = up.place
    shown = where.read("up", "--detach")
    where.assert_no_orphan()
    assert len([line for line in where.processes().values() if "supervisor.supervisord" in line]) == 1
    names = set(where.services())
    assert names == {*where.env.nodes, "gateway-1", "gateway-2", "portal", "proxy", "watch"}
    assert ask(replace(up, key=shown["key"]))["choices"][0]["message"]["content"]
    where.until_well()
    assert where.read("plan")["changes"] == []
