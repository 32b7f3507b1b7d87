"""Declared, deployed and through nginx: tools, messages and paid calls by their official clients, answered by a model."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import httpx
import httpx2
import msgspec
import pytest
from a2a.client import A2ACardResolver, ClientConfig, create_client
from a2a.helpers.proto_helpers import get_artifact_text, new_text_part
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from tests.programs.router.agents_rig import PAY_TO, RICH, account
from tests.programs.router.test_a2a import asking
from tests.programs.router.test_x402 import payer
from x402.http.clients.httpx import x402AsyncTransport

from cortops.protocol import envfile
from cortops.testing.facilitator import PaperLedger, facilitator
from cortops.testing.local import SMALL, LocalEnvironment, bring_up, place
from cortops.words.clock import SystemClock

pytestmark = [pytest.mark.real, pytest.mark.proof]

PROMPT = {"prompt": "Say hello.", "max_tokens": 8}
TIMEOUT_S = 120
FRONT = "  agents.localhost: {on: here, port: 8443, to: pool/smollm2, tls: local-ca, families: [info, mcp, a2a, x402]}\n"


def declared(folder: Path, facilitator_url: str) -> Path:
    text, router = SMALL.read_text(), "sessions: {smollm2: [1]}"
    assert text.count(router) == 1
    paid = f'{{pay_to: "{PAY_TO}", sessions: {{completions: 1}}, facilitator: {{url: "{facilitator_url}"}}}}'
    text = text.replace(router, f"{router}, mcp: {{port: 8001, sessions: {{default: 1}}}}, a2a: {{session: 1}}, x402: {paid}")
    path = folder / "agents.yaml"
    path.write_text(text.replace("environment: small", "environment: agents") + FRONT)
    return path


@pytest.fixture
def names_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names below localhost lead here; not every machine's resolver says so (RFC 6761 6.3)."""
    real = socket.getaddrinfo

    def here(host: Any, *more: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return real("127.0.0.1" if name and name.endswith(".localhost") else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", here)


@pytest.mark.usefixtures("names_of_this_machine")
def test_every_family_of_agents_is_answered_through_nginx_by_a_model(tmp_path: Path) -> None:
    async def test() -> None:
        ledger = PaperLedger({account("payer").address.lower(): RICH})
        async with facilitator(ledger, SystemClock()) as paid:
            with place(file=declared(tmp_path, paid.url)) as where:
                up = await asyncio.to_thread(bring_up, where)
                await _ask(up)
                assert ledger.balances[PAY_TO] == 1_000
                await asyncio.to_thread(where.until_well)

    asyncio.run(test())


async def _ask(up: LocalEnvironment) -> None:
    url, tls = up.endpoints["router"], ssl.create_default_context(cafile=up.endpoints["ca"])
    (env_file,) = up.place.root.rglob("router-1.env")
    bearer = {"Authorization": f"Bearer {envfile.parse(env_file.read_text())['API_KEY']}"}
    async with httpx.AsyncClient(headers=bearer, verify=tls, timeout=TIMEOUT_S) as http:
        told = [
            (await http.get(url + path)).text for path in ("/mcp/messages", "/.well-known/agent.json", "/api/v1/a2a/discovery", "/about")
        ]
        assert not [text for text in told if "127.0.0.1" in text or '"error"' in text] and f"{url}/mcp" in told[0]
        card = await A2ACardResolver(http, url, agent_card_path="/.well-known/agent.json").get_agent_card()
        agent = await create_client(card, ClientConfig(streaming=True, httpx_client=http))
        events = [event async for event in agent.send_message(asking(new_text_part(PROMPT["prompt"])))]
        assert "".join(get_artifact_text(event.artifact_update.artifact) for event in events if event.HasField("artifact_update"))
    async with (
        httpx2.AsyncClient(headers=bearer, verify=tls, timeout=TIMEOUT_S) as tools,
        streamable_http_client(url + "/mcp", http_client=tools) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        result: Any = await session.call_tool("cortensor_completions", PROMPT)
        assert not result.is_error and msgspec.json.decode(result.content[0].text)["choices"][0]["text"]
    transport = x402AsyncTransport(payer(), httpx.AsyncHTTPTransport(verify=tls))
    async with httpx.AsyncClient(transport=transport, base_url=url, timeout=TIMEOUT_S) as payers:
        reply = await payers.post("/api/v1/x402/completions", json=PROMPT)
        assert reply.status_code == 200 and reply.json()["choices"][0]["text"] and "X-PAYMENT-RESPONSE" in reply.headers
