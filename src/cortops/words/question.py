"""Question and Answer: what is asked of the world, and what came back. Asking is done by probes and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

JSONValue = None | bool | int | float | str | Sequence["JSONValue"] | Mapping[str, "JSONValue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """Run a read-only sh `script` on `target`; the answer's status is its exit status, its body the output."""

    id: str
    target: str
    script: str
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """Ask `url` once. `connect_to` (host, port) goes there instead of where the name resolves. TLS is verified by `ca_file`, or by the
    certificates of `ca_pem` where that file lies on another host.
    """

    id: str
    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    connect_to: tuple[str, int] | None = None
    ca_file: str = ""
    ca_pem: str = field(default="", repr=False)
    timeout_s: float = 5.0


REFUSED, REVERTED = 1, 3  # an Rpc answer's status; 3 as in the node's own error code


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpc:
    """One JSON-RPC call; the answer's body is the JSON text of `result`. An error is a status of REFUSED with the node's message, or of
    REVERTED when a contract refused the call.
    """

    id: str
    url: str
    method: str
    params: tuple[JSONValue, ...] = ()
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Shake hands with `host`:`port` as `server_name`; the body is JSON {"not_after": seconds, "names": [...]}. ca_*: as in Http."""

    id: str
    host: str
    port: int
    server_name: str
    ca_file: str = ""
    ca_pem: str = field(default="", repr=False)
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcp:
    """Connect to `host`:`port`, send these bytes, and read what comes back first; that is the answer's body, empty when the other side
    ends without a word. Its status is 0.
    """

    id: str
    host: str
    port: int
    send: bytes = b""
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """Resolve `name` as programs here do; the body is JSON {"addresses": [...], "by": "resolver" | "rfc6761"}, no address when there is
    no such name. By rfc6761: the resolver does not know it, and names under .localhost are loopback all the same (section 6.3).

    server: (ip, port) of one that is asked itself instead, for A and AAAA; then the body has "ttl_s" (the least of the answer) too, and
    "aliases", the names that the answer led over; "by" is "server".
    """

    id: str
    name: str
    server: tuple[str, int] | None = None
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """Ask several RPCs of one chain for id and newest block, then each for the hash of one block that all have, 2 below the lowest head.

    The body is JSON {"at_block": number | null, "endpoints": [{"url", "chain_id", "number", "at", "latency_s", "hash"} | {"url", "why",
    "silence"}]}, in the order of `urls`; latency_s: of one call. The answer's status is 0, whatever they said.
    """

    id: str
    urls: tuple[str, ...]
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """The newest logs of each of `topics` (first topics) at any of `addresses`, searched backwards for at most `back_max_blocks`.

    The body is JSON {"head", "head_at", "from", "from_at", "events": {topic: [{"topics", "block", "at"}, ...]}}, oldest first, at most
    `keep` of each with its first two topics; numbers are blocks, times seconds since 1970. Nothing is said of blocks before `from`.
    """

    id: str
    url: str
    addresses: tuple[str, ...]
    topics: tuple[str, ...]
    back_max_blocks: int = 100_000
    keep: int = 32
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What each of `addresses` holds now, in wei, and held at some moments before, as far as the RPC or whoever asks remembers.

    The body is JSON {address: [[seconds since 1970, wei], ...]}, oldest first; the last is of now.
    """

    id: str
    url: str
    addresses: tuple[str, ...]
    timeout_s: float = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Listen to a sequencer's feed for `listen_s`. The body is JSON {"messages": [[sequence number, seconds since 1970, parent block,
    kind], ...]}, as they came; status is the HTTP status of a refused handshake, 0 otherwise.
    """

    id: str
    url: str
    listen_s: float = 2.0
    timeout_s: float = 5.0


Question = Shell | Http | Rpc | Tls | Tcp | Dns | Heads | Events | Holdings | Feed


class Silence(StrEnum):
    """Why there is no answer. `refused`, `reset` and `untrusted` speak of the other side; the rest may be our own eyes."""

    REFUSED = "refused"
    RESET = "reset"
    UNTRUSTED = "untrusted"  # TLS: name, chain or date not valid
    TIMEOUT = "timeout"
    UNRESOLVED = "unresolved"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: a protocol status (exit status, HTTP status, 0 for RPC result) and a body."""

    question: str
    at: float
    elapsed_s: float
    status: int
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace").strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """Nothing came back, and why."""

    question: str
    at: float
    elapsed_s: float
    silence: Silence
    why: str


Reply = Answer | NoAnswer
Outcome = Literal["ok", "bad", "inconclusive"]
