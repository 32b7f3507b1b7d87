"""A private session: the spine with a storage, a seed and a list; and where clear text could stand."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.programs.router.spine_rig import KEY, Spine, spine

from cortops.testing.chain import wallet_of
from cortops.testing.engine import Say

ENVIRONMENT = "spine"
SESSION = 1


def seed_of(label: str) -> str:
    """A seed that is the same in every run; written nowhere."""
    return hashlib.sha256(f"cortops test seed {label}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Rig:
    """The spine, and the folder that is its storage."""

    spine: Spine
    folder: Path

    async def completion(self, prompt: str, version: int = 2, reference: str = "", **more: Any) -> tuple[int, dict[str, Any]]:
        """Status and body of a completion of the session."""
        body = {"prompt": prompt, "client_reference": reference, "timeout": 15, **more}
        url = f"{self.spine.url}/api/v{version}/completions/{SESSION}"
        async with self.spine.web.post(url, json=body, headers={"Authorization": f"Bearer {KEY}"}) as reply:
            return reply.status, await reply.json()

    async def post(self, route: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """A signed request; no key of an API."""
        async with self.spine.web.post(self.spine.url + route, data=body) as reply:
            return reply.status, await reply.json()

    async def restart(self, name: str, **changed: Any) -> None:
        """The program again, with other settings."""
        await self.spine.stop(name)
        self.spine.overrides[name] |= changed
        self.spine.start(name)
        await self.spine.all_ok()

    def objects(self, direction: str) -> list[Path]:
        """The files of one direction, oldest first."""
        found = (self.folder / ENVIRONMENT / str(SESSION) / direction).glob("*")
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    async def places(self) -> Mapping[str, bytes]:
        """Everything outside router and miner that could hold a text: chain, storage, logs."""
        found = {f"storage {path.name}": path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        found |= {f"log {name}": log.getvalue() for name, log in self.spine.logs.items()}
        rpc = self.spine.chain.rpc
        head = int(await rpc.call("eth_blockNumber"), 16)
        for number in range(head + 1):
            block = await rpc.call("eth_getBlockByNumber", hex(number), True)
            for transaction in block["transactions"]:
                found[f"chain input {transaction['hash']}"] = bytes.fromhex(transaction["input"][2:])
        for log in await rpc.call("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"}):
            found[f"chain log {log['transactionHash']} {log['logIndex']}"] = bytes.fromhex(log["data"][2:])
        found["chain state"] = gzip.decompress(bytes.fromhex(str(await rpc.call("anvil_dumpState"))[2:]))
        return found


@asynccontextmanager
async def private_spine(folder: Path, *script: Say, router: Mapping[str, Any] | None = None) -> AsyncIterator[Rig]:
    """router: settings in place of those that go well."""
    async with spine(*script, start=()) as one:
        shared = {"payload_environment": ENVIRONMENT, "payload_storage": str(folder)}
        one.overrides["miner"] = {**shared, "payload_routers": (one.url,)}
        one.overrides["router"] = {
            **shared,
            "private_sessions": (SESSION,),
            "seed": seed_of("one"),
            "allowed_list": f"{SESSION}:{wallet_of('miner').address}",
            **(router or {}),
        }
        for name in ("router", "miner", "oracle"):
            one.start(name)
        await one.all_ok()
        yield Rig(one, folder)
