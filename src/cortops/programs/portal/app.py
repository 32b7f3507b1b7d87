"""`portal(...)`: the web application. One address serves people and programs: browsers get pages, all others JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cortops.programs.common.logs import Log, failure
from cortops.programs.common.metrics import CONTENT_TYPE, Metrics
from cortops.programs.portal.api import Api
from cortops.programs.portal.desk import Desk
from cortops.programs.portal.guard import Guard, refusal
from cortops.programs.portal.incoming import is_page, request_id_of
from cortops.programs.portal.pages import HERE, Pages
from cortops.programs.portal.site import Site
from cortops.protocol.openai import ApiError
from cortops.protocol.portal import PortalConfig
from cortops.protocol.site import Static

Handler = Callable[[Request], Awaitable[Response]]

_REFUSED: Mapping[int, ApiError] = {
    404: ApiError(status=404, code="not_found", message="There is no such page."),
    405: ApiError(status=405, code="method_not_allowed", message="This method is not allowed here."),
}
BROKEN = ApiError(status=500, code="internal_error", message="The portal failed. Name the request id to whoever runs it.", type="api_error")


def portal(config: PortalConfig, desk: Desk, *, log: Log, new_id: Callable[[], str]) -> Guard:
    """The application over a desk."""
    handlers = _Handlers(config, desk, log)
    site, api = handlers.site, handlers.api
    app = Starlette(
        routes=[
            Route("/", site.start),
            Route("/portal", site.start),
            Route("/portal/", site.start),
            Route("/portal/sign-in", site.sign_in, methods=["GET", "POST"]),
            Route("/portal/sign-out", site.sign_out, methods=["POST"]),
            Route("/portal/api-keys", _either(site.keys, api.keys), methods=["GET", "POST"]),
            Route("/portal/api-keys/{id}", api.key, methods=["GET", "DELETE"]),
            Route("/portal/api-keys/{id}/revoke", _either(site.revoke, api.revoke), methods=["POST"]),
            Route("/portal/api-keys/{id}/rotate", _either(site.rotate, api.rotate), methods=["POST"]),
            Route("/portal/usage", site.usage),
            Route("/portal/usage-summary", api.usage_summary),
            Route("/portal/docs", site.docs),
            Route("/portal/static/{name}", handlers.static),
            Route("/health", handlers.health),
            Route("/metrics", handlers.metrics),
        ],
        exception_handlers={HTTPException: handlers.refused, Exception: handlers.broken},
    )
    handlers.guard = Guard(app, config.hostnames, new_id)
    return handlers.guard


def _either(page: Handler, data: Handler) -> Handler:
    async def handle(request: Request) -> Response:
        return await (page if is_page(request) else data)(request)

    return handle


class _Handlers:
    guard: Guard

    def __init__(self, config: PortalConfig, desk: Desk, log: Log) -> None:
        self._desk = desk
        self._log = log
        self._static = Static(HERE / "static", "/portal/static")
        self._trouble = ""
        self._metrics = Metrics(lambda: (not self._trouble, {"requests": self.guard.answered}))
        self.api = Api(desk)
        self.site = Site(desk, Pages(config, self._static))

    async def health(self, _request: Request) -> Response:
        """200 when the keys can be read, else 503 with the reason."""
        self._trouble = await self._desk.trouble()
        status = "degraded" if self._trouble else "ok"
        told = {"why": [self._trouble]} if self._trouble else {}
        return Response(msgspec.json.encode({"status": status, **told}), 503 if self._trouble else 200, media_type="application/json")

    async def metrics(self, _request: Request) -> Response:
        """The same as numbers."""
        self._trouble = await self._desk.trouble()
        return Response(self._metrics.page(), headers={"content-type": CONTENT_TYPE})

    async def static(self, request: Request) -> Response:
        """A file that pages load."""
        found = self._static.files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return Response(found[1], headers={"content-type": found[0], "cache-control": "public, max-age=31536000, immutable"})

    async def refused(self, request: Request, error: Exception) -> Response:
        """No such route, or another method."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        found = _REFUSED.get(status, BROKEN)
        answer = await self.site.failed(request, found) if is_page(request) else refusal(found, request_id_of(request))
        if isinstance(error, HTTPException) and error.headers:
            answer.headers.update(error.headers)
        return answer

    async def broken(self, request: Request, error: Exception) -> Response:
        """What nobody expected; it stands in the log with the request's id."""
        self._log.error("request_failed", request=request_id_of(request), **failure(error))
        return refusal(BROKEN, request_id_of(request))
