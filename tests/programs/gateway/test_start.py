"""What a gateway process makes before it serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from cortops.programs.gateway import __main__ as gateway
from cortops.protocol.keys import open_keys
from cortops.testing.clock import VirtualClock
from cortops.words.errors import StoreUnavailable


@pytest.mark.parametrize("refusals", [0, 1, gateway.MAKE_TRIES_MAX - 1])
def test_the_key_store_is_made_though_another_process_makes_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: int) -> None:
    left = [refusals]

    def locked(path: Path) -> object:
        left[0] -= 1
        if left[0] >= 0:
            raise StoreUnavailable("database is locked")
        return open_keys(path)

    monkeypatch.setattr(gateway, "open_keys", locked)
    clock = VirtualClock()
    clock.run(gateway.make_keys(tmp_path / "keys.db", clock))
    assert (tmp_path / "keys.db").exists()
    assert clock.monotonic() == pytest.approx(refusals * gateway.MAKE_AGAIN_S)


def test_a_store_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    clock = VirtualClock()
    with pytest.raises(StoreUnavailable):
        clock.run(gateway.make_keys(tmp_path / "file" / "keys.db", clock))
