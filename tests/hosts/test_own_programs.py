"""Our own programs on hosts that SSH reaches, by the command line: planned, applied, asked, rebooted, edited, stopped, purged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.hosts.own_lab import BASE, CHAIN, FILE, REST, OwnLab, engine, lab_of

from cortops.testing.cortensord.network import wait_until
from cortops.testing.hosts import hosts

pytestmark = pytest.mark.real

PENDING, NOTHING_TO_DO, ATTENTION = 3, 0, 3
BACK_WITHIN_S = 60.0
KNOWN_WITHIN_S = 10.0  # a gateway reads its keys every second


def states(lab: OwnLab) -> dict[str, str]:
    """Entity -> its state, asked now; without what nobody can ask."""
    page = json.loads(lab.me("status", FILE, "--now", "--json").out)
    return {row["entity"]: row["state"] for row in page["entities"] if not row["entity"].startswith(("engine/", "dns/"))}


def planned(lab: OwnLab) -> list[dict[str, Any]]:
    return list(json.loads(lab.me("plan", FILE, "--json").out)["changes"])


def test_one_program_on_one_host_and_nothing_left_of_it(nothing_left_behind: None, programs: Path, tmp_path: Path) -> None:
    with hosts(names=("h1",)) as fleet:
        lab = lab_of(fleet, tmp_path, "nodes:\n" + CHAIN % "h1", addresses=False)
        assert lab.me("up", FILE).status == 1, "what stands elsewhere is reviewed first"
        plan = lab.me("plan", FILE)
        assert plan.status == PENDING and "service:chain-1" in plan.out
        assert lab.left() == set(), "a plan writes nothing"
        applied = lab.me("apply", FILE)
        assert applied.status == 0, applied.err + lab.logs()
        again = lab.me("apply", FILE)
        assert again.out.startswith("Nothing to do: all"), again.out + again.err
        assert lab.me("plan", FILE).status == NOTHING_TO_DO
        assert set(states(lab).values()) == {"ok"}
        assert fleet["h1"].do("ss -Hltn | awk '{print $4}' | grep -E ':854[56]' | sort") == "127.0.0.1:8545\n127.0.0.1:8546\n"
        assert "new chain" in lab.me("logs", "chain-1", FILE).out
        purged = lab.me("down", FILE, "--purge")
        assert purged.status == 0, purged.err
        assert lab.left() == set()


@pytest.fixture(scope="module")
def lab(nothing_left_behind: None, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnLab]:
    """Chain and oracle on h1; router, gateway and nginx on h2; a miner on h3, with its engine on this machine. Applied."""
    with hosts(names=("h1", "h2", "h3")) as fleet, engine(fleet.gateway) as url:
        made = lab_of(fleet, tmp_path_factory.mktemp("own"), REST % {"engine": url})
        applied = made.me("apply", FILE)
        assert applied.status == 0, applied.err + made.logs()
        yield made


@pytest.mark.proof
def test_a_network_over_three_hosts_serves_a_request_and_commits_it(lab: OwnLab) -> None:
    assert lab.me("apply", FILE).out.startswith("Nothing to do: all")
    key = lab.me("keys", "issue", FILE, "--name", "me").out.split()[0]
    asked: list[int] = []

    def served() -> bool:
        asked.append(lab.ask(key, "h2").status)
        return asked[-1] == 200

    wait_until(served, KNOWN_WITHIN_S)
    assert asked[-1] == 200, asked
    task = json.loads(lab.me("task", "show", "1/1", FILE, "--json").out)
    assert task["state"] == "ended" and [step["step"] for step in task["steps"]][-2:] == ["ended", "usage"]
    assert {step["by"] for step in task["steps"] if step["step"] == "committed"} == {"miner-1"}
    counted = json.loads(lab.me("usage", FILE, "--by", "member", "--json").out)["sums"]
    assert ("router-1", 1) in {(item["of"], item["ok"]) for item in counted}
    assert set(states(lab).values()) == {"ok"}


@pytest.mark.proof
def test_only_what_others_need_listens_beyond_loopback(lab: OwnLab) -> None:
    beyond = {
        host.name: set(host.do("ss -Hltn | awk '{print $4}' | grep -v -E '^(127\\.0\\.0\\.1|0\\.0\\.0\\.0|\\[::\\]):'; :").split())
        for host in lab.fleet
    }
    address = {host.name: host.address for host in lab.fleet}
    assert beyond == {"h1": {f"{address['h1']}:8545"}, "h2": {f"{address['h2']}:{port}" for port in (9001, 8443)}, "h3": set()}


@pytest.mark.proof
def test_a_host_that_reboots_brings_all_of_it_back(lab: OwnLab) -> None:
    lab.fleet["h2"].reboot()
    wait_until(lambda: set(states(lab).values()) == {"ok"}, BACK_WITHIN_S)
    assert set(states(lab).values()) == {"ok"} and planned(lab) == []


@pytest.mark.proof
def test_a_drain_from_afar_holds_on_the_gateways_host_and_ends(lab: OwnLab) -> None:
    def member() -> dict[str, Any]:
        return dict(json.loads(lab.me("pools", FILE, "--json").out)["pools"][0]["members"][0])

    assert (member()["name"], member()["state"], member()["sessions"]) == ("router-1", "ok", {"scripted": [1]})
    refused = lab.me("pools", "drain", "router-1", FILE)
    assert refused.status == 1 and "router-1 is the last one of pool main that takes requests" in refused.err
    done = lab.me("pools", "drain", "router-1", FILE, "--force", "--wait", "--why", "a new kernel")
    assert done.status == 0 and "Nothing is in flight there any more." in done.out
    seen = member()
    assert (seen["state"], seen["seen"], seen["drain"]["why"]) == ("maintenance", {"gateway-1": "drained"}, "a new kernel")
    assert lab.me("pools", "undrain", "router-1", FILE).status == 0
    wait_until(lambda: member()["state"] == "ok", BACK_WITHIN_S)
    assert member()["state"] == "ok"


@pytest.mark.proof
def test_an_edit_reloads_or_restarts_what_it_touches_and_its_way_back_too(lab: OwnLab) -> None:
    before = lab.pids()
    for old, new in (("request_timeout_s: 480", "request_timeout_s: 470"), ("request_timeout_s: 470", "request_timeout_s: 480")):
        lab.edit(old, new)
        changes = {change["resource"]: change["action"] for change in planned(lab)}
        assert changes == {f"file:{BASE}/own/etc/gateway-1.json": "update", "service:gateway-1": "reload"}
        assert lab.me("apply", FILE).status == 0
        assert lab.pids() == before, "what runs reads its file again"
    for old, new in (("on: h2, port: 8400", "on: h2, port: 8410"), ("on: h2, port: 8410", "on: h2, port: 8400")):
        lab.edit(old, new)
        assert lab.me("apply", FILE).status == 0
        now = lab.pids()
        assert "h2 gateway-1" in {name for name in now if now[name] != before[name]}
        before = now


@pytest.mark.proof
def test_a_host_that_cannot_be_reached_is_named_and_nothing_is_done(lab: OwnLab) -> None:
    with lab.fleet["h3"].cut_off():
        plan = lab.me("plan", FILE)
        assert plan.status == PENDING and "h3 could not be looked at" in plan.out
    assert planned(lab) == []


@pytest.mark.proof
def test_a_program_that_moves_never_runs_twice(lab: OwnLab) -> None:
    lab.edit("role: miner, host: h3", "role: miner, host: h1")
    with lab.fleet["h3"].cut_off():
        refused = lab.me("apply", FILE)
        assert refused.status == 1 and "miner-1 may still run on h3" in refused.err, refused.err
        assert "h1 miner-1" not in lab.pids()
    first = planned(lab)[0]
    assert (first["target"], first["resource"], first["action"], first["wave"]) == ("h3", "service:miner-1", "delete", 1)
    applied = lab.me("apply", FILE)
    assert applied.status == 0, applied.err + lab.logs()
    assert "h1 miner-1" in lab.pids() and "h3 miner-1" not in lab.pids()
    assert "cortops-own" not in lab.fleet["h3"].do("ls /etc/systemd/system")
    assert planned(lab) == []


@pytest.mark.proof
def test_down_stops_every_host_and_apply_brings_it_back(lab: OwnLab) -> None:
    assert lab.me("down", FILE).status == 0
    assert not {pid for pid in lab.pids().values() if pid != "0"}
    assert {change["resource"] for change in planned(lab) if change["action"] != "ensure"} >= {"service:chain-1", "service:miner-1"}
    assert lab.me("apply", FILE).status == 0
    assert set(states(lab).values()) == {"ok"}
