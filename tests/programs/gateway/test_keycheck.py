"""The copy of the keys in memory: how it follows the store, and what it does without it."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

from gateway_rig import issue_key

from cortops.programs.gateway.keycheck import KeyCheck
from cortops.protocol import keys
from cortops.protocol.limits import KeyLimits
from cortops.testing.clock import VirtualClock


def test_revoked_keys_are_forgotten_by_the_next_refresh(tmp_path: Path) -> None:
    key = issue_key(tmp_path)
    path = tmp_path / "keys.db"
    clock = VirtualClock()

    async def main() -> None:
        check = KeyCheck(path, clock, stale_max_s=2)
        await check.refresh()
        row = check.check(f"Bearer {key}")
        assert isinstance(row, keys.KeyRow)
        database = keys.open_keys(path)
        keys.revoke(database, row.id, now=5.0)
        database.close()
        await check.refresh()
        assert getattr(check.check(f"Bearer {key}"), "status", 0) == 401
        path.rename(tmp_path / "away.db")
        await check.refresh()
        assert "keys.db" in check.trouble
        assert getattr(check.check(f"Bearer {key}"), "status", 0) == 401, "known until too old"
        await clock.advance(3)
        assert getattr(check.check(f"Bearer {key}"), "status", 0) == 503
        (tmp_path / "away.db").rename(path)
        await check.refresh()
        assert getattr(check.check(f"Bearer {key}"), "status", 0) == 401 and not check.trouble
        check.close()

    asyncio.run(main())


def test_a_key_is_known_and_refused_again_within_two_seconds_by_itself(tmp_path: Path) -> None:
    clock = VirtualClock()

    async def main() -> None:
        check = KeyCheck(tmp_path / "keys.db", clock, stale_max_s=2)
        with closing(keys.open_keys(tmp_path / "keys.db")) as database:
            running = asyncio.ensure_future(check.run())
            key = issue_key(tmp_path)
            while not isinstance(found := check.check(f"Bearer {key}"), keys.KeyRow):
                await clock.sleep(0.1)
            keys.revoke(database, found.id, now=5.0)
            revoked_at = clock.monotonic()
            while isinstance(check.check(f"Bearer {key}"), keys.KeyRow):
                await clock.sleep(0.1)
            assert clock.monotonic() - revoked_at <= 2.1
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            check.close()

    clock.run(main())


def test_the_rules_of_a_key_are_its_own_and_its_organisations(tmp_path: Path) -> None:
    async def main() -> None:
        check = KeyCheck(tmp_path / "keys.db", VirtualClock(), stale_max_s=2)
        with closing(keys.open_keys(tmp_path / "keys.db")) as database:
            keys.put_organisation(database, "acme", {"tokens_per_month": 9}, now=1.0)
            key = issue_key(tmp_path, organisation="acme", limits=KeyLimits(streams_max=2))
            await check.refresh()
            row = check.check(f"Bearer {key}")
            assert isinstance(row, keys.KeyRow)
            own = f"key:{row.id}"
            shown = [(rule.subject, rule.kind, rule.limit) for rule in check.rules(row)]
            assert shown == [(own, "streams_max", 2), ("organisation:acme", "tokens_per_month", 9)]
            keys.put_organisation(database, "acme", {"tokens_per_month": None}, now=1.0)
            await check.refresh()
            again = check.check(f"Bearer {key}")
            assert isinstance(again, keys.KeyRow) and again is not row, "so that its limits are looked at anew"
            assert [rule.subject for rule in check.rules(again)] == [own]
            check.take(KeyLimits(streams_max=7, requests_per_min=60))
            await check.refresh()
            anew = check.check(f"Bearer {key}")
            assert isinstance(anew, keys.KeyRow) and anew is not again
            assert [(rule.kind, rule.limit) for rule in check.rules(anew)] == [("requests_per_min", 60), ("streams_max", 2)]
        check.close()

    asyncio.run(main())
