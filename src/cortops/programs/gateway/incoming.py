"""One request as it came in, and what is said to one that is none."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from cortops.protocol.gateway import Limits
from cortops.protocol.openai import ApiError


class Incoming(Struct, frozen=True, kw_only=True):
    """One request as it came; header names in lower case, `path` without the query. `error`: why it is none."""

    id: str
    client_id: str = ""
    method: str = ""
    path: str = ""
    headers: dict[str, str] = {}
    body: bytes = b""
    keep_alive: bool = False
    version: str = "1.1"
    error: ApiError | None = None

    def __repr__(self) -> str:  # headers hold a key, the body is a prompt
        return f"Incoming(id={self.id!r}, method={self.method!r}, path={self.path!r})"

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


def is_plain_coding(transfer_encoding: str, version: str) -> bool:
    """Chunked and nothing else, which HTTP/1.0 does not know: whoever stood in front may have framed the body by other rules.

    Source: RFC 9112, 6.1.
    """
    return version == "1.1" and transfer_encoding.strip(" \t").lower() == "chunked"


def error_body(incoming: Incoming) -> bytes:
    """What is wrong with it, in the one error shape."""
    assert incoming.error is not None
    return incoming.error.body(incoming.shown_id)


def head_error(headers: Mapping[str, str], version: str, size: int, *, upgrade: bool, limits: Limits) -> ApiError | None:
    """Why a request's head is not taken, None for no reason. size: bytes of its target and fields; upgrade: it wants another protocol."""
    length = headers.get("content-length", "0")
    if size > limits.header_max_kib * 1024:
        return head_too_long(limits)
    if length.isdigit() and int(length) > limits.body_max_mib * 2**20:
        return body_too_long(limits)
    if version not in ("1.0", "1.1"):
        return bad_request(400, "invalid_http", "this server speaks HTTP/1.1")
    if "transfer-encoding" in headers and not is_plain_coding(headers["transfer-encoding"], version):
        return bad_request(400, "invalid_http", "a body is framed by its length or as plain chunks")
    if version == "1.1" and "host" not in headers:
        return bad_request(400, "host_missing", "the Host header is missing")
    if upgrade and (length != "0" or "transfer-encoding" in headers):  # the parser takes the body for the other protocol's first bytes
        return bad_request(400, "upgrade_not_supported", "this server switches to no other protocol")
    return None
