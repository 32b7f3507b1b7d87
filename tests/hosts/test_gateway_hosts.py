"""A gateway on two hosts that share one PostgreSQL, deployed over SSH: each serves, limit and revoke count on both, one may vanish."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.hosts.own_lab import FILE, OwnLab, engine, lab_of

from cortops.protocol.http import HttpClient, HttpReply
from cortops.testing import postgresql
from cortops.testing.cortensord.network import wait_until
from cortops.testing.hosts import hosts
from cortops.words.clock import SystemClock

pytestmark = [pytest.mark.real, pytest.mark.proof]

PORT, LIMIT = 8400, 4
ASKED = 3  # nginx tries both processes
KNOWN_WITHIN_S = 10.0  # a gateway reads its keys every second
REVOKED_WITHIN_S = 2.0
TURN_AFTER_S = 40  # seconds of a minute after which one is not begun: it must end before the next
QUESTION = b'{"model":"scripted","max_tokens":8,"messages":[{"role":"user","content":"Why is the sky blue?"}]}'
REST = """  sessions:
    1: {name: a, model: scripted, nodes: [miner-1], routers: [router-1]}
    2: {name: b, model: scripted, nodes: [miner-1], routers: [router-1]}
nodes:
  chain-1: {role: chain, host: h1, port: 8545, health_port: 8546, release: anvil}
  oracle-1: {role: oracle, host: h1, port: 5201, ack_timeout_s: 5}
  router-1: {role: router, host: h1, port: 5010, ws_port: 9001, sessions: {scripted: [1, 2]}}
  miner-1: {role: miner, host: h1, port: 5101, engine: {url: "%(engine)s", model: scripted}, routers: [router-1]}
pools:
  main: {members: [router-1], health: {every_s: 1}}
gateway: {on: [h1, h2], port: 8400, models: {scripted: {pool: main}}, store: {url: {secret: gateway/store}}, request_timeout_s: 480}
proxy:
  api.own.example: {on: h1, port: 8443, to: gateway, tls: local-ca}
  api.too.example: {on: h2, port: 8443, to: gateway, tls: local-ca}
rules: {secrets: {from: {gateway/store: {command: [cat, "%(address)s"]}}}}
"""


@pytest.fixture(scope="module")
def lab(nothing_left_behind: None, programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnLab]:
    """Everything on h1, a second process of the gateway with its nginx on h2; engine and database on this machine. Applied."""
    if postgresql.MISSING:
        pytest.skip(postgresql.MISSING)
    home = tmp_path_factory.mktemp("two")
    with hosts(names=("h1", "h2")) as fleet, engine(fleet.gateway) as url, postgresql.postgresql(fleet.gateway) as database:
        address = home / "address"
        address.write_text(database.url())
        made = lab_of(fleet, home, REST % {"engine": url, "address": address})
        applied = made.me("apply", FILE)
        assert applied.status == 0, applied.err + made.logs()
        assert database.password not in applied.out + applied.err
        yield made


def ask(lab: OwnLab, key: str, times: int = 1, path: str = "/v1/chat/completions") -> dict[str, list[HttpReply]]:
    """Host -> so many answers of the process of the gateway there, all asked at once."""

    async def all_() -> list[HttpReply]:
        client = HttpClient(clock=SystemClock())
        headers = (("authorization", f"Bearer {key}"), ("content-type", "application/json"))
        method, body = ("GET", b"") if path == "/v1/models" else ("POST", QUESTION)
        try:
            urls = [f"http://{host.address}:{PORT}{path}" for host in lab.fleet for _ in range(times)]
            return await asyncio.gather(*(client.request(method, url, headers=headers, body=body, timeout_s=60) for url in urls))
        finally:
            await client.close()

    found = asyncio.run(all_())
    return {host.name: found[place * times : (place + 1) * times] for place, host in enumerate(lab.fleet)}


def issue(lab: OwnLab, *words: str) -> tuple[str, str]:
    """Id and value of a key that both processes know."""
    made = json.loads(lab.me("keys", "issue", FILE, "--name", "me", *words, "--json").out)
    wait_until(lambda: statuses(lab, made["key"]) == {"h1": [200], "h2": [200]}, KNOWN_WITHIN_S)
    return made["id"], made["key"]


def statuses(lab: OwnLab, key: str) -> dict[str, list[int]]:
    """What each process says to the key, without a task."""
    return {name: [reply.status for reply in replies] for name, replies in ask(lab, key, path="/v1/models").items()}


def test_a_request_through_each_host_is_counted_once_in_the_shared_database(lab: OwnLab) -> None:
    assert {name for name in lab.pids() if "gateway" in name} == {"h1 gateway-1", "h2 gateway-h2-1"}
    assert lab.me("apply", FILE).out.startswith("Nothing to do: all")
    _, key = issue(lab)
    replies = ask(lab, key)
    assert {name: reply.status for name, (reply,) in replies.items()} == {"h1": 200, "h2": 200}, replies
    assert lab.ask(key, "h1").status == 200, "by its public name, with TLS"

    def counted() -> int:
        return sum(item["ok"] for item in json.loads(lab.me("usage", FILE, "--json").out)["sums"])

    wait_until(lambda: counted() == 3, KNOWN_WITHIN_S)
    assert counted() == 3
    tasks = [json.loads(lab.me("task", "show", task, FILE, "--json").out) for task in ("1/1", "2/1")]
    assert [task["state"] for task in tasks] == ["ended", "ended"], "each host has a session of its own"


def test_a_limit_is_one_for_both_hosts(lab: OwnLab) -> None:
    _, key = issue(lab, "--requests-per-min", str(LIMIT))
    wait_until(lambda: time.time() % 60 < TURN_AFTER_S, 60.0 - TURN_AFTER_S + 1)
    replies = [reply for found in ask(lab, key, LIMIT).values() for reply in found]
    assert Counter(reply.status for reply in replies) == {200: LIMIT, 429: LIMIT}
    codes = {json.loads(reply.body)["error"]["code"] for reply in replies if reply.status == 429}
    assert codes == {"rate_limit_exceeded"}


def test_a_revoke_is_seen_on_both_hosts_in_time(lab: OwnLab) -> None:
    id_, key = issue(lab)
    assert lab.me("keys", "revoke", FILE, id_).status == 0
    wait_until(lambda: statuses(lab, key) == {"h1": [401], "h2": [401]}, REVOKED_WITHIN_S)
    assert statuses(lab, key) == {"h1": [401], "h2": [401]}


def test_a_host_that_vanishes_takes_no_request_of_the_other_with_it(lab: OwnLab) -> None:
    _, key = issue(lab)
    with lab.fleet["h2"].cut_off():  # nothing is refused: what is sent there is just lost
        assert [lab.ask(key, "h1").status for _ in range(ASKED)] == [200] * ASKED
    wait_until(lambda: statuses(lab, key) == {"h1": [200], "h2": [200]}, KNOWN_WITHIN_S)
    assert statuses(lab, key) == {"h1": [200], "h2": [200]}
