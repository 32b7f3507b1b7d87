"""A Database in PostgreSQL, through psycopg: imported only where an address says `postgresql://`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import psycopg

from cortops.protocol.address import misfit, shown, without_secrets
from cortops.protocol.database import Database, Row, Schema, Transaction, Values, bring_up
from cortops.words.errors import StoreUnavailable

CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_S = 10
READING_TIMEOUT_S = 25  # sums over millions of rows
LOCK_TIMEOUT_S = 5
STREAM_ROWS = 1000  # fetched at once
# One schema is brought up at a time in a database: CREATE TABLE IF NOT EXISTS of two at once fails in one. The number is any that is ours.
BRING_UP_LOCK = 0x636F7274
SETTINGS = (
    f"SET statement_timeout = '{STATEMENT_TIMEOUT_S}s'; SET lock_timeout = '{LOCK_TIMEOUT_S}s';"
    f" SET idle_in_transaction_session_timeout = '{STATEMENT_TIMEOUT_S}s'; SET synchronous_commit = on; SET client_min_messages = error"
)
SNAPSHOT = f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '{READING_TIMEOUT_S}s'"


class _Transaction(Transaction):
    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Values = ()) -> list[Row]:
        cursor = self._connection.execute(_translated(sql), values)
        return cursor.fetchall() if cursor.description is not None else []

    def execute_many(self, sql: str, rows: Iterable[Values]) -> int:
        with self._connection.cursor() as cursor:
            cursor.executemany(_translated(sql), rows)
            return max(0, cursor.rowcount)

    def stream(self, sql: str, values: Values = ()) -> Iterator[Row]:
        with self._connection.cursor(name="stream") as cursor:
            cursor.itersize = STREAM_ROWS
            yield from cursor.execute(_translated(sql), values)


class PostgresqlDatabase(Database):
    """The database at `url`, which may name several hosts and options, as libpq reads it. Raises StoreUnavailable for one it would not."""

    def __init__(self, url: str, schema: Schema) -> None:
        super().__init__(shown(url), schema)
        if why := misfit(url):
            raise StoreUnavailable(f"the database's address cannot be read: {why}", why=why)
        self._url = url
        self._connection: psycopg.Connection[Row] | None = None

    def __repr__(self) -> str:
        return f"PostgresqlDatabase({self.where!r})"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.Error, OSError) as error:
            self._disconnect()
            why = " ".join(without_secrets(str(error), self._url).split())
        else:
            return
        # Not chained: a traceback would show the library's own words.
        raise StoreUnavailable(f"the database {self.where} cannot be used: {why}", where=self.where, why=why) from None

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        with self._begun() as connection:
            yield _Transaction(connection)

    @contextmanager
    def _snapshot(self) -> Iterator[Transaction]:
        with self._begun() as connection:
            connection.execute(SNAPSHOT)
            yield _Transaction(connection)

    @contextmanager
    def _begun(self) -> Iterator[psycopg.Connection[Row]]:
        """A connection in a transaction. One that lay idle may have been closed by the other side: then a fresh one, once."""
        with ExitStack() as stack:
            connection = self._current()
            try:
                stack.enter_context(connection.transaction())
            except psycopg.OperationalError:
                self._disconnect()
                connection = self._current()
                stack.enter_context(connection.transaction())
            yield connection

    def _current(self) -> psycopg.Connection[Row]:
        self._connect()
        assert self._connection is not None
        return self._connection

    def _connect(self) -> None:
        if self._connection is not None and not self._connection.closed:
            return
        self._disconnect()
        connection = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="cortops",
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=STATEMENT_TIMEOUT_S * 1000,
        )
        try:
            connection.execute(SETTINGS)
            self._bring_up(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._opened += 1

    def _bring_up(self, connection: psycopg.Connection[Row]) -> None:
        found = connection.execute("SELECT to_regclass('schemas')").fetchone()
        if found is not None and found[0] is not None:
            up = connection.execute("SELECT 1 FROM schemas WHERE name = %s AND version = %s", (self._schema.name, self._schema.version))
            if up.fetchone() is not None:
                return
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (BRING_UP_LOCK,))
            bring_up(_Transaction(connection), self._schema, self.where)

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None


def _translated(sql: str) -> str:
    return sql.replace("?", "%s")
