"""Agents' calls on a real chain: payments settled by a token contract, and tools, messages and paid calls that a miner answers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from a2a.helpers.proto_helpers import get_artifact_text, new_text_part
from tests.programs.router.agents_rig import PAY_TO, PUBLIC, RICH, Doors, ToldOffers, account, doors
from tests.programs.router.spine_rig import free_port, play, spine
from tests.programs.router.test_a2a import asking, client_of
from tests.programs.router.test_mcp import said, session
from tests.programs.router.test_x402 import BODY, COMPLETIONS, header, paying, required, signed

from cortops.contracts.sender import Sender
from cortops.testing.chain import bare_chain, wallet_of
from cortops.testing.engine import Say
from cortops.testing.facilitator import ChainLedger, PaperLedger, deploy_token, facilitator
from cortops.words.clock import SystemClock

pytestmark = pytest.mark.real

BASE_SEPOLIA = 84532  # the id of the chain that signatures are for; this chain is not it
PAYER = account("payer").address
PROMPT = {"prompt": "Why is the sky blue?"}
ANSWER = "".join(Say().pieces)


@asynccontextmanager
async def paid_on_chain() -> Any:
    """(the ledger, its token's declaration) on a chain of its own."""
    async with bare_chain() as chain:
        await chain.rpc.call("anvil_setChainId", BASE_SEPOLIA)
        for label in ("minter", "facilitator"):
            await chain.sender(label)  # funds it
            chain.senders[label] = Sender(chain.rpc, wallet_of(label), BASE_SEPOLIA, chain.clock)
        token = await deploy_token(chain, "minter", {PAYER: RICH})
        yield ChainLedger(chain, token), f"{token},6,Dollar,2"


def test_the_token_settles_what_the_official_client_signed_once_and_nothing_else() -> None:
    async def test() -> None:
        async with paid_on_chain() as (ledger, asset), doors(ledger, x402_asset=asset) as door:
            async with paying(door, asset=ledger.token) as client:
                reply = await client.post(COMPLETIONS, json=BODY)
            assert reply.status_code == 200 and "X-PAYMENT-RESPONSE" in reply.headers
            assert (await ledger.balance(PAY_TO), await ledger.balance(PAYER)) == (1_000, RICH - 1_000)
            need = await required(door)
            payment = signed(need)
            first = await door.post(COMPLETIONS, BODY, X_PAYMENT=header(payment))
            assert first[0] == 200 and await ledger.balance(PAY_TO) == 2_000
            async with doors(ledger, x402_asset=asset) as other:  # another router of the pool, or this one after a restart
                again = await other.post(COMPLETIONS, BODY, X_PAYMENT=header(payment))
                assert again[0] == 402 and again[1]["error"] == "payment_refused: authorization is used" and other.offers.asked == []
            for wrong in (signed(need, asset="0x" + "22" * 20), signed(need, "poor")):
                status, body, _ = await door.post(COMPLETIONS, BODY, X_PAYMENT=header(wrong))
                assert status == 402 and body["error"].startswith("payment_refused: ")
            assert await ledger.balance(PAY_TO) == 2_000

    play(test)


def test_every_family_of_agents_reaches_a_miner_and_comes_back() -> None:
    async def test() -> None:
        ledger = PaperLedger({PAYER.lower(): RICH})
        async with facilitator(ledger, SystemClock()) as paid:
            router: dict[str, Any] = {"external_domain": PUBLIC, "rest_tls": True, "proxy_port": 443}
            router |= {"x402": True, "x402_pay_to": PAY_TO, "x402_facilitator_url": paid.url, "x402_completions_session": 1}
            router |= {"mcp": True, "mcp_port": free_port(), "mcp_default_session": 1, "a2a": True, "a2a_session": 1}
            async with spine(router=router) as one:
                mcp = f"http://127.0.0.1:{router['mcp_port']}"
                door = Doors(url=one.url, mcp=mcp, web=one.web, offers=ToldOffers(), paid=paid, ledger=ledger, log=one.logs["router"])
                await _tools(door)
                await _paid(door)
                await _messages(door)
                cards = [await door.get(url) for url in (f"{mcp}/mcp/messages", f"{mcp}/about", f"{one.url}/.well-known/agent.json")]
                assert [status for status, _ in cards] == [200] * 3
                assert "127.0.0.1" not in msgspec.json.encode(cards).decode()
                assert PROMPT["prompt"].encode() not in one.logs["router"].getvalue()

    play(test)


async def _tools(door: Doors) -> None:
    async with session(door) as client:
        assert said(await client.call_tool("cortensor_completions", PROMPT))["choices"][0]["text"] == ANSWER
        assert len(said(await client.call_tool("cortensor_tasks", {}))["tasks"]) == 1
        for tool in ("status", "info", "about", "ping", "miners", "sessions"):
            assert not (await client.call_tool(f"cortensor_{tool}", {})).is_error, tool
        wrong = await client.call_tool("cortensor_completions", {**PROMPT, "session_id": 9})
        assert wrong.is_error and said(wrong)["error"]["code"] == "session_not_found"


async def _paid(door: Doors) -> None:
    async with paying(door) as client:
        reply = await client.post(COMPLETIONS, json=PROMPT)
    assert reply.status_code == 200 and reply.json()["choices"][0]["text"] == ANSWER
    assert door.ledger.balances[PAY_TO] == 1_000


async def _messages(door: Doors) -> None:
    async with client_of(door, streaming=True) as agent:
        events = [event async for event in agent.send_message(asking(new_text_part(PROMPT["prompt"])))]
    grown = [event.artifact_update.artifact for event in events if event.HasField("artifact_update")]
    assert "".join(map(get_artifact_text, grown)) == ANSWER
