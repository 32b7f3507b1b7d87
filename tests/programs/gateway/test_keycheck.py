"""The copy of the keys in memory: how it follows the store, and what it does without it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway_rig import issue_key

from cortops.programs.gateway.keycheck import KeyCheck
from cortops.protocol import keys
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
        connection = keys.open_keys(path)
        keys.revoke(connection, path, row.id, now=5.0)
        connection.close()
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
