"""Errors as the router answers them: an HTTP status, a code and a sentence, in the OpenAI shape."""

from __future__ import annotations

from aiohttp import web

from cortops.programs.router.request import SubmitFailed
from cortops.protocol.routes import ErrorBody, error_json
from cortops.words.errors import CallReverted, ChainError, ChainUnreachable

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
    headers = {"X-Cortensor-Task": task} if task else {}
    body = error_json(error_body(status, code, message, param))
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
