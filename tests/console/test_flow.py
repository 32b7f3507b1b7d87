"""The service flow as boxes and arrows."""

from __future__ import annotations

from dataclasses import replace

from tests.console.console_rig import ROUTER_DOWN, example, picture

from cortops.console.flow import LINES_MAX, PART, Flow, Part, flow
from cortops.console.rows import parts
from cortops.surfaces.states import EntityState
from cortops.words.entity import Entity
from cortops.words.state import State

WHOLE = """
client     -            any SDK
dns        5 ok         gateway.localhost router.localhost portal.localhost rpc.localhost console.localhost
nginx      5 ok         gateway.localhost router.localhost portal.localhost rpc.localhost console.localhost
monitor    1 ok         watch
gateway    3 ok         gateway-1 gateway-2 portal
books      2 ok         key store usage ledger
pool       1 degraded   smollm2
router     1 of 2 down  router-1 router-2
chain      10 ok        1 2 session-queue session-queue-validation runtime node-registry node-pool node-stats session chain-1
miner      3 ok         miner-1 miner-2 miner-3
followers  2 ok         oracle-1 validator-1
engine     1 ok         engine-1
host       1 ok         here
"""
ARROWS = """
client > dns, dns > nginx, nginx > gateway, nginx > pool, nginx > chain, nginx > monitor, gateway > books, gateway > pool, pool > router,
router > chain, chain > miner, chain > followers, miner > engine
"""


def told(shown: Flow) -> str:
    """A flow as text: box, summary, what is in it."""
    lines = [
        f"{box.key:<11}{box.summary or '-':<13}{' '.join(line.text for group in box.groups for line in group.lines)}" for box in shown.boxes
    ]
    return "\n" + "\n".join(lines) + "\n"


def arrows(shown: Flow) -> list[str]:
    return [f"{arrow.start} > {arrow.end}" for arrow in shown.arrows]


def shown_of(name: str = "local") -> Flow:
    env = example(name)
    seen = picture(env, ROUTER_DOWN if name == "local" else {})
    return flow(seen.entities, parts(env, seen))


def test_the_whole_environment() -> None:
    shown = shown_of()
    assert told(shown) == WHOLE
    assert arrows(shown) == ARROWS.replace("\n", " ").strip().split(", ")


def test_the_portal_stands_beside_the_gateway() -> None:
    seen = picture(example("small"))
    entity = Entity("portal", "portal")
    found = flow((*seen.entities, EntityState(entity=entity, state=State.DOWN, reason="exited", evidence=(), depends_on=())))
    (box,) = (box for box in found.boxes if box.key == "gateway")
    assert (box.summary, [(group.title, group.lines[-1].text) for group in box.groups][-1]) == ("1 of 2 down", ("Portal", "portal"))


def test_what_is_not_declared_is_not_drawn() -> None:
    shown = shown_of("small")
    assert "monitor" not in {box.key for box in shown.boxes}
    assert {"nginx > monitor", "nginx > pool", "nginx > chain"} & set(arrows(shown)) == set()
    assert [group.title for box in shown.boxes if box.key == "followers" for group in box.groups] == ["Oracle"]


def test_every_entity_is_in_one_box_and_linked() -> None:
    env = example()
    seen = picture(env)
    lines = [line for box in flow(seen.entities).boxes for group in box.groups for line in group.lines if line.entity]
    assert sorted(str(line.entity) for line in lines) == sorted(str(item.entity) for item in seen.entities)
    assert {line.href for line in lines} == {f"/entities/{line.entity}" for line in lines}


def test_a_kind_that_nobody_thought_of_is_shown_all_the_same() -> None:
    seen = picture(example("small"))
    shown = flow([*seen.entities, replace(seen.entities[0], entity=Entity("sequencer", "s 1"), state=State.DOWN)])
    other = next(box for box in shown.boxes if box.key == "other")
    assert (other.state, other.groups[0].lines[0].href) == (State.DOWN, "/entities/sequencer/s%201")


def test_many_of_a_kind_stack_with_a_count() -> None:
    miners = [
        EntityState(entity=Entity("miner", f"m{n}"), state=State.DOWN if n == 400 else State.OK, reason="", evidence=(), depends_on=())
        for n in range(500)
    ]
    box = next(box for box in flow(miners).boxes if box.key == "miner")
    assert (box.summary, len(box.groups[0].lines), box.groups[0].more) == ("1 of 500 down", LINES_MAX, 500 - LINES_MAX)


def test_an_arrow_needs_a_dependence() -> None:
    entities = [replace(item, depends_on=()) for item in picture(example()).entities]
    assert arrows(flow(entities)) == ["client > dns"]


def test_what_lives_in_the_gateway_has_a_state_and_leads_there() -> None:
    part = Part(name="key store", inside=Entity("gateway", "gateway-1"), state=State.DEGRADED, reason="")
    line = next(line for box in flow([], [part]).boxes for group in box.groups for line in group.lines if line.entity)
    assert (line.entity, line.state, line.href) == (Entity(PART, "key store"), State.DEGRADED, "/entities/gateway/gateway-1")


def test_a_box_says_where_it_leads() -> None:
    shown = shown_of()
    pool = next(box for box in shown.boxes if box.key == "pool")
    assert shown.leads_to(pool) == (("Routers", "requests"),)
