"""What the first page shows of a picture, and when a picture is too old."""

from __future__ import annotations

from tests.console.console_rig import ROUTER_DOWN, example, picture

from cortops.console.overview import WORST_MAX, blank, is_stale, overview
from cortops.testing.clock import START
from cortops.words.state import State


def test_the_worst_come_first() -> None:
    told = {**ROUTER_DOWN, "dns/rpc.localhost": (State.UNKNOWN, "?"), "miner/miner-1": (State.DOWN, "exited")}
    shown = overview(example(), picture(example(), told))
    assert [str(item.entity) for item in shown.worst] == ["miner/miner-1", "router/router-1", "pool/smollm2", "dns/rpc.localhost"]
    assert shown.ill == 4


def test_the_list_of_the_ill_is_bounded() -> None:
    env = example()
    shown = overview(env, picture(env, {str(item.entity): (State.DOWN, "x") for item in picture(env).entities}))
    assert (len(shown.worst), shown.ill) == (WORST_MAX, 34)


def test_before_the_first_round_nothing_is_known() -> None:
    env = example()
    shown = overview(env, None)
    assert not shown.asked and shown.sentence.state is State.UNKNOWN
    assert {item.state for item in shown.picture.entities} == {State.UNKNOWN}
    assert shown.picture.every_s == 3 and blank(example("small")).every_s == 3
    assert shown.layout == overview(env, picture(env)).layout != overview(example("small"), None).layout


def test_three_rounds_are_too_old() -> None:
    seen = picture(example(), at=START, every_s=3)
    assert not is_stale(seen, START + 9)
    assert is_stale(seen, START + 9.1)
