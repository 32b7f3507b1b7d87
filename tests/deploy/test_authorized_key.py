"""Lines of authorized_keys that are somebody else's, and files that somebody else keeps."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.deploy.keys_and_trees import authorized_key
from tests.deploy.test_kinds import do, look, want

from cortops.deploy.observed import Unseen
from cortops.testing.host import Host, host
from cortops.words.change import Action


@pytest.fixture(name="h")
def _host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    with host() as made:
        yield made


def test_keys_that_somebody_else_keeps_are_left_alone_and_an_empty_file_goes(h: Host) -> None:
    (item,) = want(h, authorized_key(h))
    keys = h.root / "home/.ssh/authorized_keys"
    keys.unlink()
    do(h, Action.CREATE, item)
    assert keys.stat().st_mode & 0o777 == 0o600
    do(h, Action.DELETE, item)
    assert not keys.exists()
    keys.symlink_to("/somewhere/else")
    why = f"{keys} is a link, so somebody else keeps it"
    assert look(h, item) == [Unseen(why)]
    assert do(h, Action.CREATE, item)[-1].text == why
    keys.unlink()
