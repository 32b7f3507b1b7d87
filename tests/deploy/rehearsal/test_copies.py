"""Who is copied and as what: nothing that is a node's own but its role and its public values."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.deploy.rehearsal.copied import KEY, lab

from cortops.deploy.earning_gate import GateAsks
from cortops.deploy.rehearsal.copies import COPIES_MAX, HERE, Runs, as_played, cast, env_text, plan_of, resources
from cortops.deploy.waves.plan import Step, UpgradePlan
from cortops.surfaces.fleet.found.public_keys import FORMS
from cortops.words.resource import NodeProgram

OLD, NEW, RPC = "3f" * 32, "9a" * 32, "http://rpc.lab.example/v1/a-key"
RUNS = Runs(program=OLD, release="march", words=("1", "docker"))
ASKS = GateAsks(commits=2, soak_s=600, deadline_s=3600, expected_s=900)


def test_an_env_file_has_public_values_a_key_of_its_own_and_one_rpc() -> None:
    public = {
        "NODE_PUBLIC_KEY": "0x" + "12" * 20,
        "PUBLIC_KEY": "0x" + "12" * 20,
        "RPC_HOST_1": "https://rpc.example#sha256:0123456789abcdef",
        "CHAINID": "421614",
        "LLM_HOST": "?",
        "API_KEY": "set",
        "LOG_FILE_NAME": "/var/log/own.log",
    }
    lines = env_text(public, KEY, RPC).splitlines()
    assert sorted(lines) == ["CHAINID=421614", f"NODE_PRIVATE_KEY={KEY[0]}", f"NODE_PUBLIC_KEY={KEY[1]}", f"RPC_HOST_1={RPC}"]


@given(
    st.dictionaries(st.sampled_from([name for name in FORMS if not name.endswith("*")]), st.sampled_from(["", "?", "set", "1", "0xabc"]))
)
def test_no_value_of_a_secret_key_is_ever_taken_over(public: dict[str, str]) -> None:
    text = dict(line.split("=", 1) for line in env_text(public, KEY, RPC).splitlines())
    assert text["NODE_PRIVATE_KEY"] == KEY[0] and text["NODE_PUBLIC_KEY"] == KEY[1]
    assert not {"API_KEY", "ENCRYPTION_SEED", "ENCRYPTION_ALLOWED_LIST"} & text.keys()


def test_a_copy_is_started_by_hand_in_a_folder_of_its_own() -> None:
    env = lab()
    chosen = cast(env, ["m07", "m08"], {}, {"m07": RUNS, "m08": replace(RUNS, program="")}, {"m07": KEY}, RPC)
    assert chosen.left == (("m08", "nobody could see what it runs"),)
    copy = chosen.copies[0]
    assert (copy.node.host, copy.node.shape, copy.node.unit, copy.node.runs) == (HERE, "nohup", "", "minerv4")
    assert {copy.node.env_file, copy.node.log, copy.node.binary} == {f"{copy.folder}/{name}" for name in (".env", "log", "cortensord")}
    assert KEY[0] not in repr(copy), "a key is not shown, not even one for a copy"
    made = [one for one in resources(env, chosen.copies) if isinstance(one, NodeProgram)]
    assert [(one.name, one.place, one.program) for one in made] == [("m07", HERE, OLD)]


def test_no_more_are_copied_than_one_machine_bears() -> None:
    env = lab()
    names = [f"n{number}" for number in range(COPIES_MAX + 2)]
    many = replace(env, installed=dict.fromkeys(names, env.installed["m07"]))
    chosen = cast(many, names, {}, dict.fromkeys(names, RUNS), dict.fromkeys(names, KEY), RPC)
    assert [copy.name for copy in chosen.copies] == names[:COPIES_MAX]
    assert [name for name, _ in chosen.left] == names[COPIES_MAX:]


def test_the_same_waves_are_played_without_what_a_copy_cannot_do() -> None:
    def step(node: str, host: str, due: float | None = None) -> Step:
        return Step(node=node, host=host, was=OLD, asks=ASKS, every_s=60.0, earned=True, due_since=due)

    real = UpgradePlan(
        environment="lab",
        release="april",
        program=NEW,
        waves=((step("m07", "h1", 5.0),), (step("m08", "h2"), step("m09", "h1"))),
        digest="5c",
    )
    played = as_played(real, ["m07", "m09"], 5.0)
    assert [[one.node for one in wave] for wave in played.waves] == [["m07"], ["m09"]]
    assert {(one.host, one.selectable, one.due_since, one.asks.commits, one.asks.soak_s) for one in played.steps} == {
        (HERE, False, None, 0, 5.0)
    }
    assert {one.was for one in played.steps} == {OLD}


def test_a_drill_makes_a_plan_of_its_own() -> None:
    env = lab()
    chosen = cast(env, ["m07", "m08"], {}, {"m07": RUNS, "m08": RUNS}, {"m07": KEY, "m08": KEY}, RPC)
    plan = plan_of(env, "made", NEW, chosen.copies)
    assert [[one.node for one in wave] for wave in plan.waves] == [["m07"], ["m08"]]
    assert all(one.was == OLD and one.host == HERE for one in plan.steps)
