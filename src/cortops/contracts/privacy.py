"""PrivacySettingData: who may have the keys of private payloads, read and written. Ours (facts J.9)."""

from __future__ import annotations

from collections.abc import Iterable

from cortops.contracts.abi import encode_call, static_call, unreadable, word
from cortops.contracts.artifact import PRIVACY, load
from cortops.contracts.keccak import checksummed, keccak_hex
from cortops.contracts.rpc import RpcClient
from cortops.words.errors import BadInput

ADDRESSES_MAX = 32  # of one list
_WORD_CHARS = 66  # 0x and 64 digits


async def is_allowed(rpc: RpcClient, contract: str, session: int, task: int, address: str) -> bool:
    """Whether the list of the session, or that of the task, has the address. Raises ChainError."""
    data = static_call(load(PRIVACY), "isAllowed(uint256,uint256,address)", session, task, address)
    answer = str(await rpc.call("eth_call", {"to": contract, "data": data}, "latest"))
    if len(answer) != _WORD_CHARS:
        raise unreadable(f"the privacy contract at {contract}", answer)
    return bool(int(answer, 16))


def list_of(addresses: Iterable[str]) -> tuple[str, ...]:
    """The one order in which a list is put on chain. BadInput for more than ADDRESSES_MAX."""
    ordered = tuple(sorted({checksummed(address) for address in addresses}, key=str.lower))
    if len(ordered) > ADDRESSES_MAX:
        raise BadInput(f"{len(ordered)} addresses may have the keys of one session, the contract takes {ADDRESSES_MAX}")
    return ordered


def list_hash(addresses: Iterable[str]) -> str:
    """What getSessionAllowlistHash answers for this list, 0x…."""
    ordered = list_of(addresses)
    return keccak_hex(bytes.fromhex(word(32) + word(len(ordered)) + "".join(word(address) for address in ordered)))


def read_hash(session: int) -> str:
    """Calldata that asks for the hash of a session's list."""
    return static_call(load(PRIVACY), "getSessionAllowlistHash(uint256)", session)


def write_list(session: int, addresses: Iterable[str]) -> str:
    """Calldata that sets a session's list, by an admin of the contract."""
    return encode_call(load(PRIVACY), "setSessionAllowlist", session, list(list_of(addresses)))
