"""Bad files and the sentences they get; good files and what they become; any text at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.environment.declared import Environment
from cortops.environment.load import SECTIONS, load, load_file
from cortops.environment.model import ChainNode, MinerNode, OracleNode, RouterNode
from cortops.environment.networks import known_networks
from cortops.environment.reason import REASONS_PER_PLACE_MAX, Invalid, Reason
from cortops.words.errors import BadInput, EnvironmentInvalid

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CASES = sorted((Path(__file__).parent / "cases").glob("*.case"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_bad_file_gets_these_sentences(case: Path) -> None:
    text, _, expected = case.read_text().rpartition("----\n")
    result = load(text, f"{case.stem}.yaml")
    assert isinstance(result, Invalid)
    assert result.text + "\n" == expected


def test_there_are_cases() -> None:
    assert len(CASES) >= 20


def test_the_example_is_what_it_says(example: Environment) -> None:
    assert (example.name, example.network.chain_id, example.network.development) == ("small", 31338, True)
    assert [(name, node.role, node.port) for name, node in example.nodes.items()] == [
        ("chain-1", "chain", 8545),
        ("engine-1", "engine", 8090),
        ("router-1", "router", 5010),
        ("miner-1", "miner", 5101),
        ("oracle-1", "oracle", 5201),
    ]
    assert example.network.sessions[1].nodes == ("miner-1",)
    assert example.gateway is not None
    assert example.gateway.models["smollm2"].pool == "smollm2"
    assert example.pools["smollm2"].health.path == "/api/v1/status"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_named_after_its_file(path: Path) -> None:
    result = load_file(path)
    assert not isinstance(result, Invalid), result.text
    assert result.name == path.stem


def test_secrets_are_named_after_their_node(example: Environment) -> None:
    wallets = {name: node.wallet.secret for name, node in example.nodes.items() if isinstance(node, RouterNode | MinerNode | OracleNode)}
    assert wallets == {"router-1": "router-1/key", "miner-1": "miner-1/key", "oracle-1": "oracle-1/key"}
    router = example.nodes["router-1"]
    assert isinstance(router, RouterNode)
    assert router.api_key.ref.name == "router-1/api-key"
    assert example.network.deployer.secret == "deployer/key"


def test_the_kind_of_a_value_follows_from_its_key(example_text: str, loaded: Callable[[str], Environment]) -> None:
    """A model called 007 is text, a port in quotes is a number, and `on` is a key."""
    text = (
        example_text.replace("smollm2: [1]", "007: [1]").replace("model: smollm2", "model: 007").replace("{smollm2: {pool", "{007: {pool")
    )
    env = loaded(text.replace("port: 8400", 'port: "8400"'))
    assert env.gateway is not None
    assert (list(env.gateway.models), env.gateway.port, env.gateway.on) == (["007"], 8400, "here")


def test_many_nodes_take_one_block(example_text: str, loaded: Callable[[str], Environment]) -> None:
    text = example_text.replace(
        "  oracle-1:", '  m[001-500]: {role: miner, host: here, port: "{n+20000}", engine: engine-1, routers: [router-1]}\n  oracle-1:'
    ).replace("nodes: [miner-1]", 'nodes: [miner-1, "m[001-500]"]')
    env = loaded(text)
    miners = dict(env.nodes_of(MinerNode))
    assert len(miners) == 501
    assert (miners["m007"].port, miners["m007"].wallet.secret) == (20007, "m007/key")
    assert env.network.sessions[1].nodes[:2] == ("miner-1", "m001")
    assert env.position("nodes.m499.port") == env.position("nodes.m001.port")


def test_one_word_stands_for_a_known_network(fleet_text: str, loaded: Callable[[str], Environment]) -> None:
    env = loaded(fleet_text)
    record = known_networks()["testnet-0"]
    assert record.rpc.value is not None
    assert (env.network.like, env.network.chain_id, env.network.contracts.runtime) == ("testnet-0", 421614, record.runtime)
    assert (env.network.rpc.url, *env.network.references) == record.rpc.value


def test_what_is_written_beside_a_known_network_wins(fleet_text: str, loaded: Callable[[str], Environment]) -> None:
    runtime = "0x00000000000000000000000000000000000000a1"
    written = f'network: {{like: testnet-0, rpc: {{url: "https://rpc.lab.example/v2"}}, contracts: {{runtime: "{runtime}"}}}}'
    network = loaded(fleet_text.replace("network: testnet-0", written)).network
    assert (network.rpc.url, network.contracts.runtime) == ("https://rpc.lab.example/v2", runtime)
    assert network.references == known_networks()["testnet-0"].rpc.value, "all of others now"


def test_of_installed_nodes_ranges_are_written_out(fleet_text: str, loaded: Callable[[str], Environment]) -> None:
    env = loaded(fleet_text)
    assert [(node.unit, node.log, node.instance) for node in env.installed.values()][:2] == [
        ("cortensor-1.service", "/var/log/cortensord-1.log", "1"),
        ("cortensor-2.service", "/var/log/cortensord-2.log", "2"),
    ]
    assert env.hosts["h3"].ssh == "ops@h3.lab.example:2222"
    assert env.installed["m1"].address is None


def test_anchors_are_followed(example_text: str, loaded: Callable[[str], Environment]) -> None:
    env = loaded(example_text.replace("port: 5101,", "port: 5101, owner: &me me,").replace("port: 5201", "port: 5201, owner: *me"))
    assert env.nodes["oracle-1"].owner == env.nodes["miner-1"].owner == "me"


def test_a_node_that_cannot_be_read_is_not_unknown_to_others(example_text: str) -> None:
    result = load(example_text.replace("port: 5010,", "port: x,"), "local.yaml")
    assert isinstance(result, Invalid)
    assert [reason.path for reason in result.reasons] == ["nodes.router-1.port"]


def test_one_wrong_line_of_a_range_is_told_a_few_times_only(example_text: str) -> None:
    wrong = '  m[1-400]: {role: miner, host: "h{n}", port: "{n+20000}", engine: engine-1, routers: [router-1]}\n  oracle-1:'
    result = load(example_text.replace("  oracle-1:", wrong), "local.yaml")
    assert isinstance(result, Invalid)
    assert len(result.reasons) == REASONS_PER_PLACE_MAX


def test_reasons_stand_in_the_order_of_the_file(example_text: str) -> None:
    result = load(example_text.replace("on: here", "on: there").replace("host: here", "host: there"), "local.yaml")
    assert isinstance(result, Invalid)
    assert [(reason.line, reason.column) for reason in result.reasons] == sorted((reason.line, reason.column) for reason in result.reasons)
    assert len(result.reasons) == 7


def test_an_invalid_file_as_an_error_cites_its_first_place() -> None:
    error = Invalid("lab.yaml", (Reason(3, 5, "hosts", "is empty", "Add one."),)).error()
    assert isinstance(error, EnvironmentInvalid)
    assert (error.where, error.exit_status) == ("lab.yaml:3:5", 2)
    assert "cortops validate lab.yaml" in error.next


def test_a_file_is_read_as_bytes(tmp_path: Path, example_text: str) -> None:
    path = tmp_path / "local.yaml"
    path.write_text(example_text)
    assert isinstance(load_file(path), Environment)
    path.write_bytes(b"format: 1\nenvironment: \xff\n")
    result = load_file(path)
    assert isinstance(result, Invalid)
    assert (result.reasons[0].line, result.reasons[0].what) == (2, "is not valid Unicode")


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot read") as caught:
        load_file(tmp_path / "nowhere.yaml")
    assert caught.value.why == "No such file or directory"


WORDS = st.sampled_from(
    [
        *SECTIONS,
        "here",
        "local",
        "role",
        "miner",
        "router",
        "chain",
        "port",
        "host",
        "m[1-3]",
        "{n}",
        "1",
        "-1",
        "deploy",
        "secret",
        "url",
        "~",
        "",
    ]
)
TREES = st.recursive(
    WORDS | st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=300))
def test_any_text_gives_reasons_or_an_environment(text: str) -> None:
    assert isinstance(load(text, "any.yaml"), Invalid)


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(WORDS, TREES, max_size=6))
def test_any_yaml_gives_reasons_or_an_environment(tree: dict[str, object]) -> None:
    result = load(yaml.safe_dump(tree), "any.yaml")
    assert isinstance(result, Invalid)
    assert all(line.isprintable() for line in result.text.splitlines())


@settings(max_examples=15, deadline=None)
@given(data=st.data(), tree=TREES)
def test_the_example_with_anything_anywhere_gives_reasons_or_an_environment(data: st.DataObject, tree: object, example_text: str) -> None:
    """One value of the right file is replaced by any other."""
    root = yaml.load(example_text, Loader=yaml.BaseLoader)
    here = root
    for _ in range(data.draw(st.integers(0, 5))):
        below = here[data.draw(st.sampled_from(sorted(here)))]
        if not isinstance(below, dict):
            break
        here = below
    here[data.draw(st.sampled_from(sorted(here)))] = tree
    result = load(yaml.safe_dump(root, sort_keys=False), "any.yaml")
    assert isinstance(result, Invalid | Environment)
    if isinstance(result, Invalid):
        assert all(reason.line >= 1 and reason.column >= 1 and reason.what and reason.instead for reason in result.reasons)


def test_node_kinds_can_be_picked(example: Environment) -> None:
    assert [name for name, _ in example.nodes_of(ChainNode)] == ["chain-1"]
