"""What a search on the web finds now, for claims that are checked in realtime. The one way there is Tavily's API (facts A.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from cortops.programs.router.refusals import Refuse
from cortops.protocol.http import HttpClient, HttpFailure

SOURCES_MAX = 5
SOURCE_CHARS_MAX = 800  # of the text of one
QUERY_CHARS_MAX = 400
TIMEOUT_S = 15.0
BODY_MAX_MIB = 2


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One page that was found."""

    title: str
    url: str
    content: str = ""


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    results: list[Source]


class Search(Protocol):
    """Whoever finds pages."""

    async def find(self, claim: str) -> tuple[Source, ...]:
        """At most SOURCES_MAX, best first. Raises Refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tavily:
    """POST {url}/search. Source: docs.tavily.com, API reference."""

    url: str
    key: str
    http: HttpClient

    async def find(self, claim: str) -> tuple[Source, ...]:
        """As Search.find."""
        body = msgspec.json.encode({"query": claim[:QUERY_CHARS_MAX], "max_results": SOURCES_MAX, "search_depth": "basic"})
        headers = (("authorization", f"Bearer {self.key}"), ("content-type", "application/json"))
        try:
            reply = await self.http.request(
                "POST", f"{self.url.rstrip('/')}/search", headers=headers, body=body, timeout_s=TIMEOUT_S, body_max_mib=BODY_MAX_MIB
            )
        except HttpFailure as error:
            raise Refuse(502, "search_failed", "the search did not answer") from error
        if reply.status != 200:
            raise Refuse(502, "search_failed", f"the search answered with status {reply.status}")
        return read_found(reply.body)


def read_found(body: bytes) -> tuple[Source, ...]:
    """The pages of a reply, cut to what a judge is given. Raises Refuse for anything else."""
    try:
        found = msgspec.json.decode(body, type=_Found).results
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refuse(502, "search_failed", "the search gave no list of pages") from error
    kept = [one for one in found if one.url.startswith(("https://", "http://"))][:SOURCES_MAX]
    return tuple(msgspec.structs.replace(one, title=one.title[:200], content=one.content[:SOURCE_CHARS_MAX]) for one in kept)


def shown(sources: Sequence[Source]) -> str:
    """As a judge reads them; that nothing was found is told too."""
    told = [f"{at}. {one.title}\n{one.url}\n{one.content}" for at, one in enumerate(sources, 1)]
    return "\n\n".join(told) if told else "A search found nothing."
