"""The life of an environment, in order: planned, up, up again, half stopped, down, up again as it was, purged."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cortops.deploy.journal import Entry, entries
from cortops.testing.local import LocalEnvironment, Place, ask, place

pytestmark = pytest.mark.real

Line = tuple[str, str]  # action, resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A place that was empty, the plan then, and what the first `up` for people printed."""

    place: Place
    plan: Any
    printed: str
    progress: str

    @property
    def command(self) -> str:
        """The curl line as printed, with what folds it."""
        found = re.search(r"^ *curl .*?'$", self.printed, re.MULTILINE | re.DOTALL)
        assert found, self.printed
        return found.group()

    def local(self, key: str) -> LocalEnvironment:
        shown = self.place.read("status")
        return LocalEnvironment(place=self.place, endpoints=shown["endpoints"], key=key, task="")


@pytest.fixture(scope="module")
def life() -> Iterator[Life]:
    """Up from nothing. The tests below follow one another."""
    with place() as where:
        plan = where.read("plan", status=3)
        assert not where.root.exists(), "a plan writes nothing"
        done = where.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        yield Life(place=where, plan=plan, printed=done.stdout, progress=done.stderr)


def _journal(where: Place) -> list[Entry]:
    return entries((where.root / "journal.jsonl").read_text().splitlines())


def _planned(plan: Any, target: str = "here") -> list[Line]:
    return [(change["action"], change["resource"]) for change in plan["changes"] if change["target"] == target]


def _made(found: list[Entry], apply_id: str) -> list[Line]:
    return [(entry.action, entry.resource) for entry in found if entry.apply == apply_id and entry.event == "intent"]


def _node_files(where: Place) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (where.root / "etc").glob("*.env")}


