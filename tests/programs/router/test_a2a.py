"""The A2A card, and messages by the official client: sent, streamed, refused, remembered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest
from a2a.client import A2ACardResolver, Client, ClientConfig, create_client
from a2a.client.card_resolver import parse_agent_card
from a2a.helpers.proto_helpers import get_artifact_text, get_data_parts, get_message_text, new_data_part, new_message, new_text_part
from a2a.server.context import ServerCallContext
from a2a.types import GetTaskRequest, ListTasksRequest, Role, SendMessageRequest, Task, TaskState
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from tests.programs.router.agents_rig import BEARER, KEY, PUBLIC, Doors, doors, play, without_answer

from cortops.programs.router import a2a as agent_module
from cortops.programs.router.a2a import Remembered
from cortops.programs.router.offers import Family

agent_doors = partial(doors, mcp=False, x402=False)
COMPLETED = TaskState.TASK_STATE_COMPLETED


@asynccontextmanager
async def client_of(door: Doors, *, streaming: bool = False, headers: dict[str, str] = BEARER) -> AsyncIterator[Client]:
    """By the card, whose public name leads to this test's port."""
    async with httpx.AsyncClient(headers=headers, timeout=10) as http:
        card = await A2ACardResolver(http, door.url, agent_card_path="/.well-known/agent.json").get_agent_card()
        for interface in card.supported_interfaces:
            interface.url = interface.url.replace(f"https://{PUBLIC}", door.url)
        yield await create_client(card, ClientConfig(streaming=streaming, httpx_client=http))


def asking(*parts: Any, **metadata: Any) -> SendMessageRequest:
    message = new_message(list(parts), role=Role.ROLE_USER)
    if metadata:
        message.metadata.CopyFrom(ParseDict(metadata, Struct()))
    return SendMessageRequest(message=message)


async def last(client: Client, request: SendMessageRequest) -> Task:
    events = [event async for event in client.send_message(request)]
    assert events[-1].HasField("task")
    return events[-1].task


def test_the_card_is_found_at_each_path_and_names_public_addresses_only() -> None:
    async def test() -> None:
        async with agent_doors(a2a_name="Lab router") as door:
            bodies = [
                await door.get(door.url + path)
                for path in ("/.well-known/agent.json", "/.well-known/agent-card.json", "/api/v1/a2a/agent.json")
            ]
            assert [status for status, _ in bodies] == [200] * 3 and bodies[0] == bodies[1] == bodies[2]
            card = parse_agent_card(bodies[0][1])
            assert card.name == "Lab router" and [skill.id for skill in card.skills] == ["completions", "delegate", "validate", "factcheck"]
            assert {one.url for one in card.supported_interfaces} == {"https://router.lab.example/api/v1/a2a"}
            status, found = await door.get(f"{door.url}/api/v1/a2a/discovery")
            assert status == 200 and found["agents"][0]["card"] == "https://router.lab.example/.well-known/agent.json"
            assert "127.0.0.1" not in msgspec.json.encode([bodies, found]).decode()

    play(test)


def test_the_official_client_sends_a_message_and_gets_a_task() -> None:
    async def test() -> None:
        async with agent_doors() as door, client_of(door) as client:
            task = await last(client, asking(new_text_part("Why is the sky blue?")))
            assert task.status.state == COMPLETED and get_artifact_text(task.artifacts[0]) == "Hello."
            assert get_data_parts(task.artifacts[0].parts)[0]["id"] == "cmpl-1-2"
            (asked,) = door.offers.asked
            assert (asked.family, asked.session, asked.body) == (Family.COMPLETIONS, 1, {"prompt": "Why is the sky blue?"})
            again = await client.get_task(GetTaskRequest(id=task.id))
            assert again.status.state == COMPLETED

    play(test)


@pytest.mark.parametrize(
    ("skill", "body", "family", "version", "text"),
    [
        ("delegate", {"objective": "x", "execution": {"max_tokens": 7}}, Family.DELEGATE, 2, "Done."),
        ("validate", {"claim": {"output": "a", "description": "b"}}, Family.VALIDATE, 2, "VALID: it fits"),
        ("factcheck", {"claim": "x", "session_id": 5}, Family.FACTCHECK, 1, "VALID: it fits"),
    ],
)
def test_a_skill_takes_its_routes_body_as_data(skill: str, body: dict[str, Any], family: Family, version: int, text: str) -> None:
    async def test() -> None:
        async with agent_doors() as door, client_of(door) as client:
            task = await last(client, asking(new_data_part(body), skill=skill))
            assert task.status.state == COMPLETED and get_artifact_text(task.artifacts[0]) == text
            (asked,) = door.offers.asked
            assert (asked.family, asked.version, asked.body) == (family, version, body)
            assert asked.session == body.get("session_id", 1)
            assert type(asked.body.get("execution", {}).get("max_tokens", 7)) is int

    play(test)


