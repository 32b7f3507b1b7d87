"""What must be accepted by name: plans over a limit, all reasons at once; what cannot come back; and who may change anything."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.deploy.limits import (
    Accepted,
    Size,
    demand_accepted,
    demand_allowed,
    flags_needed,
    holding,
    lasting,
    over_limits,
    size_of,
    with_the_chain,
)
from cortops.deploy.observed import Desired
from cortops.environment.rules import ApplyRules
from cortops.words.change import Action, Change, Plan, Reversal, Unchanged
from cortops.words.entity import Entity
from cortops.words.errors import NotAccepted, NotAllowed
from cortops.words.resource import File, SecretRef

RULES = ApplyRules()
Row = tuple[str, str, Action]


def change(target: str, resource: str, action: Action, *, wave: int = 1, reversal: Reversal = Reversal.RESTORE) -> Change:
    return Change(target=target, resource=resource, action=action, reason="", reversal=reversal, wave=wave)


def planned(changes: Sequence[Change], unchanged: Sequence[str] = ()) -> Plan:
    kept = tuple(Unchanged(target="h1", resource=name, reason="") for name in unchanged)
    return Plan(environment="lab", digest="d" * 64, changes=tuple(changes), unchanged=kept, unknown=())


def services(action: Action, count: int, *, hosts: int = 1) -> list[Change]:
    return [change(f"h{number % hosts}", f"service:s{number}", action) for number in range(count)]


@given(st.integers(0, 3000), st.integers(1, 1000))
def test_a_first_apply_is_never_too_large(count: int, hosts: int) -> None:
    assert over_limits(size_of(planned(services(Action.CREATE, count, hosts=hosts))), RULES) == ()


@given(st.integers(0, 20), st.sampled_from([Action.RESTART, Action.DELETE, Action.UPDATE]), st.integers(1, 20))
def test_a_small_environment_is_never_too_large(count: int, action: Action, hosts: int) -> None:
    assert over_limits(size_of(planned(services(action, count, hosts=hosts))), RULES) == ()


@pytest.mark.parametrize(
    ("plan", "reasons"),
    [
        (
            planned([change("h1", f"file:/x{number}", Action.DELETE) for number in range(21)]),
            ("deletes 21 resources (file:/x0, file:/x1, file:/x2, file:/x3, file:/x4 and 16 more): rules.apply.deletes_max is 20",),
        ),
        (
            planned(services(Action.RESTART, 25), [f"service:t{number}" for number in range(24)]),
            (
                "stops 25 of 49 that run (service:s0, service:s1, service:s2, service:s3, service:s4 and 20 more) in one wave: "
                "rules.apply.restarts_share_max is 0.5",
            ),
        ),
        (planned(services(Action.RESTART, 25), [f"service:t{number}" for number in range(25)]), ()),
        (
            planned([change(f"h{number}", "file:/x", Action.UPDATE) for number in range(51)]),
            ("changes what is on 51 hosts (h0, h1, h2, h3, h4 and 46 more): rules.apply.hosts_max is 50",),
        ),
    ],
)
def test_each_limit_says_by_how_much_by_what_and_which_line_allows_it(plan: Plan, reasons: tuple[str, ...]) -> None:
    assert over_limits(size_of(plan), RULES) == reasons


def test_waves_are_counted_one_by_one_and_all_limits_are_told_at_once() -> None:
    gone = [change(f"h{number}", "service:s", Action.DELETE, wave=1 + number // 26) for number in range(52)]
    over = over_limits(size_of(planned(gone)), RULES)
    assert [one.split()[0] for one in over] == ["deletes", "changes"], "26 of 52 in each wave are half"
    over = over_limits(size_of(planned(gone)), ApplyRules(restarts_share_max=0.4))
    assert [one.split()[0] for one in over] == ["deletes", "stops", "changes"]
    assert over_limits(size_of(planned(gone)), ApplyRules(deletes_max=52, hosts_max=52)) == ()


def test_what_happens_on_a_chain_is_on_no_host() -> None:
    found = planned([change("chain", f"contract-state:{number}", Action.UPDATE, reversal=Reversal.FORWARD_ONLY) for number in range(99)])
    assert size_of(found) == Size(stops=())


CHAIN = planned(
    [
        change("chain", "contract:runtime", Action.CREATE, reversal=Reversal.FORWARD_ONLY),
        change("chain", "contract:session", Action.ENSURE, reversal=Reversal.FORWARD_ONLY),
        change("chain", "contract-state:runtime/session", Action.UPDATE, reversal=Reversal.FORWARD_ONLY),
        change("chain", "funded:miner-1", Action.UPDATE, reversal=Reversal.FORWARD_ONLY),
        change("dns", "record:api", Action.UPDATE, reversal=Reversal.EXTERNAL),
        change("h1", "file:/x", Action.UPDATE),
    ]
)


def test_what_cannot_come_back_is_named_kind_by_kind_with_why() -> None:
    assert [([change.resource for change in one.changes], one.why) for one in lasting(CHAIN, development=False)] == [
        (["contract:runtime", "contract:session"], "a contract stays on its chain for ever"),
        (["contract-state:runtime/session"], "what a chain has recorded is written over, never unwritten"),
        (["record:api"], "resolvers keep what they have seen, or that there was nothing, until its time to live has passed"),
    ]
    assert with_the_chain(CHAIN, lasting(CHAIN, development=False)) == 0


def test_a_development_chain_goes_with_its_environment_and_what_others_saw_does_not() -> None:
    stays = lasting(CHAIN, development=True)
    assert [one.why for one in stays] == [
        "resolvers keep what they have seen, or that there was nothing, until its time to live has passed"
    ]
    assert with_the_chain(CHAIN, stays) == 3


def test_a_secret_made_anew_is_named_with_the_files_that_hold_it_unless_all_of_it_goes_with_a_development_chain() -> None:
    router = File(
        place="h1", entity=Entity("router", "r1"), because="lab.yaml:3", path="/etc/r1.env", content=("K=", SecretRef("r1/api-key"))
    )
    other = File(place="h1", entity=Entity("router", "r2"), because="lab.yaml:4", path="/etc/r2.env", content=("K=1", SecretRef("r2/key")))
    anew = holding([Desired(resource=router, attributes={}), Desired(resource=other, attributes={})], ["r1/api-key", "gone"])
    assert anew == {router.key: "r1/api-key"}
    plan = planned([change("h1", router.id, Action.UPDATE), change("h1", other.id, Action.UPDATE)])
    (one,) = lasting(plan, development=False, anew=anew)
    assert (one.changes, one.why) == (plan.changes[:1], "the old value of r1/api-key is forgotten once this is done")
    assert lasting(plan, development=True, anew=anew) == ()
    assert with_the_chain(plan, (one,)) == 0


def test_a_plan_that_must_be_accepted_is_refused_with_every_reason_and_the_command_that_makes_just_it() -> None:
    stays, over = lasting(CHAIN, development=False), ("deletes 31",)
    with pytest.raises(NotAccepted) as refused:
        demand_accepted(over, stays, Accepted(), "cortops apply lab.yaml --plan 5c1e")
    assert refused.value.why.startswith("deletes 31; contract:runtime, contract:session: a contract stays on its chain for ever; ")
    assert refused.value.next == "If you mean it: cortops apply lab.yaml --plan 5c1e --accept-large --accept-irreversible"
    with pytest.raises(NotAccepted, match="must be accepted") as refused:
        demand_accepted(over, stays, Accepted(irreversible=True), "cortops apply lab.yaml --plan 5c1e")
    assert refused.value.why == "deletes 31"
    demand_accepted(over, stays, Accepted(large=True, irreversible=True), "")
    demand_accepted((), (), Accepted(), "")
    assert flags_needed((), stays) == ("--accept-irreversible",)
    assert Accepted(large=True, irreversible=True).flags == ("--accept-large", "--accept-irreversible")


def test_who_may_change_an_environment() -> None:
    demand_allowed("eve@cafe", ())
    demand_allowed("alice@laptop", ("alice@laptop", "bob@ops"))
    with pytest.raises(NotAllowed, match="eve@cafe may not change this environment") as refused:
        demand_allowed("eve@cafe", ("alice@laptop", "bob@ops"), where="h1")
    assert refused.value.why == "rules.apply.by names alice@laptop, bob@ops"
