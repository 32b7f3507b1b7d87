"""A program of others on a host with systemd: the distribution's nginx as a relay before our chain, as its own account."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.hosts.own_lab import BASE, CHAIN, FILE, lab_of

from cortops.testing.hosts import hosts

pytestmark = [pytest.mark.real, pytest.mark.proof]

RELAY = """  relay-1:
    role: rpc-relay
    host: h1
    port: 8600
    program: /usr/sbin/nginx
    user: www-data
    data: /var/lib/own-relay-1
    depends_on: [chain-1]
    first_start: [/bin/sh, -c, 'id -un >"$1/first"', sh, "{data}"]
    arguments: [-e, stderr, -p, "{data}", -c, "{files}/nginx.conf"]
    files:
      nginx.conf: |
        daemon off;
        pid nginx.pid;
        events {}
        http {
          access_log off;
          client_body_temp_path body; proxy_temp_path proxied; fastcgi_temp_path fast; uwsgi_temp_path uw; scgi_temp_path sc;
          upstream chain { server {chain-1}; }
          server { listen {address}:{port}; location / { proxy_pass http://chain; } }
        }
"""


def test_it_runs_as_its_account_is_asked_comes_back_and_leaves_its_data(nothing_left_behind: None, tmp_path: Path) -> None:
    with hosts(names=("h1",)) as fleet:
        host, lab = fleet["h1"], lab_of(fleet, tmp_path, "nodes:\n" + CHAIN % "h1" + RELAY, addresses=False)
        applied = lab.me("apply", FILE)
        assert applied.status == 0, applied.err + lab.logs()
        rows = {row["entity"]: row for row in json.loads(lab.me("status", FILE, "--now", "--json").out)["entities"]}
        assert rows["rpc-relay/relay-1"]["state"] == "ok", rows["rpc-relay/relay-1"]
        assert "chain 31338, head " in rows["rpc-relay/relay-1"]["reason"]
        assert lab.me("apply", FILE).out.startswith("Nothing to do: all")

        pid = lab.pids()["h1 relay-1"]
        assert host.do(f"ps -o user= -p {pid}; readlink /proc/{pid}/exe; readlink /proc/{pid}/cwd").split() == [
            "www-data",
            "/usr/sbin/nginx",
            "/var/lib/own-relay-1/data",
        ]
        assert host.do("cat /var/lib/own-relay-1/data/first") == "www-data\n"
        host.do(f"kill -9 {pid}; until systemctl is-active --quiet cortops-own.relay-1; do sleep 0.2; done")
        assert lab.me("status", FILE, "--now").status == 0
        assert lab.pids()["h1 relay-1"] != pid

        purged = lab.me("down", FILE, "--purge")
        assert purged.status == 0, purged.err
        assert not [path for path in lab.left() if BASE in path or "systemd" in path]
        assert host.do("ls /var/lib/own-relay-1/data | grep -c first") == "1\n", "data is nobody's to delete"
