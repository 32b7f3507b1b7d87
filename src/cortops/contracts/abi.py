"""Calls, results and logs between Python values and the chain's bytes. eth_abi is imported at the first call that needs it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from cortops.contracts.artifact import Artifact
from cortops.contracts.keccak import checksummed
from cortops.words.errors import ChainError, UnknownName

_WORD = re.compile(r"0x[0-9a-f]{64}")
_ADDRESS_PADDING = "0x" + "0" * 24

Log = Mapping[str, Any]  # one element of eth_getLogs or of a receipt's logs


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One decoded log. Addresses are checksummed, bytes are 0x… text, lists are tuples; `order` sorts events as they happened."""

    name: str
    args: Mapping[str, Any]
    block: int
    tx: str
    log_index: int
    address: str

    @property
    def order(self) -> tuple[int, int]:
        return self.block, self.log_index


def encode_call(artifact: Artifact, function: str, *args: object) -> str:
    """Name (or full signature) and its arguments -> calldata 0x…; UnknownName for other names, ValueError if arguments do not fit."""
    from eth_abi.abi import encode
    from eth_abi.exceptions import EncodingError

    entry = _function(artifact, function)
    types = _types(entry["inputs"])
    if len(types) != len(args):
        raise ValueError(f"{function} takes {len(types)} arguments, got {len(args)}")
    try:
        return (
            artifact.method_ids[signature(entry)] + encode(types, [_plain(kind, arg) for kind, arg in zip(types, args, strict=True)]).hex()
        )
    except EncodingError as error:
        raise ValueError(f"{function}: {error}") from error


def encode_constructor(artifact: Artifact, *args: object) -> str:
    """Init code with the constructor's arguments behind it, 0x…."""
    from eth_abi.abi import encode

    entry = next((item for item in artifact.abi if item["type"] == "constructor"), None)
    types = _types(entry["inputs"]) if entry else ()
    if len(types) != len(args):
        raise ValueError(f"the constructor of {artifact.name} takes {len(types)} arguments, got {len(args)}")
    return artifact.init_code + encode(types, args).hex()


def decode_result(artifact: Artifact, function: str, data: str) -> tuple[Any, ...]:
    """What a call returned (0x…) -> its values in order, structs as tuples. ChainError when it is of another shape."""
    types = _types(_function(artifact, function)["outputs"])
    return _decode(types, data, f"{artifact.name}.{function}")


def decode_log(artifact: Artifact, log: Log) -> Event | None:
    """One log -> Event, or None when its first topic is no event of this artifact. ChainError for a known topic with damaged data."""
    topics: Sequence[str] = log["topics"]
    entry = _events(artifact).get(topics[0]) if topics else None
    if entry is None:
        return None
    inputs = cast("list[dict[str, Any]]", entry["inputs"])
    name = cast(str, entry["name"])
    where = f"{artifact.name}.{name}"
    indexed = [item for item in inputs if item["indexed"]]
    body = [item for item in inputs if not item["indexed"]]
    if len(indexed) != len(topics) - 1:
        raise ChainError(f"a log of {where} has {len(topics) - 1} indexed values, its ABI {len(indexed)}")
    values = dict(zip((item["name"] for item in body), _decode(_types(body), log["data"], where), strict=True))
    for item, topic in zip(indexed, topics[1:], strict=True):
        values[item["name"]] = _topic(item["type"], topic, where)
    args = {item["name"]: values[item["name"]] for item in inputs}
    return Event(
        name=name,
        args=args,
        block=int(log["blockNumber"], 16),
        tx=log["transactionHash"],
        log_index=int(log["logIndex"], 16),
        address=checksummed(log["address"]),
    )


