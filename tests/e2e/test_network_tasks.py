"""The network's own tasks in a real environment: oracle, three miners, validatorv1 and pool oracle, by what they and the chain say."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
import yaml

from cortops.testing.local import EXAMPLE, LocalEnvironment, bring_up, place, until

pytestmark = pytest.mark.proof

TASKS_WANTED = 2
WITHIN_S = 90.0


def _declared() -> str:
    """The bundled environment with network tasks, a validator of them and a pool oracle."""
    body: dict[str, Any] = yaml.load(EXAMPLE.read_text(), yaml.BaseLoader)  # text only: `on` is a key here
    body["network"]["tasks"] = {"every_s": "2", "step_s": "30"}
    validator: dict[str, Any] = body["nodes"]["validator-1"]
    body["nodes"]["regulator-1"] = {**validator, "runs": "validatorv1", "port": "5311"}
    body["nodes"]["pool-1"] = {"role": "pool-oracle", "host": "here", "port": "5321", "every_s": "5"}
    return yaml.safe_dump(body, sort_keys=False)


def _health(up: LocalEnvironment, name: str) -> Any:
    port = up.place.env.nodes[name].port
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
        return json.loads(reply.read())


def test_tasks_of_the_network_move_levels_and_fill_the_pool(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("network-tasks") / "local.yaml"
    file.write_text(_declared())
    with place(file=file) as where:
        up = bring_up(where)
        until(lambda: _health(up, "oracle-1")["network_tasks_ended"] >= TASKS_WANTED or None, "two network tasks ended", WITHIN_S)
        until(lambda: _health(up, "regulator-1")["network_tasks_reported"] >= TASKS_WANTED or None, "both were reported", WITHIN_S)
        until(lambda: _health(up, "pool-1")["ephemeral_nodes"] == 3 or None, "three nodes are free", WITHIN_S)
        assert _health(up, "regulator-1")["last_passed"] == 3, "one seed, one text"
        steps = [_health(up, name)["network_steps"] for name in ("miner-1", "miner-2", "miner-3")]
        assert all(one["commit"] >= TASKS_WANTED for one in steps), steps
        states = {entity["entity"]: entity["state"] for entity in up.place.until_well()["entities"]}
        assert {states[f"contract/{name}"] for name in ("cognitive", "cognitive-level")} == {"ok"}
        assert states["pool-oracle/pool-1"] == states["validator/regulator-1"] == "ok"
