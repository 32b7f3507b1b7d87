"""The one structured log of a program: a JSON object a line on stdout, and nothing in it that must not leave."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

import msgspec
import structlog

from cortops.words.clock import Clock

# Fields that may hold a key, a prompt or a result. They are dropped, not masked: nobody needs to know how long they were.
NEVER_LOGGED = frozenset(
    {
        "private_key",
        "x402_facilitator_secret",
        "api_key",
        "authorization",
        "prompt",
        "text",
        "content",
        "messages",
        "task_data",
        "result",
        "password",
        "secret",
        "seed",
        "older_seeds",
        "storage_secret",
        "storage_token",
    }
)
REDACTED = b"[redacted]"
SECRET_LENGTH_MIN = 8  # shorter values would blot out ordinary words
DEPTH_MAX = 6
FRAMES_MAX = 20

Log = structlog.typing.FilteringBoundLogger


def make_log(program: str, out: BinaryIO, clock: Clock, *, secrets: tuple[str, ...] = (), **bound: str) -> Log:
    """A logger that writes `{"event", "level", "at", "program", ...}` lines to `out`, levels info and above.

    `at` is UTC, ISO 8601 with milliseconds. Fields named in NEVER_LOGGED are dropped at any depth; the values in `secrets` are
    replaced wherever they appear, whatever the field.
    """

    def stamp(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        at = datetime.fromtimestamp(clock.now(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"event": event.pop("event"), "level": event.pop("level"), "at": at, **event}

    hidden = tuple(value.encode() for secret in secrets for value in _shapes(secret))

    def render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> bytes:
        line = msgspec.json.encode(event, enc_hook=str)
        for value in hidden:
            line = line.replace(value, REDACTED)
        return line

    logger = structlog.wrap_logger(
        structlog.BytesLogger(out),
        processors=[structlog.processors.add_log_level, drop_private, stamp, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        context_class=dict,
        cache_logger_on_first_use=False,
    )
    return cast("Log", logger.bind(program=program, **bound))


def _shapes(secret: str) -> tuple[str, ...]:
    """The ways one secret may be written: as given, and a hex key without its 0x in either case; longest first."""
    bare = secret.removeprefix("0x")
    return tuple(dict.fromkeys(shape for shape in (secret, bare, bare.lower(), bare.upper()) if len(shape) >= SECRET_LENGTH_MIN))


def drop_private(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor that keeps keys, prompts and results out of the log."""
    return {key: _clean(value, DEPTH_MAX) for key, value in event.items() if not _is_private(key)}


def _is_private(key: object) -> bool:
    return str(key).lower().replace("-", "_") in NEVER_LOGGED


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        if depth == 0:
            return "…"
        return {str(key): _clean(inner, depth - 1) for key, inner in value.items() if not _is_private(key)}
    if isinstance(value, list | tuple):
        return [_clean(inner, depth - 1) for inner in value] if depth else "…"
    return value


def failure(error: BaseException) -> dict[str, Any]:
    """The log fields of an error nobody expected: its type, its words (200 characters) and where it came from, innermost last."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_MAX:]
    return {
        "error": type(error).__name__,
        "words": str(error)[:200],
        "frames": [f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
    }


class LibraryLog(logging.Handler):
    """Brings warnings that libraries give to `logging` into the program's log."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """As logging.Handler.emit."""
        error = record.exc_info[1] if record.exc_info else None
        level = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        level("library", logger=record.name, words=record.getMessage()[:200], **({"cause": failure(error)} if error else {}))
