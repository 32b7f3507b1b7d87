"""Limits of a running process: waiting for shares, what is reserved and settled, what refusals say, and a store out of reach."""

from __future__ import annotations

import asyncio
import io
import math
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cortops.programs.common.logs import make_log
from cortops.programs.gateway.limits import ANSWER_TOKENS, STREAM_WAIT_S, Admission, Limits, refusal
from cortops.protocol import keys, limits
from cortops.protocol.deadlines import Deadlines
from cortops.protocol.keys import KeyRow, Organisation
from cortops.protocol.limits import KeyLimits, Rule
from cortops.protocol.openai import ChatRequest
from cortops.protocol.usage import UsageRow
from cortops.testing.clock import VirtualClock

PROMPT = b"x" * 400  # 100 tokens


def key(**limits: int) -> KeyRow:
    changes = KeyLimits(**limits)
    return KeyRow(id="key_1", name="n", scopes=(), created_at=0, expires_at=None, revoked_at=None, limits=changes, organisation="acme")


def ask(*, stream: bool = False, tokens_max: int = 0) -> ChatRequest:
    return ChatRequest(model="m", stream=stream, wants_usage=False, body=PROMPT, tokens_max=tokens_max)


def used(tokens: int, **more: str) -> UsageRow:
    return UsageRow(**{"request_id": "r", "key_id": "key_1", "member": "m", "prompt_tokens": tokens, **more})  # type: ignore[arg-type]


async def at_once(call: Callable[..., Any], *values: Any) -> Any:
    """Instead of a thread, for which a virtual clock does not wait."""
    await asyncio.sleep(0)
    return call(*values)


class Rig:
    """Processes that share the store in one folder, on one clock."""

    def __init__(self, folder: Path) -> None:
        self.where = folder / "keys.db"
        self.clock = VirtualClock()
        self.log = io.BytesIO()
        self.organisation = Organisation(name="acme")
        self._deadlines = Deadlines(self.clock)

    def process(self, name: str = "one") -> Limits:
        log = make_log("gateway", self.log, self.clock)
        return Limits(self.where, name, self._rules, clock=self.clock, deadlines=self._deadlines, log=log, aside=at_once)

    def _rules(self, row: KeyRow) -> tuple[Rule, ...]:
        organisation = self.organisation
        return (*row.limits.rules(row.counts_as), *organisation.limits.rules(organisation.counts_as))


def play(folder: Path, test: Callable[[Rig, Limits, Limits], Awaitable[None]]) -> Rig:
    """Run `test` with two processes."""
    rig = Rig(folder)
    with closing(keys.open_keys(rig.where)):
        pass

    async def main() -> None:
        one, other = rig.process("one"), rig.process("other")
        running = [asyncio.ensure_future(each.run()) for each in (one, other)]
        try:
            await test(rig, one, other)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await one.close()
            await other.close()

    rig.clock.run(main())
    return rig


async def codes(asked: list[Awaitable[Admission]]) -> list[str]:
    return [admission.refusal.code if admission.refusal else "ok" for admission in await asyncio.gather(*asked)]


def test_two_processes_share_a_minute_and_say_so(tmp_path: Path) -> None:
    async def test(rig: Rig, one: Limits, other: Limits) -> None:
        row = key(requests_per_min=5)
        found = await codes([process.admit(row, ask()) for process in (one, other) * 4])
        assert sorted(found) == ["ok"] * 5 + ["rate_limit_exceeded"] * 3
        refused = await one.admit(row, ask())
        assert refused.refusal is not None and refused.refusal.status == 429 and refused.refusal.type == "requests"
        assert refused.refusal.retry_after_s == 60 and "5 requests a minute" in refused.refusal.message
        assert refused.head.split("\r\n") == [
            "x-ratelimit-limit-requests: 5",
            "x-ratelimit-remaining-requests: 0",
            "x-ratelimit-reset-requests: 60s",
            "",
        ]
        await rig.clock.sleep(60)
        admission = await other.admit(row, ask())
        assert admission.refusal is None and "remaining-requests: 4" in admission.head

    play(tmp_path, test)


