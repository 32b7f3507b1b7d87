"""API keys and the organisations they belong to: issued once, kept as a hash, checked by hash. A key is shown only when it is issued."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cortops.protocol.database import Database, Schema, Transaction
from cortops.protocol.limits import NO_LIMITS, KeyLimits, changed_limits
from cortops.protocol.store import open_database
from cortops.words.errors import BadInput, UnknownName

SCHEMA = Schema(
    name="keys",
    steps=(
        """
CREATE TABLE IF NOT EXISTS keys (
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL DEFAULT '[]',
  created_at DOUBLE PRECISION NOT NULL,
  expires_at DOUBLE PRECISION,
  revoked_at DOUBLE PRECISION
)
""",
        """
ALTER TABLE keys ADD COLUMN organisation TEXT NOT NULL DEFAULT '';
ALTER TABLE keys ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';
ALTER TABLE keys ADD COLUMN replaces TEXT NOT NULL DEFAULT '';
ALTER TABLE keys ADD COLUMN line TEXT NOT NULL DEFAULT '';
CREATE TABLE organisations (
  name TEXT PRIMARY KEY,
  limits TEXT NOT NULL DEFAULT '{}',
  created_at DOUBLE PRECISION NOT NULL
)
""",
    ),
)
CHANGES = "keys"  # the name whose version moves with every change of a key or an organisation
RANDOM_BYTES = 24
MODEL_SCOPE = "model:"
FAMILY_SCOPE = "family:"
PORTAL_SCOPE = "portal"
SCOPE = re.compile(r"model:[A-Za-z0-9][A-Za-z0-9._:-]{0,127}|family:[a-z][a-z0-9-]{0,31}|portal")
ORGANISATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SCOPES_MAX = 64
NAME_MAX = 200


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One key without the key. Times are seconds since 1970; organisation "": none.

    scopes: `model:ALIAS` and `family:NAME` narrow it to those named, without any of a kind all are allowed; `portal` may manage the
    organisation's keys. replaces: the key that it was made from by rotating. line: the first key of that line, "" for this one: all of a
    line count on the same limits.
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    organisation: str = ""
    limits: KeyLimits = NO_LIMITS
    replaces: str = ""
    line: str = ""

    def is_valid(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def allows_model(self, alias: str) -> bool:
        """May this key use the model?"""
        return self._allows(MODEL_SCOPE, alias)

    def allows_family(self, family: str) -> bool:
        """May this key use routes of the family?"""
        return self._allows(FAMILY_SCOPE, family)

    @property
    def allows_portal(self) -> bool:
        """May this key sign in to the portal?"""
        return PORTAL_SCOPE in self.scopes

    @property
    def counts_as(self) -> str:
        """The subject of its limits."""
        return f"key:{self.line or self.id}"

    def _allows(self, kind: str, name: str) -> bool:
        if not self.scopes or kind + name in self.scopes:
            return True
        return not any(scope.startswith(kind) for scope in self.scopes)


class Organisation(msgspec.Struct, frozen=True, kw_only=True):
    """Whose keys share limits."""

    name: str
    limits: KeyLimits = NO_LIMITS
    created_at: float = 0.0

    @property
    def counts_as(self) -> str:
        """The subject of its limits."""
        return f"organisation:{self.name}"


class IssuedKey(msgspec.Struct, frozen=True, kw_only=True):
    """What `issue` and `rotate` give: the key, this once, and its row."""

    key: str
    row: KeyRow

    def __repr__(self) -> str:
        return f"IssuedKey(id={self.row.id!r})"


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """All that a gateway must know: {hash: key} of those not revoked, {name: organisation}."""

    keys: dict[str, KeyRow]
    organisations: dict[str, Organisation]


COLUMNS = KeyRow.__struct_fields__


def open_keys(where: Path | str, *, create: bool = True) -> Database:
    """The key store at `where`, as open_database takes it. Raises StoreUnavailable."""
    return open_database(where, SCHEMA, create=create)


def key_hash(key: str) -> str:
    """What is stored and looked up instead of the key: sha256, hex. The key has 192 random bits, so no salt or stretching."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def issue(
    database: Database,
    *,
    environment: str,
    name: str,
    now: float,
    random_bytes: Callable[[int], bytes],
    scopes: Iterable[str] = (),
    expires_at: float | None = None,
    organisation: str = "",
    limits: KeyLimits = NO_LIMITS,
) -> IssuedKey:
    """Make and store a key `ck_<environment>_<random>`. Raises BadInput, UnknownName (organisation), StoreUnavailable."""
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise BadInput(f"a key's name has 1 to {NAME_MAX} printable characters")
    if expires_at is not None and expires_at <= now:
        raise BadInput("the key would have expired already")
    made = _made(
        environment,
        random_bytes,
        KeyRow(
            id="",
            name=name,
            scopes=read_scopes(scopes),
            created_at=now,
            expires_at=expires_at,
            revoked_at=None,
            organisation=organisation,
            limits=limits,
        ),
    )
    with database.transaction(changes=CHANGES) as transaction:
        if organisation and not transaction.execute("SELECT 1 FROM organisations WHERE name = ?", (organisation,)):
            raise UnknownName(f"there is no organisation {organisation!r}", next=f"make it: cortops keys organisation {organisation}")
        _insert(transaction, made)
    return made


