"""What changes between two moments."""

from __future__ import annotations

from dataclasses import replace

from tests.console.console_rig import ROUTER_DOWN, Told, answer, example, picture

from cortops.console.live import Live, difference, live
from cortops.console.overview import overview
from cortops.testing.clock import START

ENV = example()


def at(seconds: float, told: Told | None = None) -> Live:
    return live(overview(ENV, picture(ENV, told, at=START + seconds)))


def test_nothing_new_is_nothing_to_tell() -> None:
    assert difference(at(0), at(3)) == {}


def test_only_what_changed_is_told() -> None:
    changed = difference(at(0), at(3, ROUTER_DOWN))
    assert set(changed) == {"full", "layout", "entities", "boxes", "texts", "worst"}
    assert not changed["full"]
    assert changed["entities"] == {
        "router/router-1": {
            "state": "down",
            "mark": "■",
            "since": START - 57,
            "since_text": "07:59:03 UTC",
            "reason": "exited on here: SIGKILL",
        },
        "pool/smollm2": {
            "state": "degraded",
            "mark": "▲",
            "since": START - 57,
            "since_text": "07:59:03 UTC",
            "reason": ROUTER_DOWN["pool/smollm2"][1],
        },
    }
    assert changed["boxes"] == {
        "router": {"state": "down", "mark": "■", "summary": "1 of 2 down"},
        "pool": {"state": "degraded", "mark": "▲", "summary": "1 degraded"},
        "page": {"state": "down", "mark": "■", "summary": ""},
    }
    assert set(changed["texts"]) == {"sentence", "state", "ill"}


def test_a_number_that_moves_is_one_text() -> None:
    seen = picture(ENV, at=START + 3)
    later = {**seen.replies, "health:chain-1": answer("health:chain-1", {"status": "ok", "head": 813, "head_age_s": 0.2})}
    changed = difference(at(0), live(overview(ENV, replace(seen, replies=later))))
    assert changed["texts"] == {"facts:rpc/chain-1": "block 813, 0 s old"}
    assert set(changed) == {"full", "layout", "texts"}


def test_who_saw_nothing_or_another_environment_gets_all() -> None:
    now = live(overview(ENV, picture(ENV)))
    assert len(difference(None, now)["entities"]) == 34 + 2
    other = live(overview(example("small"), picture(example("small"))))
    assert difference(other, now)["full"] is True
    assert other.layout != now.layout


def test_moments_have_names() -> None:
    one, other = at(0), at(3)
    assert one.id != other.id and one.id == at(0).id
    assert "\n" not in one.id
