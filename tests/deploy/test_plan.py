"""The plan: what is decided for each thing seen, in which wave, with which digest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.deploy.observed import Absent, Desired, Observed, Present, Unseen
from cortops.deploy.plan import in_order, plan
from cortops.words.change import Action, Plan, Reversal
from cortops.words.entity import Entity
from cortops.words.errors import BadInput
from cortops.words.resource import Contract, Directory, File, Reload, Resource, SecretRef, Service

HOST = Entity("host", "h1")
ETC = Directory(place="h1", entity=HOST, because="lab.yaml:3", path="/srv/etc")
ENV = File(place="h1", entity=Entity("router", "r1"), because="lab.yaml:9", needs=(ETC.key,), path="/srv/etc/r1.env", content=("A=1",))
CHAIN = Service(
    place="h1", entity=Entity("rpc", "c1"), because="lab.yaml:7", needs=(ETC.key,), name="c1", argv=("true",), directory="/", log_path="/l"
)
TOKEN = Contract(
    place="chain",
    entity=Entity("contract", "token"),
    because="lab.yaml:5",
    needs=(CHAIN.key,),
    name="token",
    rpc_url="http://127.0.0.1:1",
    address="0x" + "11" * 20,
    init_code="0x00",
    salt="0x" + "00" * 32,
    code_hash="aa",
    signer=SecretRef("deployer/key"),
)
ROUTER = Service(
    place="h1",
    entity=Entity("router", "r1"),
    because="lab.yaml:9",
    needs=(ENV.key, TOKEN.key),
    name="r1",
    argv=("true",),
    directory="/",
    log_path="/l",
)
ALL: tuple[Resource, ...] = (ROUTER, TOKEN, CHAIN, ENV, ETC)  # on purpose not in the order of their needs


def desired(resource: Resource) -> Desired:
    return Desired(resource=resource, attributes={"running": "yes", "definition": "d"} if isinstance(resource, Service) else {"value": "v"})


def well(resource: Resource) -> Present:
    return Present(desired(resource).attributes)


def planned(seen: dict[str, Observed], resources: tuple[Resource, ...] = ALL, recorded: tuple[Resource, ...] = ()) -> Plan:
    return plan("lab", [desired(item) for item in resources], seen, [desired(item) for item in recorded], "1")


def actions(found: Plan) -> list[tuple[str, Action, int]]:
    return [(change.resource, change.action, change.wave) for change in found.changes]


def test_on_an_empty_host_everything_is_created_in_the_order_of_its_needs() -> None:
    seen: dict[str, Observed] = {item.key: Absent() for item in ALL}
    seen[TOKEN.key] = Unseen("the chain does not answer")
    assert actions(planned(seen)) == [
        ("directory:/srv/etc", Action.CREATE, 1),
        ("file:/srv/etc/r1.env", Action.CREATE, 1),
        ("service:c1", Action.CREATE, 1),
        ("contract:token", Action.ENSURE, 2),
        ("service:r1", Action.CREATE, 3),
    ]


def test_when_all_is_as_declared_nothing_changes_and_each_says_why() -> None:
    found = planned({item.key: well(item) for item in ALL})
    assert found.changes == ()
    assert {item.resource: item.reason for item in found.unchanged} == {
        "directory:/srv/etc": "there, with the declared mode",
        "file:/srv/etc/r1.env": "content and mode as declared",
        "service:c1": "running as declared",
        "contract:token": "code on chain is the artifact's",
        "service:r1": "running as declared",
    }


@pytest.mark.parametrize(
    ("seen", "action", "reason"),
    [
        (Present({"running": "no", "definition": "d"}), Action.START, "defined, but not running"),
        (Present({"running": "yes", "definition": "old"}), Action.RESTART, "definition old -> d"),
        (Present({"running": "no", "definition": "old"}), Action.RESTART, "running no -> yes, definition old -> d"),
        (Absent(), Action.CREATE, "missing, declared at lab.yaml:7"),
    ],
)
def test_a_service_is_started_restarted_or_created(seen: Observed, action: Action, reason: str) -> None:
    found = planned({**{item.key: well(item) for item in ALL}, CHAIN.key: seen})
    assert [(change.resource, change.action, change.reason) for change in found.changes] == [("service:c1", action, reason)]


@pytest.mark.parametrize(
    ("seen", "action", "reason"),
    [
        ({"loaded": "old"}, Action.RELOAD, "its files are newer than what it has read; nginx -t first; HUP to what runs, no restart"),
        ({"loaded": "old", "running": "no"}, Action.START, "defined, but not running"),
        ({"loaded": "old", "definition": "old"}, Action.RESTART, "definition old -> d, loaded old -> l"),
        ({"running": "no", "definition": "old"}, Action.RESTART, "running no -> yes, definition old -> d"),
    ],
)
def test_a_change_that_the_process_can_read_by_itself_restarts_nobody(seen: dict[str, str], action: Action, reason: str) -> None:
    reloads = replace(CHAIN, reload=Reload(on=(ENV.key,), check=("/opt/nginx", "-t", "-c", "/srv/etc/r1.env")))
    item = Desired(resource=reloads, attributes={"running": "yes", "definition": "d", "loaded": "l"})
    others = [desired(one) for one in (ETC, ENV)]
    observed = {one.resource.key: Present(one.attributes) for one in others} | {item.resource.key: Present({**item.attributes, **seen})}
    (change,) = plan("lab", [*others, item], observed, (), "1").changes
    assert (change.action, change.reason) == (action, reason)
    observed[ENV.key] = Absent()
    if action is Action.RELOAD:
        (_, change) = plan("lab", [*others, replace(item, resource=replace(reloads, needs=(ENV.key,)))], observed, (), "1").changes
        assert change.reason == f"after {ENV.id}; nginx -t first; HUP to what runs, no restart"


def test_what_could_not_be_seen_is_neither_created_nor_deleted() -> None:
    gone = replace(ENV, path="/srv/etc/old.env")
    seen: dict[str, Observed] = {
        **{item.key: well(item) for item in ALL},
        ENV.key: Unseen("h1 timed out"),
        gone.key: Unseen("h1 timed out"),
    }
    found = planned(seen, recorded=(gone,))
    assert found.changes == ()
    assert [(item.target, item.why) for item in found.unknown] == [("h1", "h1 timed out")]
    assert ENV.id not in {item.resource for item in found.unchanged}


def test_what_could_not_be_seen_is_looked_at_later_when_something_far_below_it_changes() -> None:
    seen: dict[str, Observed] = {**{item.key: well(item) for item in ALL}, ROUTER.key: Unseen("no answer"), ETC.key: Absent()}
    assert ("service:r1", Action.ENSURE, 2) in actions(planned(seen)), "ETC is needed by what it needs"
    seen[ETC.key] = well(ETC)
    assert actions(planned(seen)) == []


def test_what_is_no_longer_declared_is_deleted_last_and_in_reverse_but_never_data_or_chain_state() -> None:
    data = replace(ETC, path="/srv/data", keep=True)
    old_service = replace(CHAIN, name="old", needs=())
    old_file = replace(ENV, path="/srv/etc/old.env")
    old_contract = replace(TOKEN, name="old")
    recorded = (data, old_file, old_service, old_contract)
    seen: dict[str, Observed] = {item.key: well(item) for item in (*ALL, *recorded)}
    found = planned(seen, recorded=recorded)
    assert actions(found) == [("service:old", Action.DELETE, 1), ("file:/srv/etc/old.env", Action.DELETE, 1)]


def test_a_service_in_the_place_of_which_another_listens_goes_first() -> None:
    old = replace(CHAIN, name="old", needs=(), ports=(8545, 8546))
    elsewhere = replace(CHAIN, name="elsewhere", place="h2", needs=(), ports=(8545,))
    new = replace(CHAIN, ports=(8545,))
    seen: dict[str, Observed] = {ETC.key: well(ETC), new.key: Absent(), old.key: well(old), elsewhere.key: well(elsewhere)}
    assert actions(planned(seen, (ETC, new), recorded=(elsewhere, old))) == [
        ("service:old", Action.DELETE, 1),
        ("service:c1", Action.CREATE, 2),
        ("service:elsewhere", Action.DELETE, 3),
    ]
    seen[new.key] = well(new)
    assert actions(planned(seen, (ETC, new), recorded=(elsewhere, old))) == [
        ("service:old", Action.DELETE, 1),
        ("service:elsewhere", Action.DELETE, 1),
    ]


def test_only_what_stays_on_chain_cannot_be_taken_back() -> None:
    found = planned({item.key: Absent() for item in ALL})
    assert [change.resource for change in found.irreversible] == ["contract:token"]
    assert found.irreversible[0].reversal is Reversal.FORWARD_ONLY


def test_a_wave_waits_for_what_comes_from_elsewhere_even_through_something_unchanged() -> None:
    seen: dict[str, Observed] = {item.key: Absent() for item in ALL}
    seen[ENV.key] = well(ENV)
    waves = {change.resource: change.wave for change in planned(seen).changes}
    assert waves == {"directory:/srv/etc": 1, "service:c1": 1, "contract:token": 2, "service:r1": 3}


def test_the_digest_is_of_what_was_compared_and_of_nothing_else() -> None:
    seen: dict[str, Observed] = {item.key: well(item) for item in ALL}
    told = {**seen, CHAIN.key: Present({"running": "yes", "definition": "d", "pid": "7", "uptime_s": "9"})}
    drift = {**seen, ENV.key: Present({"value": "other"})}
    assert planned(seen).digest == planned(told).digest == planned(seen, tuple(reversed(ALL))).digest
    assert planned(seen).digest != planned(drift).digest
    assert planned(seen).digest != plan("lab", [desired(item) for item in ALL], seen, [], "2").digest


@pytest.mark.parametrize(
    ("resources", "what"),
    [
        ((ETC, ETC), "h1 directory:/srv/etc is declared twice"),
        ((ENV,), "h1 file:/srv/etc/r1.env needs h1 directory:/srv/etc, which is not declared"),
        ((replace(ETC, needs=(ENV.key,)), ENV), "a circle"),
    ],
)
def test_needs_that_cannot_be_met_are_refused(resources: tuple[Resource, ...], what: str) -> None:
    with pytest.raises(BadInput, match=what):
        in_order(resources)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20), st.randoms(use_true_random=False))
def test_every_thing_comes_after_what_it_needs_and_never_in_an_earlier_wave(edges: list[tuple[int, int]], random: object) -> None:
    needs: dict[int, set[int]] = {}
    for high, low in edges:
        if low < high:  # no circles
            needs.setdefault(high, set()).add(low)
    places = {number: ("h1", "chain")[number % 2] for number in range(10)}
    resources = [
        replace(ETC, place=places[n], path=f"/{n}", needs=tuple(f"{places[need]} directory:/{need}" for need in sorted(needs.get(n, ()))))
        for n in range(10)
    ]
    random.shuffle(resources)  # type: ignore[attr-defined]
    found = plan("lab", [desired(item) for item in resources], {item.key: Absent() for item in resources}, [], "1")
    position = {f"{change.target} {change.resource}": (index, change.wave) for index, change in enumerate(found.changes)}
    for item in resources:
        for need in item.needs:
            assert position[need][0] < position[item.key][0]
            other_place = not need.startswith(f"{item.place} ")
            assert position[item.key][1] >= position[need][1] + other_place
