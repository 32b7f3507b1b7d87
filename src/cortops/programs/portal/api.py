"""The portal for programs: JSON in, JSON out, errors in the gateway's one shape."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from cortops.programs.portal.asked import days_of, from_json
from cortops.programs.portal.bars import span_of, total
from cortops.programs.portal.desk import NO_KEY, Caller, Desk
from cortops.programs.portal.guard import SAFE_METHODS, refusal
from cortops.programs.portal.incoming import address_of, bearer, body_of, request_id_of
from cortops.programs.portal.session import COOKIE
from cortops.protocol.keys import KeyRow, state
from cortops.protocol.openai import ApiError

DAYS_DEFAULT, DAYS_MAX = 30, 92


class Api:
    """A handler for each route. A session reads; what changes anything needs the key itself."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def keys(self, request: Request) -> Response:
        """GET: every key of the organisation. POST: make one."""
        caller = await self._caller(request)
        if isinstance(caller, ApiError):
            return self._refused(request, caller)
        if request.method == "POST":
            return await self._create(request, caller)
        rows = await self._desk.keys(caller)
        if isinstance(rows, ApiError):
            return self._refused(request, rows)
        return _json(200, {"object": "list", "organisation": caller.organisation, "data": [self._shown(row) for row in rows]})

    async def key(self, request: Request) -> Response:
        """GET: one key. DELETE: take it back."""
        caller, id = await self._caller(request), request.path_params["id"]
        if isinstance(caller, ApiError):
            return self._refused(request, caller)
        row = await (self._desk.revoke(caller, id) if request.method == "DELETE" else self._desk.key(caller, id))
        return self._refused(request, row) if isinstance(row, ApiError) else _json(200, self._shown(row))

    async def revoke(self, request: Request) -> Response:
        """POST .../revoke: as DELETE."""
        caller = await self._caller(request)
        row = caller if isinstance(caller, ApiError) else await self._desk.revoke(caller, request.path_params["id"])
        return self._refused(request, row) if isinstance(row, ApiError) else _json(200, self._shown(row))

    async def rotate(self, request: Request) -> Response:
        """POST .../rotate: another key with the same rights, shown this once."""
        caller = await self._caller(request)
        made = caller if isinstance(caller, ApiError) else await self._desk.rotate(caller, request.path_params["id"])
        if isinstance(made, ApiError):
            return self._refused(request, made)
        return _json(201, {**self._shown(made.row), "key": made.key})

    async def usage_summary(self, request: Request) -> Response:
        """GET: requests, errors and tokens by day, model and key."""
        caller = await self._caller(request)
        days = days_of(request.query_params.get("days", ""), DAYS_DEFAULT, DAYS_MAX)
        wrong = next((item for item in (caller, days) if isinstance(item, ApiError)), None)
        if wrong is not None or isinstance(caller, ApiError) or isinstance(days, ApiError):
            return self._refused(request, wrong or NO_KEY)
        rows = await self._desk.usage(caller, days)
        if isinstance(rows, ApiError):
            return self._refused(request, rows)
        since, until = span_of(self._desk.clock.now(), days)
        whole = {name: getattr(total(rows), name) for name in ("requests", "errors", "prompt_tokens", "completion_tokens")}
        found = {"object": "usage_summary", "organisation": caller.organisation, "from": int(since), "until": int(until)}
        return _json(200, {**found, "total": whole, "data": rows})

    async def _create(self, request: Request, caller: Caller) -> Response:
        body = await body_of(request)
        asked = body if isinstance(body, ApiError) else from_json(body)
        made = asked if isinstance(asked, ApiError) else await self._desk.create(caller, asked)
        if isinstance(made, ApiError):
            return self._refused(request, made)
        return _json(201, {**self._shown(made.row), "key": made.key})

    async def _caller(self, request: Request) -> Caller | ApiError:
        key = bearer(request)
        if key is not None:
            return await self._desk.by_key(key, address_of(request))
        found = await self._desk.by_cookie(request.cookies.get(COOKIE, ""), address_of(request)) if request.method in SAFE_METHODS else None
        return NO_KEY if found is None else found

    def _shown(self, row: KeyRow) -> dict[str, Any]:
        """A key as programs see it; times are seconds since 1970."""
        return {
            "id": row.id,
            "name": row.name,
            "state": state(row, self._desk.clock.now()),
            "scopes": row.scopes,
            "limits": row.limits,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "revoked_at": row.revoked_at,
            "replaces": row.replaces or None,
        }

    def _refused(self, request: Request, error: ApiError) -> Response:
        return refusal(error, request_id_of(request))


def _json(status: int, value: object) -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")
