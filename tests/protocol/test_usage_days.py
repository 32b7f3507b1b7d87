"""Usage by day, model and key, the same on both databases."""

from __future__ import annotations

from contextlib import closing

from cortops.protocol.usage import DAY_S, UsageRow, insert, open_usage
from cortops.protocol.usage_days import KEYS_PER_QUERY, UsageDay, by_day

START = 20_000 * DAY_S  # 2024-10-04 00:00 UTC


def row(id: int, key: str, at: float, **other: object) -> UsageRow:
    return UsageRow(
        **{"request_id": str(id), "key_id": key, "model": "m", "prompt_tokens": 2, "completion_tokens": 3, "finished_at": at, **other}
    )


def day(name: str, key: str, requests: int, errors: int = 0, model: str = "m") -> UsageDay:
    return UsageDay(
        day=name, model=model, key_id=key, requests=requests, errors=errors, prompt_tokens=2 * requests, completion_tokens=3 * requests
    )


def test_days_begin_at_midnight_utc(place: str) -> None:
    with closing(open_usage(place)) as database:
        rows = [
            row(1, "a", START - 0.001),
            row(2, "a", START),
            row(3, "a", START + DAY_S - 0.001, status="failed"),
            row(4, "a", START + 10, status="refused", model=""),
            row(5, "a", START + 10, status="client_gone"),
            row(6, "b", START + 10),
            row(7, "a", START + DAY_S),
            row(8, "theirs", START + 10),
        ]
        insert(database, rows)
        assert by_day(database, START - DAY_S, START + DAY_S, ["a", "b"]) == [
            day("2024-10-03", "a", 1),
            day("2024-10-04", "a", 1, 1, model=""),
            day("2024-10-04", "a", 3, 1),
            day("2024-10-04", "b", 1),
        ]
        assert by_day(database, START, START + DAY_S, []) == []
        many = [f"k{number}" for number in range(2 * KEYS_PER_QUERY)] + ["b"]
        assert by_day(database, START, START + DAY_S, many) == [day("2024-10-04", "b", 1)]
