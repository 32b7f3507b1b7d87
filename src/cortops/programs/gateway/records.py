"""Keys and usage as people ask for them: one request in, one answer out, on the gateway's own host, where both lie.

Run as a program it reads the request from standard input and writes the answer, or an error as every error of ours is told.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from sqlite3 import Connection

import msgspec

from cortops.protocol import keys
from cortops.protocol.usage import UsageRow, of_task, open_usage
from cortops.words.errors import CortopsError, StoreUnavailable

REQUEST_MAX_KIB = 64


class Issue(msgspec.Struct, frozen=True, kw_only=True, tag="issue"):
    """Make a key; its answer is keys.IssuedKey. days: until it expires, None for never."""

    keys_db: str
    environment: str
    name: str
    days: float | None = None


class ListKeys(msgspec.Struct, frozen=True, kw_only=True, tag="list"):
    """Every key; its answer is a list of keys.KeyRow."""

    keys_db: str


class Revoke(msgspec.Struct, frozen=True, kw_only=True, tag="revoke"):
    """Take a key back; its answer is the keys.KeyRow."""

    keys_db: str
    id: str


class TaskUsage(msgspec.Struct, frozen=True, kw_only=True, tag="usage"):
    """What was counted for one task; its answer is a list of UsageRow, empty where nothing was ever counted."""

    usage_db: str
    session: int
    task: int


Request = Issue | ListKeys | Revoke | TaskUsage
Answer = keys.IssuedKey | list[keys.KeyRow] | keys.KeyRow | list[UsageRow]
DAY_S = 86_400.0


def answer(request: Request, now: float, random_bytes: Callable[[int], bytes]) -> Answer:
    """Do it. Raises what keys and usage raise."""
    match request:
        case TaskUsage():
            return _usage(request)
        case Issue(days=days):
            expires_at = now + days * DAY_S if days is not None else None
            with _keys(request.keys_db) as (connection, path):
                return keys.issue(
                    connection,
                    path,
                    environment=request.environment,
                    name=request.name,
                    now=now,
                    random_bytes=random_bytes,
                    expires_at=expires_at,
                )
        case ListKeys():
            with _keys(request.keys_db) as (connection, path):
                return keys.list_keys(connection, path)
        case Revoke():
            with _keys(request.keys_db) as (connection, path):
                return keys.revoke(connection, path, request.id, now=now)


def _usage(request: TaskUsage) -> list[UsageRow]:
    path = Path(request.usage_db)
    with contextlib.suppress(StoreUnavailable):  # a task that came past the gateway has no usage row, and may have no database
        connection = open_usage(path, create=False)
        try:
            return of_task(connection, path, request.session, request.task)
        finally:
            connection.close()
    return []


@contextlib.contextmanager
def _keys(keys_db: str) -> Iterator[tuple[Connection, Path]]:
    path = Path(keys_db)
    connection = keys.open_keys(path, create=False)
    try:
        yield connection, path
    finally:
        connection.close()


def main() -> int:
    """Answer standard input; the exit status is 0, an error is an answer too."""
    asked = sys.stdin.buffer.read(REQUEST_MAX_KIB << 10)
    try:
        told: object = {"answer": answer(msgspec.json.decode(asked, type=Request), time.time(), secrets.token_bytes)}
    except CortopsError as error:
        told = {"error": error.as_dict()}
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
