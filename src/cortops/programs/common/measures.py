"""The table of everything that programs measure: which fact of `/health` is which metric, and what it means. Pure.

Names and units follow Prometheus: base units as suffix, `_total` for counters. docs/reference/metrics.md shows this table; a test compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NODES = ("router", "miner", "oracle", "validator", "pool-oracle")
ORBIT = ("sequencer", "batch-poster", "staker")
OURS = (*NODES, *ORBIT, "chain", "gateway", "portal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One metric. facts: keys under which programs have its value, a number, a list that is counted, or {labels: number}.

    unit: of the value, in words. labels: names of the keys' parts. programs: who has it.
    """

    name: str
    kind: Literal["gauge", "counter"] = "gauge"
    facts: tuple[str, ...]
    unit: str
    labels: tuple[str, ...] = ()
    programs: tuple[str, ...]
    meaning: str


UP = Measure(
    name="cortops_up", facts=(), unit="0 or 1", programs=OURS, meaning="1 when /health answers 200, 0 when it gives reasons against it"
)

MEASURES: tuple[Measure, ...] = (
    UP,
    Measure(
        name="cortops_notes",
        facts=("notes",),
        unit="notes",
        programs=(*NODES, "chain"),
        meaning="notes in /health, as after a damaged snapshot",
    ),
    Measure(
        name="cortops_head_block",
        facts=("head",),
        unit="block",
        programs=(*NODES, "sequencer", "batch-poster", "chain"),
        meaning="number of the newest block seen",
    ),
    Measure(
        name="cortops_head_age_seconds",
        facts=("head_age_s",),
        unit="seconds",
        programs=(*NODES, "chain"),
        meaning="age of the newest block seen",
    ),
    Measure(
        name="cortops_snapshot_age_seconds",
        facts=("snapshot_age_s",),
        unit="seconds",
        programs=("chain",),
        meaning="since the last snapshot of the chain, taken or started from",
    ),
    Measure(
        name="cortops_saved_block",
        facts=("saved_block",),
        unit="block",
        programs=("chain",),
        meaning="newest block that is in a snapshot, so that no kill takes it back",
    ),
    Measure(
        name="cortops_transactions_pending",
        facts=("pending",),
        unit="transactions",
        programs=("chain",),
        meaning="transactions that wait for a block",
    ),
    Measure(
        name="cortops_in_flight",
        facts=("in_flight",),
        unit="requests or tasks",
        programs=("router", "miner", "gateway"),
        meaning="requests at a router, those that wait included; tasks at a miner; requests of a gateway process at its members",
    ),
    Measure(
        name="cortops_requests_total",
        kind="counter",
        facts=("requests",),
        unit="requests",
        labels=("status",),
        programs=("router", "gateway", "portal"),
        meaning="POST requests answered, of the portal all below /portal, by HTTP status; 499: the client left before; a stream that fails "
        "later stays what it began as",
    ),
    Measure(
        name="cortops_refusals_total",
        kind="counter",
        facts=("refusals",),
        unit="requests",
        labels=("code",),
        programs=("gateway",),
        meaning="requests refused or broken off, by the error code that their client saw; a request that could not be read too; "
        "other: codes of members beyond 64",
    ),
    Measure(
        name="cortops_miners_linked",
        facts=("miners",),
        unit="miners",
        programs=("router",),
        meaning="miners with an open link to this router",
    ),
    Measure(
        name="cortops_routers_connected",
        facts=("routers_connected",),
        unit="routers",
        programs=("miner",),
        meaning="routers that this miner has a link to",
    ),
    Measure(
        name="cortops_routers_declared",
        facts=("routers_declared",),
        unit="routers",
        programs=("miner",),
        meaning="routers that this miner should have a link to",
    ),
    Measure(
        name="cortops_registered",
        facts=("registered",),
        unit="0 or 1",
        programs=("miner",),
        meaning="1 when the chain has this node registered",
    ),
    Measure(
        name="cortops_engine_reachable",
        facts=("engine_reachable",),
        unit="0 or 1",
        programs=("miner",),
        meaning="1 when the engine answered the last look",
    ),
    Measure(
        name="cortops_last_commit_timestamp_seconds",
        facts=("last_commit_at",),
        unit="seconds since 1970",
        programs=("miner",),
        meaning="when the chain last told a commit of this miner",
    ),
    Measure(
        name="cortops_task_steps_total",
        kind="counter",
        facts=("task_steps",),
        unit="steps",
        labels=("step",),
        programs=("miner", "oracle"),
        meaning="steps of tasks that the chain told: a miner's own, or all; after a rewind some are told again",
    ),
    Measure(
        name="cortops_role_held",
        facts=("oracle_role", "validator_role", "pool_role"),
        unit="0 or 1",
        programs=("oracle", "validator", "pool-oracle"),
        meaning="1 when the node holds the role on chain that it needs",
    ),
    Measure(name="cortops_open_tasks", facts=("open_tasks",), unit="tasks", programs=("oracle",), meaning="tasks that have not ended"),
    Measure(
        name="cortops_oldest_open_seconds",
        facts=("oldest_open_s",),
        unit="seconds",
        programs=("oracle",),
        meaning="since the oldest open task entered its present stage, 0 without any",
    ),
    Measure(
        name="cortops_tasks_judged_total",
        kind="counter",
        facts=("tasks_judged",),
        unit="tasks",
        programs=("validator",),
        meaning="ended tasks whose replicas this validator has compared, verdicts recorded",
    ),
    Measure(
        name="cortops_tasks_left_total",
        kind="counter",
        facts=("tasks_left",),
        unit="tasks",
        programs=("validator",),
        meaning="ended tasks that this validator gave up on; its log says why",
    ),
    Measure(
        name="cortops_tasks_skipped_total",
        kind="counter",
        facts=("tasks_skipped",),
        unit="tasks",
        programs=("validator",),
        meaning="ended tasks of private sessions, whose answers nobody but their router and miner can read",
    ),
    Measure(
        name="cortops_verdicts_total",
        kind="counter",
        facts=("verdicts",),
        unit="verdicts",
        labels=("verdict",),
        programs=("validator",),
        meaning="verdicts on miners that this validator recorded, by name",
    ),
    Measure(
        name="cortops_tasks_pending", facts=("tasks_pending",), unit="tasks", programs=("validator",), meaning="ended tasks not yet judged"
    ),
    Measure(
        name="cortops_oldest_pending_seconds",
        facts=("oldest_pending_s",),
        unit="seconds",
        programs=("validator",),
        meaning="since the oldest task that is not yet judged came in, 0 without any",
    ),
    Measure(
        name="cortops_last_verdict_timestamp_seconds",
        facts=("last_verdict_at",),
        unit="seconds since 1970",
        programs=("validator",),
        meaning="when this validator last recorded verdicts",
    ),
    Measure(
        name="cortops_network_task",
        facts=("network_task",),
        unit="number",
        programs=("oracle",),
        meaning="number of the network's newest task",
    ),
    Measure(
        name="cortops_network_tasks_ended_total",
        kind="counter",
        facts=("network_tasks_ended",),
        unit="tasks",
        programs=("oracle",),
        meaning="tasks of the network that this oracle has ended",
    ),
    Measure(
        name="cortops_network_steps_total",
        kind="counter",
        facts=("network_steps",),
        unit="steps",
        labels=("step",),
        programs=("miner",),
        meaning="steps of the network's tasks that this miner has taken",
    ),
    Measure(
        name="cortops_network_tasks_reported_total",
        kind="counter",
        facts=("network_tasks_reported",),
        unit="tasks",
        programs=("validator",),
        meaning="tasks of the network on which this validatorv1 has reported",
    ),
    Measure(
        name="cortops_network_miners_passed",
        facts=("last_passed",),
        unit="miners",
        programs=("validator",),
        meaning="miners that passed in its newest report",
    ),
    Measure(
        name="cortops_network_miners_failed",
        facts=("last_failed",),
        unit="miners",
        programs=("validator",),
        meaning="miners that failed in its newest report",
    ),
    Measure(
        name="cortops_ephemeral_nodes",
        facts=("ephemeral_nodes",),
        unit="nodes",
        programs=("pool-oracle",),
        meaning="nodes that are free for any session",
    ),
    Measure(
        name="cortops_last_round_timestamp_seconds",
        facts=("last_round_at",),
        unit="seconds since 1970",
        programs=("pool-oracle",),
        meaning="when the pool oracle last looked at all nodes",
    ),
    Measure(
        name="cortops_pool_queued",
        facts=("queued",),
        unit="requests",
        labels=("pool",),
        programs=("gateway",),
        meaning="requests that wait in this gateway process for a free session of the pool",
    ),
    Measure(
        name="cortops_member_up",
        facts=("member_up",),
        unit="0 or 1",
        labels=("pool", "member"),
        programs=("gateway",),
        meaning="1 when the member is well, 0 when it is down; absent before the first look",
    ),
    Measure(
        name="cortops_member_drained",
        facts=("member_drained",),
        unit="0 or 1",
        labels=("pool", "member"),
        programs=("gateway",),
        meaning="1 while a person has taken the member out: cortops pools drain",
    ),
    Measure(
        name="cortops_member_in_flight",
        facts=("member_in_flight",),
        unit="requests",
        labels=("pool", "member"),
        programs=("gateway",),
        meaning="requests of this gateway process at the member",
    ),
    Measure(
        name="cortops_member_capacity",
        facts=("member_capacity",),
        unit="requests",
        labels=("pool", "member"),
        programs=("gateway",),
        meaning="requests that the member gets at once, of all gateway processes together",
    ),
    Measure(
        name="cortops_deposits_delivered",
        facts=("deposits_delivered",),
        unit="deposits",
        programs=("sequencer",),
        meaning="deposits of the parent that the child was credited with",
    ),
    Measure(
        name="cortops_deposits_waiting",
        facts=("deposits_waiting",),
        unit="deposits",
        programs=("sequencer",),
        meaning="deposits of the parent that the child was not credited with yet",
    ),
    Measure(
        name="cortops_feed_clients",
        facts=("feed_clients",),
        unit="clients",
        programs=("sequencer",),
        meaning="websockets that follow the sequencer's feed",
    ),
    Measure(
        name="cortops_batches_posted",
        facts=("batches_posted",),
        unit="batches",
        programs=("batch-poster",),
        meaning="batches of the child chain on its parent",
    ),
    Measure(
        name="cortops_blocks_waiting",
        facts=("blocks_waiting",),
        unit="blocks",
        programs=("batch-poster",),
        meaning="blocks of the child chain that no batch holds yet",
    ),
    Measure(
        name="cortops_batches_asserted",
        facts=("batches_asserted",),
        unit="batches",
        programs=("staker",),
        meaning="batches that assertions on the parent cover",
    ),
    Measure(
        name="cortops_withdrawals_paid",
        facts=("withdrawals_paid",),
        unit="withdrawals",
        programs=("staker",),
        meaning="withdrawals of the child chain that were paid out on its parent",
    ),
)

# Facts that are words, or are told in another way: no metric has them.
UNMEASURED = frozenset({"address", "node", "chain_id", "sessions", "restored_from", "model"})
