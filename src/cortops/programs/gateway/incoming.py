"""One request as it came in, and what is said to one that is none."""

from __future__ import annotations

from dataclasses import dataclass, field

from cortops.protocol.gateway import Limits
from cortops.protocol.openai import ApiError


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One request as it came; header names in lower case, `path` without the query. `error`: why it is none."""

    id: str
    client_id: str = ""
    method: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    keep_alive: bool = False
    version: str = "1.1"
    error: ApiError | None = None

    @property
    def shown_id(self) -> str:
        """What X-Request-ID of the answer says: the client's own, else ours."""
        return self.client_id or self.id


def bad_request(status: int, code: str, message: str) -> ApiError:
    """A 4xx for what is not HTTP as we take it."""
    return ApiError(status=status, code=code, message=message)


def head_too_long(limits: Limits) -> ApiError:
    """RFC 6585, 5."""
    return bad_request(431, "header_too_large", f"the request's head is larger than {limits.header_max_kib} KiB")


def body_too_long(limits: Limits) -> ApiError:
    """RFC 9110, 15.5.14."""
    return bad_request(413, "body_too_large", f"the body is larger than {limits.body_max_mib:g} MiB")
