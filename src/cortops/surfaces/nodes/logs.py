"""What the hosts know of their nodes' logs and RPC endpoints: one sh question a host, and the reading of its answer. Pure.

The script reads only. The URL of an RPC holds a key: it stays on the host, goes to curl by standard input, and only scheme, host and the
sha256 of the whole come back. Of an env file nothing but the lines of RPC_KEYS enters a variable.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources

from cortops.surfaces.nodes.log_facts import LogFacts, facts_of
from cortops.surfaces.nodes.patterns import CHEAP, CHEAP_LOWER, LogLine, understand
from cortops.words.question import Answer, Shell

TAIL_KIB = 1_024  # read of each log, its rotated predecessor included where the log is shorter
KEPT_LINES_MAX = 300  # of one log that travel, the newest
LINE_CHARS_MAX = 320
DOCKER_LINES_MAX = 20_000
RPC_URLS_MAX = 4  # asked for one node
RPC_TIMEOUT_S = 3
ASK_TIMEOUT_S = 12.0  # of the whole question

RPC_KEYS = "HOST|ENABLE_MULTIPLE_RPC_HOST|NUM_RPC_HOST|RPC_HOST_[0-9]+"
_LIMITS = {
    "CHEAP": CHEAP,
    "CHEAP_LOWER": CHEAP_LOWER,
    "DOCKER_LINES_MAX": DOCKER_LINES_MAX,
    "KEPT_LINES_MAX": KEPT_LINES_MAX,
    "LINE_CHARS_MAX": LINE_CHARS_MAX,
    "RPC_KEYS": RPC_KEYS,
    "RPC_TIMEOUT_S": RPC_TIMEOUT_S,
    "RPC_URLS_MAX": RPC_URLS_MAX,
    "TAIL_BYTES": TAIL_KIB * 1024,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPlace:
    """Where one node logs and is configured. log: a path or `docker:CONTAINER`; then the env file lies inside the container."""

    node: str
    log: str
    env_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLog:
    """One node's log: facts, or why there are none. size_bytes, modified_at (our clock): None for a container.

    rpcs: sha256 of the URLs that it uses, each a key of HostLogs.probes unless nobody could ask there; then rpc_why says so.
    """

    facts: LogFacts | None
    why: str = ""
    size_bytes: int | None = None
    modified_at: float | None = None
    rpcs: tuple[str, ...] = ()
    rpc_hosts: Mapping[str, str] = field(default_factory=dict)
    rpc_why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcProbe:
    """One endpoint, asked from the host. at: when, by our clock. error: "" or `refused`, `timeout`, `limited`, ... in one word.

    number, head_at: its newest block; chain_id; each None where it did not say.
    """

    at: float
    latency_s: float
    error: str
    number: int | None
    head_at: float | None
    chain_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLogs:
    """Node -> its log; sha256 of an RPC's URL -> what it answered. offset_s: our clock minus the host's."""

    nodes: Mapping[str, NodeLog]
    probes: Mapping[str, RpcProbe]
    offset_s: float = 0.0


def question_id(host: str) -> str:
    return f"logs:{host}"


def question(host: str, places: Sequence[LogPlace], *, since_s: float) -> Shell:
    """One question for all nodes of a host. since_s: how far back a container's log is read; files are read by size."""
    calls = [f"rpc_of {_words(place.node, place.env_file, _container(place.log))}" for place in places]
    calls += ["probe_all"]
    calls += [f"log_of {_words(place.node, place.log)}" for place in places]
    script = _script(since_s) + "clock\n" + "\n".join(calls) + "\nclock"
    return Shell(id=question_id(host), target=host, script=script, timeout_s=ASK_TIMEOUT_S)


def _container(log: str) -> str:
    return log.removeprefix("docker:") if log.startswith("docker:") else ""


def _words(*words: str) -> str:
    return " ".join(shlex.quote(word) for word in words)


def _script(since_s: float) -> str:
    text = resources.files(__package__).joinpath("logs.sh").read_text()
    for name, value in {**_LIMITS, "SINCE": f"{max(1, int(since_s))}s"}.items():
        text = text.replace(f"@{name}@", str(value))
    return text


_QUANTITY = re.compile("0x[0-9a-fA-F]{1,16}")
_NUMBER = re.compile("[0-9]{1,19}")
_NO_LOG = {
    "unreadable": "its log cannot be read by this user",
    "missing": "there is no log at the declared place",
    "no-container": "docker does not answer for its container",
}


