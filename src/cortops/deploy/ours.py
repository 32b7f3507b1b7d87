"""What of ours lies and runs on a host, and what it is made of: one read-only question, and the pure reading of its answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import msgspec

from cortops.deploy.journal import ApplyRecord, entries, last_apply
from cortops.deploy.lock import Holder
from cortops.surfaces.fleet.doctor.examine import Offset
from cortops.targets.quoting import quote
from cortops.words.question import Answer, Shell

TIMEOUT_S = 30.0
PLACES = ("/var/lib/cortops/*", "/var/lib/cortops-programs/*")
VALUES_MAX = 500  # of one key

Sudo = Literal["root", "free", "asks", "missing", ""]
_ROTATES = ".rotate"  # in the name of a unit that only turns logs over


@dataclass(frozen=True, slots=True, kw_only=True)
class OnHost:
    """An environment's folder on a host. generation: the newest, None without one. mib: what it holds.

    last: the newest apply, None before the first; cut off where it has no end and nobody holds the lock. holder: of the lock, upgrade: of
    that of an upgrade. unreadable: whoever we are there may not look into it.
    """

    path: str
    mib: int | None = None
    generation: int | None = None
    last: ApplyRecord | None = None
    holder: Holder | None = None
    upgrade: Holder | None = None
    unreadable: bool = False

    @property
    def environment(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """What a host said of itself. load: of the last minute. services: unit -> its state, of our own programs.

    sudo: how one becomes root there: `root` we are, `free` without a password, `asks` for one, `missing`. complete: the answer came whole.
    """

    cpus: int | None
    load: float | None
    sudo: Sudo
    services: Mapping[str, str]
    places: tuple[OnHost, ...]
    complete: bool


def question_id(host: str) -> str:
    return f"ours:{host}"


def question(host: str, places: Sequence[str] = PLACES) -> Shell:
    """One question about what lies in these folders; one that ends in `/*` stands for every folder in it."""
    text = (resources.files(__package__) / "ours.sh").read_text()
    return Shell(id=question_id(host), target=host, script=f"cortops_places={quote(chr(10).join(places))}\n{text}", timeout_s=TIMEOUT_S)


def read_offset(answer: Answer) -> Offset | None:
    """The host's clock less ours, out of the same answer; None where it told none."""
    found = next((name for kind, name, _ in _records(answer.text) if kind == "clock"), "")
    if not re.fullmatch(r"[0-9]{9,12}(\.[0-9]{1,9})?", found):
        return None
    return Offset(least_s=float(found) - answer.at - answer.elapsed_s, most_s=float(found) - answer.at)


def read(text: str) -> Ours:
    """Any text -> what it says; what is no record is passed over."""
    found = list(_records(text))
    made_of = next((pairs for kind, _, pairs in found if kind == "made_of"), {})
    units = dict(_pair(value) for value in made_of.get("service", ()))
    return Ours(
        cpus=_whole(made_of.get("cpus", ())),
        load=_number(made_of.get("load", ())),
        sudo=_sudo(made_of.get("sudo", ())),
        services={unit: state for unit, state in units.items() if _ROTATES not in unit},
        places=tuple(_place(name, pairs) for kind, name, pairs in found if kind == "place" and name.startswith("/")),
        complete=any(kind == "end" for kind, _, _ in found),
    )


def _place(path: str, pairs: Mapping[str, Sequence[str]]) -> OnHost:
    return OnHost(
        path=path,
        mib=_whole(pairs.get("mib", ())),
        generation=_whole(pairs.get("generation", ())),
        last=last_apply(entries(pairs.get("journal", ()))),
        holder=_holder(pairs.get("lock", ())),
        upgrade=_holder(pairs.get("upgrade", ())),
        unreadable="unreadable" in pairs,
    )


def _records(text: str) -> Iterator[tuple[str, str, dict[str, list[str]]]]:
    """(kind, name, values by key) of each record."""
    kind = name = ""
    pairs: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, tab, value = line.partition("\t")
        if not tab or not value.isprintable():
            continue
        if key.startswith("@"):
            if kind:
                yield kind, name, pairs
            kind, name, pairs = key[1:], value, {}
        elif kind and len(values := pairs.setdefault(key, [])) < VALUES_MAX:
            values.append(value)
    if kind:
        yield kind, name, pairs


def _holder(values: Sequence[str]) -> Holder | None:
    try:
        return msgspec.json.decode(values[0], type=Holder) if values else None
    except msgspec.DecodeError:
        return None


def _sudo(values: Sequence[str]) -> Sudo:
    known: tuple[Sudo, ...] = ("root", "free", "asks", "missing")
    return next((one for one in known if values and values[0] == one), "")


def _pair(value: str) -> tuple[str, str]:
    first, _, second = value.partition(" ")
    return first, second


def _whole(values: Sequence[str]) -> int | None:
    return int(values[0]) if values and values[0].isascii() and values[0].isdigit() and len(values[0]) < 16 else None


def _number(values: Sequence[str]) -> float | None:
    return float(values[0]) if values and re.fullmatch(r"[0-9]{1,6}\.[0-9]{1,3}", values[0]) else None
