"""What is asked when. Time is a number, chance a constant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.monitor import schedule
from cortops.monitor.schedule import AT_ONCE_MAX, CODE_EVERY_S, Fetch, Schedule, every_s, fetches
from cortops.words.question import Dns, Http, Question, Rpc, Shell, Tls

ROUND_S = 3.0
CHAIN = "http://127.0.0.1:8545"


def http(number: int) -> Http:
    return Http(id=f"health:{number}", url=f"http://127.0.0.1:{number}/health", timeout_s=3)


def call(name: str, method: str = "eth_call") -> Rpc:
    return Rpc(id=name, url=CHAIN, method=method)


def planned(questions: Sequence[Question], chance: float = 0.0) -> tuple[Schedule, dict[str, Fetch]]:
    found = fetches(questions, ROUND_S)
    return Schedule(found, round_s=ROUND_S, begun_at=0.0, chance=lambda: chance), {fetch.key: fetch for fetch in found}


def played(plan: Schedule, until_s: float, takes_s: Callable[[Fetch], float] = lambda _: 0.1) -> dict[str, list[float]]:
    """Begin what is due every 50 ms; each takes its time. Key -> when it was begun."""
    begun: dict[str, list[float]] = {}
    ends: dict[str, float] = {}
    for tick in range(int(until_s / 0.05)):
        now = tick * 0.05
        for key in [key for key, end in ends.items() if end <= now]:
            plan.ended(key)
            del ends[key]
        for fetch in plan.begin(now):
            assert fetch.key not in ends, "it is under way"
            begun.setdefault(fetch.key, []).append(now)
            ends[fetch.key] = now + takes_s(fetch)
    return begun


def test_one_round_trip_a_place() -> None:
    questions = [
        call("head"),
        call("session:1"),
        call("code:a", "eth_getCode"),
        call("code:b", "eth_getCode"),
        Shell(id="services:h1", target="h1", script="s"),
        Shell(id="disk:h1", target="h1", script="d"),
        Shell(id="disk:h2", target="h2", script="d"),
        http(1),
        http(2),
        Tls(id="tls:x", host="127.0.0.1", port=8443, server_name="x"),
    ]
    groups = [[question.id for question in fetch.questions] for fetch in fetches(questions, ROUND_S)]
    assert groups == [
        ["head", "session:1"],
        ["code:a", "code:b"],
        ["services:h1"],  # a slow disk does not hide the services
        ["disk:h1"],
        ["disk:h2"],
        ["health:1"],
        ["health:2"],
        ["tls:x"],
    ]


def test_what_costs_much_is_asked_seldom_but_never_more_often_than_a_round() -> None:
    assert every_s(http(1), ROUND_S) == every_s(call("head"), ROUND_S) == ROUND_S
    assert every_s(call("code:a", "eth_getCode"), ROUND_S) == CODE_EVERY_S
    assert every_s(Dns(id="dns:x", name="x"), ROUND_S) == schedule.DNS_EVERY_S
    assert every_s(Shell(id="services:h1", target="h1", script="s"), ROUND_S) == schedule.SERVICES_EVERY_S
    assert every_s(Shell(id="services:h1", target="h1", script="s"), 30.0) == 30.0


def test_all_is_asked_at_once_first_then_spread_over_the_round() -> None:
    plan, _ = planned([http(number) for number in range(12)])
    begun = played(plan, 10.0)
    assert {times[0] for times in begun.values()} == {0.0}
    second = sorted(times[1] for times in begun.values())
    assert second[0] >= ROUND_S and second[-1] <= ROUND_S * (1 + schedule.SPREAD)
    assert len(set(second)) == schedule.SLOTS
    assert all(abs(times[2] - times[1] - ROUND_S) < 0.1 for times in begun.values())


def test_a_slow_one_delays_nobody_and_is_asked_again_when_it_is_back() -> None:
    plan, _ = planned([http(1), http(2)])
    begun = played(plan, 20.0, lambda fetch: 3.4 if fetch.key == "health:1" else 0.1)
    assert len(begun["health:2"]) == 7
    gaps = [later - earlier for earlier, later in pairwise(begun["health:1"])]
    assert all(3.39 < gap < 3.6 for gap in gaps), gaps


def test_one_that_never_comes_back_is_not_asked_again() -> None:
    plan, _ = planned([http(1)])
    assert len(played(plan, 60.0, lambda _: 1e9)["health:1"]) == 1
    assert plan.wake_at() == float("inf")


def test_under_way_together_are_only_so_many() -> None:
    plan, _ = planned([http(number) for number in range(100)])
    assert len(plan.begin(0.0)) == AT_ONCE_MAX == plan.under_way
    assert plan.begin(0.1) == ()
    plan.ended("health:0")
    assert [fetch.key for fetch in plan.begin(0.2)] != ["health:0"], "who waits longest comes first"


def test_slow_ones_are_hurried_while_something_is_not_calm() -> None:
    plan, _ = planned([call("code:a", "eth_getCode")], chance=0.99)
    (fetch,) = plan.begin(0.0)
    plan.ended(fetch.key)
    assert plan.wake_at() > 50
    plan.hurry({"code:a"})
    assert plan.wake_at() == ROUND_S
    (fetch,) = plan.begin(ROUND_S)
    plan.ended(fetch.key)
    assert plan.wake_at() > ROUND_S + CODE_EVERY_S - 1, "calm again"


def test_hurry_leaves_the_others_where_they_are() -> None:
    plan, _ = planned([http(number) for number in range(3)])
    for fetch in plan.begin(0.0):
        plan.ended(fetch.key)
    wake_at = plan.wake_at()
    plan.hurry({"health:0", "health:1", "health:2"})
    assert plan.wake_at() == wake_at


def test_rounds_that_were_missed_are_not_made_up_for() -> None:
    plan, _ = planned([http(1)])
    plan.begin(0.0)
    plan.ended("health:1")
    assert plan.begin(1000.0)
    plan.ended("health:1")
    assert 1000.0 < plan.wake_at() <= 1000.0 + ROUND_S * 1.1
    assert plan.begin(1000.0) == ()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.floats(0, 0.999), st.floats(0.05, 4.0))
def test_nobody_starves_and_nobody_is_asked_too_often(count: int, chance: float, takes_s: float) -> None:
    plan, _ = planned([http(number) for number in range(count)], chance)
    begun = played(plan, 30.0, lambda _: takes_s)
    a_round_s = max(ROUND_S, takes_s) * (1 if count <= AT_ONCE_MAX else 2)  # with more than there is room for, every other time
    assert len(begun) == count
    assert all(30 / a_round_s * 0.7 - 1 <= len(times) <= 30 / ROUND_S + 1 for times in begun.values())
