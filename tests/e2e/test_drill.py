"""Drills of the environment's own programs: a second one comes up beside it and goes away again, also after one that was cut off."""

from __future__ import annotations

import json

import pytest

from cortops.cli.drill_own import MARK
from cortops.testing.local import Place, place

pytestmark = [pytest.mark.real, pytest.mark.proof]


def beside(where: Place) -> list[str]:
    """What lies beside the environment's own folder."""
    return sorted(path.name for path in where.data.iterdir() if path != where.root)


def test_a_rollback_is_shown_on_a_second_environment_and_nothing_stays() -> None:
    with place() as where:
        done = where.run("drill", "rollback", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        steps = {step["step"]: step["text"] for step in json.loads(done.stdout)["steps"]}
        assert list(steps) == ["it comes up beside", "a change is made", "rollback takes it back", "all of it goes away again"]
        assert steps["rollback takes it back"].endswith("resources are those of generation 1")
        assert beside(where) == [] and [path.name for path in where.root.iterdir()] == ["drills.jsonl"]

        with where.start("drill", "deploy", where.env.file) as cut:
            assert cut.stderr is not None
            assert any("well" in line for line in cut.stderr), "its first services run"
            cut.kill()
        left = beside(where)
        assert len(left) == 1 and (where.data / left[0] / MARK).exists()
        again = where.run("drill", "deploy", "--json")
        assert again.returncode == 0, again.stdout + again.stderr
        assert "a drill was cut off, and left " in again.stderr
        assert [drill["kind"] for drill in json.loads(where.run("drill", "--json").stdout)] == ["rollback", "deploy"]
        assert beside(where) == []
