"""The fake pair as an environment: its file, its site, and how it is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.surfaces.stage import site_of

from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.probes.ask import ask
from cortops.protocol.http import HttpClient
from cortops.surfaces.chain import checks as chain
from cortops.surfaces.chain.addresses import contract_addresses
from cortops.surfaces.chain.asks import wallet_addresses
from cortops.surfaces.judging import Judged, judge
from cortops.testing.orbit.server import OrbitServer, serving
from cortops.testing.orbit.world import (
    BRIDGE,
    CHILD_ID,
    FAULTS,
    INBOX,
    OWNER,
    PARENT_ID,
    POSTER,
    ROLLUP,
    SEQUENCER_INBOX,
    TOKEN,
    OrbitWorld,
)
from cortops.words.clock import SystemClock

FILE = """format: 1
environment: lab
owners: {{default: ops@lab.example}}
hosts: {{here: {{local: true}}}}
network:
  chain_id: {child}
  rpc: {{url: "{main}"}}
  fallbacks: ["{fallback}"]
  references: ["{reference}"]
  limits: {{latency_max_ms: 200}}
  parent:
    name: lab parent
    chain_id: {parent_id}
    rpc: {{url: "{parent}"}}
    references: ["{parent_reference}"]
    contracts: {{rollup: "{rollup}", bridge: "{bridge}", inbox: "{inbox}", sequencer-inbox: "{sequencer_inbox}"}}
    owners: ["{owner}"]
  sequencer: {{url: "{sequencer}", feed: {{url: "{feed}"}}}}
  batch_poster: {{addresses: ["{poster}"]}}
  gas_token: {{symbol: COR, address: "{token}"}}
  explorer: "{explorer}"
  contracts: {{runtime: deploy}}
nodes:
  oracle-1: {{role: oracle, host: here, port: 5201}}
"""


def fields(server: OrbitServer) -> dict[str, object]:
    """What FILE is filled in with."""
    urls = {name.replace("-", "_"): url for name, url in server.url.items()}
    contracts = {"rollup": ROLLUP, "bridge": BRIDGE, "inbox": INBOX, "sequencer_inbox": SEQUENCER_INBOX, "token": TOKEN}
    return {**urls, **contracts, "child": CHILD_ID, "parent_id": PARENT_ID, "owner": OWNER, "poster": POSTER}


def environment(server: OrbitServer) -> Environment:
    """The file with the server's addresses, read."""
    loaded = load(FILE.format(**fields(server)), "lab.yaml")
    assert isinstance(loaded, Environment), loaded
    return loaded


class FakePair:
    """The conformance suite's Pair, in this process."""

    faults = frozenset(FAULTS)

    def __init__(self, server: OrbitServer, env: Environment, http: HttpClient) -> None:
        self.server, self.env, self.site, self._http = server, env, site_of(env), http
        self.questions = tuple(chain.questions(env, self.site))
        self.checks = tuple(chain.checks(env, self.site))
        addresses = contract_addresses(env, self.site)
        server.world.modules |= {name: getattr(addresses, name) for name in addresses.__slots__}
        server.world.wallets |= wallet_addresses(env, self.site)

    async def inject(self, fault: str) -> None:
        self.server.world.inject(fault)

    async def heal(self) -> None:
        self.server.world.heal()

    async def judged(self) -> Sequence[Judged]:
        clock = SystemClock()
        replies = await ask(self.questions, self._http, _nobody, clock)
        return judge(self.checks, replies, clock.now())


async def _nobody(target: str, questions: object) -> dict[str, object]:
    raise AssertionError(f"nothing is asked of {target}")


@asynccontextmanager
async def fake_pair() -> AsyncIterator[FakePair]:
    """Serving while inside."""
    clock = SystemClock()
    async with serving(OrbitWorld(now=clock.now)) as server:
        http = HttpClient(clock=clock)
        try:
            yield FakePair(server, environment(server), http)
        finally:
            await http.close()
