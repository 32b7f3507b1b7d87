"""Each code that the portal says stands on the page of error codes, with its statuses; and every refusal reads as people speak."""

from __future__ import annotations

from tests.programs.gateway.test_error_codes import said_by, section

from cortops.programs.portal import app, desk, guard, incoming, site
from cortops.protocol.openai import ApiError


def test_every_code_is_on_the_page() -> None:
    assert dict(said_by("programs/portal")) == section("What the portal says")


def test_every_refusal_is_a_sentence() -> None:
    told = [
        value.message for module in (app, desk, guard, incoming, site) for value in vars(module).values() if isinstance(value, ApiError)
    ]
    assert len(told) > 10
    assert [text for text in told if not (text[0].isupper() and text.endswith(".") and "!" not in text)] == []
