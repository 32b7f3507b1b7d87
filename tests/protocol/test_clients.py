from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.protocol.clients import Window, client_of, networks
from cortops.words.errors import BadInput

PROXIES = networks(("127.0.0.1", "10.0.0.0/24"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.7", "", "192.0.2.7"),
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),  # not from a declared proxy
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"),  # what a client claims stands before what our proxy wrote
        ("127.0.0.1", "203.0.113.9, 198.51.100.1, 10.0.0.5", "198.51.100.1"),
        ("127.0.0.1", "10.0.0.5", "10.0.0.5"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, nonsense", "127.0.0.1"),
        ("127.0.0.1", ",".join(["10.0.0.5"] * 100), "10.0.0.5"),
        ("::ffff:127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("127.0.0.1", "2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", "198.51.100.1", ""),
    ],
)
def test_the_client_is_who_the_last_trusted_proxy_saw(peer: str, forwarded: str, client: str) -> None:
    assert client_of(peer, forwarded, PROXIES) == client


@given(st.text(), st.text())
def test_no_header_breaks_the_reading(peer: str, forwarded: str) -> None:
    assert isinstance(client_of(peer, forwarded, PROXIES), str)


def test_a_proxy_that_is_no_network_is_refused() -> None:
    with pytest.raises(BadInput, match="name networks as"):
        networks(("10.0.0.1/24",))


def test_a_client_comes_as_often_as_its_window_lets_it() -> None:
    window = Window(requests_max=2, window_s=900)
    assert [window.take("a", at) for at in (0, 100, 200)] == [0, 0, 700]
    assert window.take("b", 200) == 0
    assert [window.take("a", at) for at in (899.5, 900, 901)] == [0.5, 0, 99]
    window.give_back("a")
    assert window.take("a", 902) == 0
    window.give_back("stranger")


def test_a_full_table_forgets_nobody_and_lets_nobody_new_in() -> None:
    window = Window(requests_max=1, window_s=900, clients_max=2)
    assert [window.take("a", 0), window.take("b", 10), window.take("c", 20)] == [0, 0, 880]
    assert window.take("a", 30) == 870 and len(window) == 2
    assert window.take("c", 900) == 0 and len(window) == 2


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=60), st.integers(1, 3))
def test_never_more_in_any_window(calls: list[tuple[str, int]], requests_max: int) -> None:
    window, now = Window(requests_max=requests_max, window_s=50), 0.0
    taken: list[tuple[str, float]] = []
    for client, pause in calls:
        now += pause
        if window.take(client, now) == 0:
            taken.append((client, now))
    for client, at in taken:
        assert sum(1 for other, when in taken if other == client and at <= when < at + 50) <= requests_max
    assert len(window) <= 3
