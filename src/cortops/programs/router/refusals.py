"""Errors as the router answers them: an HTTP status, a code and a sentence, in the OpenAI shape."""

from __future__ import annotations

import re

from aiohttp import web

from cortops.programs.router.offers import Answered
from cortops.programs.router.payload_errors import status_of
from cortops.programs.router.request import SubmitFailed
from cortops.protocol.routes import TASK_HEADER, ErrorBody, error_json
from cortops.words.errors import BadInput, CallReverted, ChainError, ChainUnreachable, CortopsError, PayloadError

_PLACE = re.compile(r"^(.*) - at `\$\.?(.*)`$", re.DOTALL)

# What the contracts say -> what the client hears.
_REASONS = {
    "no such session": (404, "session_not_found"),
    "session inactive": (404, "session_not_found"),
    "not a router of the session": (403, "router_not_attached"),
    "queue full": (503, "queue_full"),
}


def refusal_of(error: ChainError | TimeoutError) -> SubmitFailed:
    """Why a submission failed."""
    if isinstance(error, CallReverted):
        for words, (status, code) in _REASONS.items():
            if words in error.why:
                return SubmitFailed(status=status, code=code, message=f"the chain refused the task: {words}")
        return SubmitFailed(status=502, code="chain_refused", message=f"the chain refused the task: {error.why}")
    code = "chain_unreachable" if isinstance(error, ChainUnreachable) else "chain_error"
    return SubmitFailed(status=503, code=code, message="the chain did not take the task in time; ask again with the same request id")


def error_body(status: int, code: str, message: str, param: str | None = None) -> ErrorBody:
    """Type follows from the status, as with OpenAI."""
    kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
    return ErrorBody(
        message=message, type=kinds.get(status, "server_error" if status >= 500 else "invalid_request_error"), code=code, param=param
    )


def error_response(status: int, code: str, message: str, param: str | None = None, task: str = "") -> web.Response:
    """A refusal in the one error shape; `task` names what it happened to."""
    headers = {TASK_HEADER: task} if task else {}
    body = error_json(error_body(status, code, message, param))
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


class Refuse(Exception):
    """A call that is not taken, from anywhere below `Offers.answer`."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None, *, task: str = "") -> None:
        super().__init__(message)
        self.answered = refused(status, code, message, param, task)


def refused(status: int, code: str, message: str, param: str | None = None, task: str = "") -> Answered:
    """A refusal as `Offers` gives it."""
    body = error_body(status, code, message, param)
    told = {"message": body.message, "type": body.type, "code": body.code, "param": body.param}
    return Answered(status=status, body={"error": told}, headers={TASK_HEADER: task} if task else {})


def refusal_answered(error: CortopsError) -> Answered:
    """Any error of ours as its caller hears it."""
    match error:
        case BadInput():
            found = _PLACE.match(error.what)  # msgspec's sentence, with the place as OpenAI's `param`
            return refused(400, "invalid_request", found[1] if found else error.what, found[2] if found else None)
        case CallReverted():
            return refused(404, "not_found", error.why)
        case ChainError():
            return refused(503, "chain_unreachable", error.what)
        case PayloadError():
            return refused(status_of(error), error.code, error.what)
        case _:
            return refused(500, "router_error", error.what)
