"""The schema for editors: it takes the example, ranges included, and refuses what the loader refuses by shape."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cortops.environment.document import read
from cortops.environment.schema import schema

WHOLE = re.compile(r"-?\d+")


def as_editor(value: Any) -> Any:
    """The text values of `read` as YAML 1.2 types them."""
    if isinstance(value, dict):
        return {key: as_editor(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_editor(item) for item in value]
    if value in ("true", "false"):
        return value == "true"
    return int(value) if isinstance(value, str) and WHOLE.fullmatch(value) else value


def errors(value: Any, rule: dict[str, Any], root: dict[str, Any], path: str = "$") -> list[str]:
    """A validator of just the keywords that our schema uses; an unknown keyword fails the test."""
    known = {"$ref", "$defs", "$schema", "title", "description", "examples", "default", "anyOf", "oneOf", "const", "type", "properties"}
    known |= {
        "patternProperties",
        "additionalProperties",
        "propertyNames",
        "required",
        "pattern",
        "minLength",
        "maxLength",
        "items",
        "maxItems",
        "maxProperties",
        "enum",
    }
    known |= {"minItems", "minProperties", "minimum", "maximum", "exclusiveMinimum"}
    assert set(rule) <= known, set(rule) - known
    if "$ref" in rule:
        return errors(value, root["$defs"][rule["$ref"].rsplit("/", 1)[1]], root, path)
    if rule.get("type") == "null":
        return [] if value is None else [f"{path}: not null"]
    found: list[str] = []
    if "anyOf" in rule and all(errors(value, one, root, path) for one in rule["anyOf"]):
        found.append(f"{path}: none of anyOf")
    if "oneOf" in rule and sum(not errors(value, one, root, path) for one in rule["oneOf"]) != 1:
        found.append(f"{path}: not one of oneOf")
    if "const" in rule and value != rule["const"]:
        found.append(f"{path}: not {rule['const']}")
    kinds: dict[str, Any] = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
    if "type" in rule and not isinstance(value, kinds[rule["type"]]):
        return [*found, f"{path}: not of type {rule['type']}"]
    if isinstance(value, dict):
        found += of_object(value, rule, root, path)
    if isinstance(value, list):
        found += [error for index, item in enumerate(value) for error in errors(item, rule.get("items", {}), root, f"{path}[{index}]")]
        found += [f"{path}: too short"] * (len(value) < rule.get("minItems", 0))
    if "enum" in rule and value not in rule["enum"]:
        found.append(f"{path}: not one of enum")
    if isinstance(value, str) and not re.search(rule.get("pattern", ""), value):
        found.append(f"{path}: pattern")
    if isinstance(value, int) and not rule.get("minimum", value) <= value <= rule.get("maximum", value):
        found.append(f"{path}: range")
    return found


def of_object(value: dict[str, Any], rule: dict[str, Any], root: dict[str, Any], path: str) -> list[str]:
    found = [f"{path}: {key} missing" for key in rule.get("required", []) if key not in value]
    for key, item in value.items():
        rules = [one for pattern, one in rule.get("patternProperties", {}).items() if re.search(pattern, key)]
        rules += [rule["properties"][key]] if key in rule.get("properties", {}) else []
        other = rule.get("additionalProperties", {})
        if not rules and other is False:
            found.append(f"{path}: {key} not known")
        for one in rules or ([other] if isinstance(other, dict) else []):
            found += errors(item, one, root, f"{path}.{key}")
    return found


def judged(text: str) -> list[str]:
    root = schema()
    return errors(as_editor(read(text).tree), root, root)


def test_the_example_is_accepted(example_text: str) -> None:
    assert judged(example_text) == []


def test_programs_of_others_are_accepted() -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "roles.md").read_text()
    assert judged(guide.partition("```yaml\n")[2].partition("```")[0]) == []


def test_lists_by_position_are_accepted(example_text: str) -> None:
    ranged = "  m[1-2]: {role: miner, host: [here, here], port: [5200, 5201], engine: engine-1, routers: [router-1]}\n  oracle-1:"
    assert judged(example_text.replace("  oracle-1:", ranged)) == []


def test_ranges_are_accepted(example_text: str) -> None:
    ranged = '  m[1-9]: {role: miner, host: "h[3-9]", port: "{n+5200}", engine: engine-1, routers: ["r[1-2]"]}\n  oracle-1:'
    assert judged(example_text.replace("  oracle-1:", ranged)) == []


def test_rules_are_accepted_and_a_wrong_one_is_not(fleet_text: str) -> None:
    assert judged(fleet_text + "\nrules: {apply: {by: [alice@laptop], deletes_max: 5, restarts_share_max: 1, hosts_max: 3}}\n") == []
    assert judged(fleet_text + "\nrules: {apply: {by: [alice]}}\n") and judged(fleet_text + "\nrules: {aply: {}}\n")


def test_a_fleet_is_accepted_however_its_network_is_written(fleet_text: str) -> None:
    assert judged(fleet_text) == []
    for network in ('{like: testnet-0, rpc: {url: "https://rpc.lab.example"}}', '{like: testnet-1a, references: ["https://a.example"]}'):
        assert judged(fleet_text.replace("network: testnet-0", f"network: {network}")) == []


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("network: testnet-0", "network: testnet-9", "network: none of anyOf"),
        ("role: pool-oracle", "role: poolv1", "not one of oneOf"),
        ("shape: salt", "shape: pepper", "not one of oneOf"),
        ("ssh: ops@h1.lab.example", "ssh: ops at h1", "none of anyOf"),
    ],
)
def test_a_wrong_shape_of_a_fleet_is_refused(fleet_text: str, old: str, new: str, path: str) -> None:
    assert old in fleet_text
    assert any(re.search(path, error) for error in judged(fleet_text.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("chain_id: 31338", "chainid: 31338", r"network: none of anyOf"),
        ("port: 8400", "port: 70000", "none of anyOf|range"),
        ("tls: local-ca, ", "", "tls missing"),
        ("role: oracle", "role: oracel", "not one of oneOf"),
        ("pools: ", "pool: ", "pool not known"),
        ("  smollm2: {members", "  Small_Pool: {members", "Small_Pool not known"),
    ],
)
def test_a_wrong_shape_is_refused(example_text: str, old: str, new: str, path: str) -> None:
    assert old in example_text
    assert any(re.search(path, error) for error in judged(example_text.replace(old, new)))
