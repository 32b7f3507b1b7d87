"""What an upgrade tells its channels: each wave that passed, and the end with why; a channel that fails stops nothing."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web
from tests.cli.fleet_stage import LAB
from tests.cli.test_upgrade import ended

from cortops.cli.common import Common
from cortops.cli.notify import secret_store
from cortops.cli.upgrade_messages import end_message, messages, wave_message
from cortops.deploy.waves.machine import Phase, Tell
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.incidents.channels import SECRET_PREFIX, channel, sealed
from cortops.incidents.channels import Kind as Channels
from cortops.protocol.http import HttpClient
from cortops.words.clock import SystemClock


def test_a_wave_that_passed_is_well() -> None:
    message = wave_message(Tell("", "wave 1 passed: m07; 3 waves are left", wave=1), ended(), 5.0)
    assert (message.title, message.state, message.at) == ("lab: april: wave 1 passed: m07; 3 waves are left", "ok", 5.0)


@pytest.mark.parametrize(
    ("phase", "state", "title"),
    [
        (Phase.TAKEN_BACK, "down", "lab: april (9a3f1c) is bad."),
        (Phase.HELD, "degraded", "lab: The upgrade to april (9a3f1c) is held, and waits for you."),
    ],
)
def test_the_end_says_what_and_why(phase: Phase, state: str, title: str) -> None:
    message = end_message(ended(m07=(phase, "it died")), 9.0, 5.0)
    assert (message.title, message.state, message.entity) == (title, state, "environment/lab")
    assert message.text.startswith("m07 on h2: it died\n")


def test_messages_about_one_upgrade_are_one_trouble_that_its_good_end_closes() -> None:
    bad = end_message(ended(m07=(Phase.TAKEN_BACK, "it died")), 9.0, 5.0)
    good = end_message(ended(**dict.fromkeys(("m07", "m08", "m09"), (Phase.PASSED, ""))), 9.0, 5.0)
    assert bad.trouble == good.trouble
    assert good.state == "ok"


@pytest.fixture
def env(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setenv("CORTOPS_DATA", str(tmp_path_factory.mktemp("data")))
    loaded = load(LAB, "lab.yaml")
    assert isinstance(loaded, Environment)
    return loaded


def told(env: Environment, *, status: int, channels: bool = True) -> tuple[list[str], list[str]]:
    """Titles that a webhook got, and what was said about channels."""
    got, said = list[str](), list[str]()

    async def take(request: web.Request) -> web.Response:
        got.append(json.loads(await request.text())["title"])
        return web.Response(status=status)

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/hook", take)
        runner, http = web.AppRunner(app), HttpClient(clock=SystemClock())
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            if channels:
                made = channel(Channels.WEBHOOK, "ops", {}, f"http://127.0.0.1:{runner.addresses[0][1]}/hook")
                secret_store(env, Common()).set(SECRET_PREFIX + "ops", sealed(made))
            async with messages(env, Common(), http, said.append) as send:
                send(wave_message(Tell("", "wave 1 passed: m07", wave=1), ended(), 5.0))
                send(end_message(ended(m07=(Phase.TAKEN_BACK, "it died")), 9.0, 5.0))
        finally:
            await http.close()
            await runner.cleanup()

    asyncio.run(run())
    return got, said


def test_a_channel_gets_them_in_order(env: Environment) -> None:
    got, said = told(env, status=200)
    assert got == ["lab: april: wave 1 passed: m07", "lab: april (9a3f1c) is bad."]
    assert said == []


def test_a_channel_that_refuses_is_named_and_stops_nothing(env: Environment) -> None:
    got, said = told(env, status=500)
    assert len(got) == 2
    assert len(said) == 2 and all("was not told: " in line for line in said)


def test_without_a_channel_nobody_is_told(env: Environment) -> None:
    assert told(env, status=200, channels=False) == ([], [])
