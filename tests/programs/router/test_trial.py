"""The trial door with a virtual clock and offers that remember what they were asked."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from cortops.programs.router.main import refuse_unusable
from cortops.programs.router.offers import Answered, Asked, Family
from cortops.programs.router.trial import Trial
from cortops.protocol.routes import PUBLIC_DEVELOPMENT_KEY
from cortops.protocol.settings import RouterSettings
from cortops.testing.clock import VirtualClock
from cortops.words.errors import BadInput


def settings(**more: Any) -> RouterSettings:
    common: dict[str, Any] = {
        "name": "r", "rpc_url": "", "chain_id": 1, "runtime": "", "address": "", "private_key": "", "api_key": "k", "trial_enabled": True,
    }  # fmt: skip
    return RouterSettings(**{**common, **more})


@dataclass
class Told:
    """Answers with `status`, and remembers."""

    status: int = 200
    asked: list[Asked] = field(default_factory=list)

    async def answer(self, asked: Asked) -> Answered:
        self.asked.append(asked)
        return Answered(status=self.status, body={})


def come(peer: str, forwarded: str = "") -> web.Request:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = make_mocked_request("POST", "/api/v1/trial/completions", headers=headers).clone(remote=peer)
    assert isinstance(request, web.Request)
    return request


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


ASK = Asked(family=Family.COMPLETIONS, body={"prompt": "p", "client_reference": "of-others", "request_id": "of-others"}, reference="x")


def test_a_client_has_its_calls_back_when_the_window_has_passed() -> None:
    async def main() -> None:
        clock, offers = VirtualClock(), Told()
        trial = Trial.of(settings(trial_requests_max=2, trial_window_s=900), offers, clock)
        found = []
        for pause_s in (0, 100, 100, 699, 1):
            await clock.advance(pause_s)
            answered = await trial.answer(ASK, come("192.0.2.7"))
            found.append((answered.status, answered.headers.get("Retry-After")))
        assert found == [(200, None), (200, None), (429, "700"), (429, "1"), (200, None)]
        assert (await trial.answer(ASK, come("192.0.2.8"))).status == 200

    run(main())


def test_who_has_no_key_names_no_reference_and_no_session_but_a_declared_one() -> None:
    async def main() -> None:
        offers = Told()
        trial = Trial.of(settings(trial_completions_session=7), offers, VirtualClock())
        await trial.answer(ASK, come("192.0.2.7"))
        (asked,) = offers.asked
        assert (asked.session, asked.reference, asked.body) == (7, "", {"prompt": "p"})

    run(main())


@pytest.mark.parametrize(("status", "second"), [(400, 400), (404, 404), (502, 429), (200, 429)])
def test_only_what_ran_nothing_is_given_back(status: int, second: int) -> None:
    async def main() -> None:
        trial = Trial.of(settings(), Told(status), VirtualClock())
        assert [(await trial.answer(ASK, come("192.0.2.7"))).status for _ in range(2)] == [status, second]

    run(main())


def test_only_a_declared_proxy_says_who_the_client_is() -> None:
    async def main() -> None:
        believes, alone = (Trial.of(settings(trusted_proxies=proxies), Told(), VirtualClock()) for proxies in (("127.0.0.1",), ()))
        assert [(await believes.answer(ASK, come("127.0.0.1", f"203.0.113.{at}, 198.51.100.{at}"))).status for at in (1, 2, 2)] == [
            200,
            200,
            429,
        ]
        assert [(await alone.answer(ASK, come("127.0.0.1", f"198.51.100.{at}"))).status for at in (1, 2)] == [200, 429]

    run(main())


def test_the_key_that_everybody_knows_is_refused_but_on_a_machine_of_its_own() -> None:
    refuse_unusable(settings(api_key=PUBLIC_DEVELOPMENT_KEY, local=True))
    for more in ({}, {"local": True, "bind_ips": ("127.0.0.1", "10.0.0.11")}):
        with pytest.raises(BadInput, match="everybody knows"):
            refuse_unusable(settings(api_key=PUBLIC_DEVELOPMENT_KEY, **more))
    with pytest.raises(BadInput, match="API_ENABLE"):
        refuse_unusable(settings(api_enabled=False))
