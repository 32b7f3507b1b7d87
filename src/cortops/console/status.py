"""`/status.json` and `/health`: the picture for programs. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from cortops.console.overview import blank, is_stale
from cortops.console.view import View
from cortops.monitor.picture import Picture
from cortops.surfaces.status_page import page
from cortops.words.state import State


def status_document(view: View, now: float) -> dict[str, object]:
    """The shape of `status --json`, with when it was seen. Of a stale picture `state` is unknown; its entities are as last seen.

    Before the first round `at` and `begun_at` are 0.
    """
    picture = view.picture() or blank(view.environment)
    found = page(
        picture.environment, picture.entities, picture.evidence, view.endpoints, asked="watch", at=picture.at, every_s=picture.every_s
    )
    stale = picture.at == 0 or is_stale(picture, now)
    document: dict[str, object] = msgspec.to_builtins(found)
    return document | {"state": State.UNKNOWN if stale else found.state, "stale": stale, "begun_at": picture.begun_at}


def health(picture: Picture | None, streams: int, now: float) -> tuple[int, Mapping[str, object]]:
    """(HTTP status, body): well while rounds of questions end in time, whatever they find."""
    facts: dict[str, object] = {"streams": streams}
    if picture is None:
        return 503, {"status": "degraded", "why": ["no round of questions has ended yet"], **facts}
    age_s = round(max(now - picture.at, 0.0), 1)
    facts |= {"at": picture.at, "age_s": age_s, "every_s": picture.every_s, "entities": len(picture.entities)}
    if is_stale(picture, now):
        return 503, {"status": "degraded", "why": [f"the last round of questions ended {age_s:g} s ago"], **facts}
    return 200, {"status": "ok", **facts}
