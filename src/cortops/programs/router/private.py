"""Private sessions at the router: prompts sealed before they are submitted, results opened before they are answered, keys for miners.

Source: facts F; what is not public is ours (facts J.3). The clear text of a prompt or result is in this process's memory only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import structs

from cortops.contracts.keccak import checksummed
from cortops.contracts.privacy import is_allowed
from cortops.programs.common.chain import Chain
from cortops.programs.common.payload_storage import Storage
from cortops.programs.common.progress import Progress, progress_of
from cortops.programs.router.offchain import Refusal
from cortops.protocol.payload import NONCE_BYTES, About, Content, Seeds, open_sealed, seal
from cortops.protocol.payload_allow import Allowlist
from cortops.protocol.payload_key import KeyAsked, KeyGiven, ResultHanded, key_text, wrap_key
from cortops.protocol.payload_urn import ENVIRONMENT, Direction, Scope, Urn
from cortops.protocol.routes import TaskRequest
from cortops.protocol.settings import RouterSettings
from cortops.words.errors import AddressNotAllowed, BadInput, PayloadAltered, PayloadError

COMPLETION_VERSION = 2  # the one that private sessions have (facts F, v0)

Chance = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrecy:
    """What the env file says of private sessions, read and checked."""

    environment: str
    sessions: frozenset[int]
    seeds: Seeds
    scope: Scope
    allowed: Allowlist
    contract: str  # where the list is on chain, "" where the env file's holds

    @classmethod
    def read(cls, settings: RouterSettings) -> Secrecy:
        """Raises BadInput, quoting no seed."""
        if not ENVIRONMENT.fullmatch(settings.payload_environment):
            raise BadInput("PAYLOAD_ENVIRONMENT is no environment's name", where="env file")
        if settings.key_per not in list(Scope):
            raise BadInput("ENCRYPTION_KEY_PER is task or session", where="env file")
        if not settings.payload_storage:
            raise BadInput("PAYLOAD_STORAGE is missing: where do private payloads lie", where="env file")
        allowed = Allowlist.parse(settings.allowed_list)
        if allowed.dummies and not settings.allow_by_contract:
            raise BadInput(f"ENCRYPTION_ALLOWED_LIST has an address that nobody holds: {allowed.dummies[0]}", where="env file")
        try:
            contract = checksummed(settings.privacy_contract) if settings.allow_by_contract else ""
        except ValueError as error:
            raise BadInput(f"CONTRACT_ADDRESS_PRIVACY_SETTING_DATA is no address: {error}", where="env file") from error
        return cls(
            environment=settings.payload_environment,
            sessions=frozenset(settings.private_sessions),
            seeds=Seeds.read(settings.seed, settings.seed_version, settings.older_seeds),
            scope=Scope(settings.key_per),
            allowed=allowed,
            contract=contract,
        )

    def about(self, session: int, reference: str, direction: Direction, scope: Scope, writer: str = "") -> About:
        """What a payload of this environment is sealed for."""
        return About(environment=self.environment, session=session, reference=reference, direction=direction, scope=scope, writer=writer)


class Private:
    """`refusal`, `store` and `open` are programs.router.offchain's; `given` and `taken` are for miners, behind the door that knows them."""

    def __init__(self, secrecy: Secrecy, chain: Chain, storage: Storage, chance: Chance) -> None:
        self.secrecy = secrecy
        self.storage = storage
        self._chain = chain
        self._chance = chance

    def holds(self, session: int) -> bool:
        """Whether this router keeps the session private."""
        return session in self.secrecy.sessions

    def refusal(self, session: int, *, version: int, stream: bool) -> Refusal | None:
        """As offchain.Offchain."""
        if not self.holds(session):
            return None
        if version != COMPLETION_VERSION:
            why = f"session {session} is private: ask POST /api/v{COMPLETION_VERSION}/completions/{session}"
            return Refusal(status=400, code="private_session_v2_only", message=why)
        if stream:
            why = f"session {session} is private, and nothing of it is streamed: leave stream out"
            return Refusal(status=400, code="private_session_no_streaming", message=why)
        return None

    async def store(self, task: TaskRequest) -> TaskRequest:
        """As offchain.Offchain."""
        if not self.holds(task.session):
            return task
        about = self.secrecy.about(task.session, task.reference, Direction.PROMPT, self.secrecy.scope)
        seed = self.secrecy.seeds.current
        content = Content(text=task.text, template=task.template)
        named = seal(content, about, seed.version, seed.key(about), self._chance(NONCE_BYTES))
        await self.storage.put(named.urn.place, named.sealed)
        return structs.replace(task, text=str(named.urn), template="")

    async def open(self, task: TaskRequest, miner: str, text: str) -> str:
        """As offchain.Offchain."""
        if not self.holds(task.session):
            return text
        urn = self._named(text, task.session, Direction.RESULT)
        about = self.secrecy.about(task.session, task.reference, Direction.RESULT, urn.scope, writer=miner)
        key = self.secrecy.seeds.of(urn.version).key(about)
        return open_sealed(urn, await self.storage.get(urn.place), about, key).text

    async def given(self, scope: Scope, asked: KeyAsked, text: str) -> KeyGiven:
        """The key, for the miner that signed `text`. Raises AddressNotAllowed, SeedMissing, BadInput, ChainError."""
        if scope is not self.secrecy.scope:
            raise BadInput(f"keys of this environment are for one {self.secrecy.scope} each - at `$.session`")
        progress = await self._may(asked.address, asked.session, asked.task)
        about = self.secrecy.about(asked.session, progress.reference, Direction.PROMPT, scope)
        return wrap_key(self.secrecy.seeds.of(asked.version).key(about), text, asked, self._chance(32))

    async def taken(self, handed: ResultHanded) -> Urn:
        """Keep a miner's sealed result. Raises AddressNotAllowed, PayloadError, BadInput, ChainError."""
        await self._may(handed.address, handed.session, handed.task)
        urn = self._named(handed.urn, handed.session, Direction.RESULT)
        if hashlib.sha256(handed.sealed).hexdigest() != urn.digest:
            raise PayloadAltered("the object is not the one that urn names")
        await self.storage.put(urn.place, handed.sealed)
        return urn

    def text_of(self, scope: Scope, asked: KeyAsked) -> str:
        """What a miner must have signed to be given a key."""
        return key_text(self.secrecy.environment, scope, asked)

    async def _may(self, address: str, session: int, task: int) -> Progress:
        """The task, when this address is allowed and one of its miners."""
        if not self.holds(session):
            raise BadInput(f"session {session} is not one that this router keeps private - at `$.session`")
        if not await self._allowed(address, session, task):
            raise AddressNotAllowed(f"{address} is not allowed to have keys of session {session}")
        progress = progress_of(await self._chain.events((session, task)))
        if checksummed(address) not in progress.miners:
            raise AddressNotAllowed(f"task {session}/{task} is not assigned to {address}", next="Wait for the assignment on chain.")
        return progress

    async def _allowed(self, address: str, session: int, task: int) -> bool:
        if self.secrecy.contract:
            return await is_allowed(self._chain.rpc, self.secrecy.contract, session, task, address)
        return self.secrecy.allowed.allows(address, session, task)

    def _named(self, text: str, session: int, direction: Direction) -> Urn:
        try:
            urn = Urn.parse(text)
        except BadInput as error:
            raise PayloadError(f"what was committed in private session {session} is no payload's name") from error
        if (urn.environment, urn.session, urn.direction) != (self.secrecy.environment, session, direction):
            raise PayloadError(f"what was committed in private session {session} names a payload of something else")
        return urn
