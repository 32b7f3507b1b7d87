"""A zone's master file (RFC 1035 5): read with dnspython, changed line by line. Comments, order and layout of others stay as they are.

Ours are whole lines at the end, each with a full name, TTL and type, and our mark as its comment: `; cortops lab`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

import dns.exception
import dns.name
import dns.rdatatype
import dns.zone

from cortops.deploy.names.zone import Edit, RecordSet, after, demand_same, gone
from cortops.words.errors import BadInput

_MARKED = re.compile(
    r"(?P<name>[^\s;()\"]+)\.[ \t]+[0-9]+[ \t]+IN[ \t]+(?P<type>[A-Z0-9]+)[ \t]+[^;()]*; cortops (?P<mark>[a-z0-9-]+)[ \t]*"
)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|;[^\n]*|[()]|[^\s;()"]+|\n')
_ONE_TEXT = re.compile(r'"[^"\\]*"')
_SOA_CURE = "Write the SOA as: @ IN SOA primary mailbox ( serial … )."
_SERIALS = 2**32
_SERIAL_AFTER = 3  # words from the type SOA on: primary, mailbox, serial
_DATE_SERIAL = re.compile(r"20[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])[0-9]{2}")


def read(text: str, zone: str) -> tuple[RecordSet, ...]:
    """Every record set of the file. BadInput where it is no zone file, or not of this zone."""
    try:
        found = dns.zone.from_text(text, origin=dns.name.from_text(zone), relativize=False, check_origin=True)
    except (dns.exception.DNSException, ValueError) as error:
        raise BadInput(f"this is no zone file of {zone}: {str(error)[:200] or type(error).__name__}") from error
    marks = {(match["name"].lower(), match["type"]): match["mark"] for match in map(_MARKED.fullmatch, text.splitlines()) if match}
    records: list[RecordSet] = []
    for name, rdataset in found.iterate_rdatasets():
        key = name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(rdataset.rdtype)
        values = tuple(sorted(_plain(key[1], rdata.to_text()) for rdata in rdataset))
        records.append(RecordSet(name=key[0], type=key[1], values=values, ttl_s=rdataset.ttl, mark=marks.get(key, "")))
    return tuple(records)


def edited(text: str, zone: str, edit: Edit, mark: str, now: float) -> str:
    """The text with our records as `edit` wants them and a higher serial; the same text where that changes nothing.

    mark: the environment's name. now: seconds since 1970. BadInput where it cannot be done without touching what others wrote.
    """
    records = {record.key: record for record in read(text, zone)}
    wanted = after(records, edit, mark)
    if wanted == records:
        return text
    taken = gone(records, edit, mark)
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines()
    kept = [line for line in lines if not _is_ours(line, mark, taken)]
    added = [line for want in edit.puts for line in _lines(want.name, want.type, want.values, want.ttl_s, mark)]
    new = _with_next_serial(newline.join((*kept, *added)) + newline, now)
    serial = next_serial(_serial(records.values()), now)
    if _serial(read(new, zone)) != serial:
        raise BadInput(f"the serial of this zone's SOA could not be raised to {serial}", next=_SOA_CURE)
    return demand_same(new, wanted, partial(read, zone=zone))


def next_serial(serial: int, now: float) -> int:
    """The one after it; of one written as a date, YYYYMMDDnn, the day's first if that is higher. Source: RFC 1912 2.2, RFC 1982 3.1."""
    after_it = (serial + 1) % _SERIALS or 1
    if not _DATE_SERIAL.fullmatch(str(serial)):
        return after_it
    today = int(datetime.fromtimestamp(now, UTC).strftime("%Y%m%d")) * 100 + 1
    return today if serial < today < _SERIALS else after_it


def _lines(name: str, kind: str, values: Sequence[str], ttl_s: int, mark: str) -> Iterator[str]:
    for value in values:
        written = {"CNAME": f"{value}.", "TXT": f'"{value}"'}.get(kind, value)
        yield f"{name}.\t{ttl_s}\tIN\t{kind}\t{written} ; cortops {mark}"


def _plain(kind: str, value: str) -> str:
    """A value as it is declared: names without the final dot, a text of one piece without its quotes."""
    if kind == "TXT":
        return value[1:-1] if _ONE_TEXT.fullmatch(value) else value
    return value.removesuffix(".")


def _is_ours(line: str, mark: str, keys: frozenset[tuple[str, str]]) -> bool:
    match = _MARKED.fullmatch(line)
    return match is not None and match["mark"] == mark and (match["name"].lower(), match["type"]) in keys


def _serial(records: Iterable[RecordSet]) -> int:
    """As it is read: `primary mailbox serial …`."""
    return int(next(record.values[0].split()[2] for record in records if record.type == "SOA"))


def _with_next_serial(text: str, now: float) -> str:
    """The text with the serial of its SOA raised, in its place."""
    words = [match for match in _TOKEN.finditer(text) if match[0][0] not in ";()\n"]
    at = next((index for index, match in enumerate(words) if match[0].upper() == "SOA"), len(words)) + _SERIAL_AFTER
    if at >= len(words) or not words[at][0].isdecimal():
        raise BadInput("the serial of this zone's SOA could not be found", next=_SOA_CURE)
    found = words[at]
    return f"{text[: found.start()]}{next_serial(int(found[0]), now)}{text[found.end() :]}"