def read_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Scopes as they are kept: each once, in order. Raises BadInput for what is none."""
    found = tuple(dict.fromkeys(scopes))
    wrong = [scope for scope in found if not SCOPE.fullmatch(scope)]
    if wrong or len(found) > SCOPES_MAX:
        told = ", ".join(wrong)[:200] or f"more than {SCOPES_MAX}"
        raise BadInput(f"no scope: {told}", next="a scope is model:ALIAS, family:NAME or portal")
    return found


def rotate(
    database: Database, id: str, *, environment: str, now: float, random_bytes: Callable[[int], bytes], overlap_s: float
) -> IssuedKey:
    """A new key with the name, scopes, organisation, limits and expiry of `id`, which ends `overlap_s` from now at the latest.

    Both count on the same limits. Raises UnknownName; BadInput for a key that is not valid, or was rotated already; StoreUnavailable.
    """
    if overlap_s < 0:
        raise BadInput("an overlap is 0 or longer")
    with database.transaction(changes=CHANGES) as transaction:
        old = _changed(transaction, id, "name = name", ())  # locked: of two who rotate it at once, the second sees what the first did
        if not old.is_valid(now):
            raise BadInput(f"{id} is {state(old, now)}: there is nothing to hand over", next="make a new one: cortops keys issue")
        newer = transaction.execute("SELECT id FROM keys WHERE replaces = ? AND revoked_at IS NULL", (id,))
        if newer:
            raise BadInput(f"{id} was rotated already, to {newer[0][0]}", next=f"cortops keys rotate {newer[0][0]}")
        row = msgspec.structs.replace(old, id="", created_at=now, replaces=old.id, line=old.line or old.id)
        made = _made(environment, random_bytes, row)
        _insert(transaction, made)
        end = now + overlap_s if old.expires_at is None else min(old.expires_at, now + overlap_s)
        transaction.execute("UPDATE keys SET expires_at = ? WHERE id = ?", (end, id))
    return made


def list_keys(database: Database) -> list[KeyRow]:
    """Every key, oldest first, revoked and expired ones too. Raises StoreUnavailable."""
    with database.reading() as transaction:
        return [_row(values) for values in transaction.execute(f"SELECT {', '.join(COLUMNS)} FROM keys ORDER BY created_at, id")]


def keys_of(database: Database, organisation: str) -> list[KeyRow]:
    """Every key of one organisation, oldest first. Raises StoreUnavailable."""
    query = f"SELECT {', '.join(COLUMNS)} FROM keys WHERE organisation = ? ORDER BY created_at, id"
    with database.reading() as transaction:
        return [_row(values) for values in transaction.execute(query, (organisation,))]


def revoke(database: Database, id: str, *, now: float) -> KeyRow:
    """Take the key back; again is no error and keeps the first time. Raises UnknownName, StoreUnavailable."""
    with database.transaction(changes=CHANGES) as transaction:
        return _changed(transaction, id, "revoked_at = coalesce(revoked_at, ?)", (now,))


def expire(database: Database, id: str, *, at: float | None) -> KeyRow:
    """Let the key end at `at`, seconds since 1970; None: never. Raises UnknownName, StoreUnavailable."""
    with database.transaction(changes=CHANGES) as transaction:
        return _changed(transaction, id, "expires_at = ?", (at,))


def limit(database: Database, id: str, changes: Mapping[str, int | None]) -> KeyRow:
    """Change limits of the key, and so of all of its line; None takes one away, those not named stay.

    Raises UnknownName, BadInput (no such limit, or below 1), StoreUnavailable.
    """
    with database.transaction(changes=CHANGES) as transaction:
        row = _changed(transaction, id, "name = name", ())  # locked
        limits = changed_limits(row.limits, changes)
        first = row.line or row.id
        transaction.execute("UPDATE keys SET limits = ? WHERE id = ? OR line = ?", (_json(limits), first, first))
    return msgspec.structs.replace(row, limits=limits)


def put_organisation(database: Database, name: str, changes: Mapping[str, int | None], *, now: float) -> Organisation:
    """Make the organisation if there is none, and change its limits, as `limit` does. Raises BadInput, StoreUnavailable."""
    if not ORGANISATION.fullmatch(name):
        raise BadInput("an organisation's name has 1 to 64 letters, digits, dots, dashes and underscores")
    with database.transaction(changes=CHANGES) as transaction:
        found = transaction.execute(
            "INSERT INTO organisations (name, created_at) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING name, limits, created_at",
            (name, now),
        )
        before = _organisation(found[0])
        after = msgspec.structs.replace(before, limits=changed_limits(before.limits, changes))
        transaction.execute("UPDATE organisations SET limits = ? WHERE name = ?", (_json(after.limits), name))
    return after


def list_organisations(database: Database) -> list[Organisation]:
    """Every organisation, by name. Raises StoreUnavailable."""
    with database.reading() as transaction:
        return _organisations(transaction)


def find(database: Database, id: str) -> KeyRow:
    """The key's row. Raises UnknownName, StoreUnavailable."""
    with database.reading() as transaction:
        return _known(transaction.execute(f"SELECT {', '.join(COLUMNS)} FROM keys WHERE id = ?", (id,)), id)


