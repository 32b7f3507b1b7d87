"""A watch that may renew: what it takes for due, how often it looks, and what becomes of a failure."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from tests.surfaces.proxy.test_certificates import HOSTNAME, declared

from cortops.cli import watch_renewals
from cortops.cli.common import Common
from cortops.deploy import authority
from cortops.deploy.secrets import SecretStore
from cortops.testing.clock import VirtualClock
from cortops.words.errors import StepFailed

SECRET = f"tls/{HOSTNAME}"
DAY_S = 86_400


class Kept:
    """A deployment's secrets, and nothing else of it."""

    def __init__(self, store: SecretStore) -> None:
        self.deployment = self
        self.secrets = store


def seed(count: int) -> bytes:
    return hashlib.shake_256(b"of this test").digest(count)


def kept(folder: Path, clock: VirtualClock) -> Any:
    store = SecretStore(folder, clock, seed, environment="local")
    one = authority.issue(authority.make_authority("public", clock.now(), seed), [HOSTNAME], clock.now(), seed)
    store.obtained(SECRET, one.certificate + one.key)
    return Kept(store)


def test_only_a_file_that_says_so_lets_watch_act() -> None:
    assert not watch_renewals.is_asked_for(declared())
    assert watch_renewals.is_asked_for(declared(", renew: watch"))


def test_due_is_what_an_authority_gave_and_is_old(tmp_path: Path) -> None:
    clock, env = VirtualClock(), declared(", renew: watch")
    place = kept(tmp_path / "kept", clock)
    days = [0, 200, 270]
    assert [watch_renewals.due(env, place, clock.now() + day * DAY_S) for day in days] == [(), (), (HOSTNAME,)]
    empty: Any = Kept(SecretStore(tmp_path / "empty", clock, seed, environment="local"))
    assert watch_renewals.due(env, empty, clock.now()) == ()  # never obtained: an apply asks people first


def test_a_failure_is_told_and_tried_again_six_hours_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, env = VirtualClock(), declared(", renew: watch")
    place = kept(tmp_path, clock)
    told: list[tuple[float, str, dict[str, str]]] = []
    tries: list[float] = []

    async def refused(common: Common, env: object, tell: object) -> None:
        tries.append(clock.now())
        if len(tries) == 1:
            raise StepFailed("no certificate for it: rateLimited")
        raise asyncio.CancelledError

    monkeypatch.setattr(watch_renewals, "_renew", refused)
    monkeypatch.setattr(watch_renewals, "due", lambda env, place, now: (HOSTNAME,))

    async def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            await watch_renewals.keep_renewed(Common(), env, place, clock, lambda event, fields: told.append((clock.now(), event, fields)))

    clock.run(run())
    assert tries[1] - tries[0] == watch_renewals.LOOK_EVERY_S
    assert [(event, fields["hostnames"], fields["what"]) for _, event, fields in told] == [
        ("renewal_failed", HOSTNAME, "no certificate for it: rateLimited")
    ]
