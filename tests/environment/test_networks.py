"""Records of known networks: every fact has one word and a source, and a file can stand on what is public."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from cortops.environment.networks import Fact, known_networks, read_record, write_out
from cortops.words.errors import BadInput

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "environments"
RECORD = (FOLDER / "testnet-1.yaml").read_text()


def test_every_network_of_the_matrix_has_a_record_named_as_its_file() -> None:
    assert list(known_networks()) == sorted(path.stem for path in FOLDER.glob("*.yaml"))
    assert set(known_networks()) == {"devnet-7", "testnet-0", "testnet-1", "testnet-1a", "mainnet-lite", "mainnet-full"}


def test_a_wheel_carries_the_records_where_they_are_looked_for() -> None:
    project = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"] == {"examples": "cortops/examples"}


def test_what_is_public_is_told_apart_from_what_is_guessed() -> None:
    told = {name: (record.chain_id.text, record.chain_id.value, record.runtime) for name, record in known_networks().items()}
    assert told == {
        "devnet-7": ("421614", 421614, "0x8d67608D0F674F359DE0e420857739ECBDeb6B90"),
        "testnet-0": ("421614", 421614, "0xa438cE917a5740267e0f7217f81cbbAA23E7e106"),
        "testnet-1": ("perhaps 12515, not confirmed", None, "0x0188C7F0c23c8be756F7b56486193E086f48E64b"),
        "testnet-1a": ("18964747554", 18964747554, None),
        "mainnet-lite": ("42161", 42161, None),
        "mainnet-full": ("unknown: not public", None, None),
    }


def test_every_fact_has_a_source() -> None:
    for record in known_networks().values():
        facts = [value for _, value in record if isinstance(value, Fact)] + [*record.contracts.values(), *record.parent_contracts.values()]
        assert len(facts) >= 14
        assert all(len(fact.source) > 8 and fact.text for fact in facts)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("{is: COR, ", "{is: COR, unknown: not public, ", "gas_token: says not just one of is, perhaps and unknown"),
        ("{is: COR, ", "{", "gas_token: says not just one of is, perhaps and unknown"),
        ("{is: COR, source: ", "{is: COR, sauce: ", "gas_token.source: Field required"),
        ("  runtime: ", "  run: ", "contracts: "),
        ("format: 1", "format: 2", "format: "),
        ("about: The", "about: {", " is not YAML"),
    ],
)
def test_a_damaged_record_is_refused_with_its_place(old: str, new: str, why: str) -> None:
    assert old in RECORD
    with pytest.raises(BadInput, match=r"x\.yaml is no record of a network") as caught:
        read_record(RECORD.replace(old, new), "x.yaml")
    assert why.removeprefix("contracts: ") in caught.value.why


def test_a_section_of_ones_own_passes_as_it_is() -> None:
    for body in ({"chain_id": "1"}, {"like": None}, {"like": ["testnet-0"]}, ["testnet-0"], None):
        assert write_out(body) == (body, [])  # type: ignore[arg-type]


def test_a_known_contract_goes_with_the_known_runtime_only() -> None:
    body, _ = write_out("devnet-7")
    assert isinstance(body, dict)
    assert body["contracts"] == {
        "runtime": "0x8d67608D0F674F359DE0e420857739ECBDeb6B90",
        "cognitive": "0x073C1f568d372F7E79A599Dcc624aDf718dd10f3",
    }
    same, _ = write_out({"like": "devnet-7", "contracts": {"runtime": "0x8d67608d0f674f359de0e420857739ecbdeb6b90"}})
    other, _ = write_out({"like": "devnet-7", "contracts": {"runtime": "0x" + "1" * 40}})
    assert isinstance(same, dict) and isinstance(other, dict)
    assert isinstance(same["contracts"], dict) and "cognitive" in same["contracts"]
    assert other["contracts"] == {"runtime": "0x" + "1" * 40}


def test_what_is_missing_is_asked_for_and_can_be_given() -> None:
    _, findings = write_out("testnet-1a")
    assert [finding.what for finding in findings] == [
        "is like testnet-1a, and its rpc is perhaps https://cor-0-testnet.agnc.my.id/, not confirmed, "
        "its runtime is perhaps 0x0188C7F0c23c8be756F7b56486193E086f48E64b, not confirmed"
    ]
    given = {"like": "testnet-1a", "rpc": {"url": "https://rpc.lab.example"}, "contracts": {"runtime": "0x" + "1" * 40}}
    body, findings = write_out(given)  # type: ignore[arg-type]
    assert findings == []
    assert isinstance(body, dict)
    assert {key: body[key] for key in (*given, "chain_id", "references")} == {**given, "chain_id": "18964747554", "references": []}


def test_what_is_known_of_the_parent_stands_below_what_is_written() -> None:
    given = {"like": "testnet-1a", "rpc": {"url": "https://rpc.lab.example"}, "contracts": {"runtime": "0x" + "1" * 40}}
    own = {**given, "parent": {"rpc": {"url": "https://parent.lab.example"}, "contracts": {"bridge": "0x" + "2" * 40}}}
    body, _ = write_out(own)  # type: ignore[arg-type]
    assert isinstance(body, dict)
    parent = body["parent"]
    assert isinstance(parent, dict) and isinstance(parent["contracts"], dict)
    assert (parent["chain_id"], parent["rpc"]) == ("421614", {"url": "https://parent.lab.example"})
    assert parent["contracts"]["bridge"] == "0x" + "2" * 40
    assert parent["contracts"]["rollup"] == "0x39F772DfF00756bec951b691778f58d10a753a57"
    assert body["sequencer"] == {"url": "https://sequencer.testnet1a.cortensor.org", "feed": {"url": "wss://feed.testnet1a.cortensor.org"}}
    assert body["gas_token"] == {"symbol": "COR"}


def test_of_a_chain_that_others_run_only_the_pages_for_people_are_taken() -> None:
    body, _ = write_out("testnet-0")
    assert isinstance(body, dict)
    assert body["explorer"] == "https://sepolia.arbiscan.io"
    assert "parent" not in body and "sequencer" not in body