def verify(database: Database, key: str, *, now: float) -> KeyRow | None:
    """The row of a valid key, None for any other. Raises StoreUnavailable."""
    with database.reading() as transaction:
        found = transaction.execute(f"SELECT {', '.join(COLUMNS)} FROM keys WHERE hash = ?", (key_hash(key),))
    row = _row(found[0]) if found else None
    return row if row is not None and row.is_valid(now) else None


def version(database: Database) -> tuple[int, ...]:
    """Cheap: as long as it is equal, `read_known` gives what it gave. Ask before that. Raises StoreUnavailable.

    The previous release says nothing of its changes to anybody, but makes only two: both are seen in the counts. They may go with it.
    """
    known = database.version(CHANGES)
    with database.reading() as transaction:
        return (*known, *transaction.execute("SELECT count(*), count(revoked_at) FROM keys")[0])


def read_known(database: Database) -> Known:
    """All that a gateway must know, in one state, for a copy in memory. Raises StoreUnavailable."""
    with database.reading() as transaction:
        rows = transaction.execute(f"SELECT hash, {', '.join(COLUMNS)} FROM keys WHERE revoked_at IS NULL")
        organisations = {each.name: each for each in _organisations(transaction)}
    return Known(keys={str(values[0]): _row(values[1:]) for values in rows}, organisations=organisations)


def state(row: KeyRow, now: float) -> str:
    """How it is, in a word or two: valid, expired, taken back."""
    if row.revoked_at is not None:
        return "taken back"
    return "valid" if row.is_valid(now) else "expired"


def _made(environment: str, random_bytes: Callable[[int], bytes], row: KeyRow) -> IssuedKey:
    key = f"ck_{environment}_{random_bytes(RANDOM_BYTES).hex()}"
    return IssuedKey(key=key, row=msgspec.structs.replace(row, id=f"key_{key_hash(key)[:16]}"))


def _insert(transaction: Transaction, made: IssuedKey) -> None:
    row = made.row
    fields = {**msgspec.structs.asdict(row), "hash": key_hash(made.key), "scopes": _json(row.scopes), "limits": _json(row.limits)}
    marks = ", ".join("?" * len(fields))
    transaction.execute(f"INSERT INTO keys ({', '.join(fields)}) VALUES ({marks})", tuple(fields.values()))


def _changed(transaction: Transaction, id: str, change: str, values: tuple[object, ...]) -> KeyRow:
    sql = f"UPDATE keys SET {change} WHERE id = ? RETURNING {', '.join(COLUMNS)}"
    return _known(transaction.execute(sql, (*values, id)), id)


def _known(found: list[tuple[Any, ...]], id: str) -> KeyRow:
    if not found:
        raise UnknownName(f"there is no key {id!r}", next="see the ids: cortops keys list")
    return _row(found[0])


def _organisations(transaction: Transaction) -> list[Organisation]:
    return [_organisation(values) for values in transaction.execute("SELECT name, limits, created_at FROM organisations ORDER BY name")]


def _organisation(values: tuple[Any, ...]) -> Organisation:
    return Organisation(name=values[0], limits=_limits(values[1]), created_at=values[2])


def _row(values: tuple[Any, ...]) -> KeyRow:
    names = dict(zip(COLUMNS, values, strict=True))
    return msgspec.convert({**names, "scopes": msgspec.json.decode(names["scopes"]), "limits": _limits(names["limits"])}, KeyRow)


def _limits(text: str) -> KeyLimits:
    return msgspec.json.decode(text, type=KeyLimits)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