def read(answer: Answer) -> HostLogs:
    """The answer to `question`. Lines of another shape are passed over: what is missing stays unknown."""
    text = answer.body.decode("utf-8", "replace")
    offset_s, utc_offset_s = _clocks(text, answer.at + answer.elapsed_s)
    nodes: dict[str, NodeLog] = {}
    probes: dict[str, RpcProbe] = {}
    lines: dict[str, list[LogLine]] = {}
    totals: dict[str, int] = {}
    current = ""
    for line in text.split("\n"):
        tag, _, rest = line.partition(" ")
        words = rest.split(" ")
        match tag:
            case "rpc" if len(words) == 3:
                known = nodes.get(words[0], NodeLog(facts=None))
                hosts = {**known.rpc_hosts, words[1]: words[2]}
                nodes[words[0]] = replace(known, rpcs=tuple(hosts), rpc_hosts=hosts)
            case "norpc":
                nodes[words[0]] = replace(nodes.get(words[0], NodeLog(facts=None)), rpc_why=" ".join(words[1:]))
            case "nocurl":
                nodes = {name: replace(node, rpc_why="there is no curl on its host to ask it") for name, node in nodes.items()}
            case "probe" if len(words) == 9:
                probes |= _probe(words, offset_s)
            case "node":
                current = rest
                nodes.setdefault(current, NodeLog(facts=None))
            case "file" if len(words) == 3 and current:
                nodes[current] = _file(nodes[current], words, offset_s)
            case "lines" if len(words) == 2 and current:
                totals[current] = _int(words[0]) or 0
            case "L" if current and (number := _int(words[0])) is not None:
                lines.setdefault(current, []).append(LogLine(number, rest.partition(" ")[2]))
    for name, total in totals.items():
        found = understand(lines.get(name, ()), utc_offset_s=utc_offset_s)
        nodes[name] = replace(nodes[name], facts=facts_of(found, total, offset_s))
    return HostLogs(nodes=nodes, probes=probes, offset_s=offset_s)


def _clocks(text: str, ended_at: float) -> tuple[float, float]:
    """(our clock minus the host's, the host's zone), both in seconds."""
    marks = [line.split(" ") for line in text.split("\n") if line.startswith("clock ")]
    if not marks or len(marks[-1]) != 3 or (ended := _int(marks[-1][1])) is None:
        return 0.0, 0.0
    zone = marks[-1][2]
    hours, minutes = _int(zone[1:3]) or 0, _int(zone[3:5]) or 0
    seconds = hours * 3600 + minutes * 60
    return ended_at - ended / 1e9, float(-seconds if zone.startswith("-") else seconds)


def _file(node: NodeLog, words: Sequence[str], offset_s: float) -> NodeLog:
    size, modified, state = words
    at = _int(modified)
    return replace(node, why=_NO_LOG.get(state, ""), size_bytes=_int(size), modified_at=None if at is None else at + offset_s)


def _int(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


_CURL_ERRORS = {5: "unresolved", 6: "unresolved", 7: "refused", 28: "timeout", 35: "untrusted", 52: "reset", 56: "reset", 60: "untrusted"}
_TIMEOUT_STATUS = 124  # of timeout(1)
_LIMITED_CODES = {"-32005", "-32029", "-32097"}


def _probe(words: Sequence[str], offset_s: float) -> dict[str, RpcProbe]:
    sha, start, end, status, http, code, *values = words
    begun, ended, code_of_curl = _int(start), _int(end), _int(status)
    if begun is None or ended is None or code_of_curl is None:
        return {}
    number, head_at, chain_id = (_hex(value.removesuffix("-")) for value in values)
    at = (begun + ended) / 2e9 + offset_s
    error = ""
    if code_of_curl:
        error = "timeout" if code_of_curl == _TIMEOUT_STATUS else _CURL_ERRORS.get(code_of_curl, "lost")
    elif http == "429" or code in _LIMITED_CODES:
        error = "limited"
    elif http in ("401", "403"):
        error = "forbidden"
    elif number is None:
        error = f"error {code}" if code != "-" else f"HTTP {http}" if http not in ("200", "-") else "no block"
    latency_s = max(0, ended - begun) / 1e9
    return {sha: RpcProbe(at=at, latency_s=latency_s, error=error, number=number, head_at=head_at, chain_id=chain_id)}


def _hex(text: str) -> int | None:
    return int(text, 16) if _QUANTITY.fullmatch(text) else None