def _head(local: LocalEnvironment) -> int:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}).encode()
    request = urllib.request.Request(local.endpoints["rpc"], body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as reply:
        return int(json.load(reply)["result"], 16)


def _stop(where: Place, *names: str) -> None:
    socket = f"unix://{where.root}/run/supervisor.sock"
    done = subprocess.run(
        [sys.executable, "-m", "supervisor.supervisorctl", "-s", socket, "stop", *names], capture_output=True, text=True, check=False
    )
    assert done.stdout.count(": stopped") == len(names), done.stdout + done.stderr


def test_up_makes_what_plan_shows(life: Life) -> None:
    planned = _planned(life.plan)
    assert {change["target"] for change in life.plan["changes"]} == {"here", "chain"}
    assert not life.plan["unchanged"]
    assert [item["target"] for item in life.plan["unknown"]] == ["chain"], "it does not run yet"
    found = _journal(life.place)
    by_lock = [("create", f"directory:{life.place.root}"), ("create", f"directory:{life.place.root}/run")]  # it must lie somewhere
    assert _made(found, found[0].apply) == [line for line in planned if line not in by_lock]
    assert [line for line in planned if line in by_lock] == by_lock
    assert found[-1].event == "finished" and found[-1].outcome == "ok"


def test_progress_names_each_wave(life: Life) -> None:
    assert re.search(r"chain-1.* well +\d+\.\d s", life.progress)
    assert re.search(r"3 contracts.* done +\d+\.\d s", life.progress)
    assert re.search(r"router-1, miner-1, oracle-1 +well +\d+\.\d s", life.progress)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_the_printed_curl_line_works_as_printed(life: Life, stream: bool) -> None:
    command = life.command.replace('{"model"', '{"stream":true,"model"') if stream else life.command
    done = subprocess.run(["sh", "-c", command], cwd="/", capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    if stream:
        events = [line.removeprefix("data: ") for line in done.stdout.splitlines() if line]
        assert events[-1] == "[DONE]" and len(events) > 5
        assert all(json.loads(event)["object"] == "chat.completion.chunk" for event in events[:-1])
    else:
        assert json.loads(done.stdout)["choices"][0]["message"]["content"]


def test_up_again_has_nothing_to_do(life: Life) -> None:
    done = life.place.run("up", "--detach")
    assert done.returncode == 0, done.stderr
    told = re.search(r"Nothing to do: (\d+) of (\d+) resources need no change \((.+)\)\.", done.stderr)
    assert told and told[1] == told[2] and int(told[1]) == len(life.plan["changes"]), done.stderr
    assert sum(int(count) for count in re.findall(r"(?:^|, )(\d+) ", told[3])) == int(told[1]), "each has its reason"
    assert life.place.read("plan")["changes"] == []


def test_task_show_needs_no_program_but_the_chain(life: Life) -> None:
    row = life.place.usage()[-1]
    task = f"{row.session}/{row.task}"
    before = life.place.read("task", "show", task)
    assert [step["step"] for step in before["steps"]][-2:] == ["ended", "usage"]
    _stop(life.place, "router-1", "miner-1", "oracle-1", "gateway", "proxy", "engine-1")
    assert life.place.read("task", "show", task) == before
    for_people = life.place.run("task", "show", task)
    assert for_people.returncode == 0 and re.search(rf"task {task} · ended\n.*submitted", for_people.stdout, re.DOTALL)


def test_status_says_what_is_stopped(life: Life) -> None:
    status = life.place.read("status", status=3)
    states = {item["entity"]: item["state"] for item in status["entities"]}
    assert states["router/router-1"] == "down" and states["engine/engine-1"] == "down"
    assert states["rpc/chain-1"] == "ok" and states["contract/session"] == "ok"


def test_up_starts_what_is_stopped_by_the_plan_of_plan(life: Life) -> None:
    plan = life.place.read("plan", status=3)
    done = life.place.read("up", "--detach")
    assert done["changes"] == 6
    found = _journal(life.place)
    begun = [entry for entry in found if entry.event == "begun"]
    assert begun[-1].digest == plan["digest"]
    assert _made(found, begun[-1].apply) == _planned(plan)
    assert {action for action, _ in _planned(plan)} == {"start"}


def test_down_keeps_what_was(life: Life) -> None:
    issued = life.place.read("keys", "issue", "--name", "me")
    local = life.local(issued["key"])
    _until_let_in(local)
    row = life.place.usage_of(ask(local)["id"].removeprefix("chatcmpl-"))
    task = f"{row.session}/{row.task}"
    shown, head, files = life.place.read("task", "show", task), _head(local), _node_files(life.place)

    stopped = life.place.read("down")
    assert stopped == {"environment": "local", "was_running": True, "purged": False}
    life.place.assert_quiet()

    plan = life.place.read("plan", status=3)
    assert {resource for action, resource in _planned(plan) if action == "start"} == {
        f"service:{name}" for name in ("chain-1", "engine-1", "router-1", "miner-1", "oracle-1", "gateway", "proxy")
    }
    up = life.place.read("up", "--detach")
    begun = [entry for entry in _journal(life.place) if entry.event == "begun"][-1]
    assert begun.digest == plan["digest"] and _made(_journal(life.place), begun.apply) == _planned(plan)
    assert up["changes"] == len(_planned(plan)), "the chain was as it should be"
    assert _node_files(life.place) == files, "the same wallets and contracts"
    assert _head(local) >= head
    assert life.place.read("task", "show", task) == shown
    assert ask(local)["choices"][0]["message"]["content"], "the key is still good"
    assert {"up", "me"} <= {key["name"] for key in life.place.read("keys", "list")}


def _until_let_in(local: LocalEnvironment) -> None:
    """The gateway reads its keys every second."""
    again = "-fsS --retry 20 --retry-delay 1 --retry-all-errors"
    command = f'curl {again} --cacert "$CA" "$GATEWAY/v1/models" -H "authorization: Bearer $KEY"'
    assert subprocess.run(["sh", "-c", command], env=local.environ, capture_output=True, timeout=30, check=False).returncode == 0


def test_down_twice_and_purge(life: Life) -> None:
    assert life.place.run("down").returncode == 0
    again = life.place.run("down")
    assert again.returncode == 0 and again.stdout == "local was not running; its data stays (--purge removes it).\n"
    purged = life.place.run("down", "--purge")
    assert purged.returncode == 0 and purged.stdout == "local was not running; its data is removed.\n"
    assert not life.place.root.exists() and list(Path(life.place.data).iterdir()) == []
    nothing = life.place.run("down", "--purge")
    assert nothing.returncode == 0 and nothing.stdout == "Nothing to do: local is not on this machine.\n"
