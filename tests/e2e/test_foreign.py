"""Programs of others through the whole engine: a real PostgreSQL, a real relay (nginx) before a real chain, stand-ins for the other two."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cortops.environment.model import DatabaseNode
from cortops.local.here import host_here
from cortops.targets.supervisord import Supervisord
from cortops.testing.local import SMALL, Place, place

pytestmark = pytest.mark.real

ROLES = ("database-1", "store-1", "ipfs-1", "relay-1")
TEXT = """format: 1
environment: roles
owners: {{default: you@localhost, database: dba@localhost}}
hosts:
  here: {{local: true}}
{releases}
network:
  chain_id: 31338
  development: true
  rpc: relay-1
  contracts: {{runtime: deploy}}
nodes:
  chain-1: {{role: chain, host: here, port: 8545, health_port: 8546, release: anvil}}
  relay-1:
    role: rpc-relay
    host: here
    port: 8600
    depends_on: [chain-1]
    program: {nginx}
    arguments: [-e, stderr, -c, "{{files}}/nginx.conf", -p, "{{data}}"]
    files:
      nginx.conf: |
        daemon off;
        {nginx_user}
        pid nginx.pid;
        events {{}}
        http {{
          access_log off;
          upstream chain {{ server {{chain-1}}; }}
          server {{ listen {{address}}:{{port}}; location / {{ proxy_pass http://chain; }} }}
        }}
  database-1:
    role: database
    host: here
    port: 5432
    program: {postgres}/postgres
    user: "{user}"
    data: {folder}/database-1
    first_start: [{postgres}/initdb, -D, "{{data}}", -U, postgres, --auth-host=scram-sha-256, "--pwfile={{files}}/password"]
    arguments: [-D, "{{data}}", -p, "{{port}}", -h, "{{address}}", -k, "{{data}}"]
    secrets: {{PGPASSWORD: {{secret: database-1/password}}}}
    files: {{password: "{{PGPASSWORD}}"}}
  store-1:
    {{role: object-store, host: here, port: 9000, program: {python}, depends_on: [database-1],
     arguments: [-m, cortops.testing.foreign, object-store, "{{address}}", "{{port}}", "{{data}}"],
     secrets: {{STORE_PASSWORD: {{secret: store-1/password}}}}}}
  ipfs-1:
    {{role: ipfs, host: here, port: 5001, program: {python}, first_start: [{python}, -m, cortops.testing.foreign, init, "{{data}}"],
     arguments: [-m, cortops.testing.foreign, ipfs, "{{address}}", "{{port}}", "{{data}}"]}}
"""


def _postgres() -> Path:
    spec = importlib.util.find_spec("pgserver")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that other accounts can enter: PostgreSQL refuses to run as root."""
    with tempfile.TemporaryDirectory(prefix="cortops-roles-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def where(folder: Path) -> Iterator[Place]:
    releases = re.search(r"^releases:.*?(?=^  smollm2:)", SMALL.read_text(), re.MULTILINE | re.DOTALL)
    assert releases is not None
    nginx = host_here("here", folder, Supervisord("/x", sys.executable)).nginx
    root = os.geteuid() == 0
    text = TEXT.format(
        releases=releases[0],
        nginx=nginx,
        nginx_user="user root;" if root else "",
        postgres=_postgres(),
        user="nobody" if root else "",
        folder=folder,
        python=sys.executable,
    )
    file = folder / "roles.yaml"
    file.write_text(text)
    with place(file=file) as made:
        done = made.run("apply")
        assert done.returncode == 0, done.stdout + done.stderr
        yield made


def test_each_runs_is_asked_by_its_role_and_has_its_owner(where: Place) -> None:
    rows = {row["entity"]: row for row in where.status()["entities"]}
    reasons = {name: row["reason"] for name, row in rows.items() if name.partition("/")[2] in ROLES}
    assert {rows[name]["state"] for name in reasons} == {"ok"} and len(reasons) == len(ROLES), reasons
    assert rows["object-store/store-1"]["depends_on"] == ["database/database-1", "host/here"]
    assert rows["contract/runtime"]["depends_on"] == ["rpc-relay/relay-1"], "the contracts were deployed through the relay"
    again = where.read("plan")
    assert again["changes"] == []


def test_the_database_is_real_and_its_password_is_the_secret(where: Place, folder: Path) -> None:
    database = where.env.nodes["database-1"]
    assert isinstance(database, DatabaseNode)
    secret = (where.root / "etc" / "database-1" / ".env-PGPASSWORD").read_text()

    def query(password: str) -> subprocess.CompletedProcess[str]:
        line = [str(_postgres() / "psql"), "-h", "127.0.0.1", "-p", str(database.port), "-U", "postgres", "-tAc", "select 6*7"]
        return subprocess.run(line, env={**os.environ, "PGPASSWORD": password}, capture_output=True, text=True, timeout=20, check=False)

    assert query(secret).stdout == "42\n"
    assert "password authentication failed" in query("another").stderr
    log = (where.root / "log" / "database-1.log").read_text()
    assert log.count("FATAL") == 1, f"only the wrong password of this test, and no word about our checks:\n{log}"
    assert secret not in log
    assert secret not in "".join(where.processes().values())


@pytest.mark.proof
def test_a_killed_database_comes_back_with_its_data(where: Place) -> None:
    pid = where.services()["database-1"]
    os.kill(pid, 9)
    where.until_well("--now")
    assert where.services()["database-1"] != pid