def test_tokens_are_reserved_by_what_is_asked_for_and_settled_by_what_was_used(tmp_path: Path) -> None:
    async def test(rig: Rig, one: Limits, other: Limits) -> None:
        row = key(tokens_per_min=1000)
        first = await one.admit(row, ask(tokens_max=700))
        assert "x-ratelimit-limit-tokens: 1000\r\nx-ratelimit-remaining-tokens: 200" in first.head
        assert await codes([other.admit(row, ask(tokens_max=101))]) == ["tokens_limit_exceeded"]
        one.settle(first, used(300))
        await rig.clock.sleep(3)
        second = await other.admit(row, ask())
        assert f"remaining-tokens: {700 - 100 - ANSWER_TOKENS}" in second.head, "max_tokens was not said"
        large = await other.admit(row, ask(tokens_max=5000))
        assert large.refusal is not None and large.refusal.retry_after_s is None and "too large" in large.refusal.message
        assert "x-should-retry: false" in large.head, "OpenAI's own client would ask again"

    play(tmp_path, test)


@pytest.mark.parametrize(
    ("row", "left"),
    [
        (used(30), 970),
        (used(0), 1000 - 100 - 50),  # it answered, and did not count
        (used(0, status="client_gone"), 1000 - 100 - 50),
        (used(0, status="client_gone", member=""), 1000),  # it left while it waited
        (used(0, status="failed"), 1000),
        (None, 1000),
    ],
)
def test_what_nobody_counted_is_estimated_where_an_answer_began(tmp_path: Path, row: UsageRow | None, left: int) -> None:
    async def test(_rig: Rig, one: Limits, _other: Limits) -> None:
        counted = key(tokens_per_min=1000)
        admission = await one.admit(counted, ask(tokens_max=50))
        one.settle(admission, row)
        one.settle(admission, used(999))  # once
        assert f"remaining-tokens: {left - 150}" in (await one.admit(counted, ask(tokens_max=50))).head

    play(tmp_path, test)


def test_an_organisation_counts_for_all_its_keys_and_the_tighter_one_is_shown(tmp_path: Path) -> None:
    async def test(rig: Rig, one: Limits, other: Limits) -> None:
        rig.organisation = Organisation(name="acme", limits=KeyLimits(requests_per_min=3, tokens_per_month=2000))
        rows = [KeyRow(id=f"key_{n}", name="n", scopes=(), created_at=0, expires_at=None, revoked_at=None) for n in range(4)]
        assert one.counts(rows[0])
        assert "limit-requests: 3\r\nx-ratelimit-remaining-requests: 2" in (await one.admit(rows[0], ask(tokens_max=1))).head
        assert (
            "limit-requests: 1\r\nx-ratelimit-remaining-requests: 0" in (await other.admit(key(requests_per_min=1), ask(tokens_max=1))).head
        )
        assert await codes([one.admit(rows[2], ask(tokens_max=1)), other.admit(rows[3], ask(tokens_max=1))]) == [
            "ok",
            "rate_limit_exceeded",
        ]
        await rig.clock.sleep(60)
        quota = await one.admit(rows[0], ask(tokens_max=1800))
        assert quota.refusal is not None and (quota.refusal.code, quota.refusal.type) == ("insufficient_quota", "insufficient_quota")
        assert "organisation acme" in quota.refusal.message and "x-should-retry: false" in quota.head
        rig.organisation = Organisation(name="acme")
        free = KeyRow(id="key_0", name="n", scopes=(), created_at=0, expires_at=None, revoked_at=None)
        assert not one.counts(free), "a row that was read anew is looked at anew"

    play(tmp_path, test)


