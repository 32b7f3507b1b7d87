"""From the runtime's address to all the others. Source: facts C.1 (an env file names one address, the rest are found through it)."""

from __future__ import annotations

from cortops.contracts.abi import static_call, unreadable
from cortops.contracts.artifact import load
from cortops.contracts.calls import MODULES
from cortops.contracts.keccak import checksummed
from cortops.contracts.records import Addresses
from cortops.contracts.rpc import RpcClient
from cortops.words.errors import CallReverted, ChainError

_WORD_TEXT = 66  # 0x and 64 digits


async def discover(rpc: RpcClient, runtime: str) -> Addresses:
    """One batch. ChainError names every module that the runtime does not know (yet), or says that there is no runtime at all."""
    artifact = load("runtime")
    calls = [{"to": runtime, "data": static_call(artifact, f"get{module}Address()")} for module in MODULES]
    answers = await rpc.batch([("eth_call", (call, "latest")) for call in calls])
    if all(answer == "0x" for answer in answers):
        raise ChainError(f"there is no runtime contract at {runtime}", where=rpc.url, why="no contract at this address", next=_NEXT)
    found: dict[str, str] = {}
    missing: list[str] = []
    for module, answer in zip(MODULES, answers, strict=True):
        if isinstance(answer, ChainError) and not isinstance(answer, CallReverted):
            raise answer
        text = str(answer)
        if isinstance(answer, CallReverted) or text == "0x" or not text.strip("0x"):  # zero, or a runtime without this module
            missing.append(module)
        elif len(text) != _WORD_TEXT:
            raise unreadable(f"the runtime at {runtime}", text)
        else:
            found[MODULES[module]] = checksummed("0x" + text[-40:])
    if missing:
        names = ", ".join(missing)
        raise ChainError(f"the runtime at {runtime} does not name {names}", where=rpc.url, why=f"not linked: {names}", next=_NEXT)
    return Addresses(runtime=checksummed(runtime), **found)


_NEXT = "Deploy and link the contracts: cortops up, or cortops plan FILE and cortops apply FILE."
