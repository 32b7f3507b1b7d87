"""Our own programs go back to a generation as a whole, also when going back was killed; and who may not apply changes nothing."""

from __future__ import annotations

import json
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cortops.testing.local import SMALL, Place, place, until

pytestmark = pytest.mark.proof

TEXT = """format: 1
environment: oracles
owners: {{default: you@localhost}}
hosts: {{here: {{local: true}}}}
{releases}
network: {{chain_id: 31339, development: true, rpc: chain-1, contracts: {{runtime: deploy}}}}
nodes:
  chain-1:  {{role: chain, host: here, port: 8545, health_port: 8546, release: anvil}}
  oracle-1: {{role: oracle, host: here, port: 5201, ack_timeout_s: 5}}
"""
SECOND = "  oracle-2: {role: oracle, host: here, port: 5202}\n"
CAME = {"SSH_CONNECTION": "203.0.113.9 50022 198.51.100.7 22"}


@pytest.fixture
def where() -> Iterator[Place]:
    releases = re.search(r"^releases:.*?(?=^  smollm2:)", SMALL.read_text(), re.MULTILINE | re.DOTALL)
    assert releases is not None
    with tempfile.TemporaryDirectory(prefix="cortops-back-") as folder:
        file = Path(folder) / "oracles.yaml"
        file.write_text(TEXT.format(releases=releases[0].rstrip()))
        with place(CAME, file=file) as made:
            yield made


def ok(where: Place, *words: str) -> str:
    done = where.run(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def killed_on_its_way(where: Place) -> None:
    """A rollback, killed once it has begun to change something."""
    with where.start("rollback", where.env.file, "--yes") as going:
        until(lambda: where.journal()[-1].event in ("intent", "done") and where.journal()[-1].apply, "it changes something")
        going.send_signal(signal.SIGKILL)


def test_back_as_a_whole_though_killed_on_the_way_and_the_audit_of_it(where: Place) -> None:
    file = Path(where.env.file)
    first = file.read_text()
    ok(where, "apply")
    config, chain = (where.root / "etc" / "oracle-1.env").read_bytes(), where.services()["chain-1"]
    file.write_text(first.replace("ack_timeout_s: 5", "ack_timeout_s: 6") + SECOND)
    ok(where, "apply")
    assert set(where.services()) == {"chain-1", "oracle-1", "oracle-2"}

    killed_on_its_way(where)
    assert "takes it back" not in (told := ok(where, "generations")) and "finishes going back to 1" in told
    told = ok(where, "rollback", "--yes")
    assert "was cut off after" in told and "is as in generation 1, recorded as generation 3" in told
    assert set(where.services()) == {"chain-1", "oracle-1"} and where.services()["chain-1"] == chain
    assert (where.root / "etc" / "oracle-1.env").read_bytes() == config
    assert not (where.root / "etc" / "oracle-2.env").exists()

    kept = where.read("generations")[0]["generations"]
    assert [(one["generation"], one["restores"], one["via"]) for one in kept] == [
        (number, back, "ssh from 203.0.113.9") for number, back in ((3, 1), (2, None), (1, None))
    ]
    assert ok(where, "generations", "--declared", "1") == first
    assert where.read("plan", status=3)["changes"], "the file still says otherwise"

    file.write_text(first + "rules: {apply: {by: [alice@laptop]}}\n")
    done = where.run("apply", "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (1, "not_allowed")
    assert where.run("down").returncode == 1 and "chain-1" in where.services()
    file.write_text(first)
    assert where.read("apply")["changes"] == 0
