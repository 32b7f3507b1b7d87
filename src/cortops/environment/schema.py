"""The JSON Schema of an environment file, for editors. Ranges are allowed where the file allows them; cross-checks are not in it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from cortops.environment.certificates import Acme
from cortops.environment.cortensord import CortensordNode
from cortops.environment.dns import Dns
from cortops.environment.load import REQUIRED
from cortops.environment.model import FORMAT, NODE_ROLES, Host, Monitor, Network
from cortops.environment.networks import known_networks
from cortops.environment.payloads import Payloads
from cortops.environment.portal import Portal
from cortops.environment.release import MINIMUM, Minimum, ProgramRelease, Release
from cortops.environment.rules import Rules
from cortops.environment.section import Secret
from cortops.environment.traffic import Gateway, Pool, Route

NAME = r"[a-z0-9][a-z0-9-]{0,30}"
RANGED_NAME = r"^(?=[a-z0-9\[])[a-z0-9-]*(\[[0-9]{1,6}-[0-9]{1,6}\][a-z0-9-]*)?$"
NUMBER_OF_RANGE = r"^\{n(\+[0-9]{1,6})?\}$"
TEXT_OF_RANGE = r"(\{n(\+[0-9]{1,6})?\}|\[[0-9]{1,6}-[0-9]{1,6}\])"

_MODELS: tuple[type[BaseModel], ...] = (
    Host,
    Release,
    ProgramRelease,
    Minimum,
    Network,
    *NODE_ROLES.values(),
    CortensordNode,
    Pool,
    Gateway,
    Portal,
    Route,
    Dns,
    Acme,
    Payloads,
    Monitor,
    Rules,
)
_DEFAULTED = ("wallet", "api_key")  # filled in from the node's name before the model sees them


def schema() -> dict[str, Any]:
    """The schema of the whole file (JSON Schema 2020-12)."""
    _, parts = models_json_schema([(model, "validation") for model in _MODELS], ref_template="#/$defs/{model}")
    definitions: dict[str, Any] = parts["$defs"]
    for model in (Host, *NODE_ROLES.values(), CortensordNode, Secret):  # what may stand in the body of a range
        body = definitions[model.__name__]
        body["properties"] = {key: _or_of_range(value) for key, value in body["properties"].items()}
        body["required"] = [key for key in body.get("required", []) if key not in _DEFAULTED]
    network = definitions["Network"]
    network["anyOf"] = [{"required": network.pop("required")}, {"required": ["like"]}]
    nodes = [{"$ref": f"#/$defs/{model.__name__}"} for model in (*NODE_ROLES.values(), CortensordNode)]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cortops environment file",
        "type": "object",
        "additionalProperties": False,
        "required": list(REQUIRED),
        "properties": {
            "format": {"const": FORMAT},
            "environment": {"type": "string", "pattern": f"^{NAME}$", "description": "The environment's name."},
            "owners": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Whom to ask: default, by kind, by name.",
            },
            "hosts": _names(RANGED_NAME, {"$ref": "#/$defs/Host"}),
            "releases": {
                **_names(f"^(?!{MINIMUM}$){NAME}$", {"oneOf": [{"$ref": "#/$defs/Release"}, {"$ref": "#/$defs/ProgramRelease"}]}),
                "properties": {MINIMUM: {"$ref": "#/$defs/Minimum"}},
            },
            "network": {"anyOf": [{"enum": list(known_networks())}, {"$ref": "#/$defs/Network"}]},
            "nodes": _names(RANGED_NAME, {"oneOf": nodes}),
            "pools": _names(f"^{NAME}$", {"$ref": "#/$defs/Pool"}),
            "gateway": {"$ref": "#/$defs/Gateway"},
            "portal": {"$ref": "#/$defs/Portal"},
            "proxy": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Route"}},
            "dns": {"$ref": "#/$defs/Dns"},
            "acme": {"$ref": "#/$defs/Acme"},
            "payloads": {"$ref": "#/$defs/Payloads"},
            "monitor": {"$ref": "#/$defs/Monitor"},
            "rules": {"$ref": "#/$defs/Rules"},
        },
        "$defs": definitions,
    }


def _names(pattern: str, entry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "patternProperties": {pattern: entry}}


def _or_of_range(value: dict[str, Any]) -> dict[str, Any]:
    """In the body of a range a whole number may be `{n}` or `{n+5100}`, a text with a pattern may hold that or a range of its own, and
    where one value stands there may be a list with one for each member.
    """
    kinds = value.get("anyOf", [value])
    if not any(kind.get("type") in _SCALARS and "const" not in kind for kind in kinds):
        return value
    patterns = [_OF_RANGE[kind["type"]] for kind in kinds if kind.get("type") == "integer" or "pattern" in kind]
    words: dict[str, Any] = {key: value[key] for key in ("description", "examples", "title", "default") if key in value}
    plain = [{key: kind[key] for key in kind if key not in words} for kind in kinds]
    either = [*plain, *({"type": "string", "pattern": pattern} for pattern in patterns[:1])]
    return {**words, "anyOf": [*either, {"type": "array", "items": {"anyOf": either}}]}


_SCALARS = ("string", "integer", "number", "boolean")
_OF_RANGE = {"integer": NUMBER_OF_RANGE, "string": TEXT_OF_RANGE}
