"""The gateway's pools and members as numbers."""

from __future__ import annotations

from pathlib import Path

from gateway_rig import Rig, with_gateway
from tests.programs.common.metrics_rules import PROCESS, values_of

from cortops.programs.common.measures import MEASURES
from cortops.programs.common.metrics import Metrics
from cortops.programs.gateway.member import MemberView
from cortops.programs.gateway.metrics import CODES_MAX, Refusals, reading

VIEWS = {
    "smollm2": [
        MemberView(name="router-1", state="ok", why="", in_flight=1, capacity=2, usable=2),
        MemberView(name="router-2", state="down", why="http://10.0.0.1:5010 refused", in_flight=0, capacity=2, usable=2, drained=True),
    ],
    "other": [MemberView(name="router-1", state="unknown", why="not asked yet", in_flight=0, capacity=1, usable=1)],
}


def test_a_page() -> None:
    counted = {"queued": {"smollm2": 3, "other": 0}, "requests": {"200": 9, "503": 1}, "refusals": {"no_member": 1}}
    page = Metrics(lambda: reading(well=False, views=VIEWS, **counted)).page()
    found = {name: value for name, value in values_of(page).items() if name not in PROCESS}
    assert found == {
        "cortops_up": 0,
        "cortops_in_flight": 1,
        'cortops_requests_total{status="200"}': 9,
        'cortops_requests_total{status="503"}': 1,
        'cortops_refusals_total{code="no_member"}': 1,
        'cortops_pool_queued{pool="smollm2"}': 3,
        'cortops_pool_queued{pool="other"}': 0,
        'cortops_member_up{member="router-1",pool="smollm2"}': 1,
        'cortops_member_up{member="router-2",pool="smollm2"}': 0,
        'cortops_member_drained{member="router-1",pool="smollm2"}': 0,
        'cortops_member_drained{member="router-2",pool="smollm2"}': 1,
        'cortops_member_drained{member="router-1",pool="other"}': 0,
        'cortops_member_in_flight{member="router-1",pool="smollm2"}': 1,
        'cortops_member_in_flight{member="router-2",pool="smollm2"}': 0,
        'cortops_member_in_flight{member="router-1",pool="other"}': 0,
        'cortops_member_capacity{member="router-1",pool="smollm2"}': 2,
        'cortops_member_capacity{member="router-2",pool="smollm2"}': 2,
        'cortops_member_capacity{member="router-1",pool="other"}': 1,
    }
    assert b"10.0.0.1" not in page
    assert {name.partition("{")[0] for name in found} == {measure.name for measure in MEASURES if "gateway" in measure.programs}


def test_codes_of_members_are_bounded_and_all_counted() -> None:
    refusals = Refusals()
    for code in ("no_member", *(f"their_{number}" for number in range(CODES_MAX * 2)), "no_member"):
        refusals.add(code)
    assert len(refusals.by_code) == CODES_MAX + 1
    assert refusals.by_code["no_member"] == 2 and refusals.by_code["other"] == CODES_MAX + 1


def test_metrics_are_told_to_whoever_asks_inside(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        await rig.chat()
        await rig.chat(model="nope")
        await rig.ask("/v1/models", key="wrong")
        await rig.chat(model="nope", max_tokens="many")
        reply = await rig.ask("/metrics", key="")
        assert reply.status == 200 and reply.header("content-type").startswith("text/plain")
        lines = reply.body.decode().splitlines()
        assert 'cortops_requests_total{status="200"} 1.0' in lines and 'cortops_requests_total{status="404"} 1.0' in lines
        refused = sorted(line.removeprefix("cortops_refusals_total") for line in lines if line.startswith("cortops_refusals_total"))
        assert refused == ['{code="invalid_api_key"} 1.0', '{code="invalid_body"} 1.0', '{code="model_not_found"} 1.0']
        assert 'cortops_pool_queued{pool="pool-1"} 0.0' in lines and "127.0.0.1" not in reply.body.decode()

    with_gateway(tmp_path, test)