def test_a_completion_streams_as_a_growing_artifact() -> None:
    async def test() -> None:
        async with agent_doors() as door, client_of(door, streaming=True) as client:
            events = [event async for event in client.send_message(asking(new_text_part("hello"), session_id=2))]
            states = [event.status_update.status.state for event in events if event.HasField("status_update")]
            assert states == [TaskState.TASK_STATE_WORKING, COMPLETED]
            grown = [event.artifact_update for event in events if event.HasField("artifact_update")]
            assert "".join(get_artifact_text(one.artifact) for one in grown) == "Hello."
            assert [one.append for one in grown] == [False, True, True, True] and grown[-1].last_chunk
            assert door.offers.asked[0].stream and door.offers.asked[0].session == 2

    play(test)


def test_a_call_that_failed_is_a_failed_task_with_our_error() -> None:
    async def test() -> None:
        async with agent_doors() as door:
            door.offers.refuse = without_answer(503, "session_busy")
            async with client_of(door) as client:
                task = await last(client, asking(new_text_part("hello")))
            assert task.status.state == TaskState.TASK_STATE_FAILED
            assert get_data_parts(task.status.message.parts)[0]["error"]["code"] == "session_busy"

    play(test)


def test_a_message_that_asks_nothing_is_rejected_without_work() -> None:
    async def test() -> None:
        async with agent_doors() as door, client_of(door) as client:
            for request, words in (
                (asking(new_text_part("x"), skill="dance"), "no skill 'dance'"),
                (asking(new_text_part("x"), skill=["completions"]), "no skill"),
                (asking(new_text_part(" ")), "needs a text part"),
                (asking(new_text_part("x"), skill="validate"), "takes data"),
                (asking(new_data_part([1])), "at most one data part"),
                (asking(new_data_part({"prompt": "x"}), new_data_part({"prompt": "y"})), "at most one data part"),
                (asking(new_text_part("x"), session_id="one"), "number of a session"),
                (asking(new_text_part("x"), session_id=1.5), "number of a session"),
            ):
                task = await last(client, request)
                assert task.status.state == TaskState.TASK_STATE_REJECTED and words in get_message_text(task.status.message)
            assert door.offers.asked == []

    play(test)


def test_more_at_once_than_the_limit_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        monkeypatch.setattr(agent_module, "IN_FLIGHT_MAX", 0)
        async with agent_doors() as door, client_of(door) as client:
            task = await last(client, asking(new_text_part("x")))
            assert task.status.state == TaskState.TASK_STATE_REJECTED and door.offers.asked == []

    play(test)


def test_without_a_key_nothing_but_the_card() -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {}}

    async def test() -> None:
        async with agent_doors() as door:
            assert (await door.post("/api/v1/a2a", body))[0] == 401
            assert (await door.post("/api/v1/a2a", body, Authorization="Bearer wrong"))[0] == 401

    play(test)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"[]", -32600),
        (b"[" * 50_000, -32600),
        (b'{"jsonrpc": "2.0"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "nothing"}', -32601),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "message/send", "params": {}}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": "SECRET PROMPT"}}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": {"id": "none"}}', -32001),
    ],
)
def test_a_bad_call_is_answered_and_never_logged(body: bytes, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    async def test() -> None:
        async with agent_doors() as door:
            status, answer, _ = await door.post("/api/v1/a2a", body, Authorization=f"Bearer {KEY}", Content_Type="application/json")
            assert status == 200 and answer["error"]["code"] == code
            assert b"SECRET PROMPT" not in door.log.getvalue()
        told = capsys.readouterr()
        assert "Traceback" not in told.err + told.out and "SECRET PROMPT" not in told.err

    play(test)


def test_a_body_beyond_the_limit_is_refused() -> None:
    async def test() -> None:
        async with agent_doors() as door:
            for size in (256 * 1024 + 1, 4 * 2**20 + 1):
                status, body, _ = await door.post("/api/v1/a2a", b"x" * size, Authorization=f"Bearer {KEY}")
                assert (status, body["error"]["code"]) == (413, "body_too_large")

    play(test)


def test_only_the_newest_tasks_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        monkeypatch.setattr(agent_module, "TASKS_MAX", 2)
        store, context = Remembered(), ServerCallContext()
        for name in ("a", "b", "c", "b", "d"):
            await store.save(Task(id=name, context_id="x"), context)
        assert {task.id for task in (await store.list(ListTasksRequest(), context)).tasks} == {"b", "d"}
        await store.delete("b", context)
        await store.save(Task(id="e", context_id="x"), context)
        assert {task.id for task in (await store.list(ListTasksRequest(), context)).tasks} == {"d", "e"}

    play(test)