def test_a_stream_waits_a_moment_for_one_that_ends_elsewhere(tmp_path: Path) -> None:
    async def test(rig: Rig, one: Limits, other: Limits) -> None:
        row = key(streams_max=1)
        first = await one.admit(row, ask(stream=True))
        assert await codes([one.admit(row, ask()), other.admit(row, ask())]) == ["ok", "ok"], "what does not stream is not counted"
        began = rig.clock.monotonic()
        assert await codes([other.admit(row, ask(stream=True))]) == ["streams_limit_exceeded"]
        assert STREAM_WAIT_S <= rig.clock.monotonic() - began < 2 * STREAM_WAIT_S
        waiting = asyncio.ensure_future(other.admit(row, ask(stream=True)))
        await rig.clock.sleep(STREAM_WAIT_S / 2)
        one.settle(first, used(1))
        assert (await waiting).refusal is None

    play(tmp_path, test)


def test_with_the_store_out_of_reach_what_was_fetched_is_given_out_and_no_more(tmp_path: Path) -> None:
    async def test(rig: Rig, one: Limits, _other: Limits) -> None:
        row = key(requests_per_min=6400)
        assert await codes([one.admit(row, ask()) for _ in range(100)]) == ["ok"] * 100
        await rig.clock.sleep(0.5)
        assert await codes([one.admit(row, ask()) for _ in range(10)]) == ["ok"] * 10
        rig.where.rename(tmp_path / "away.db")
        found = await codes([one.admit(row, ask()) for _ in range(200)])
        left = found.count("ok")
        assert 0 < left <= 100 and found[left:] == ["limit_store_unavailable"] * (200 - left)
        assert "keys.db" in one.trouble
        again, *_ = await asyncio.gather(*(one.admit(row, ask()) for _ in range(2000)))
        assert again.refusal is not None and again.refusal.status == 503, "known for a second without asking"
        assert not one.counts(key()) or (await one.admit(key(), ask())).refusal is None, "who has no limits does not ask"
        (tmp_path / "away.db").rename(rig.where)
        await rig.clock.sleep(3)
        assert not one.trouble, "seen by itself"
        with closing(limits.open_limits(rig.where)) as database, database.reading() as transaction:
            (taken,) = transaction.execute("SELECT taken FROM limit_counters ORDER BY period DESC LIMIT 1")
        assert taken[0] <= 310, "what was fetched for who was turned away is given back"
        assert await codes([one.admit(row, ask())]) == ["ok"] and not one.trouble

    log = play(tmp_path, test).log.getvalue()
    assert log.count(b"limits_not_shared") == 1 and log.count(b"limits_shared_again") == 1


def test_who_leaves_while_it_waits_leaves_nothing_behind(tmp_path: Path) -> None:
    async def test(rig: Rig, one: Limits, other: Limits) -> None:
        row = key(requests_per_min=1)
        gone = asyncio.ensure_future(one.admit(row, ask()))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        await rig.clock.sleep(3)
        assert await codes([other.admit(row, ask())]) == ["ok"]

    play(tmp_path, test)


@pytest.mark.parametrize(
    ("rule", "amount", "code", "wait_s"),
    [
        (Rule(subject="key:k", kind="requests_per_min", limit=5), 1, "rate_limit_exceeded", 12),
        (Rule(subject="key:k", kind="tokens_per_min", limit=5), 3, "tokens_limit_exceeded", 12),
        (Rule(subject="key:k", kind="tokens_per_min", limit=5), 6, "tokens_limit_exceeded", None),
        (Rule(subject="organisation:o", kind="tokens_per_month", limit=5), 3, "insufficient_quota", 12),
        (Rule(subject="organisation:o", kind="streams_max", limit=5), 1, "streams_limit_exceeded", 1),
    ],
)
def test_refusals(rule: Rule, amount: int, code: str, wait_s: int | None) -> None:
    error = refusal(rule, amount, 1, math.inf if rule.kind == "streams_max" else 11.2)
    assert (error.status, error.code, error.retry_after_s) == (429, code, wait_s)
    assert ("organisation o" in error.message.lower()) == rule.subject.startswith("organisation") and "5" in error.message
