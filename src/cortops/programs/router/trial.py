"""Free calls, few for each client: the trial routes (facts A.3, H). A door: it counts, and asks `Offers` like everybody."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from aiohttp import web

from cortops.programs.common.health import Handler
from cortops.programs.router.doors import ID, header_timeout_s, read_body, send
from cortops.programs.router.offers import Answered, Asked, Family, Offers
from cortops.programs.router.refusals import refused
from cortops.protocol.clients import Network, Window, client_of, networks
from cortops.protocol.settings import RouterSettings
from cortops.words.clock import Clock

REFERENCE_KEYS = frozenset({"client_reference", "request_id"})

_PATHS: tuple[tuple[str, Family, int], ...] = (
    ("/api/v1/trial/completions", Family.COMPLETIONS, 1),
    (f"/api/v1/trial/completions/{{sid:{ID}}}", Family.COMPLETIONS, 1),
    ("/api/v1/trial/delegate", Family.DELEGATE, 1),
    ("/api/v1/trial/validate", Family.VALIDATE, 1),
    ("/api/v1/trial/factcheck", Family.FACTCHECK, 1),
    ("/api/v1/trial/fact-check", Family.FACTCHECK, 1),
    ("/api/v2/trial/delegate", Family.DELEGATE, 2),
    ("/api/v2/trial/validate", Family.VALIDATE, 2),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Made by the composition root where the settings enable it."""

    settings: RouterSettings
    offers: Offers
    clock: Clock
    window: Window
    trusted: tuple[Network, ...]
    sessions: dict[Family, int] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: RouterSettings, offers: Offers, clock: Clock) -> Trial:
        """Raises BadInput for a trusted proxy that is no network."""
        return cls(
            settings=settings,
            offers=offers,
            clock=clock,
            window=Window(requests_max=settings.trial_requests_max, window_s=settings.trial_window_s),
            trusted=networks(settings.trusted_proxies),
            sessions={
                Family.COMPLETIONS: settings.trial_completions_session,
                Family.DELEGATE: settings.trial_delegate_session,
                Family.VALIDATE: settings.trial_validate_session,
                Family.FACTCHECK: settings.trial_factcheck_session,
            },
        )

    @property
    def open_paths(self) -> frozenset[str]:
        return frozenset(path.replace(f":{ID}", "") for path, _, _ in _PATHS)

    def routes(self) -> Iterable[web.RouteDef]:
        return tuple(web.post(path, self._handler(family, version)) for path, family, version in _PATHS)

    async def answer(self, asked: Asked, request: web.Request) -> Answered:
        """The call, if the client of `request` has one left; in the session that is declared for its family.

        Who has no key names no reference: with somebody else's it would be given that one's answer.
        """
        client = client_of(request.remote or "", ",".join(request.headers.getall("X-Forwarded-For", ())), self.trusted)
        wait_s = self.window.take(client, self.clock.monotonic())
        if wait_s > 0:
            left_s = math.ceil(min(wait_s, self.settings.trial_window_s))
            return replace(refused(429, "trial_used_up", self._used_up(left_s)), headers={"Retry-After": str(left_s)})
        body = {key: value for key, value in asked.body.items() if key not in REFERENCE_KEYS}
        session = self.sessions[asked.family] or asked.session
        answered = await self.offers.answer(replace(asked, session=session, body=body, reference=""))
        if 400 <= answered.status < 500:
            self.window.give_back(client)  # nothing was run
        return answered

    def _handler(self, family: Family, version: int) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            named = request.match_info.get("sid")
            asked = Asked(
                family=family,
                version=version,
                session=int(named) if named else None,
                body=await read_body(request),
                timeout_s=header_timeout_s(request),
            )
            return await send(request, await self.answer(asked, request))

        return handle

    def _used_up(self, left_s: int) -> str:
        most, window_s = self.settings.trial_requests_max, self.settings.trial_window_s
        return f"a client has {most} free requests in {window_s} s; the next is free in {left_s} s"
