"""How a host and the nodes on it stand: two read-only sh questions and the reading of their answers. Pure.

What discover tells (installed.py) and what logs and RPCs say (surfaces.nodes.logs) is not asked again here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from cortops.surfaces.fleet.found.installed import Installed, Shape
from cortops.words.question import Answer, Shell

ASK_TIMEOUT_S = 25.0
_KIB, _MIB_KIB = 1024, 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A filesystem by one of its folders; free and total in MiB, or in files for inodes."""

    folder: str
    free: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """A TCP port that is listened on. everywhere: reachable from outside, unless a firewall stands before it."""

    address: str
    port: int

    @property
    def everywhere(self) -> bool:
        return not (self.address.startswith("127.") or self.address == "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """A host's clock less ours lies between these two, in seconds: it was asked some time while its answer came."""

    least_s: float
    most_s: float

    @property
    def beyond_s(self) -> float:
        """How far the clock is off for certain, 0 where it may be right; negative where it is behind ours."""
        return self.least_s if self.least_s > 0 else min(self.most_s, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLook:
    """What a host said of itself; None or empty where it could not tell.

    missing_tools: of those that our questions need. memory: kernel's name -> MiB. oom_kills: since its boot. inotify_used: by the user who
    has most. synchronized: its clock, as its manager says. container: what kind, "" for a machine. time_program: what keeps its time.
    """

    name: str
    uid: int | None
    missing_tools: tuple[str, ...]
    tools: frozenset[str]
    rooms: tuple[Room, ...]
    inodes: tuple[Room, ...]
    memory: Mapping[str, int]
    oom_kills: int | None
    inotify_used: int | None
    inotify_max: int | None
    files_open: int | None
    files_max: int | None
    listening: tuple[Listening, ...]
    gpu: bool
    systemd_state: str
    failed_units: tuple[str, ...]
    synchronized: bool | None
    time_program: str
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLook:
    """What a host said of one node; None or empty where it could not tell.

    log_age_s: since the last write, by the host's clock. rotates: logrotate or docker keeps it small.
    unit: systemd's properties by name. old_copies: of the binary, beside it. words_after_role: of its command line.
    """

    log_bytes: int | None
    log_age_s: int | None
    rotates: bool | None
    log_room: Room | None
    unit: Mapping[str, str]
    old_copies: int | None
    old_copies_bytes: int | None
    files_open: int | None
    files_max: int | None
    words_after_role: tuple[str, ...]


def host_id(host: str) -> str:
    return f"examine:{host}"


def nodes_id(host: str) -> str:
    return f"examine-nodes:{host}"


def host_question(host: str) -> Shell:
    """How the host stands."""
    return Shell(id=host_id(host), target=host, script=f"{_script()}\nhost\nexit 0", timeout_s=ASK_TIMEOUT_S)


def nodes_question(host: str, nodes: Mapping[str, Installed]) -> Shell:
    """How these nodes of the host stand, by name; and its time, which a question over an open connection tells best."""
    calls = "\n".join(f"node {_words(name, node)}" for name, node in nodes.items())
    return Shell(id=nodes_id(host), target=host, script=f"{_script()}\nclock\n{calls}\nexit 0", timeout_s=ASK_TIMEOUT_S)


def _words(name: str, node: Installed) -> str:
    container = node.unit if node.shape is Shape.DOCKER else ""
    words = (name, node.log, node.unit, node.binary, "" if node.pid is None else str(node.pid), container)
    return " ".join(shlex.quote(word) for word in words)


def _script() -> str:
    return files(__package__).joinpath("examine.sh").read_text("utf-8")


def read_host(text: str) -> HostLook | None:
    """The answer to `host_question`; None when it holds no record. Lines of another shape are passed over: what is missing is unknown."""
    record = next((told for name, told in _records(text, "@host")), None)
    if record is None:
        return None
    files_open, files_max = _pair(_first(record, "files"))
    return HostLook(
        name=_first(record, "@host"),
        uid=_int(_first(record, "uid")),
        missing_tools=tuple(record.get("no_tool", ())),
        tools=frozenset(record.get("tool", ())),
        rooms=tuple(_rooms(record.get("disk", ()), _MIB_KIB)),
        inodes=tuple(_rooms(record.get("inodes", ()), 1)),
        memory=dict(_memory(record.get("memory", ()))),
        oom_kills=_int(_first(record, "oom_kills")),
        inotify_used=_int(_first(record, "inotify_used")),
        inotify_max=_int(_first(record, "inotify_max_user_instances")),
        files_open=files_open,
        files_max=files_max,
        listening=tuple(_listening(record.get("listen", ()))),
        gpu=_first(record, "gpu") == "1",
        systemd_state=_first(record, "systemd_state"),
        failed_units=tuple(record.get("failed", ())),
        synchronized={"yes": True, "no": False}.get(_first(record, "time_synchronized")),
        time_program=_first(record, "time_program"),
        container=_first(record, "container").replace("none", ""),
    )


def read_nodes(text: str) -> dict[str, NodeLook]:
    """The answer to `nodes_question`, by node."""
    return {name: _node(record) for name, record in _records(text, "@node")}


def read_offset(answer: Answer) -> Offset | None:
    """The host's clock less ours, out of the answer to `nodes_question`."""
    text = next((name for name, _ in _records(answer.text, "@clock")), "")
    if not re.fullmatch(r"[0-9]{9,12}(\.[0-9]{1,9})?", text):
        return None
    return Offset(least_s=float(text) - answer.at - answer.elapsed_s, most_s=float(text) - answer.at)


def _node(record: Mapping[str, Sequence[str]]) -> NodeLook:
    count, size = _pair(_first(record, "old_copies"))
    docker_log = _first(record, "docker_log").split()
    rotates = _first(record, "log_rotates") == "yes" if "log_rotates" in record else None
    if docker_log:
        rotates = docker_log[0] not in ("json-file",) or (len(docker_log) > 1 and docker_log[1] != "<no")
    return NodeLook(
        log_bytes=_int(_first(record, "log_bytes")),
        log_age_s=_int(_first(record, "log_age_s")),
        rotates=rotates,
        log_room=next(_rooms(record.get("log_disk", ()), _MIB_KIB), None),
        unit=dict(_pairs(record.get("show", ()))),
        old_copies=count,
        old_copies_bytes=size,
        files_open=_int(_first(record, "files_open")),
        files_max=_int(_first(record, "files_max")),
        words_after_role=tuple(_first(record, "words_after_role").split()),
    )


def _records(text: str, head: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Records that begin with `head`: their name, and key -> values in order."""
    record: dict[str, list[str]] | None = None
    name = ""
    for line in text.splitlines():
        key, tab, value = line.partition("\t")
        if not tab:
            continue
        if key.startswith("@"):
            if record is not None:
                yield name, record
            name, record = value, ({key: [value]} if key == head else None)
        elif record is not None:
            record.setdefault(key, []).append(value)
    if record is not None:
        yield name, record


def _first(record: Mapping[str, Sequence[str]], key: str) -> str:
    return record[key][0] if record.get(key) else ""


def _int(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _pair(text: str) -> tuple[int | None, int | None]:
    first, _, second = text.partition(" ")
    return _int(first), _int(second)


def _pairs(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """`unit_KEY VALUE` -> KEY, VALUE."""
    for line in lines:
        key, _, value = line.partition(" ")
        yield key.removeprefix("unit_"), value


def _rooms(lines: Sequence[str], divisor: int) -> Iterator[Room]:
    for line in lines:
        free, total, folder = [*line.split(" ", 2), "", ""][:3]
        if (free_n := _int(free)) is not None and (total_n := _int(total)) is not None and folder.startswith("/"):
            yield Room(folder=folder, free=free_n // divisor, total=total_n // divisor)


def _memory(lines: Sequence[str]) -> Iterator[tuple[str, int]]:
    for line in lines:
        name, _, kib = line.partition(" ")
        if (amount := _int(kib)) is not None:
            yield name, amount // _KIB


def _listening(lines: Sequence[str]) -> Iterator[Listening]:
    """Kernel's `0100007F:1F90` -> 127.0.0.1, 8080; the address in host order, each word turned around."""
    for line in lines:
        address, _, port = line.partition(":")
        try:
            raw, number = bytes.fromhex(address), int(port, 16)
        except ValueError:
            continue
        yield Listening(address=_address(raw), port=number)


def _address(raw: bytes) -> str:
    words = [raw[at : at + 4][::-1] for at in range(0, len(raw), 4)]
    if len(words) == 1:
        return ".".join(map(str, words[0]))
    whole = b"".join(words)
    if whole[:12] == b"\0" * 10 + b"\xff\xff":  # an IPv4 address in an IPv6 socket
        return ".".join(map(str, whole[12:]))
    if whole == b"\0" * 15 + b"\1":
        return "::1"
    return "::" if not any(whole) else whole.hex(":", 2)
