"""The router's OpenAPI document has every route of its server, and its schemas are those of what is read."""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec
from tests.programs.router.test_trial import settings

from cortops.programs.router.server import Server
from cortops.protocol.openapi_router import build, document


def served() -> set[tuple[str, str]]:
    """(method, path) of each public route with a key; the chat form is our gateway's alone."""
    nothing = cast("Any", None)
    server = Server(
        settings=settings(), offers=nothing, tasks=nothing, reads=cast("Any", Reads()), clock=nothing, new_reference=lambda: "r"
    )
    found = {(route.method, route.resource.canonical) for route in server.application().router.routes() if route.resource is not None}
    return {(method, path) for method, path in found if method != "HEAD" and path.startswith("/api/") and "/chat/" not in path}


class Reads:
    """As much of it as a server's making asks for."""

    def health(self) -> None:
        """Never asked here."""


def test_it_has_every_route_of_the_server() -> None:
    paths = build()["paths"]
    assert {(method.upper(), path) for path, item in paths.items() for method in item} == served()


def test_every_reference_leads_somewhere_and_names_are_unique() -> None:
    text, found = document().decode(), build()
    for place in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        node = found
        for step in place.split("/"):
            node = node[step]
    names = [operation["operationId"] for item in found["paths"].values() for operation in item.values()]
    assert len(set(names)) == len(names)
    assert msgspec.json.decode(document()) == found


def test_a_body_s_schema_is_that_of_its_struct() -> None:
    schemas = build()["components"]["schemas"]
    assert schemas["ValidateBody"]["required"] == ["claim"]
    assert schemas["ConsensusBody"]["properties"]["replicas"] == {"enum": [1, 3, 5], "default": 3}
