"""The OpenAPI document as a page for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

TOP = """Every answer has `X-Request-ID`: the client's own if it sent one of 1 to 64 letters, digits and `._:-`, else ours.
Keys go into `Authorization: Bearer KEY`. The same as [OpenAPI](https://spec.openapis.org/oas/v3.1.0): `GET /openapi.json` of the gateway.
[How to ask](../guides/api.md), [error codes](errors-api.md).
"""


def page(document: Mapping[str, Any]) -> str:
    """Routes in order, each with its body's fields and its answers. A route is what `openapi.build` makes of it."""
    return "\n".join([TOP, *_headers(document), *_routes(document)])


def _headers(document: Mapping[str, Any]) -> Iterator[str]:
    """What a request may say of itself, and where that is read."""
    operations = [item[method] for item in document["paths"].values() for method in ("get", "post") if method in item]
    yield "## Headers of a request\n\n| Header | | Routes |\n|---|---|---|"
    for name, header in document["components"]["parameters"].items():
        read_by = [one["operationId"] for one in operations if {"$ref": f"#/components/parameters/{name}"} in one["parameters"]]
        yield f"| `{name}` | {header['description']} | {'all' if len(read_by) == len(operations) else ', '.join(read_by)} |"
    yield ""


def _routes(document: Mapping[str, Any]) -> Iterator[str]:
    schemas = document["components"]["schemas"]
    for path, item in document["paths"].items():
        for method in ("get", "post"):
            if method in item:
                yield f"## `{method.upper()} {path}`\n\n{item[method]['summary']}.{_keys(item[method])}\n"
                yield from _body(item[method], schemas)
                yield from _answers(item[method])


def _keys(operation: Mapping[str, Any]) -> str:
    security = operation.get("security")
    if security is None:
        return ""
    return " No key is needed." if not security else " `X-API-Key` carries the key as well."


def _body(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    if "requestBody" not in operation:
        return
    schema = schemas[_name(operation["requestBody"]["content"]["application/json"]["schema"])]
    yield "| Field | Type | |\n|---|---|---|"
    for name, field in schema["properties"].items():
        yield f"| `{name}` | {_type(field)} | {'required' if name in schema.get('required', ()) else ''} |"
    yield ""


def _answers(operation: Mapping[str, Any]) -> Iterator[str]:
    good = operation["responses"]["200"].get("content", {})
    shown = [f"`{_name(content['schema'])}`" if "$ref" in content["schema"] else kind for kind, content in good.items()]
    refused = ", ".join(status for status in sorted(operation["responses"]) if status != "200")
    yield f"Answers: 200{' ' + ' or '.join(shown) if shown else ''}; {refused}.\n"


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in a few words; null goes without saying."""
    if "$ref" in schema:
        return f"`{_name(schema)}`"
    if "anyOf" in schema:
        return " or ".join([_type(one) for one in schema["anyOf"] if one.get("type") != "null"])
    if "enum" in schema:
        return " or ".join([f"`{value}`" for value in schema["enum"] if value is not None])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if schema.get("items") else "list"
    return str(schema.get("type", "any")) + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and high is None:
        return ""
    return (
        f", {low:,} to {high:,}" if high is not None and low is not None else f", {low:,} or more" if high is None else f", up to {high:,}"
    )
