"""The chain side of the deploy engine: contracts, contract values and wallets are observed by RPC and made by transactions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass

from cortops.contracts import create2
from cortops.contracts.keccak import keccak_hex
from cortops.contracts.rpc import RpcClient
from cortops.contracts.sender import Sender
from cortops.contracts.wallet import Wallet
from cortops.deploy.observed import Absent, Desired, Observed, Present, Progress, Step, Unseen
from cortops.words.clock import Clock
from cortops.words.errors import ChainError
from cortops.words.resource import Contract, ContractState, Funded, Resource

_TOP_UP_FACTOR = 100  # a development wallet is filled far above its minimum, so that it is not topped up at every apply
CONFIRM_TIMEOUT_S = 30.0
BRIDGE_TIMEOUT_S, BRIDGE_POLL_S = 120.0, 0.1  # a deposit waits for the parent's next snapshot, which a busy machine takes rarely


@dataclass(frozen=True, slots=True)
class Pending:
    """A transaction that was sent for a step and is not yet confirmed."""

    key: str
    tx: str
    sender: Sender


def attributes_of(resource: Contract | ContractState | Funded) -> dict[str, str]:
    """What is compared: the code's hash, the value read, or that the balance is enough."""
    if isinstance(resource, Contract):
        return {"code": resource.code_hash}
    if isinstance(resource, ContractState):
        return {"value": resource.expect}
    return {"enough": "yes"}


class ChainDriver:
    """Implements deploy.observed.Driver for the places `chain` and `parent`. The journal of what it does is the chain itself: every step is
    looked at again before it is made, so that a killed apply repeats nothing.
    """

    def __init__(self, place: str, rpc: RpcClient, chain_id: int, secret: Callable[[str], str], clock: Clock, *, development: bool) -> None:
        """secret: name -> private key, asked only while applying. development: wallets may be topped up by the chain itself."""
        self.place = place
        self._rpc = rpc
        self._chain_id = chain_id
        self._secret = secret
        self._clock = clock
        self._development = development

    async def observe(self, desired: Sequence[Desired]) -> Mapping[str, Observed]:
        """One batch for all; a chain that does not answer, or refuses the batch, leaves every key unseen."""
        try:
            answers = await self._rpc.batch([_read(item.resource) for item in desired])
        except ChainError as error:
            return {item.resource.key: Unseen(error.what) for item in desired}
        return {item.resource.key: _seen(item.resource, answer) for item, answer in zip(desired, answers, strict=True)}

    async def apply(self, steps: Sequence[Step], apply_id: str) -> AsyncGenerator[Progress, None]:
        """Send what does not wait for another step together, confirm it, go on: few blocks, and every estimate sees what it needs."""
        senders: dict[str, Sender] = {}
        pending: list[Pending] = []
        for step in steps:
            resource = step.desired.resource
            if {item.key for item in pending} & set(resource.needs):
                async for progress in self._confirm(pending):
                    yield progress
                    if progress.event == "failed":
                        return
                pending = []
            yield Progress(key=resource.key, event="begun")
            try:
                if isinstance(resource, Funded):
                    await self._top_up(resource)
                    yield Progress(key=resource.key, event="done")
                else:
                    pending.append(await self._send(resource, senders))
            except ChainError as error:
                yield Progress(key=resource.key, event="failed", text=error.what)
                return
        async for progress in self._confirm(pending):
            yield progress

    async def _confirm(self, pending: Sequence[Pending]) -> AsyncGenerator[Progress, None]:
        for item in pending:
            try:
                receipt = await item.sender.confirm(item.tx, CONFIRM_TIMEOUT_S)
            except ChainError as error:
                yield Progress(key=item.key, event="failed", text=error.what)
                return
            yield Progress(key=item.key, event="done", text=f"block {receipt.block}")

    async def _send(self, resource: Resource, senders: dict[str, Sender]) -> Pending:
        assert isinstance(resource, Contract | ContractState)
        if resource.signer.name not in senders:
            wallet = Wallet(self._secret(resource.signer.name))
            senders[resource.signer.name] = Sender(self._rpc, wallet, self._chain_id, self._clock)
        sender = senders[resource.signer.name]
        if isinstance(resource, Contract):
            to, data = create2.DEPLOYER, create2.deploy_calldata(resource.init_code, resource.salt)
        else:
            to, data = resource.to, resource.write
        return Pending(resource.key, await sender.send(to, data), sender)

    async def _top_up(self, resource: Funded) -> None:
        if resource.bridged:
            await self._arrived(resource)
            return
        if not self._development:
            raise ChainError(
                f"wallet {resource.address} of {resource.name} holds less than {resource.at_least_wei} wei",
                next=f"send gas to {resource.address}, then run the same command again",
            )
        await self._rpc.call("anvil_setBalance", resource.address, hex(resource.at_least_wei * _TOP_UP_FACTOR))

    async def _arrived(self, resource: Funded) -> None:
        """Wait for what was sent over the bridge. ChainError when it does not come."""
        deadline = self._clock.monotonic() + BRIDGE_TIMEOUT_S
        while int(await self._rpc.call("eth_getBalance", resource.address, "latest"), 16) < resource.at_least_wei:
            if self._clock.monotonic() > deadline:
                raise ChainError(
                    f"what was sent over the bridge for {resource.name} ({resource.address}) did not arrive within {BRIDGE_TIMEOUT_S:g} s",
                    next="Look at the sequencer's log (cortops logs NAME), then run the same command again.",
                )
            await self._clock.sleep(BRIDGE_POLL_S)


def _read(resource: Resource) -> tuple[str, tuple[object, ...]]:
    if isinstance(resource, Contract):
        return "eth_getCode", (resource.address, "latest")
    if isinstance(resource, ContractState):
        return "eth_call", ({"to": resource.to, "data": resource.read}, "latest")
    assert isinstance(resource, Funded)
    return "eth_getBalance", (resource.address, "latest")


def _seen(resource: Resource, answer: object) -> Observed:
    if isinstance(answer, ChainError):
        return Unseen(answer.what)
    text = str(answer)
    if isinstance(resource, Contract):
        return Absent() if text == "0x" else Present({"code": keccak_hex(bytes.fromhex(text[2:]))})
    if isinstance(resource, ContractState):
        return Absent() if text in ("0x", "") or text != resource.expect else Present({"value": text})
    assert isinstance(resource, Funded)
    return Present({"enough": "yes" if int(text, 16) >= resource.at_least_wei else "no"})
