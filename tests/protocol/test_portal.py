"""The portal's configuration: what is written is read again, and what is wrong is named."""

from __future__ import annotations

import pytest

from cortops.protocol.gateway import Listen
from cortops.protocol.portal import PortalConfig
from cortops.words.errors import BadInput

CONFIG = PortalConfig(environment="lab", listen=Listen(port=8700), keys="keys.db", usage="usage.db", session_secret="s" * 32)


def test_it_is_read_as_it_was_written() -> None:
    assert PortalConfig.from_json(CONFIG.to_json()) == CONFIG
    assert "sss" not in repr(CONFIG)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ((b'"lab"', b'""'), "environment"),
        ((b'"session_max_h": 12.0', b'"session_max_h": 1000'), "session_max_h"),
        ((b'"models"', b'"model"'), "model"),
        ((b"s" * 32, b"short"), "session_secret"),
        ((b"{", b""), "portal.json"),
    ],
)
def test_what_is_wrong_is_named(change: tuple[bytes, bytes], says: str) -> None:
    with pytest.raises(BadInput) as caught:
        PortalConfig.from_json(CONFIG.to_json().replace(*change), where="portal.json")
    assert says in caught.value.what and caught.value.where == "portal.json"
