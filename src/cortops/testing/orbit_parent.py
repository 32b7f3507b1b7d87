"""The contracts of a development child's parent on a bare chain, deployed and linked as `up` does it."""

from __future__ import annotations

from typing import Any

from cortops.contracts.abi import decode_log, decode_result, encode_call, encode_constructor, static_call
from cortops.contracts.artifact import ORBIT_PARENT, load
from cortops.contracts.create2 import DEPLOYER, NO_SALT, address, deploy_calldata
from cortops.contracts.network import Call
from cortops.testing.chain import Chain, wallet_of

OWNER, USER, POSTER, STAKER = (wallet_of(label).address for label in ("owner", "user", "poster", "staker"))
COINS = 10**18
CHILD_ID = 31339


class Parent:
    """`at`: contract -> address. Labels of wallets: owner, user (who has gas tokens), poster, staker."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.at: dict[str, str] = {}

    async def deploy(self) -> None:
        """All of them, linked, and gas tokens for the user."""
        steps: list[tuple[str, tuple[object, ...]]] = [("gas_token", (OWNER,))]
        code = self._code("gas_token", OWNER)
        token = self.at["gas_token"] = address(code, NO_SALT)
        bridge = self.at["bridge"] = address(self._code("bridge", OWNER, token), NO_SALT)
        steps += [("bridge", (OWNER, token)), ("inbox", (bridge,)), ("sequencer_inbox", (OWNER, bridge))]
        steps += [("rollup", (OWNER, bridge, CHILD_ID, 0))]
        for name, args in steps:
            self.at[name] = address(self._code(name, *args), NO_SALT)
            await self.chain.do("owner", Call(DEPLOYER, deploy_calldata(self._code(name, *args), NO_SALT)))
        await self.do("owner", "bridge", "setDelayedInbox", self.at["inbox"], True)
        await self.do("owner", "bridge", "setSequencerInbox", self.at["sequencer_inbox"])
        await self.do("owner", "bridge", "setOutbox", STAKER, True)
        await self.do("owner", "sequencer_inbox", "setIsBatchPoster", POSTER, True)
        await self.do("owner", "rollup", "setValidator", [STAKER], [True])
        await self.do("owner", "gas_token", "mint", USER, 100 * COINS)
        await self.do("user", "gas_token", "approve", self.at["inbox"], 2**256 - 1)

    def _code(self, name: str, *args: object) -> str:
        return encode_constructor(load(f"orbit/{name}"), *args)

    async def do(self, who: str, name: str, function: str, *args: object) -> dict[str, Any]:
        """Send one call; the last event of it, decoded."""
        artifact = load(f"orbit/{name}")
        receipt = await self.chain.do(who, Call(self.at[name], encode_call(artifact, function, *args)))
        events = [event for log in receipt.logs for one in ORBIT_PARENT if (event := decode_log(load(one), log)) is not None]
        return dict(events[-1].args) if events else {}

    async def read(self, name: str, signature: str, *args: str | int) -> Any:
        """The one value of a read."""
        artifact = load(f"orbit/{name}")
        call = {"to": self.at[name], "data": static_call(artifact, signature, *args)}
        return decode_result(artifact, signature, await self.chain.rpc.call("eth_call", call, "latest"))[0]
