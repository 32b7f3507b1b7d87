"""`cortops proxy test` of a running environment: every hostname and route family is as declared, and measured to be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cortops.testing.local import LocalEnvironment

pytestmark = pytest.mark.real


def test_every_hostname_is_as_declared(local_environment: LocalEnvironment, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(local_environment.key)
    done = local_environment.run("proxy", "test", "--json", "--key-file", str(key))
    assert done.returncode == 0, done.stdout + done.stderr
    assert local_environment.key not in done.stdout + done.stderr
    found = json.loads(done.stdout)["rows"]
    off = [row for row in found if row["state"] not in ("ok", "not measured")]
    assert not off
    told = {(row["hostname"], row["what"]): row["measured"] for row in found if row["state"] == "ok"}
    assert told["gateway.localhost", "completion"] == "5 of 5 paths"
    assert "parts" in told["gateway.localhost", "streaming"]
    for hostname in local_environment.place.env.proxy:
        assert told[hostname, "certificate"].endswith("days left")
        assert told[hostname, "body"] == "one byte more: 413; that much: taken"
        assert told[hostname, "timeout"].endswith("in the running configuration")
