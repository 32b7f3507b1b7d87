"""The JSON Schema of an environment file, for editors. Ranges are allowed where the file allows them; cross-checks are not in it."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from cortops.environment.load import REQUIRED
from cortops.environment.model import FORMAT, NODE_ROLES, Gateway, Host, Monitor, Network, Pool, Route
from cortops.environment.release import Release

NAME = r"[a-z0-9][a-z0-9-]{0,30}"
RANGED_NAME = r"^(?=[a-z0-9\[])[a-z0-9-]*(\[[0-9]{1,6}-[0-9]{1,6}\][a-z0-9-]*)?$"
NUMBER_OF_RANGE = r"^\{n(\+[0-9]{1,6})?\}$"

_DEFAULTED = ("wallet", "api_key")  # filled in from the node's name before the model sees them


def schema() -> dict[str, Any]:
    """The schema of the whole file (JSON Schema 2020-12)."""
    models = [Host, Release, Network, *NODE_ROLES.values(), Pool, Gateway, Route, Monitor]
    _, parts = models_json_schema([(model, "validation") for model in models], ref_template="#/$defs/{model}")
    definitions: dict[str, Any] = parts["$defs"]
    for model in NODE_ROLES.values():
        node = definitions[model.__name__]
        node["properties"] = {key: _or_number_of_range(value) for key, value in node["properties"].items()}
        node["required"] = [key for key in node["required"] if key not in _DEFAULTED]
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
            "releases": _names(f"^{NAME}$", {"$ref": "#/$defs/Release"}),
            "network": {"$ref": "#/$defs/Network"},
            "nodes": _names(RANGED_NAME, {"oneOf": [{"$ref": f"#/$defs/{model.__name__}"} for model in NODE_ROLES.values()]}),
            "pools": _names(f"^{NAME}$", {"$ref": "#/$defs/Pool"}),
            "gateway": {"$ref": "#/$defs/Gateway"},
            "proxy": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Route"}},
            "monitor": {"$ref": "#/$defs/Monitor"},
        },
        "$defs": definitions,
    }


def _names(pattern: str, entry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "patternProperties": {pattern: entry}}


def _or_number_of_range(value: dict[str, Any]) -> dict[str, Any]:
    """A whole number in the body of a range may be `{n}` or `{n+5100}`."""
    if value.get("type") != "integer":
        return value
    words: dict[str, Any] = {key: value[key] for key in ("description", "examples", "title", "default") if key in value}
    number = {key: value[key] for key in value if key not in words}
    return {**words, "anyOf": [number, {"type": "string", "pattern": NUMBER_OF_RANGE}]}
