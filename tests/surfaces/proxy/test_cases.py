"""Golden nginx text of each route family: `cases/NAME.case` holds a route, then what nginx gets for it. nginx and crossplane read each."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.surfaces.proxy.nginx_rig import nginx_program, server_of
from tests.surfaces.proxy.test_nginx import certified, locations, servers, value
from tests.surfaces.stage import example

from cortops.environment.agents import Mcp
from cortops.environment.declared import Environment
from cortops.environment.families import FAMILIES
from cortops.environment.model import RouterNode
from cortops.environment.portal import Portal
from cortops.environment.traffic import Route
from cortops.surfaces.proxy.nginx import NginxSite, render

CASES = sorted((Path(__file__).parent / "cases").glob("*.case"))
NAME = "public.lab.example"
MARK = "----\n"


def declared(case: Path) -> Environment:
    """The example environment with a portal and tools at its routers, and the case's route alone. Each value is text: `on` is a name."""
    env = example()
    mcp = {name: router.model_copy(update={"mcp": Mcp(port=router.port + 3000)}) for name, router in env.nodes_of(RouterNode)}
    route = Route.model_validate(yaml.load(case.read_text().partition(MARK)[0], yaml.BaseLoader))
    portal = Portal(on="here", port=8450)
    return replace(env, nodes={**env.nodes, **mcp}, portal=portal, proxy={NAME: route})


def site(case: Path) -> NginxSite:
    server = server_of(declared(case), NAME)
    placed = replace(server, listen=("127.0.0.1:8443",), certificate="/tls/public.pem", certificate_key="/tls/public.key")
    return NginxSite(run_folder="/run/proxy", user="", servers=(placed,))


def shown(text: str) -> str:
    """What belongs to the hostname, without the refusals, which are alike for all."""
    zones = "".join(f"{line}\n" for line in text.splitlines() if line.startswith(("    limit_req_zone", "    limit_conn_zone")))
    own = text[text.index(f"    # {NAME}") : text.index("        error_page ")]
    return zones + own.rstrip() + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_route_gets_this_text(case: Path) -> None:
    """After a change that is meant: CORTOPS_WRITE_GOLDEN=1 pytest tests/surfaces, then read the difference."""
    given, _, expected = case.read_text().partition(MARK)
    text = shown(render(site(case)))
    if os.environ.get("CORTOPS_WRITE_GOLDEN"):
        case.write_text(given + MARK + text)
        expected = text
    assert text == expected


@pytest.mark.real
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_nginx_and_crossplane_read_it(case: Path, tmp_path: Path) -> None:
    text = render(certified(site(case), tmp_path))
    (server,) = servers(text, tmp_path)
    assert value(server, "server_name") == [NAME]
    assert "/" in locations(server), "all else has its place too"
    assert all(" ".join(block["args"]) for block in server if block["directive"] == "location")
    argv = [nginx_program(tmp_path), "-t", "-q", "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "[emerg]" in line]) == (0, [])


def test_every_family_has_its_case() -> None:
    seen = {family for case in CASES for family in declared(case).proxy[NAME].lets_through(example().gateway)}
    assert seen == set(FAMILIES)
