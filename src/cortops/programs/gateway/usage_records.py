"""Usage as people ask for it (records.py answers with it): sums, and rows page by page."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import Literal

import msgspec

from cortops.protocol import keys, usage
from cortops.protocol.usage import After, UsageRow, UsageSum
from cortops.words.errors import StoreUnavailable

SumsBy = Literal["key", "organisation", "model", "member", "day"]


class TaskUsage(msgspec.Struct, frozen=True, kw_only=True, tag="usage"):
    """What was counted for one task; its answer is a list of UsageRow, empty where nothing was ever counted."""

    usage_db: str
    session: int
    task: int


class Sums(msgspec.Struct, frozen=True, kw_only=True, tag="usage_sums"):
    """Sums of what finished from `since` to before `until`, seconds since 1970; its answer is a list of UsageSum."""

    usage_db: str
    keys_db: str
    by: SumsBy
    since: float
    until: float


class Page(msgspec.Struct, frozen=True, kw_only=True, tag="usage_page"):
    """The rows behind `after`; its answer is a list of UsageRow, fewer than usage.PAGE_ROWS at the end."""

    usage_db: str
    since: float
    until: float
    after: After = After()


def of_task(request: TaskUsage) -> list[UsageRow]:
    """Raises nothing: a task that came past the gateway has no usage row, and may have no database."""
    try:
        with closing(usage.open_usage(request.usage_db, create=False)) as database:
            return usage.of_task(database, request.session, request.task)
    except StoreUnavailable:
        return []


def sums(request: Sums) -> list[UsageSum]:
    """Raises StoreUnavailable. A key that is in no organisation, or that is no more, counts under ""."""
    by: usage.By = "key" if request.by == "organisation" else request.by
    with closing(usage.open_usage(request.usage_db, create=False)) as database:
        found = usage.summary(database, by, since=request.since, until=request.until)
    if request.by != "organisation":
        return found
    with closing(keys.open_keys(request.keys_db, create=False)) as database:
        organisation = {row.id: row.organisation for row in keys.list_keys(database)}
    return folded((organisation.get(item.of, ""), item) for item in found)


def page(request: Page) -> list[UsageRow]:
    """Raises StoreUnavailable."""
    with closing(usage.open_usage(request.usage_db, create=False)) as database:
        return usage.page(database, request.since, request.until, request.after)


def folded(named: Iterable[tuple[str, UsageSum]]) -> list[UsageSum]:
    """One sum of all that have the same name, most requests first."""
    found: dict[str, UsageSum] = {}
    for name, item in named:
        found[name] = usage.added(found[name], item) if name in found else msgspec.structs.replace(item, of=name)
    return sorted(found.values(), key=lambda item: (-item.requests, item.of))
