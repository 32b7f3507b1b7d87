"""What the tests of the environment share: the small example, the whole one, and a way to load what must be right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cortops.environment.declared import Environment
from cortops.environment.load import load, load_file
from cortops.environment.reason import Invalid

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
EXAMPLE = EXAMPLES / "small.yaml"
FLEET = """format: 1
environment: lab
owners: {default: ops@lab.example}
hosts:
  h1: {ssh: ops@h1.lab.example, sudo: true}
  h[2-4]: {ssh: "ops@h{n}.lab.example:2222"}
network: testnet-0
nodes:
  m[1-2]:
    {program: cortensord, role: miner, runs: minerv4, host: h1, shape: ansible, instance: "{n}", unit: "cortensor-{n}.service",
     env_file: "/home/deploy/.cortensor/.env-{n}", log: "/var/log/cortensord-{n}.log", binary: /usr/local/bin/cortensord}
  m3: {program: cortensord, role: miner, runs: minerv2, host: h2, shape: nohup, env_file: /home/me/.cortensor/.env,
       log: /home/me/.cortensor/logs/cortensord.log, binary: /home/me/.cortensor/bin/cortensord,
       address: "0x00000000000000000000000000000000000000a3"}
  r1: {program: cortensord, role: router, runs: routerv1, host: h2, shape: salt, instance: r1, unit: cortensord@r1.service,
       env_file: /opt/cortensor/nodes/r1/.env-r1, log: /var/log/cortensor/cortensord-r1.log, binary: /usr/local/bin/cortensord,
       owner: api@lab.example}
  p1: {program: cortensord, role: pool-oracle, runs: poolv1, host: h3, shape: docker, unit: cortensor-1,
       env_file: /app/.cortensor/.env, log: "docker:cortensor-1", binary: /usr/local/bin/cortensord}
"""


@pytest.fixture(scope="session")
def example_text() -> str:
    return EXAMPLE.read_text()


@pytest.fixture(scope="session")
def fleet_text() -> str:
    """Nodes that were there before us, in mixed shapes on hosts that are reached by SSH; one host has none."""
    return FLEET


@pytest.fixture(scope="session")
def loaded() -> Callable[[str], Environment]:
    def load_right(text: str) -> Environment:
        result = load(text, "local.yaml")
        assert not isinstance(result, Invalid), result.text
        return result

    return load_right


@pytest.fixture
def example(example_text: str, loaded: Callable[[str], Environment]) -> Environment:
    return loaded(example_text)


@pytest.fixture
def whole() -> Environment:
    result = load_file(EXAMPLES / "local.yaml")
    assert not isinstance(result, Invalid), result.text
    return result
