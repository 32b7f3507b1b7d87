"""API keys: issued once, kept as a hash, checked by hash. The key itself is shown only when it is issued."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from cortops.protocol.store import open_store, reachable
from cortops.words.errors import BadInput, UnknownName

VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL DEFAULT '[]',
  created_at REAL NOT NULL,
  expires_at REAL,
  revoked_at REAL
) WITHOUT ROWID;
"""
COLUMNS = "id, name, scopes, created_at, expires_at, revoked_at"
RANDOM_BYTES = 24
MODEL_SCOPE = "model:"


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One key without the key. Times are seconds since 1970; `scopes` empty allows all, `model:ALIAS` only those models."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float | None
    revoked_at: float | None

    def is_valid(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def allows_model(self, alias: str) -> bool:
        """May this key use the model? Without any model scope, every one."""
        wanted = [scope for scope in self.scopes if scope.startswith(MODEL_SCOPE)]
        return not wanted or MODEL_SCOPE + alias in wanted


class IssuedKey(msgspec.Struct, frozen=True, kw_only=True):
    """What `issue` gives: the key, this once, and its row."""

    key: str
    row: KeyRow

    def __repr__(self) -> str:
        return f"IssuedKey(id={self.row.id!r})"


def open_keys(path: Path, *, create: bool = True) -> sqlite3.Connection:
    """The key store at `path`. Raises StoreUnavailable."""
    return open_store(path, SCHEMA, VERSION, create=create)


def key_hash(key: str) -> str:
    """What is stored and looked up instead of the key: sha256, hex. The key has 192 random bits, so no salt or stretching."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def issue(
    connection: sqlite3.Connection,
    path: Path,
    *,
    environment: str,
    name: str,
    now: float,
    random_bytes: Callable[[int], bytes],
    scopes: Iterable[str] = (),
    expires_at: float | None = None,
) -> IssuedKey:
    """Make and store a key `ck_<environment>_<random>`. Raises BadInput, StoreUnavailable."""
    if not name or len(name) > 200 or not name.isprintable():
        raise BadInput("a key's name has 1 to 200 printable characters")
    if expires_at is not None and expires_at <= now:
        raise BadInput("the key would have expired already")
    key = f"ck_{environment}_{random_bytes(RANDOM_BYTES).hex()}"
    hashed = key_hash(key)
    row = KeyRow(id=f"key_{hashed[:16]}", name=name, scopes=tuple(scopes), created_at=now, expires_at=expires_at, revoked_at=None)
    values = (row.id, hashed, row.name, msgspec.json.encode(row.scopes).decode(), row.created_at, row.expires_at)
    with reachable(path), connection:
        connection.execute("INSERT INTO keys (id, hash, name, scopes, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)", values)
    return IssuedKey(key=key, row=row)


def list_keys(connection: sqlite3.Connection, path: Path) -> list[KeyRow]:
    """Every key, oldest first, revoked and expired ones too. Raises StoreUnavailable."""
    with reachable(path):
        return [_row(values) for values in connection.execute(f"SELECT {COLUMNS} FROM keys ORDER BY created_at, id")]


def revoke(connection: sqlite3.Connection, path: Path, id: str, *, now: float) -> KeyRow:
    """Take the key back; again is no error and keeps the first time. Raises UnknownName, StoreUnavailable."""
    with reachable(path), connection:
        connection.execute("UPDATE keys SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (now, id))
        found = connection.execute(f"SELECT {COLUMNS} FROM keys WHERE id = ?", (id,)).fetchone()
    if found is None:
        raise UnknownName(f"there is no key {id!r}", next="see the ids: cortops keys list")
    return _row(found)


def verify(connection: sqlite3.Connection, path: Path, key: str, *, now: float) -> KeyRow | None:
    """The row of a valid key, None for any other. Raises StoreUnavailable."""
    with reachable(path):
        found = connection.execute(f"SELECT {COLUMNS} FROM keys WHERE hash = ?", (key_hash(key),)).fetchone()
    row = _row(found) if found is not None else None
    return row if row is not None and row.is_valid(now) else None


def by_hash(connection: sqlite3.Connection, path: Path) -> dict[str, KeyRow]:
    """{hash: row} of every key that is not revoked, for a copy in memory. Raises StoreUnavailable."""
    with reachable(path):
        rows = connection.execute(f"SELECT hash, {COLUMNS} FROM keys WHERE revoked_at IS NULL")
        return {str(values[0]): _row(values[1:]) for values in rows}


def _row(values: tuple[object, ...]) -> KeyRow:
    names = dict(zip(KeyRow.__struct_fields__, values, strict=True))
    return msgspec.convert({**names, "scopes": msgspec.json.decode(str(names["scopes"]))}, KeyRow)
