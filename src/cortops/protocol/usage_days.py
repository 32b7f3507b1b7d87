"""Usage summed by day (UTC), model and key: what an organisation sees of its own requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import msgspec

from cortops.protocol.database import Database, Transaction
from cortops.protocol.usage import DAY_S

KEYS_PER_QUERY = 500  # SQLite of old takes 999 values in one statement
ROWS_MAX = 50_000  # of one answer
EPOCH = date(1970, 1, 1)


class UsageDay(msgspec.Struct, frozen=True, kw_only=True):
    """One day (`2026-11-28`), model and key. errors: requests that failed or were refused; those whose client left are no errors."""

    day: str
    model: str
    key_id: str
    requests: int
    errors: int
    prompt_tokens: int
    completion_tokens: int


def by_day(database: Database, since: float, until: float, key_ids: Sequence[str]) -> list[UsageDay]:
    """What finished from `since` to before `until`, of these keys only, by day, model and key; at most ROWS_MAX rows.

    Raises StoreUnavailable.
    """
    found: list[UsageDay] = []
    with database.reading() as transaction:
        for start in range(0, len(key_ids), KEYS_PER_QUERY):
            found += _of_some(transaction, since, until, key_ids[start : start + KEYS_PER_QUERY])
    return sorted(found, key=lambda row: (row.day, row.model, row.key_id))[:ROWS_MAX]


def _of_some(transaction: Transaction, since: float, until: float, key_ids: Sequence[str]) -> Iterator[UsageDay]:
    sql = (
        f"SELECT CAST(floor(finished_at / {DAY_S}) AS BIGINT) AS number, model, key_id, count(*),"
        " CAST(sum(CASE WHEN status IN ('failed', 'refused') THEN 1 ELSE 0 END) AS BIGINT),"
        " CAST(sum(prompt_tokens) AS BIGINT), CAST(sum(completion_tokens) AS BIGINT)"
        f" FROM usage WHERE key_id IN ({', '.join('?' * len(key_ids))}) AND finished_at >= ? AND finished_at < ?"
        f" GROUP BY number, model, key_id LIMIT {ROWS_MAX}"
    )
    for number, *rest in transaction.execute(sql, (*key_ids, since, until)):
        day = (EPOCH + timedelta(days=number)).isoformat()
        yield msgspec.convert(dict(zip(UsageDay.__struct_fields__, (day, *rest), strict=True)), UsageDay)
