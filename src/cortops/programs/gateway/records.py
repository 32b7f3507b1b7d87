"""Keys and usage as people ask for them: one request in, one answer out, on the gateway's own host, where both lie.

Run as a program it reads the request from standard input and writes the answer, or an error as every error of ours is told.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable

import msgspec

from cortops.programs.gateway.drain_records import BeginDrain, EndDrain, ListDrains, drain, listed
from cortops.programs.gateway.key_records import KeyAnswer, KeyRequest, answer_keys
from cortops.programs.gateway.usage_records import Page, Sums, TaskUsage, of_task, page, sums
from cortops.protocol.drains import Drain
from cortops.protocol.usage import UsageRow, UsageSum
from cortops.words.errors import CortopsError

REQUEST_MAX_KIB = 64


Request = KeyRequest | TaskUsage | Sums | Page | BeginDrain | EndDrain | ListDrains
Answer = KeyAnswer | list[UsageRow] | list[UsageSum] | Drain | list[Drain]


def answer(request: Request, now: float, random_bytes: Callable[[int], bytes]) -> Answer:
    """Do it. Raises what keys and usage raise."""
    match request:
        case TaskUsage():
            return of_task(request)
        case Sums():
            return sums(request)
        case Page():
            return page(request)
        case BeginDrain() | EndDrain():
            return drain(request, now)
        case ListDrains():
            return listed(request)
        case _:
            return answer_keys(request, now, random_bytes)


def main() -> int:
    """Answer standard input; the exit status is 0, an error is an answer too."""
    asked = sys.stdin.buffer.read(REQUEST_MAX_KIB << 10)
    try:
        told: object = {"answer": answer(msgspec.json.decode(asked, type=Request), time.time(), secrets.token_bytes)}
    except CortopsError as error:
        told = {"error": error.as_dict()}
    sys.stdout.buffer.write(_lines(told))
    return 0


def _lines(told: object) -> bytes:
    """JSON with a line for each item of a list: whoever reads lines from a host takes only so much of one."""
    items = told.get("answer") if isinstance(told, dict) else None
    if not isinstance(items, list):
        return msgspec.json.encode(told) + b"\n"
    return b'{"answer": [\n' + b",\n".join(msgspec.json.encode(item) for item in items) + b"\n]}\n"


if __name__ == "__main__":
    sys.exit(main())
