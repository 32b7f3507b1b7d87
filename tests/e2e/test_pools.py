"""Pools of a running environment: a drain that lets a stream end, an apply that drops none, and a router killed under 50 streams."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cortops.testing.local import LocalEnvironment, bring_up, place, until

pytestmark = [pytest.mark.real, pytest.mark.proof]

EXAMPLE = Path(__file__).parents[2] / "examples" / "local.yaml"
LONG_MAX, LONG_TOKENS, SHORT_TOKENS = 12, 150, 4
AT_ONCE = 25  # in one session


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, with a session that takes many requests at once."""
    path = tmp_path_factory.mktemp("pools") / "local.yaml"
    path.write_text(EXAMPLE.read_text().replace("in_flight_per_session: 1", f"in_flight_per_session: {AT_ONCE}"))
    return path


@pytest.fixture(scope="module")
def up(file: Path) -> Iterator[LocalEnvironment]:
    with place(file=file) as where:
        yield bring_up(where)


class Streams:
    """Clients that stream, each in a thread of its own."""

    def __init__(self, up: LocalEnvironment) -> None:
        self._up = up
        self._threads = ThreadPoolExecutor(60)
        self.begun: Counter[int] = Counter()
        self.asked = 0

    def begin(self, max_tokens: int) -> Future[str]:
        self.asked += 1
        return self._threads.submit(self._stream, self.asked, max_tokens)

    def end(self) -> None:
        self._threads.shutdown()

    def _stream(self, number: int, max_tokens: int) -> str:
        """How it ended: `ok`, or an error's code."""
        body = {
            "model": "smollm2",
            "stream": True,
            "max_tokens": max_tokens,
            "messages": [{"role": "user", "content": f"Count to {number}."}],
        }
        headers = {"authorization": f"Bearer {self._up.key}", "content-type": "application/json"}
        request = urllib.request.Request(f"{self._up.url}/v1/chat/completions", json.dumps(body).encode(), headers)
        context = ssl.create_default_context(cafile=self._up.endpoints["ca"])
        last = ""
        try:
            with urllib.request.urlopen(request, timeout=240, context=context) as reply:
                for line in reply:
                    if line.startswith(b"data: "):
                        last = line[6:].decode().strip()
                        self.begun[number] += 1
        except urllib.error.HTTPError as error:
            return str(json.load(error)["error"]["code"])
        return "ok" if last == "[DONE]" else str(json.loads(last)["error"]["code"])


@pytest.fixture
def streams(up: LocalEnvironment) -> Iterator[Streams]:
    made = Streams(up)
    yield made
    made.end()


def _pools(up: LocalEnvironment) -> dict[str, Any]:
    done = up.run("pools", "--json")
    assert done.returncode in (0, 3), done.stdout + done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)["pools"][0]["members"]}


def _busy(up: LocalEnvironment, streams: Streams) -> list[Future[str]]:
    """Streams at both routers, some of which have begun; which router each gets is up to nginx and two processes."""
    long: list[Future[str]] = []

    def both() -> bool:
        if len(long) < LONG_MAX:
            long.append(streams.begin(LONG_TOKENS))
        return bool(streams.begun) and all(row["in_flight"] for row in _pools(up).values())

    until(both, "both routers have requests")
    return long


def test_a_drain_lets_the_stream_end_and_the_other_serves(up: LocalEnvironment, streams: Streams) -> None:
    assert {name: row["state"] for name, row in _pools(up).items()} == {"router-1": "ok", "router-2": "ok"}
    long = _busy(up, streams)
    done = up.run("pools", "drain", "router-2", "--why", "a rehearsal", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"router-2: [1-9] in flight", done.stderr) and "Nothing is in flight there any more." in done.stdout
    assert {each.result() for each in long} == {"ok"}
    row = _pools(up)["router-2"]
    assert (row["state"], row["drain"]["why"], row["in_flight"]) == ("maintenance", "a rehearsal", 0)
    assert [streams.begin(SHORT_TOKENS).result() for _ in range(2)] == ["ok", "ok"]
    last = up.run("pools", "drain", "router-1")
    assert last.returncode == 1 and "router-1 is the last one of pool smollm2" in last.stderr
    assert up.place.status("--now")["state"] == "maintenance"
    assert up.run("plan").stdout.startswith("router-2 is drained, by ")
    assert up.run("pools", "undrain", "router-2").returncode == 0
    until(lambda: _pools(up)["router-2"]["state"] == "ok", "router-2 is back")


def test_an_apply_of_a_pool_change_drops_no_stream(up: LocalEnvironment, streams: Streams, file: Path) -> None:
    before, gateway = up.place.services(), ("gateway-1", "gateway-2")
    long = _busy(up, streams)
    text = file.read_text()
    try:
        file.write_text(text.replace("queue_max: 64", "queue_max: 9").replace("members: [router-1, router-2]", "members: [router-1]"))
        plan = up.place.read("plan", status=3)
        changed = {change["resource"]: change["action"] for change in plan["changes"]}
        gateways = {name: action for name, action in changed.items() if name.startswith("service:gateway")}
        assert gateways == {"service:gateway-1": "reload", "service:gateway-2": "reload"}, changed
        done = up.run("apply")
        assert done.returncode == 0, done.stdout + done.stderr
        assert {each.result() for each in long} == {"ok"}
        now = up.place.services()
        assert [(name, now[name]) for name in gateway] == [(name, before[name]) for name in gateway], "never restarted"
        until(lambda: list(_pools(up)) == ["router-1"], "router-2 is forgotten")
    finally:
        file.write_text(text)
        assert up.run("apply").returncode == 0
    until(lambda: {row["state"] for row in _pools(up).values()} == {"ok"} and len(_pools(up)) == 2, "both are back")


def test_a_router_killed_under_50_streams_fails_none_that_had_nothing_yet(up: LocalEnvironment, streams: Streams) -> None:
    many = {number: streams.begin(SHORT_TOKENS) for number in range(1, 2 * AT_ONCE + 1)}
    until(lambda: sum(row["in_flight"] for row in _pools(up).values()) >= 30 and streams.begun, "most are with their routers")
    os.kill(up.place.services()["router-1"], signal.SIGKILL)
    ended = {number: each.result() for number, each in many.items()}
    failed = {number: how for number, how in ended.items() if how != "ok"}
    assert set(failed) <= set(streams.begun), f"{failed} failed, and only these had received something: {sorted(streams.begun)}"
    assert set(failed.values()) <= {"member_broke_off"}
