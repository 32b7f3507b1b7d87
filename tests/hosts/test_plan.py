"""`plan`, `status` and `apply` of what `discover` wrote, over real SSH: no change, and nothing is touched or hidden."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.hosts.saturday import Saturday
from tests.hosts.test_discover import Discover, Run, discover_of, no_key_in, pids

pytestmark = pytest.mark.real

ATTENTION = 3


@pytest.fixture(scope="module")
def verb(saturday: Saturday, tmp_path_factory: pytest.TempPathFactory) -> Discover:
    """Any verb, as a person runs it who has just written saturday.yaml."""
    run = discover_of(saturday.fleet, tmp_path_factory.mktemp("home"))
    written = run("me@h1", "me@h2", "me@h3", "--sudo", "--write", "saturday.yaml")
    assert "12 nodes" in written.out, written.out + written.err
    return run


def told(run: Run) -> dict[str, Any]:
    return dict(json.loads(run.out))


def test_a_file_just_written_plans_to_no_change_with_a_reason_for_each_node(saturday: Saturday, verb: Discover) -> None:
    run = verb("saturday.yaml", "--json", verb="plan")
    shape = told(run)
    assert (run.status, shape["changes"], shape["unknown"], shape["secrets_to_make"]) == (0, [], [], []), run.out + run.err
    assert len(shape["unchanged"]) == len(saturday.nodes) == 12
    for item in shape["unchanged"]:
        assert item["reason"].startswith("runs ") and " as found, pid " in item["reason"] and item["reason"].endswith("; not adopted"), item
        assert not item["differs"]
    again = told(verb("saturday.yaml", "--json", verb="plan"))
    assert again["digest"] == shape["digest"]
    no_key_in(saturday.nodes, run)


def test_for_people_it_is_two_lines(verb: Discover) -> None:
    run = verb("saturday.yaml", verb="plan")
    assert run.out.splitlines() == ["12 of 12 resources need no change (--why lists each reason)", "Nothing to do."]


def test_an_apply_touches_no_node_and_writes_nothing(saturday: Saturday, verb: Discover) -> None:
    before = {host.name: pids(host) for host in saturday.fleet}
    run = verb("saturday.yaml", "--json", verb="apply")
    assert (run.status, told(run)["changes"]) == (0, 0), run.out + run.err
    assert {host.name: pids(host) for host in saturday.fleet} == before


def test_status_has_a_state_for_every_host_and_node(saturday: Saturday, verb: Discover) -> None:
    run = verb("saturday.yaml", "--json", verb="status")
    rows = {row["entity"]: row for row in told(run)["entities"]}
    nodes = {name: row for name, row in rows.items() if row["kind"] in ("miner", "router", "oracle", "validator")}
    assert len(nodes) == 12
    assert {row["state"] for row in nodes.values()} == {"ok"}, nodes
    assert all(row["reason"].startswith("runs, pid ") for row in nodes.values())
    assert {rows[f"host/h{number}"]["state"] for number in (1, 2, 3)} == {"ok"}
    assert rows["rpc/rpc"]["reason"].startswith(f"chain {saturday.network.chain_id}")
    assert rows["contract/runtime"]["state"] == "ok"


def test_a_host_that_is_cut_off_is_unknown_and_hides_no_other(saturday: Saturday, verb: Discover) -> None:
    with saturday.fleet["h2"].cut_off():
        run = verb("saturday.yaml", "--json", verb="plan")
        status = told(verb("saturday.yaml", "--json", verb="status"))
    shape = told(run)
    on_h2 = len(saturday.on("h2"))
    assert (run.status, shape["changes"]) == (ATTENTION, [])
    assert [item["target"] for item in shape["unknown"]] == ["h2"], "once, not for each of its nodes"
    assert len(shape["unchanged"]) == 12 - on_h2
    states = {row["entity"]: row["state"] for row in status["entities"]}
    assert states["host/h2"] == "unknown"
    assert sorted(states.values()).count("unknown") == on_h2 + 1


def test_a_node_that_stops_and_one_that_is_taken_away_are_told_and_not_brought_back(saturday: Saturday, verb: Discover) -> None:
    """On h3 stands the ansible node alone with its unit: stopped, then without its unit and files, then put back as it was."""
    host = saturday.fleet["h3"]
    (node,) = (node for node in saturday.on("h3") if node.shape == "ansible")
    unit = f"/etc/systemd/system/{node.unit}"
    host.do(f"systemctl stop {node.unit}")
    try:
        reasons = [item["reason"] for item in told(verb("saturday.yaml", "--json", verb="plan"))["unchanged"]]
        assert reasons.count("as found, and it does not run; not adopted") == 1
        host.do(f"mv {unit} {unit}.away && mv {node.env_file} {node.env_file}.away && systemctl daemon-reload")
        run = verb("saturday.yaml", "--json", verb="plan")
        shape = told(run)
        assert (run.status, shape["changes"], len(shape["unchanged"])) == (ATTENTION, [], 11), run.out
        (gone,) = shape["unknown"]
        assert gone["target"] == "h3" and " is gone: " in gone["why"]
        apply = verb("saturday.yaml", "--json", verb="apply")
        assert (apply.status, told(apply)["changes"]) == (0, 0)
        assert host.run(f"test -e {unit}").returncode != 0
    finally:
        host.do(
            f"[ ! -e {unit}.away ] || {{ mv {unit}.away {unit} && mv {node.env_file}.away {node.env_file}; }}; "
            f"systemctl daemon-reload && systemctl start {node.unit}"
        )
    assert told(verb("saturday.yaml", "--json", verb="plan"))["unknown"] == []


def test_what_no_longer_is_as_declared_is_told_with_its_line(saturday: Saturday, verb: Discover, tmp_path: Path) -> None:
    run = discover_of(saturday.fleet, tmp_path)
    run("me@h1", "me@h2", "me@h3", "--sudo", "--write", "lab.yaml")
    file = tmp_path / "lab.yaml"
    (salt,) = (node for node in saturday.on("h3") if node.shape == "salt")
    file.write_text(file.read_text().replace(salt.address, "0x" + "cd" * 20))
    planned = run("lab.yaml", verb="plan")
    lines = planned.out.splitlines()
    assert planned.status == ATTENTION
    assert f"address is {salt.address.lower()}, declared 0x{'cd' * 20}" in lines[1]
    assert lines[-2:] == ["Nothing to do.", "next: correct lab.yaml, or let cortops discover write it anew"]
