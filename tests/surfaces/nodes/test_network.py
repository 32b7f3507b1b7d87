"""Does the network stand still, or is it us?"""

from __future__ import annotations

from dataclasses import replace

from cortops.surfaces.nodes.blocks import Look
from cortops.surfaces.nodes.chain_facts import NetworkChain
from cortops.surfaces.nodes.chain_places import ChainPlaces
from cortops.surfaces.nodes.network import advanced, clock_error_s, network_of
from cortops.surfaces.nodes.sight import NetworkSeen, Window

NOW = 1_800_000_000.0
DAY = Window(begins_at=NOW - 86_400, now=NOW, complete=True)
WORK = NetworkChain(rounds=500, commits=900, others=40, others_commits=880, last_round_block=80, last_commit_block=90)
MOVING = replace(WORK, rounds_last_hour=38)


def look(asked_s: float, number: int, age_s: float, url: str = "https://a.example") -> Look:
    return Look(url=url, asked_at=NOW + asked_s, number=number, head_at=NOW - age_s)


FRESH = (look(-5, 100, 4), look(0, 110, 2))


def seen(
    chain: NetworkChain | None,
    looks: tuple[Look, ...] = FRESH,
    *,
    window: Window = DAY,
    cognitive: bool = True,
    block_s: float = 1.0,
    how: str = "runtime",
) -> NetworkSeen:
    addresses = {"session_queue": "0x1", **({"cognitive": "0x2"} if cognitive else {})}
    places = ChainPlaces(addresses=addresses, how=dict.fromkeys(addresses, how))
    return network_of(chain, looks, lambda block: NOW - (110 - block) * block_s, window, places=places, why="refused")


def test_it_moves() -> None:
    assert seen(MOVING) == NetworkSeen(moving=True, text="moving (block 2 s ago, 38 rounds in the last hour)")


def test_without_an_rpc_nobody_knows() -> None:
    assert seen(MOVING, ()).moving is None
    assert seen(None) == NetworkSeen(moving=None, text="the chain moves (block 2 s ago); its tasks could not be read: refused")


def test_a_chain_that_makes_no_block() -> None:
    looks = (look(-5, 100, 7200), look(0, 100, 7200), look(0, 99, 7201, "https://b.example"))
    found = seen(MOVING, looks)
    assert (found.moving, found.since) == (False, NOW - 7200)
    assert found.text == "the chain makes no block since 06:00 UTC, by 2 RPCs"


def test_an_old_head_that_goes_on_is_a_clock_that_is_wrong() -> None:
    looks = (look(-5, 100, 7205), look(0, 110, 7200))
    assert advanced(looks) and clock_error_s(looks, NOW) == -7200.0
    assert seen(MOVING, looks).moving is True
    assert clock_error_s((look(0, 100, 7200),), NOW) == 0.0, "one look at an old head says nothing of clocks"
    assert clock_error_s((look(0, 100, -7200),), NOW) == 7200.0, "no block comes from the future"
    assert clock_error_s(FRESH, NOW) == 0.0


def test_nobody_was_selected() -> None:
    found = seen(NetworkChain())
    assert (found.moving, found.text) == (False, "nobody in the network was selected in the last 24 h")
    found = seen(MOVING, block_s=200.0)
    assert (found.moving, found.text) == (False, "nobody in the network was selected since 06:53 UTC")


def test_contracts_that_only_env_files_name_may_be_those_that_the_network_has_left() -> None:
    found = seen(NetworkChain(), how="env file")
    assert found.moving is None and found.text.endswith("declare network.contracts")
    assert seen(MOVING, how="env file").moving is True


def test_users_may_be_quiet_for_hours() -> None:
    assert seen(MOVING, block_s=200.0, cognitive=False).moving is True


def test_a_part_of_an_hour_is_too_little_to_call_it_quiet() -> None:
    short = Window(begins_at=NOW - 600, now=NOW, complete=False)
    assert seen(NetworkChain(), window=short).moving is None


def test_nobody_commits_others_neither() -> None:
    stuck = NetworkChain(rounds=9, commits=3, others=5, last_round_block=100, last_commit_block=90)
    stuck = replace(stuck, others_idle=2, others_missed_rounds=2, others_missed_since_block=95)
    found = seen(stuck)
    assert (found.moving, found.since) == (False, NOW - 15)
    assert found.text == "nobody has committed since 07:59 UTC, 2 miners of others neither"


def test_one_of_others_that_keeps_silent_or_one_round_is_not_the_network() -> None:
    base = NetworkChain(rounds=9, commits=3, others=5, others_missed_since_block=95, last_round_block=100, last_commit_block=90)
    assert seen(replace(base, others_idle=1, others_missed_rounds=4)).moving is True
    assert seen(replace(base, others_idle=3, others_missed_rounds=1)).moving is True
    assert seen(replace(base, others_idle=3, others_missed_rounds=4, last_commit_block=96)).moving is True, "ours commit"
