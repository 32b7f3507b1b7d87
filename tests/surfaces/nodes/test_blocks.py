"""Times of blocks, and how far behind an endpoint is when nobody can be asked at the same instant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.surfaces.nodes.blocks import BlockTimes, Lag, Look, lag, place_of

OURS, OTHER = "https://ours.example", "https://other.example/v2/key"


def look(url: str, asked_at: float, number: int) -> Look:
    return Look(url=url, asked_at=asked_at, number=number, head_at=asked_at)


def test_between_two_known_blocks_time_is_a_line() -> None:
    times = BlockTimes.of([(100, 1000.0), (0, 0.0), (200, 1100.0)])
    assert [times.at(block) for block in (0, 50, 100, 150, 200, 300)] == [0, 500, 1000, 1050, 1100, 1200]
    assert [times.block(at) for at in (0.0, 500.0, 1050.0, 2000.0, -5.0)] == [0, 50, 150, 200, 0]
    assert times.rate == pytest.approx(200 / 1100)


def test_one_block_alone() -> None:
    times = BlockTimes.of([(7, 70.0)])
    assert (times.at(1), times.block(5.0), times.rate) == (70.0, 7, 0.0)


@given(st.dictionaries(st.integers(0, 10**9), st.floats(0, 2e9), min_size=2, max_size=9), st.integers(0, 10**9))
def test_a_time_and_its_block_agree(pairs: dict[int, float], block: int) -> None:
    times = BlockTimes.of(zip(sorted(pairs), sorted(pairs.values()), strict=True))
    assert 0 <= times.block(times.at(block)) <= times.known[-1][0]


def test_an_endpoint_at_the_height_of_the_others() -> None:
    looks = [look(OTHER, 100.0, 1000), look(OTHER, 110.0, 1040)]
    assert lag(1020, 105.0, OURS, looks, 4.0) == Lag(blocks=0, references=1, is_behind=False)
    assert lag(1012, 105.0, OURS, looks, 4.0) == Lag(blocks=8, references=1, is_behind=False), "8 blocks are 2 s of this chain"
    assert lag(1011, 105.0, OURS, looks, 4.0) == Lag(blocks=9, references=1, is_behind=True)


def test_behind_the_highest_of_several() -> None:
    looks = [look(OTHER, 100.0, 500), look("https://third.example", 100.0, 541), look(OURS, 100.0, 900)]
    assert lag(500, 101.0, OURS, looks, 0.25) == Lag(blocks=41, references=2, is_behind=True)


def test_it_is_not_compared_with_itself_under_another_key() -> None:
    assert lag(5, 1.0, OURS, [look(f"{OURS}/v2/other-key", 0.0, 900)], 1.0) is None
    assert lag(5, 1.0, OURS, [], 1.0) is None


@given(st.integers(0, 100), st.floats(0, 10), st.floats(0, 60))
def test_an_honest_endpoint_is_never_behind(rate: int, before_s: float, after_s: float) -> None:
    """Whenever it is asked: what the chain made before and after is not its lag."""
    looks = [look(OTHER, 1000.0, 10_000), look(OTHER, 1000.0 + before_s + after_s, 10_000 + int(rate * (before_s + after_s)))]
    found = lag(10_000 + int(rate * before_s), 1000.0 + before_s, OURS, looks, float(rate))
    assert found is not None and not found.is_behind


def test_of_a_url_only_the_place_is_shown() -> None:
    assert place_of("https://user:pass@rpc.example:8545/v2/key?x=1") == "https://rpc.example:8545"
