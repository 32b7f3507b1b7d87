"""The reason inside a reverted call's data."""

from __future__ import annotations

_ERROR_STRING = "0x08c379a0"  # Error(string). Source: Solidity ABI, used by Vyper's assert too


def reason_of(data: object) -> str:
    """The `data` of an RPC error (0x…, or {"data": 0x…} as some nodes wrap it) -> the text given to revert; "" when there is none."""
    if isinstance(data, dict):
        data = data.get("data") or data.get("result")
    if not isinstance(data, str) or not data.startswith(_ERROR_STRING):
        return ""
    try:
        body = bytes.fromhex(data[len(_ERROR_STRING) :])
    except ValueError:
        return ""
    start = int.from_bytes(body[:32], "big") + 32
    length = int.from_bytes(body[start - 32 : start], "big")
    return body[start : start + length].decode("utf-8", "replace")
