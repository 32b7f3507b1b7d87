"""A plan as people and programs get it: one look, told in text and as JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.deploy.test_fleet_driver import DOCKER, FOUND, NOHUP, declared, on_h1, want
from tests.deploy.test_plan import ALL, CHAIN, TOKEN, desired, well

from cortops.cli.plan import as_json, as_text
from cortops.deploy.deployment import Look
from cortops.deploy.fleet_driver import seen_as
from cortops.deploy.journal import ApplyRecord, StepRecord
from cortops.deploy.limits import lasting
from cortops.deploy.observed import Absent, Observed, Unseen
from cortops.deploy.plan import plan
from cortops.deploy.wanted import Kind, SecretView, Wanted

DONE = StepRecord(resource="file:/x", action="create", outcome="done", at=1, text="")


def looked(
    seen: dict[str, Observed],
    *,
    cut_off: ApplyRecord | None = None,
    wanted: tuple[Wanted, ...] = (),
    development: bool = False,
    over: tuple[str, ...] = (),
) -> Look:
    items = tuple(desired(item) for item in ALL)
    found = plan("lab", items, seen, [], "1")
    return Look(
        plan=found,
        view=SecretView(environment="lab", wanted=wanted, entries={}, now=0),
        desired=items,
        recorded=(),
        observed=seen,
        latest=None,
        cut_off=cut_off,
        lasting=lasting(found, development=development),
        over=over,
    )


WELL: dict[str, Observed] = {item.key: well(item) for item in ALL}
NOTHING: dict[str, Observed] = {item.key: Absent() for item in ALL}


def test_from_nothing_every_wave_is_shown_with_reasons_and_the_next_command() -> None:
    wanted = (Wanted(name="deployer/key", kind=Kind.WALLET),)
    text = as_text(looked(NOTHING | {TOKEN.key: Unseen("no chain")}, wanted=wanted), "lab.yaml", why=False)
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("wave")] == ["wave 1", "wave 2", "wave 3"]
    assert "+  create  h1  directory:/srv/etc" in text and "missing, declared at lab.yaml:3" in text
    assert "?  ensure  chain  contract:token  looked at after what it needs is there" in text
    assert "chain could not be looked at: no chain" in lines
    assert "0 of 5 resources need no change" in lines
    assert "1 secrets are made by the apply: deployer/key" in lines
    digest = looked(NOTHING | {TOKEN.key: Unseen("no chain")}).plan.digest[:12]
    assert lines[-2:] == [
        "cannot be taken back: contract:token: a contract stays on its chain for ever",
        f"digest {digest}    next: cortops apply lab.yaml --plan {digest} --accept-irreversible",
    ]


def test_what_a_chain_of_our_own_keeps_goes_with_it_and_needs_no_flag() -> None:
    lines = as_text(looked(NOTHING, development=True), "lab.yaml", why=False).splitlines()
    assert lines[-2] == "1 changes on the development chain go only with it: cortops down --purge."
    assert lines[-1].endswith(f"--plan {looked(NOTHING).plan.digest[:12]}")


def test_a_limit_that_a_plan_is_over_is_shown_with_the_flag_for_just_this_plan() -> None:
    seen = NOTHING | {TOKEN.key: well(TOKEN)}
    lines = as_text(looked(seen, over=("deletes 31 (service:a, …)",)), "lab.yaml", why=False).splitlines()
    assert lines[-3:-1] == ["over a limit: deletes 31 (service:a, …)", "All of it can be taken back."]
    assert lines[-1].endswith(" --accept-large")
    assert as_json(looked(seen, over=("deletes 31",)))["over_limits"] == ["deletes 31"]


def test_when_all_is_as_declared_there_is_nothing_to_do_and_the_reasons_are_there_to_ask_for() -> None:
    assert as_text(looked(WELL), "lab.yaml", why=False).splitlines() == [
        "5 of 5 resources need no change (--why lists each reason)",
        "Nothing to do.",
    ]
    lines = as_text(looked(WELL), "lab.yaml", why=True).splitlines()
    assert lines[0] == "no change" and len(lines) == 1 + 5 + 2
    assert any("service:r1" in line and line.endswith("running as declared") for line in lines)


def test_what_could_not_be_looked_at_is_not_called_done() -> None:
    lines = as_text(looked(WELL | {TOKEN.key: Unseen("no chain")}), "lab.yaml", why=False).splitlines()
    assert lines == [
        "chain could not be looked at: no chain",
        "4 of 4 resources need no change (--why lists each reason)",
        "Nothing to do where we could look.",
    ]


def test_a_taken_port_and_a_cut_off_apply_are_told_first_hand() -> None:
    seen = NOTHING | {"h1 service:c1": Absent(blocked="port 8545 is taken by pid 7 (anvil)")}
    cut_off = ApplyRecord(apply="a1", begun=1, by="ops@laptop", digest="d", steps=(DONE, DONE), finished=None)
    text = as_text(looked(seen, cut_off=cut_off), "lab.yaml", why=False)
    assert text.startswith("The apply a1 by ops@laptop was cut off after 2 steps; this plan is what is left of it.\n")
    assert "\nblocked: service:c1: port 8545 is taken by pid 7 (anvil)\n" in text


def test_a_port_that_this_plan_frees_first_blocks_nothing() -> None:
    old, new = replace(CHAIN, name="old", needs=(), ports=(8545,)), replace(CHAIN, needs=(), ports=(8545,))
    seen: dict[str, Observed] = {old.key: well(old), new.key: Absent(blocked="port 8545 is taken by pid 7 (anvil)")}
    made = plan("lab", [desired(new)], seen, [desired(old)], "1")
    look = replace(looked(WELL), plan=made, desired=(desired(new),), recorded=(desired(old),), observed=seen)
    assert look.blocked == ()
    kept = replace(look, plan=plan("lab", [desired(new)], seen, [], "1"))
    assert [why for _, why in kept.blocked] == ["port 8545 is taken by pid 7 (anvil)"]


def fleet_looked(seen: dict[str, Observed]) -> Look:
    nodes = [declared(FOUND), declared(NOHUP, "m08"), declared(DOCKER, "m09")]
    items = tuple(want(node) for node in nodes)
    return replace(looked(WELL), plan=plan("lab", items, seen, [], "1"), desired=items, observed=seen)


def test_of_a_fleet_what_is_gone_or_not_as_declared_is_told_without_being_asked_for() -> None:
    runs, other = seen_as(declared(FOUND), on_h1(FOUND)), replace(NOHUP, runs="minerv2", pid=9)
    seen: dict[str, Observed] = {
        "h1 cortensord:m07": runs,
        "h1 cortensord:m08": seen_as(declared(NOHUP, "m08"), on_h1(other)),
        "h1 cortensord:m09": Absent(),
    }
    assert as_text(fleet_looked(seen), "lab.yaml", why=False).splitlines() == [
        "not as declared",
        "  h1  cortensord:m09  m09 is gone: its unit, env file and process are not there, and nothing is planned for it",
        "  h1  cortensord:m08  runs is minerv2, declared minerv4 (lab.yaml:12); not adopted, so nothing is planned",
        "2 of 3 resources need no change (--why lists each reason)",
        "Nothing to do.",
        "next: correct lab.yaml, or let cortops discover write it anew",
    ]
    shape = as_json(fleet_looked(seen))
    assert shape["changes"] == []
    assert shape["unchanged"] == [
        {
            "target": "h1",
            "resource": "cortensord:m07",
            "reason": "runs 3f2a1b as found, pid 812 since 2026-11-25 03:12 UTC; not adopted",
            "differs": False,
        },
        {
            "target": "h1",
            "resource": "cortensord:m08",
            "reason": "runs is minerv2, declared minerv4 (lab.yaml:12); not adopted, so nothing is planned",
            "differs": True,
        },
    ]
    unknown = shape["unknown"]
    assert isinstance(unknown, list) and [(item["target"], item["resource"]) for item in unknown] == [("h1", "cortensord:m09")]


def test_of_a_fleet_a_host_that_is_not_reached_is_told_once() -> None:
    names = [f"h1 cortensord:{name}" for name in ("m07", "m08", "m09")]
    text = as_text(fleet_looked(dict.fromkeys(names, Unseen("connection timed out"))), "lab.yaml", why=True)
    assert text.splitlines() == [
        "h1 could not be looked at: connection timed out",
        "0 of 0 resources need no change",
        "Nothing to do where we could look.",
    ]


@pytest.mark.parametrize("seen", [NOTHING, WELL, WELL | {TOKEN.key: Unseen("no chain")}])
def test_json_names_every_resource_once(seen: dict[str, Observed]) -> None:
    look = looked(seen)
    shape = as_json(look)
    assert list(shape) == ["digest", "changes", "unchanged", "unknown", "blocked", "secrets_to_make", "irreversible", "over_limits"]
    changes, unchanged, unknown = shape["changes"], shape["unchanged"], shape["unknown"]
    assert isinstance(changes, list) and isinstance(unchanged, list) and isinstance(unknown, list)
    assert len(changes) + len(unchanged) + len(unknown) == len(ALL)
    assert all(set(change) == {"target", "resource", "action", "reason", "reversal", "wave"} for change in changes)
    assert {f"{item['target']} {item['resource']}" for item in changes + unchanged} <= {item.key for item in ALL}
