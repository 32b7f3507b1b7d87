"""`cortops usage`: what the gateway counted: sums as a table, or every row for a spreadsheet or a billing program."""

from __future__ import annotations

import csv
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TextIO

import msgspec
from cyclopts import Parameter

from cortops.cli.common import Common, environment
from cortops.cli.output import show, show_json, table
from cortops.cli.places import gateway_store
from cortops.cli.records import Ask, records
from cortops.programs.gateway.key_records import ListKeys
from cortops.programs.gateway.usage_records import Page, Sums, SumsBy, folded
from cortops.protocol import keys
from cortops.protocol.gateway import Store
from cortops.protocol.usage import DAY_S, After, UsageRow, UsageSum
from cortops.words.errors import BadInput, PermissionMissing, StoreUnavailable

SINCE_DAYS = 30
TIMES = ("started_at", "first_token_at", "finished_at")
_AGO = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": DAY_S}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run a cell that begins so
_NUMBERS = ("REQUESTS", "OK", "FAILED", "REFUSED", "LEFT", "TOKENS IN", "TOKENS OUT")


def usage(
    file: Path | None = None,
    /,
    *,
    by: Annotated[SumsBy, Parameter(help="One line for each.")] = "key",
    since: Annotated[str, Parameter(help="From then on: 24h, 7d, 2026-11-01 or 2026-11-01T12:00 (UTC).")] = f"{SINCE_DAYS}d",
    until: Annotated[str, Parameter(help="To before then; default now.")] = "",
    csv: Annotated[str, Parameter(help="Every row to this file instead; - is standard output.", allow_leading_hyphen=True)] = "",
    jsonl: Annotated[str, Parameter(help="The same as a line of JSON each.", allow_leading_hyphen=True)] = "",
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """What the gateway counted: requests and tokens."""
    now = time.time()
    begin, end = moment(since, now), moment(until, now) if until else now
    if begin >= end:
        raise BadInput(f"nothing lies between {_utc(begin)} and {_utc(end)}", next="--since is before --until")
    if (csv and jsonl) or any(place.startswith("-") and place != "-" for place in (csv, jsonl)):
        raise BadInput("rows are written to one place: a file, or - for standard output", next="give --csv or --jsonl")
    env = environment(file, common)
    store = gateway_store(env, common)
    with records(env, common) as ask:
        if csv or jsonl:
            _export(rows(ask, store, begin, end), csv or jsonl, as_csv=bool(csv))
            return 0
        sums = ask(Sums(usage_db=store.usage_db, keys_db=store.keys_db, by=by, since=begin, until=end), list[UsageSum])
        names = _names(ask, store) if by == "key" and sums and not common.json else {}
    if common.json:
        named = [{**msgspec.to_builtins(item), "of": shown_of(by, item.of)} for item in sums]
        show_json({"by": by, "since": begin, "until": end, "sums": named})
    else:
        show(f"usage of {env.name} by {by} · {_utc(begin)} to {_utc(end)}")
        show(told(by, sums, names) if sums else "No request was counted in that time.")
    return 0


def moment(text: str, now: float) -> float:
    """`24h` (ago), `7d`, `2026-11-01` or `2026-11-01T12:00` in UTC -> seconds since 1970. BadInput for anything else."""
    if ago := _AGO.fullmatch(text):
        return max(0.0, now - int(ago[1]) * _SECONDS[ago[2]])
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise BadInput(f"{text!r} is no time", next="write 24h, 7d, 2026-11-01 or 2026-11-01T12:00 (UTC)") from error


def rows(ask: Ask, store: Store, since: float, until: float) -> Iterator[UsageRow]:
    """Every row of that time, oldest first, page by page."""
    after = After()
    while found := ask(Page(usage_db=store.usage_db, since=since, until=until, after=after), list[UsageRow]):
        yield from found
        after = After(finished_at=found[-1].finished_at, request_id=found[-1].request_id)


def told(by: SumsBy, sums: list[UsageSum], names: dict[str, str]) -> str:
    """The table for people; the last line is all together."""
    whole = folded(("all", item) for item in sums)[0]
    lines = [(by.upper(), *(name.rjust(len(name)) for name in _NUMBERS), "LAST")]
    lines += [(_named(shown_of(by, item.of), names.get(item.of, "")), *_numbers(item), _utc(item.last_at)) for item in sums]
    if len(sums) > 1:
        lines.append(("all", *_numbers(whole), _utc(whole.last_at)))
    return table(_right(lines))


def shown_of(by: SumsBy, of: str) -> str:
    """What a sum is of, in words: days as dates; what has no name says so."""
    if by == "day":
        return datetime.fromtimestamp(int(of) * DAY_S, UTC).strftime("%Y-%m-%d")
    return of or {"organisation": "(none)", "member": "(no member)", "model": "(no model)"}.get(by, "(none)")


def _names(ask: Ask, store: Store) -> dict[str, str]:
    """Key id -> name; without the key store the ids must do."""
    try:
        return {row.id: row.name for row in ask(ListKeys(keys_db=store.keys_db), list[keys.KeyRow])}
    except StoreUnavailable:
        return {}


def _export(found: Iterable[UsageRow], place: str, *, as_csv: bool) -> None:
    count = 0
    with _written(place) as out:
        writer = csv.writer(out, lineterminator="\n") if as_csv else None
        if writer is not None:
            writer.writerow(UsageRow.__struct_fields__)
        for row in found:
            if writer is not None:
                writer.writerow([_cell(name, value) for name, value in msgspec.structs.asdict(row).items()])
            else:
                out.write(msgspec.json.encode(msgspec.structs.asdict(row)).decode() + "\n")
            count += 1
    sys.stderr.write(f"{count:,} rows written to {'standard output' if place == '-' else place}\n")


@contextmanager
def _written(place: str) -> Iterator[TextIO]:
    """A file appears whole, or stays as it was."""
    if place == "-":
        yield sys.stdout
        sys.stdout.flush()
        return
    path = Path(place)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
            new = Path(folder) / "rows"
            with new.open("w", encoding="utf-8", newline="") as out:
                yield out
            os.replace(new, path)  # noqa: PTH105 — over a file that is there
    except OSError as error:
        raise PermissionMissing(
            f"{place} cannot be written: {error.strerror}", next="name another file, or - for standard output"
        ) from error


def _cell(name: str, value: object) -> object:
    if name in TIMES and isinstance(value, float):
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bool):
        return int(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _named(of: str, name: str) -> str:
    plain = "".join(sign if sign.isprintable() else "?" for sign in of)
    return f"{plain}  {name}" if name else plain


def _numbers(item: UsageSum) -> tuple[str, ...]:
    counts = (item.requests, item.ok, item.failed, item.refused, item.client_gone, item.prompt_tokens, item.completion_tokens)
    return tuple(f"{count:,}" for count in counts)


def _right(lines: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Numbers stand below each other at their last digit."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [(line[0], *(cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:-1], strict=True)), line[-1]) for line in lines]


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
