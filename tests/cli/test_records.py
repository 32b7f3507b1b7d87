"""The gateway's records asked by SSH: over one connection, of the first of several hosts that answers, answers in many lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from cortops.cli import fleet as fleets
from cortops.cli.common import Common
from cortops.cli.places import gateway_store
from cortops.cli.records import ask_records, records
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.programs.gateway.usage_records import Page
from cortops.protocol.usage import UsageRow
from cortops.targets.target import Exited, Line, Lost
from cortops.words.errors import StoreUnavailable

CASE = Path(__file__).resolve().parents[1] / "environment" / "cases" / "gateway-hosts-without-store.case"
ROWS = [UsageRow(request_id=f"r{number}", key_id="k", finished_at=1.0) for number in range(3)]


class FakeHost:
    """A host that answers as told; `asked` holds the requests that came."""

    def __init__(self, *items: object) -> None:
        self.items = items
        self.asked: list[dict[str, Any]] = []

    async def run(self, program: str, data: AsyncIterator[bytes], deadline_s: float) -> AsyncIterator[object]:
        assert "cortops.programs.gateway.records" in program
        self.asked.append(msgspec.json.decode(b"".join([part async for part in data])))
        for item in self.items:
            yield item


def lines(*texts: str) -> tuple[Line, ...]:
    return tuple(Line("out", text) for text in texts)


@pytest.fixture
def env() -> Environment:
    """A gateway on two hosts by SSH."""
    text = CASE.read_text().rpartition("----\n")[0]
    text = text.replace(
        "here: {local: true, address: 10.0.0.1}", "here: {local: true, address: 10.0.0.1}\n  over: {ssh: root@over, address: 10.0.0.3}"
    )
    text = text.replace("[here, there, there]", "[over, there]").replace(
        "small: {pool: small}}}", "small: {pool: small}}, store: {url: {secret: gateway/store}}}"
    )
    text = text.replace("sessions: {small: [1]}", "sessions: {small: [1, 2]}").replace(
        "routers: [router-1]}\nnodes",
        "routers: [router-1]}\n    2: {name: other, model: small, nodes: [miner-1], routers: [router-1]}\nnodes",
    )
    loaded = load(text, "lab.yaml")
    assert isinstance(loaded, Environment), loaded.text
    return loaded


def told_by(monkeypatch: pytest.MonkeyPatch, hosts: Mapping[str, FakeHost]) -> list[str]:
    connected: list[str] = []

    @asynccontextmanager
    async def fleet(names: Mapping[str, object], common: Common) -> AsyncIterator[SimpleNamespace]:
        connected.append(" ".join(names))
        yield SimpleNamespace(targets=hosts)
        connected.append("left")

    monkeypatch.setattr(fleets, "fleet", fleet)
    return connected


def request(env: Environment) -> Page:
    return Page(usage_db=gateway_store(env, Common()).usage_db, since=0.0, until=9.0)


def test_the_first_that_answers_is_asked_and_stays(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ['{"answer": [', *(msgspec.json.encode(row).decode() + "," for row in ROWS[:2]), msgspec.json.encode(ROWS[2]).decode(), "]}"]
    hosts = {"over": FakeHost(Lost("no route")), "there": FakeHost(*lines(*answer), Exited(0))}
    connected = told_by(monkeypatch, hosts)
    with records(env, Common()) as ask:
        assert ask(request(env), list[UsageRow]) == ROWS
        assert ask(request(env), list[UsageRow]) == ROWS
    assert (len(hosts["over"].asked), len(hosts["there"].asked), connected) == (1, 2, ["over there", "left"])
    assert hosts["there"].asked[0]["usage_db"].endswith("/etc/gateway-store.url"), "the path of a secret, not the secret"


def test_none_that_answers_is_said(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    connected = told_by(monkeypatch, {"over": FakeHost(Lost("no route")), "there": FakeHost(Exited(9))})
    with pytest.raises(StoreUnavailable, match="records on there cannot be asked: our programs are not there yet"):
        ask_records(env, Common(), request(env), list[UsageRow])
    assert connected[-1] == "left"


def test_what_the_records_refuse_is_said_as_they_say_it(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    error = {"code": "store_unavailable", "what": "it is away", "where": "", "why": "w", "next": "n"}
    told_by(monkeypatch, {"over": FakeHost(*lines(msgspec.json.encode({"error": error}).decode()), Exited(0))})
    with pytest.raises(StoreUnavailable, match="it is away") as caught:
        ask_records(env, Common(), request(env), list[UsageRow])
    assert (caught.value.where, caught.value.next) == ("over", "n")
