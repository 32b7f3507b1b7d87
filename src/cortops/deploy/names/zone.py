"""A zone as it is kept: which record sets there are, which of them are ours, and what an edit of ours may do. Pure.

A record is ours when it carries our mark. What others wrote is never changed: an edit is read back and compared before it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cortops.deploy.observed import Absent, Observed, Present
from cortops.environment.dns import NamedRecord
from cortops.words.errors import BadInput
from cortops.words.resource import DnsRecord

OF, OTHERS = "of", "others"  # attribute of what is as declared, and not ours
TEXT_MAX_MIB = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSet:
    """All records of one name and type. Names without a final dot. mark: the environment whose they are, "" of others."""

    name: str
    type: str
    values: tuple[str, ...]
    ttl_s: int
    mark: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.type


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What shall be there, and names and types that shall not; both only of ours."""

    puts: tuple[NamedRecord, ...] = ()
    drops: tuple[tuple[str, str], ...] = ()


Records = Mapping[tuple[str, str], RecordSet]
Read = Callable[[str], Sequence[RecordSet]]


def seen(zone: str, records: Records, want: NamedRecord, mark: str) -> Observed:
    """One wanted record set against what is there. Blocked, and why, where only people can make room for it."""
    here = records.get((want.name, want.type))
    why = why_blocked(zone, records, want, mark)
    if here is None:
        return Absent(blocked=why)
    if here.mark == mark:
        return Present(attributes_of(here.values, here.ttl_s), blocked=why)
    if here.values == want.values:  # of others, and leads where it should: it stays theirs, its TTL too
        return Present({**attributes_of(want.values, want.ttl_s), OF: OTHERS})
    return Absent(blocked=why)


def attributes_of(values: Sequence[str], ttl_s: int) -> dict[str, str]:
    """What is compared of a record set."""
    return {"leads": ",".join(values), "ttl_s": str(ttl_s)}


def named(record: DnsRecord) -> NamedRecord:
    """The resource as the zone has it."""
    return NamedRecord(name=record.name, type=record.type, values=record.values, ttl_s=record.ttl_s)


def dns_attributes(record: DnsRecord) -> dict[str, str]:
    """What is compared of a record: where it leads, and how long resolvers keep it."""
    return attributes_of(record.values, record.ttl_s)


def why_blocked(zone: str, records: Records, want: NamedRecord, mark: str) -> str:
    """Why `want` cannot be put beside what others have in the zone; "" where it can. Source: RFC 1034 3.6.2 (CNAME), 4.2.1 (delegation)."""
    here = records.get((want.name, want.type))
    if here is not None and here.mark != mark and here.values != want.values:
        who = f"cortops of {here.mark}" if here.mark else "others"
        told = ", ".join(here.values)[:120]
        return f"{want.name} {want.type} is a record of {who} and leads to {told}: remove it there, or the hostname here"
    beside = [found for found in records.values() if found.name == want.name and found.mark != mark and found.type != want.type]
    for found in beside:
        if "CNAME" in (want.type, found.type):
            return f"{want.name} has {found.type} of others, and nothing can stand beside a CNAME"
    cut = next((name for name in _above(want.name, zone) if (name, "NS") in records), "")
    if cut:
        return f"{cut} is delegated to {', '.join(records[cut, 'NS'].values)[:120]}: {want.name} is not answered from this zone"
    return ""


def after(records: Records, edit: Edit, mark: str) -> dict[tuple[str, str], RecordSet]:
    """What an edit must lead to. A CNAME of ours makes room for others types of ours at its name, and the other way round."""
    found = dict(records)
    for key in _gone(records, edit, mark):
        del found[key]
    for want in edit.puts:
        found[want.name, want.type] = RecordSet(name=want.name, type=want.type, values=want.values, ttl_s=want.ttl_s, mark=mark)
    return found


def _gone(records: Records, edit: Edit, mark: str) -> Iterator[tuple[str, str]]:
    """Ours that an edit takes away or writes anew."""
    puts = {(want.name, want.type) for want in edit.puts}
    for (name, kind), found in records.items():
        clash = any(at == name and type_ != kind and "CNAME" in (kind, type_) for at, type_ in puts)
        if found.mark == mark and ((name, kind) in edit.drops or (name, kind) in puts or clash):
            yield name, kind


def gone(records: Records, edit: Edit, mark: str) -> frozenset[tuple[str, str]]:
    """The record sets of ours that must be taken out of the text before `edit.puts` are written."""
    return frozenset(_gone(records, edit, mark))


def demand_same(new: str, wanted: Records, read: Read) -> str:
    """`new`, once it is shown that it reads as just what was wanted, serials aside. BadInput otherwise, and nothing is written."""
    found = {record.key: record for record in read(new) if record.type != "SOA"}
    expected = {key: record for key, record in wanted.items() if record.type != "SOA"}
    if found != expected:
        differing = sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
        name, kind = differing[0]
        raise BadInput(
            f"the change could not be written without touching {name} {kind}, which is not meant",
            next="Put records of others above ours, each with its name, and run the same command again.",
        )
    return new


def _above(name: str, zone: str) -> Iterator[str]:
    """The name and those above it, down to just below the zone's own."""
    while name != zone and name.endswith(f".{zone}"):
        yield name
        name = name.partition(".")[2]
