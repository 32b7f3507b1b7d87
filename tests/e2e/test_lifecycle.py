"""The life of the whole environment, in order: planned, up, up again, half stopped, down, up again as it was, purged."""

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

from cortops.deploy.journal import Entry
from cortops.testing.local import LocalEnvironment, Place, ask, place, printed_commands, until

pytestmark = pytest.mark.real

Line = tuple[str, str]  # action, resource
NODES = ("engine-1", "router-1", "router-2", "miner-1", "miner-2", "miner-3", "oracle-1", "validator-1")
STOPPED = (*NODES, "gateway-1", "gateway-2", "portal", "proxy")  # all but the chain, and the eye that sees it
SERVICES = {"chain-1", "watch", *STOPPED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A place that was empty, the plan then, and what the first `up` for people printed."""

    place: Place
    plan: Any
    printed: str
    progress: str

    def local(self, key: str) -> LocalEnvironment:
        return LocalEnvironment(place=self.place, endpoints=self.place.status()["endpoints"], key=key, task="")


@pytest.fixture(scope="module")
def life() -> Iterator[Life]:
    """Up from nothing. The tests below follow one another."""
    with place() as where:
        plan = where.read("plan", status=3)
        assert not where.root.exists(), "a plan writes nothing"
        done = where.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        yield Life(place=where, plan=plan, printed=done.stdout, progress=done.stderr)


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
    found = life.place.journal()
    by_lock = [("create", f"directory:{life.place.root}"), ("create", f"directory:{life.place.root}/run")]  # it must lie somewhere
    assert _made(found, found[0].apply) == [line for line in planned if line not in by_lock]
    assert [line for line in planned if line in by_lock] == by_lock
    assert found[-1].event == "finished" and found[-1].outcome == "ok"


def test_progress_names_each_wave(life: Life) -> None:
    assert re.search(r"chain-1.* well +\d+\.\d s", life.progress)
    assert re.search(r"7 contracts.* done +\d+\.\d s", life.progress)
    assert re.search(r"router-1, router-2, miner-1, miner-2, miner-3, oracle-1 and 1 more +well +\d+\.\d s", life.progress)
    assert re.search(r"^ +watch +well +\d+\.\d s", life.progress, re.MULTILINE), "it comes last: what is still to be started is not ill"


def test_a_command_is_printed_for_each_hostname(life: Life) -> None:
    assert list(printed_commands(life.printed)) == list(life.place.env.proxy) and len(life.place.env.proxy) == 5


def _as_printed(command: str) -> str:
    done = subprocess.run(["sh", "-c", command], cwd="/", capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_work_as_printed(life: Life) -> None:
    printed = {hostname: _as_printed(command) for hostname, command in printed_commands(life.printed).items()}
    assert "<form" in printed.pop("portal.localhost"), "the portal is for a browser"
    said = {hostname: json.loads(text) for hostname, text in printed.items()}
    assert said["gateway.localhost"]["choices"][0]["message"]["content"]
    assert said["router.localhost"]["status"] == "ok" and said["router.localhost"]["miners"] == 3, "a router, past the gateway"
    assert int(said["rpc.localhost"]["result"], 16) == life.place.env.network.chain_id
    assert said["console.localhost"]["environment"] == "local" and len(said["console.localhost"]["entities"]) > len(SERVICES)


def test_the_printed_question_may_be_streamed(life: Life) -> None:
    command = printed_commands(life.printed)["gateway.localhost"].replace('{"model"', '{"stream":true,"max_tokens":24,"model"')
    events = [line.removeprefix("data: ") for line in _as_printed(command).splitlines() if line]
    assert events[-1] == "[DONE]" and len(events) > 5
    assert all(json.loads(event)["object"] == "chat.completion.chunk" for event in events[:-1])


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
    before = _judged(life.place, task)
    assert [step["step"] for step in before["steps"]][-5:] == ["ended", "validated", "validated", "validated", "usage"]
    life.place.until_well()  # so that what follows is news
    _stop(life.place, *STOPPED)
    assert _on_chain(life.place.read("task", "show", task)) == _on_chain(before)
    for_people = life.place.run("task", "show", task)
    assert for_people.returncode == 0 and re.search(rf"task {task} · ended\n.*submitted", for_people.stdout, re.DOTALL)


def _on_chain(shown: Any) -> Any:
    """Without the evidence, which validators hold in memory and tell while they run."""
    return {key: value for key, value in shown.items() if key != "evidence"}


def _judged(where: Place, task: str) -> Any:
    """`task show` once nothing of the task is to come: the verdicts follow the answer."""

    def look() -> Any:
        shown = where.read("task", "show", task)
        return shown if sum(step["step"] == "validated" for step in shown["steps"]) == 3 else None

    return until(look, f"verdicts on {task}")


def test_status_says_what_is_stopped(life: Life) -> None:
    kinds = {"router", "miner", "engine", "oracle", "validator", "gateway", "portal", "proxy"}

    def down(page: Any) -> set[str]:
        return {item["entity"] for item in page["entities"] if item["state"] == "down" and item["kind"] in kinds}

    status = until(lambda: found if len(down(found := life.place.status())) == len(NODES) + 2 + 1 + 5 else None, "watch has seen it")
    assert (status["asked"], status["state"]) == ("watch", "down")
    states = {item["entity"]: item["state"] for item in status["entities"]}
    assert states["rpc/chain-1"] == "ok" and states["contract/session"] == "ok" and states["monitor/watch"] == "ok"
    assert life.place.run("status").returncode == 3
    assert down(life.place.read("status", "--now", status=3)) == down(status), "asked now, it is the same"


def test_up_starts_what_is_stopped_by_the_plan_of_plan(life: Life) -> None:
    plan = life.place.read("plan", status=3)
    done = life.place.read("up", "--detach")
    assert done["changes"] == len(STOPPED)
    found = life.place.journal()
    begun = [entry for entry in found if entry.event == "begun"]
    assert begun[-1].digest == plan["digest"]
    assert _made(found, begun[-1].apply) == _planned(plan)
    assert {action for action, _ in _planned(plan)} == {"start"}


def test_down_keeps_what_was(life: Life) -> None:
    issued = life.place.read("keys", "issue", "--name", "me")
    local = life.local(issued["key"])
    local.until_let_in()
    row = life.place.usage_of(ask(local)["id"].removeprefix("chatcmpl-"))
    task = f"{row.session}/{row.task}"
    shown, head, files = _judged(life.place, task), _head(local), _node_files(life.place)

    stopped = life.place.read("down")
    assert stopped == {"environment": "local", "was_running": True, "purged": False}
    life.place.assert_quiet()

    plan = life.place.read("plan", status=3)
    assert {resource for action, resource in _planned(plan) if action == "start"} == {f"service:{name}" for name in SERVICES}
    up = life.place.read("up", "--detach")
    begun = [entry for entry in life.place.journal() if entry.event == "begun"][-1]
    assert begun.digest == plan["digest"] and _made(life.place.journal(), begun.apply) == _planned(plan)
    assert up["changes"] == len(_planned(plan)), "the chain was as it should be"
    assert _node_files(life.place) == files, "the same wallets and contracts"
    assert _head(local) >= head
    assert _on_chain(life.place.read("task", "show", task)) == _on_chain(shown)
    assert ask(local)["choices"][0]["message"]["content"], "the key is still good"
    assert {"up", "me"} <= {key["name"] for key in life.place.read("keys", "list")}
    assert life.place.until_well()["asked"] == "watch"


def test_down_twice_and_purge(life: Life) -> None:
    assert life.place.run("down").returncode == 0
    again = life.place.run("down")
    assert again.returncode == 0 and again.stdout == "local was not running; its data stays (--purge removes it).\n"
    purged = life.place.run("down", "--purge")
    assert purged.returncode == 0 and purged.stdout == "local was not running; its data is removed.\n"
    assert not life.place.root.exists() and list(Path(life.place.data).iterdir()) == []
    nothing = life.place.run("down", "--purge")
    assert nothing.returncode == 0 and nothing.stdout == "Nothing to do: local is not on this machine.\n"
