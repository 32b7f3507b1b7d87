"""Ranges: names, numbers, positions, lists, limits, and the way back to the line in the file."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.environment.declared import Places
from cortops.environment.expand import NAMES_MAX, expand, names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m1", ["m1"]),
        ("m[1-3]", ["m1", "m2", "m3"]),
        ("m[08-10]-gpu", ["m08-gpu", "m09-gpu", "m10-gpu"]),
        ("[0-1]", ["0", "1"]),
        ("m[7-7]", ["m7"]),
    ],
)
def test_names(text: str, expected: list[str]) -> None:
    got = names(text)
    assert isinstance(got, list)
    assert [name for name, _ in got] == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("m[3-1]", "has a range that runs backwards"),
        ("m[1-]", "is not a name with one range"),
        ("m[1-2][3-4]", "is not a name with one range"),
        ("m]1[", "is not a name with one range"),
        ("m[0-9999]", "stands for more than 5,000 names"),
    ],
)
def test_names_that_are_none(text: str, why: str) -> None:
    assert names(text) == why


@settings(max_examples=25)
@given(st.integers(0, 9000), st.integers(0, NAMES_MAX - 1))
def test_a_range_has_one_name_for_each_number(first: int, more: int) -> None:
    got = names(f"m[{first}-{first + more}]")
    assert isinstance(got, list)
    assert [int(number) for _, number in got] == list(range(first, first + more + 1))


def test_the_number_goes_into_every_text_of_the_body() -> None:
    got = expand({"nodes": {"r[1-2]": {"host": "h{n}", "port": "{n+5000}", "api_key": {"secret": "r{n}/api-key"}, "label": "{x}"}}})
    assert got.tree["nodes"] == {
        "r1": {"host": "h1", "port": "5001", "api_key": {"secret": "r1/api-key"}, "label": "{x}"},
        "r2": {"host": "h2", "port": "5002", "api_key": {"secret": "r2/api-key"}, "label": "{x}"},
    }


def test_a_range_of_hosts_is_taken_by_position_round_robin() -> None:
    got = expand({"nodes": {"m[1-12]": {"host": "h[3-9]"}}})
    nodes = got.tree["nodes"]
    assert isinstance(nodes, dict)
    hosts = [body["host"] for body in nodes.values() if isinstance(body, dict)]
    assert hosts == ["h3", "h4", "h5", "h6", "h7", "h8", "h9", "h3", "h4", "h5", "h6", "h7"]


def test_a_list_of_names_takes_the_whole_range() -> None:
    got = expand({"pools": {"a": {"members": ["x", "r[1-2]", "y"]}}, "nodes": {"m[1-2]": {"routers": ["r[1-2]"]}}})
    assert got.tree["pools"] == {"a": {"members": ["x", "r1", "r2", "y"]}}
    assert got.tree["nodes"] == {"m1": {"routers": ["r1", "r2"]}, "m2": {"routers": ["r1", "r2"]}}
    assert got.origins[("pools", "a", "members", 3)] == ("pools", "a", "members", 2)


def test_outside_a_range_nothing_is_replaced() -> None:
    tree = {"nodes": {"m1": {"host": "h[3-9]", "port": "{n+5}"}}, "environment": "{n}"}
    assert expand(tree).tree == tree  # type: ignore[arg-type]


def test_a_range_leads_back_to_its_line() -> None:
    assert expand({"hosts": {"h[1-2]": {}}}).origins == {("hosts", "h1"): ("hosts", "h[1-2]"), ("hosts", "h2"): ("hosts", "h[1-2]")}


def test_a_name_declared_twice_keeps_the_first() -> None:
    got = expand({"nodes": {"m2": {"port": "1"}, "m[1-3]": {"port": "2"}}})
    assert got.tree["nodes"] == {"m2": {"port": "1"}, "m1": {"port": "2"}, "m3": {"port": "2"}}
    assert [finding.what for finding in got.findings] == ["declares m2 a second time"]


def test_all_ranges_together_are_limited() -> None:
    many = {f"{letter}[1-5000]": {"routers": ["r[1-5000]"]} for letter in "abc"}
    got = expand({"nodes": many})  # type: ignore[dict-item]
    assert not got.complete
    assert got.findings[-1].what == "makes more than 500,000 values of all ranges together"


def test_a_list_in_the_place_of_one_value_is_taken_by_position() -> None:
    body = {"address": ["0xa", "0xb"], "routers": ["r1", "r[2-3]"], "host": ["h{n}", "h[8-9]"], "api_key": {"secret": ["x"]}}
    got = expand({"nodes": {"m[1-2]": body, "one": {"address": ["0xa"]}}})
    assert got.findings == ()
    assert got.tree["nodes"] == {
        "m1": {"address": "0xa", "routers": ["r1", "r2", "r3"], "host": "h1", "api_key": {"secret": ["x"]}},
        "m2": {"address": "0xb", "routers": ["r1", "r2", "r3"], "host": "h9", "api_key": {"secret": ["x"]}},
        "one": {"address": ["0xa"]},
    }
    places = Places({("nodes", "m[1-2]", "address", 1): (7, 30), ("nodes", "m[1-2]", "address"): (7, 20)}, got.origins)
    assert places.find(("nodes", "m2", "address")) == (7, 30)
    assert places.find(("nodes", "m1", "address")) == (7, 20), "the nearest that is known"


@pytest.mark.parametrize(("values", "count"), [(["a"], 1), (["a", "b", "c", "d"], 4), ([], 0)])
def test_a_list_of_another_length_is_one_mistake_where_it_stands(values: list[str], count: int) -> None:
    got = expand({"nodes": {"m[1-3]": {"address": [*values]}}})
    assert [(finding.path, finding.what) for finding in got.findings] == [
        (("nodes", "m[1-3]", "address"), f"has {count} values for the 3 of m[1-3]")
    ]
