"""The contract matrix: of every module its address, code, version and who may change it. What to ask and how to read it; pure.

The hashes of all codes come from one call: code that is never deployed asks EXTCODEHASH of each address behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cortops.contracts.abi import static_call, word
from cortops.contracts.artifact import Artifact, load
from cortops.contracts.calls import MODULES
from cortops.contracts.keccak import checksummed, keccak_hex
from cortops.contracts.records import ADMIN_ROLE, ORACLE_ROLE, POOL_ROLE, VALIDATOR_ROLE
from cortops.contracts.rpc import RpcCall
from cortops.words.errors import ChainError

MODULES_MAX = 500  # the hashes come back as code would, of which a chain takes 24 KiB
MEMBERS_SHOWN = 2  # of a role
VERSION_MAX_CHARS = 32
# The words behind it go to memory at 0x20; each is replaced by its EXTCODEHASH; all is returned behind a word of zeros, since
# what a creation returns must not begin with 0xEF (EIP-3541).
HASHES_CODE = "0x" + "602738038060276020396020016020" + "5b8181101560225780513f8152602001600f56" + "5b506000f3"
_NONE, _EMPTY = "0x" + "0" * 64, keccak_hex(b"")  # no account; an account without code
# EIP-1967: one less than keccak256 of their names
IMPLEMENTATION_SLOT = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"  # keccak256 - 1
ADMIN_SLOT = "0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103"  # keccak256 - 1
_OWNER, _VERSION, _COUNT, _MEMBER = "0x8da5cb5b", "0x54fd4d50", "0xca15c873", "0x9010d07c"
ROLES: Mapping[str, Mapping[str, str]] = {  # beside the administrators
    "session-queue": {"oracle": ORACLE_ROLE},
    "session-queue-validation": {"validator": VALIDATOR_ROLE},
    "node-pool": {"pool": POOL_ROLE},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A contract to be looked at. artifact: what should stand there, None of contracts of others."""

    name: str
    address: str
    artifact: Artifact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """One contract as it stands. code: `as built`, `differs`, `there` (of others) or `none`; version: its own word, else the artifact's.

    owners: role -> some of its members, `owner` and `admin` among them; implementation: of an EIP-1967 proxy.
    """

    name: str
    address: str
    code: str
    code_hash: str
    version: str
    owners: Mapping[str, tuple[str, ...]]
    implementation: str = ""


def calls(modules: Sequence[Module]) -> list[RpcCall]:
    """Everything of one chain: one call for all code hashes, then a few for each module, in its order."""
    data = HASHES_CODE + "".join(word(module.address) for module in modules[:MODULES_MAX])
    found: list[RpcCall] = [("eth_call", ({"data": data}, "latest"))]
    for module in modules[:MODULES_MAX]:
        found += [("eth_getStorageAt", (module.address, slot, "latest")) for slot in (IMPLEMENTATION_SLOT, ADMIN_SLOT)]
        found += [("eth_call", ({"to": module.address, "data": data}, "latest")) for data in _asked(module)]
    return found


def runtime_calls(runtime: str) -> list[RpcCall]:
    """Asks a runtime for the address of every other module."""
    return [("eth_call", ({"to": runtime, "data": static_call(load("runtime"), f"get{module}Address()")}, "latest")) for module in MODULES]


def named_by_runtime(results: Sequence[object]) -> dict[str, str]:
    """The results of `runtime_calls` -> contract, as in the file -> address; without those that it does not name."""
    found = zip(MODULES.values(), map(_address, results), strict=True)
    return {name.replace("_", "-"): address for name, address in found if address}


def _roles(module: Module) -> Mapping[str, str]:
    return {"admin": ADMIN_ROLE, **ROLES.get(module.name, {})}


def _asked(module: Module) -> list[str]:
    members = [
        _MEMBER + word(role) + word(at) if at is not None else _COUNT + word(role)
        for role in _roles(module).values()
        for at in (None, *range(MEMBERS_SHOWN))
    ]
    return [_OWNER, _VERSION, *members]


def rows(modules: Sequence[Module], results: Sequence[object]) -> tuple[MatrixRow, ...]:
    """The results of `calls`, in order -> a row for each module. ChainError where the code hashes themselves could not be had."""
    if isinstance(results[0], ChainError):
        raise results[0]
    hashes = code_hashes(str(results[0]), len(modules))
    found: list[MatrixRow] = []
    at = 1
    for module, code_hash in zip(modules, hashes, strict=True):
        size = 2 + len(_asked(module))
        found.append(_row(module, code_hash, results[at : at + size]))
        at += size
    return tuple(found)


def code_hashes(answer: str, count: int) -> tuple[str, ...]:
    """What the one call returned -> a hash for each address; "" where there is no code. ChainError for another shape."""
    digits = answer.removeprefix("0x")
    if len(digits) != 64 * (count + 1):
        raise ChainError(f"the code hashes of {count} contracts came back as {len(digits) // 2} bytes", why=answer[:80])
    found = ("0x" + digits[at : at + 64] for at in range(64, len(digits), 64))
    return tuple("" if one in (_NONE, _EMPTY) else one for one in found)


def _row(module: Module, code_hash: str, results: Sequence[object]) -> MatrixRow:
    implementation, proxy_admin, owner, version, *members = results
    expected = module.artifact.code_hash if module.artifact is not None else ""
    code = "none" if not code_hash else "there" if not expected else "as built" if code_hash == expected else "differs"
    owners: dict[str, tuple[str, ...]] = {}
    for name, value in (("owner", owner), ("proxy admin", proxy_admin)):
        if (address := _address(value)) and code_hash:
            owners[name] = (address,)
    step = 1 + MEMBERS_SHOWN
    for index, role in enumerate(_roles(module)):
        count, *some = members[index * step : (index + 1) * step]
        listed = tuple(address for one in some if (address := _address(one)))
        more = _number(count) - len(listed)
        if listed and code_hash:
            owners[role] = (*listed, f"and {more} more") if more > 0 else listed
    return MatrixRow(
        name=module.name,
        address=checksummed(module.address),
        code=code,
        code_hash=code_hash,
        version=_text(version) or (module.artifact.source_sha256[:10] if module.artifact is not None and code == "as built" else ""),
        owners=owners,
        implementation=_address(implementation),
    )


def _address(value: object) -> str:
    """The last 20 bytes of a word; "" for zero, a refusal or anything else."""
    if not isinstance(value, str) or len(value) != 66 or not value.startswith("0x" + "0" * 24) or not value.strip("0x"):
        return ""
    return checksummed("0x" + value[-40:])


def _number(value: object) -> int:
    return int(value, 16) if isinstance(value, str) and len(value) == 66 else 0


def _text(value: object) -> str:
    """A returned string that people can read, else ""."""
    if not isinstance(value, str) or len(value) < 2 + 3 * 64:
        return ""
    try:
        size = int(value[66:130], 16)
        text = bytes.fromhex(value[130 : 130 + 2 * min(size, VERSION_MAX_CHARS)]).decode()
    except ValueError:
        return ""
    return text if text.isprintable() else ""