def word(value: int | str | bool) -> str:
    """A static value as the 64 digits of its 32-byte word: non-negative number, flag, address or bytes32 as 0x…. ValueError if larger."""
    if isinstance(value, str):
        digits = value.removeprefix("0x").lower()
        if len(digits) not in (40, 64):
            raise ValueError(f"{value!r} is neither an address nor 32 bytes")
        bytes.fromhex(digits)
        return digits.rjust(64, "0")
    if not 0 <= value < 1 << 256:
        raise ValueError(f"{value} does not fit into 32 bytes")
    return f"{int(value):064x}"


def static_call(artifact: Artifact, signature: str, *values: int | str | bool) -> str:
    """`word` values behind the method id of a full signature, 0x…: for functions without dynamic arguments, without eth_abi."""
    if signature not in artifact.method_ids:
        raise UnknownName(f"{artifact.name} has no function {signature}")
    return artifact.method_ids[signature] + "".join(word(value) for value in values)


def unreadable(where: str, why: str) -> ChainError:
    """An answer that is not of the ABI's shape: most often there is no contract, or another one, at the address."""
    return ChainError(f"{where} answered in another shape than its ABI", why=why, next="Verify the contract's address and code.")


def _topic(kind: str, topic: str, where: str) -> Any:
    """An indexed value. The kinds that our events have are read directly: every follower reads some of each block's."""
    if _WORD.fullmatch(topic):
        match kind:
            case "uint256":
                return int(topic, 16)
            case "bytes32":
                return topic
            case "address" if topic.startswith(_ADDRESS_PADDING):
                return checksummed("0x" + topic[-40:])
    return _decode((kind,), topic, where)[0]


def _decode(types: Sequence[str], data: str, where: str) -> tuple[Any, ...]:
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    try:
        values = decode(types, bytes.fromhex(data.removeprefix("0x")))
    except (DecodingError, OverflowError, UnicodeDecodeError) as error:
        raise unreadable(where, str(error)) from error
    return tuple(_readable(kind, value) for kind, value in zip(types, values, strict=True))


def _readable(kind: str, value: Any) -> Any:
    """eth_abi's value -> ours: checksummed addresses, 0x… bytes, tuples."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple | list):
        inner = _inner_types(kind, len(value))
        return tuple(_readable(part, item) for part, item in zip(inner, value, strict=True))
    return checksummed(value) if kind == "address" else value


def _inner_types(kind: str, length: int) -> Sequence[str]:
    if kind.endswith("]"):
        return [kind[: kind.rindex("[")]] * length
    parts, depth, start = [], 0, 1
    for at, sign in enumerate(kind):
        depth += (sign == "(") - (sign == ")")
        if (sign == "," and depth == 1) or (sign == ")" and depth == 0):
            parts.append(kind[start:at])
            start = at + 1
    return parts


def _plain(kind: str, value: object) -> object:
    """Our 0x… text of a bytes32 -> the bytes that eth_abi wants."""
    if kind == "bytes32" and isinstance(value, str):
        return bytes.fromhex(value.removeprefix("0x"))
    return value


def _types(inputs: Any) -> tuple[str, ...]:
    return tuple(_type(item) for item in inputs)


def _type(item: Mapping[str, Any]) -> str:
    kind = cast(str, item["type"])
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(_types(item["components"])) + ")" + kind.removeprefix("tuple")


def signature(entry: Mapping[str, Any]) -> str:
    """`name(type,type)` of an ABI entry."""
    return f"{entry['name']}({','.join(_types(entry['inputs']))})"


def _function(artifact: Artifact, name: str) -> dict[str, Any]:
    bare, paren, _ = name.partition("(")
    found = [item for item in artifact.abi if item["type"] == "function" and item["name"] == bare]
    if paren:
        found = [item for item in found if signature(item) == name]
    if not found:
        raise UnknownName(f"{artifact.name} has no function {name}")
    return found[0]


@lru_cache(maxsize=16)
def _events(artifact: Artifact) -> Mapping[str, dict[str, Any]]:
    return {artifact.event_topics[signature(item)]: item for item in artifact.abi if item["type"] == "event"}
