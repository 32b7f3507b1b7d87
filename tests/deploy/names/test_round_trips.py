"""Any edits of ours, in any zone of others: what others wrote stays as it is, to the byte, and ours go without a trace."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.deploy.names import octodns, zone_file
from cortops.deploy.names.zone import Edit, RecordSet
from cortops.environment.dns import NamedRecord
from cortops.words.errors import BadInput

ZONE, MARK, NOW = "lab.example", "lab", 1_795_800_000.0
SOA = "@ IN SOA ns1 host (\n  7 ; serial\n 3600 600 86400 300 )\n@ IN NS ns1\n"

labels = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
addresses = st.integers(1, 254).map(lambda last: f"203.0.113.{last}")
comments = st.from_regex(r"; [ -~]{0,20}", fullmatch=True)
texts = st.from_regex(r"[ -!#-\[\]-~]{0,20}", fullmatch=True)


@st.composite
def ours(draw: st.DrawFn) -> tuple[NamedRecord, ...]:
    """Record sets of ours, each name and type once, a CNAME alone."""
    names = draw(st.lists(labels.map(lambda label: f"our-{label}.{ZONE}"), min_size=1, max_size=4, unique=True))
    found = []
    for name in names:
        kinds = draw(st.sampled_from([("A",), ("AAAA",), ("A", "AAAA"), ("CNAME",), ("TXT",)]))
        values = {
            "A": draw(st.lists(addresses, min_size=1, max_size=3, unique=True)),
            "AAAA": ["2001:db8::7"],
            "CNAME": ["edge.example"],
            "TXT": [draw(st.from_regex(r"[A-Za-z0-9_-]{43}", fullmatch=True))],
        }
        ttl_s = draw(st.integers(1, 604_800))
        found += [NamedRecord(name=name, type=kind, values=tuple(sorted(values[kind])), ttl_s=ttl_s) for kind in kinds]
    return tuple(found)


@st.composite
def zones(draw: st.DrawFn) -> str:
    """A master file of others: comments, blank owners, texts with marks of the language in them."""
    lines = ["$TTL 1h", *SOA.splitlines(), "ns1 A 192.0.2.1"]
    for label in draw(st.lists(labels, max_size=6, unique=True)):
        lines += draw(st.lists(comments | st.just(""), max_size=1))
        lines.append(f"{label} IN A {draw(addresses)}")
        if draw(st.booleans()):
            lines.append(f'    300 IN TXT "{draw(texts)}" {draw(comments)}')
    return "\n".join(lines) + "\n"


@st.composite
def octodns_zones(draw: st.DrawFn) -> str:
    """A file of octoDNS of others, with comments between."""
    lines = ["---"]
    for label in draw(st.lists(labels, max_size=6, unique=True)):
        lines += draw(st.lists(st.from_regex(r"# [ -~]{0,20}", fullmatch=True), max_size=1))
        body = ["type: A", f"value: {draw(addresses)}"]
        if draw(st.booleans()):
            lines += [f"{label}:", f"- {body[0]}", f"  {body[1]}", "- type: TXT", "  value: one"]
        else:
            lines += [f"{label}:", *(f"  {line}" for line in body)]
    return "\n".join(lines) + "\n"


def of_others(text: str) -> str:
    return re.sub(r"[0-9]+ ; serial", "N ; serial", text)


def found_in(records: Sequence[RecordSet]) -> dict[tuple[str, str], tuple[tuple[str, ...], int]]:
    return {record.key: (record.values, record.ttl_s) for record in records if record.mark == MARK}


def as_wanted(records: Sequence[NamedRecord]) -> dict[tuple[str, str], tuple[tuple[str, ...], int]]:
    return {(one.name, one.type): (one.values, one.ttl_s) for one in records}


@settings(max_examples=12, deadline=None)
@given(zones(), ours(), ours())
def test_a_zone_file_keeps_what_others_wrote(text: str, first: tuple[NamedRecord, ...], second: tuple[NamedRecord, ...]) -> None:
    put = zone_file.edited(text, ZONE, Edit(puts=first), MARK, NOW)
    assert of_others(put).startswith(of_others(text))
    assert found_in(zone_file.read(put, ZONE)) == as_wanted(first)
    assert zone_file.edited(put, ZONE, Edit(puts=first), MARK, NOW) == put  # nothing to do: not even the serial
    drops = tuple(key for key in as_wanted(first) if key not in as_wanted(second))
    moved = zone_file.edited(put, ZONE, Edit(puts=second, drops=drops), MARK, NOW)
    assert found_in(zone_file.read(moved, ZONE)) == as_wanted(second)
    gone = zone_file.edited(moved, ZONE, Edit(drops=tuple(as_wanted(second))), MARK, NOW)
    assert of_others(gone) == of_others(text)
    assert f"{7 + len({text, put, moved})} ; serial" in gone  # once for each change


@settings(max_examples=12, deadline=None)
@given(octodns_zones(), ours())
def test_octodns_keeps_what_others_wrote(text: str, wanted: tuple[NamedRecord, ...]) -> None:
    put = octodns.edited(text, ZONE, Edit(puts=wanted), MARK)
    assert found_in(octodns.read(put, ZONE)) == as_wanted(wanted)
    left = [line for line in put.splitlines() if line in text.splitlines()]
    assert [line for line in text.splitlines() if line not in left] == []
    assert octodns.edited(put, ZONE, Edit(puts=wanted), MARK) == put
    assert octodns.edited(put, ZONE, Edit(drops=tuple(as_wanted(wanted))), MARK) == text
    names = [str(name) for name in yaml.safe_load(put)]
    assert [name for name in names if name.startswith("our-")] == sorted((n for n in names if n.startswith("our-")), key=octodns.natural)


@pytest.mark.parametrize(
    ("serial", "following"),
    [(7, 8), (2**32 - 1, 1), (2026112605, 2026112701), (2026112701, 2026112702), (2030010100, 2030010101), (2026119999, 2026120000)],
)
def test_a_serial_only_goes_up(serial: int, following: int) -> None:
    assert zone_file.next_serial(serial, NOW) == following


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$INCLUDE other\n" + SOA,
        SOA.replace("SOA", "SOB"),
        "$ORIGIN elsewhere.\n@ 60 IN SOA a b 1 2 3 4 5\n",
        SOA + "a IN A not-an-address\n",
    ],
)
def test_what_is_no_zone_file_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        zone_file.read(text, ZONE)


@pytest.mark.parametrize("text", ["[", "- a", "a: 1", "a: {value: 1}", "a: {type: A, ttl: soon}", "? [1, 2]\n: 3", "a: &x [*x]", "\0"])
def test_what_is_no_file_of_octodns_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        octodns.read(text, ZONE)


def test_a_serial_that_cannot_be_found_in_the_text_is_not_guessed() -> None:
    a = NamedRecord(name=f"api.{ZONE}", type="A", values=("203.0.113.7",), ttl_s=300)
    hidden = "$TTL 1h\nsoa 60 A 192.0.2.3\n" + SOA + "ns1 A 192.0.2.1\n"
    with pytest.raises(BadInput, match=r"could not be (found|raised)"):
        zone_file.edited(hidden, ZONE, Edit(puts=(a,)), MARK, NOW)


def test_a_change_that_would_touch_others_is_not_written() -> None:
    a = NamedRecord(name=f"api.{ZONE}", type="A", values=("203.0.113.7",), ttl_s=300)
    ended_by_ours = f'$TTL 1h\n{SOA}ns1 A 192.0.2.1\napi.{ZONE}.\t300\tIN\tA\t203.0.113.7 ; cortops lab\n\tIN TXT "whose name is ours"\n'
    with pytest.raises(BadInput, match=r"without touching (ns1|api)\.lab\.example TXT"):
        zone_file.edited(ended_by_ours, ZONE, Edit(drops=((a.name, "A"),)), MARK, NOW)
    with pytest.raises(BadInput, match="stands in braces"):
        octodns.edited("api: {type: TXT, value: x}\n", ZONE, Edit(puts=(a,)), MARK)
    with pytest.raises(BadInput, match="stand in braces"):
        octodns.edited("{www: {type: TXT, value: x}}\n", ZONE, Edit(puts=(a,)), MARK)
