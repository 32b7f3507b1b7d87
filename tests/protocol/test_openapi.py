"""The OpenAPI document: it has every route and every status of the gateway, and its schemas are those of what is read."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from cortops.programs.gateway.handle import DIALECTS, PAGES, allowed_methods
from cortops.protocol.openapi import STATUSES, build, document
from cortops.protocol.openapi_page import page

ROOT = Path(__file__).resolve().parents[2]


def test_it_has_every_route_with_its_method() -> None:
    paths = build()["paths"]
    assert set(paths) == {*DIALECTS, *PAGES, "/v1/models/{model}"}
    assert {path: [method for method in ("get", "post") if method in item] for path, item in paths.items()} == {
        path: [allowed_methods(path.replace("{model}", "m")).partition(",")[0].lower()] for path in paths
    }


def test_it_is_what_the_gateway_serves() -> None:
    assert msgspec.json.decode(document()) == build()


def test_every_reference_leads_somewhere() -> None:
    text = document().decode()
    found = build()
    for place in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        node = found
        for step in place.split("/"):
            node = node[step]


def test_every_status_on_the_page_of_codes_is_in_it() -> None:
    codes = (ROOT / "docs" / "reference" / "errors-api.md").read_text()
    gateway = codes.partition("## What the gateway says")[2].partition("\n## ")
    members = gateway[2].partition("\n## ")[0]
    cells = re.findall(r"^\| `[^|]+\| ([45][\d, ]+) \|", gateway[0] + members, re.MULTILINE)
    assert members.startswith("What members say") and set(", ".join(cells).split(", ")) == set(STATUSES)


def test_a_body_s_schema_is_that_of_its_struct() -> None:
    body = build()["components"]["schemas"]["CompletionBody"]
    assert set(body["required"]) == {"model", "prompt"}
    assert body["properties"]["top_p"]["anyOf"][0] == {"type": "number", "minimum": 0, "maximum": 1}


@pytest.mark.parametrize(
    "line",
    [
        "## `POST /v1/messages`",
        "| `max_tokens` | integer, 1 to 1,000,000 | required |",
        "| `system` | string or list of `Text` |  |",
        "Ask a model, in Anthropic's way. `X-API-Key` carries the key as well.",
        "How the gateway is. No key is needed.",
        "Answers: 200 `ModelList`; 400, 401, 405, 431, 503.",
        "| `X-Request-Timeout` | seconds that the client waits, as 30 or 2.5; the gateway gives up then, no later than its own limit "
        "| chat, messages, completions |",
        "| `X-Request-ID` | shown in the answer and kept in the usage row, if it is 1 to 64 letters, digits and ._:- | all |",
    ],
)
def test_the_page_for_people_says_the_same(line: str) -> None:
    assert line in page(build()).splitlines()
