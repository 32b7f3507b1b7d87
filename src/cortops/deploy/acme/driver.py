"""The certificates' side of the deploy engine: what an authority gave is kept as a secret; what is missing or old is asked for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from cortops.deploy.acme.plan import PLACE, seen
from cortops.deploy.observed import Absent, Desired, Observed, Progress, Step
from cortops.deploy.wanted import Entry
from cortops.targets.ask import ask
from cortops.targets.quoting import quote
from cortops.targets.target import Target
from cortops.words.clock import Clock
from cortops.words.errors import CortopsError, StepFailed
from cortops.words.resource import Certificate

if TYPE_CHECKING:
    from cortops.deploy.acme.account import ChallengeKind, Order, Proof

SHOW_TIMEOUT_S: Final = 20.0
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,256}")  # becomes a file's name. Source: RFC 8555 8.3
_VALUE = re.compile(r"[A-Za-z0-9._-]{16,1024}")


class Account(Protocol):
    """Who gives certificates (account.AcmeAccount); both are called in a thread."""

    def order(self, hostname: str, kind: ChallengeKind) -> Order: ...

    def finish(self, hostname: str, order: Order) -> str: ...


class Shows(Protocol):
    """How we show that names are ours."""

    @property
    def kind(self) -> ChallengeKind: ...

    async def show(self, certificate: Certificate, proof: Proof) -> None: ...

    async def hide(self, certificate: Certificate, proof: Proof) -> None: ...


class AcmeDriver:
    """Implements deploy.observed.Driver for the place `acme`. Its journal is the secret: a kill before it is kept asks once more."""

    place = PLACE

    def __init__(
        self, entries: Mapping[str, Entry], account: Callable[[], Account], shows: Shows, keep: Callable[[str, str], None], clock: Clock
    ) -> None:
        """entries: the secrets as they are. account: opened at the first order. keep: (secret, PEM) -> kept."""
        self._entries = entries
        self._account = account
        self._shows = shows
        self._keep = keep
        self._clock = clock

    async def observe(self, desired: Sequence[Desired]) -> Mapping[str, Observed]:
        """From what is kept; the authority is not asked."""
        now = self._clock.now()
        items = {item.resource.key: item.resource for item in desired}
        return {key: seen(item, self._entries, now) if isinstance(item, Certificate) else Absent() for key, item in items.items()}

    async def apply(self, steps: Sequence[Step], apply_id: str) -> AsyncGenerator[Progress, None]:
        """One after the other; the first failure ends it, and what was obtained is kept."""
        account: Account | None = None
        for step in steps:
            certificate = step.desired.resource
            assert isinstance(certificate, Certificate)
            yield Progress(key=certificate.key, event="begun")
            try:
                if account is None:
                    account = await asyncio.to_thread(self._account)
                await self._obtain(account, certificate)
            except CortopsError as error:
                yield Progress(key=certificate.key, event="failed", text="; ".join(part for part in (error.what, error.why) if part))
                return
            yield Progress(key=certificate.key, event="done", text="obtained; its files and a reload follow")

    async def _obtain(self, account: Account, certificate: Certificate) -> None:
        order = await asyncio.to_thread(account.order, certificate.hostname, self._shows.kind)
        shown: list[Proof] = []
        try:
            for proof in order.proofs:
                shown.append(proof)
                await self._shows.show(certificate, _demand_plain(proof))
            text = await asyncio.to_thread(account.finish, certificate.hostname, order)
            await asyncio.to_thread(self._keep, certificate.secret, text)
        finally:
            for proof in shown:
                await self._shows.hide(certificate, proof)


class ByHttp:
    """Files in the folder that nginx shows (http-01)."""

    kind: Final = "http-01"

    def __init__(self, targets: Mapping[str, Target], folders: Mapping[str, str]) -> None:
        """Both by the name of the host."""
        self._targets = targets
        self._folders = folders

    async def show(self, certificate: Certificate, proof: Proof) -> None:
        """Write the file that the authority asks for; StepFailed where the host does not."""
        path = quote(f"{self._folders[certificate.host]}/{proof.token}")
        await self._run(certificate, f"umask 022; printf %s {quote(proof.value)} >{path}")

    async def hide(self, certificate: Certificate, proof: Proof) -> None:
        """Take the file away again."""
        if _TOKEN.fullmatch(proof.token):
            await self._run(certificate, f"rm -f {quote(f'{self._folders[certificate.host]}/{proof.token}')}")

    async def _run(self, certificate: Certificate, program: str) -> None:
        said = await ask(self._targets[certificate.host], program, SHOW_TIMEOUT_S)
        if not said.ok:
            raise StepFailed(f"{certificate.host} could not show the authority that {certificate.hostname} is ours: {said.why}")


class ByDns:
    """Records in a zone that we keep (dns-01)."""

    kind: Final = "dns-01"

    def __init__(self, put: Callable[[str, str], Awaitable[None]], drop: Callable[[str], Awaitable[None]]) -> None:
        """put: (name, text of TXT) -> published, and seen at the declared servers. drop: a name's TXT of ours goes."""
        self._put = put
        self._drop = drop

    async def show(self, certificate: Certificate, proof: Proof) -> None:
        await self._put(proof.name, proof.value)

    async def hide(self, certificate: Certificate, proof: Proof) -> None:
        await self._drop(proof.name)


def _demand_plain(proof: Proof) -> Proof:
    """What the authority sent becomes a file's name and a record: nothing but what RFC 8555 has in it."""
    if not _TOKEN.fullmatch(proof.token) or not _VALUE.fullmatch(proof.value):
        raise StepFailed("the authority sent a token that is none")
    return proof
