"""The gateway over loopback with fake routers: what clients get, what members are asked, which rows are left."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import msgspec
import pytest
from gateway_rig import CHAT, MODEL, Rig, gateway, issue_key, make_config, with_gateway

from cortops.programs.common.logs import make_log
from cortops.programs.gateway.__main__ import run
from cortops.protocol.gateway import Health, Limits
from cortops.protocol.http import HttpClient, HttpReply
from cortops.protocol.limits import KeyLimits
from cortops.testing.clock import turn_until
from cortops.words.clock import SystemClock


def error_of(reply: HttpReply) -> dict[str, object]:
    body = msgspec.json.decode(reply.body)
    assert set(body) == {"error", "request_id"}
    assert body["request_id"] == reply.header("x-request-id") != ""
    assert {"message", "type", "code", "param"} <= set(body["error"])
    return body["error"]


def events_of(body: bytes) -> list[object]:
    parts = body.split(b"\n\n")
    assert parts.pop() == b""
    assert all(part.startswith(b"data: ") for part in parts)
    return [part[6:].decode() if part == b"data: [DONE]" else msgspec.json.decode(part[6:]) for part in parts]


def test_a_plain_chat(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        reply = await rig.ask(body={**CHAT, "temperature": 0.5}, X_Request_ID="mine-1")
        body = msgspec.json.decode(reply.body)
        assert (reply.status, reply.header("x-request-id"), body["model"]) == (200, "mine-1", MODEL)
        assert body["choices"][0]["message"]["content"] == "Hello, world"
        asked = rig.routers[0].asked[0]
        assert (asked.session, asked.headers["authorization"]) == (10, "Bearer member-key-1")
        assert asked.json == {**CHAT, "temperature": 0.5}
        (row,) = await rig.rows()
        assert body["id"] == f"chatcmpl-{row.request_id}" and asked.headers["x-request-id"] == row.request_id
        assert (row.status, row.error, row.client_request_id, row.stream) == ("ok", "", "mine-1", False)
        assert (row.model, row.pool, row.member, row.session, row.task) == (MODEL, "pool-1", "router-1", 10, 1)
        assert (row.prompt_tokens, row.completion_tokens) == (5, 3)
        assert row.started_at <= row.finished_at
        assert not list((tmp_path / "spool-1").iterdir())

    with_gateway(tmp_path, test)


@pytest.mark.parametrize("wants", [False, True])
def test_a_stream(tmp_path: Path, wants: bool) -> None:
    async def test(rig: Rig) -> None:
        options = {"stream_options": {"include_usage": True}} if wants else {}
        reply = await rig.chat(stream=True, **options)
        assert (reply.status, reply.header("content-type")) == (200, "text/event-stream; charset=utf-8")
        *chunks, done = events_of(reply.body)
        assert done == "[DONE]"
        assert rig.routers[0].asked[0].json["stream_options"] == {"include_usage": True}
        (row,) = await rig.rows()
        assert {(chunk["id"], chunk["model"]) for chunk in chunks} == {(f"chatcmpl-{row.request_id}", MODEL)}
        assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]) == "Hello, world"
        assert [chunk["usage"]["completion_tokens"] for chunk in chunks if chunk.get("usage")] == ([3] if wants else [])
        assert (row.status, row.stream, row.prompt_tokens, row.completion_tokens) == ("ok", True, 5, 3)
        assert row.first_token_at is not None and row.started_at <= row.first_token_at <= row.finished_at

    with_gateway(tmp_path, test)


def test_connections_to_members_are_kept(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        await turn_until(lambda: rig.routers[0].connections == 1)  # the health probe's
        for number in range(20):
            assert (await rig.chat(stream=bool(number % 2))).status == 200
        assert rig.routers[0].connections <= 2
        assert len(await rig.rows()) == 20

    with_gateway(tmp_path, test)


def test_limits_are_counted_told_and_settled(tmp_path: Path) -> None:
    minute = KeyLimits(requests_per_min=6400, tokens_per_min=64_000)
    narrow = issue_key(tmp_path, limits=minute)
    small = issue_key(tmp_path, limits=KeyLimits(tokens_per_min=40))

    async def test(rig: Rig) -> None:
        for stream in (False, True):
            reply = await rig.ask(body={**CHAT, "max_tokens": 8, "stream": stream}, key=narrow)
            shown = [
                (reply.header(f"x-ratelimit-limit-{of}"), reply.header(f"x-ratelimit-remaining-{of}")) for of in ("requests", "tokens")
            ]
            assert reply.status == 200 and [limit for limit, _ in shown] == ["6400", "64000"]
            assert all(6000 < int(left) < 64_000 for _, left in shown)
            assert 1 <= int(reply.header("x-ratelimit-reset-tokens").removesuffix("s")) <= 60
        for _ in range(2):  # each reserves 20 + 8 of 40, and uses 8
            assert (await rig.ask(body={**CHAT, "max_tokens": 8}, key=small)).status in (200, 429)
        large = await rig.ask(body={**CHAT, "max_tokens": 800}, key=small)
        assert (large.status, error_of(large)["code"], large.header("x-should-retry")) == (429, "tokens_limit_exceeded", "false")
        assert not large.header("retry-after") and (await rig.chat()).header("x-ratelimit-limit-requests") == ""
        errors = [row.error for row in await rig.rows()]
        assert len(errors) == 6 and errors.count("tokens_limit_exceeded") >= 1, "a refusal of a known key is a row too"

    with_gateway(tmp_path, test)


def test_errors_have_one_shape_and_the_right_status(tmp_path: Path) -> None:
    narrow = issue_key(tmp_path, scopes=["model:other"])
    expired = issue_key(tmp_path, expires_at=2.0)

    async def test(rig: Rig) -> None:
        cases = [
            (await rig.ask(body=CHAT, key="ck_test_wrong"), 401, "invalid_api_key"),
            (await rig.ask(body=CHAT, key=""), 401, "invalid_api_key"),
            (await rig.ask(body=CHAT, key=expired), 401, "invalid_api_key"),
            (await rig.ask(body=CHAT, key=narrow), 403, "model_not_allowed"),
            (await rig.chat(model="nope"), 404, "model_not_found"),
            (await rig.ask(body=b"{"), 400, "invalid_json"),
            (await rig.ask(body=b'{"model":"\xff"}'), 400, "invalid_json"),
            (await rig.ask(body=b"[" * 100_000), 400, "invalid_body"),
            (await rig.ask(body=b'{"model":"a","messages":' + b"[" * 100_000), 400, "invalid_body"),
            (await rig.ask(body=b'{"model":"a","messages":[{"role":"u"}],"x":' + b"[" * 100_000), 400, "invalid_json"),
            (await rig.chat(messages=[]), 400, "invalid_body"),
            (await rig.chat(n=2), 400, "unsupported_value"),
            (await rig.ask("/v1/embeddings", body={}), 404, "not_found"),
            (await rig.ask("/v1/chat/completions"), 405, "method_not_allowed"),
            (await rig.ask("/v1/models/nope"), 404, "model_not_found"),
            (await rig.ask("/v1/models", key="x"), 401, "invalid_api_key"),
        ]
        for number, (reply, status, code) in enumerate(cases):
            assert (number, reply.status, error_of(reply)["code"]) == (number, status, code)
        assert not rig.routers[0].asked
        rows = await rig.rows()
        assert len(rows) == 9 and {row.status for row in rows} == {"refused"}  # those of a known key

    with_gateway(tmp_path, test)


def test_models_and_health(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        page = msgspec.json.decode((await rig.ask("/v1/models")).body)
        assert [model["id"] for model in page["data"]] == [MODEL]
        assert msgspec.json.decode((await rig.ask(f"/v1/models/{MODEL}")).body)["object"] == "model"
        await turn_until(lambda: any(line["event"] == "member_turned" for line in rig.logged()))
        reply = await rig.ask("/health", key="")
        assert reply.status == 200
        now = {"state": "ok", "why": "", "in_flight": 0, "capacity": 2, "usable": 2, "drained": False, "leaving": False}
        member = {"name": "router-1", **now}
        pool = {"state": "ok", "models": [MODEL], "in_flight": 0, "queued": 0, "members": [member]}
        assert msgspec.json.decode(reply.body) == {"name": "gateway", "status": "ok", "own": [], "pools": {"pool-1": pool}}

    with_gateway(tmp_path, test)


def test_one_request_a_session_and_a_bounded_queue(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        router = rig.routers[0]
        router.behave(event_every_s=0.01)
        replies = await asyncio.gather(*(rig.chat(stream=True) for _ in range(5)))
        assert sorted(reply.status for reply in replies) == [200, 200, 200, 200, 429]
        full = next(reply for reply in replies if reply.status == 429)
        assert error_of(full)["code"] == "queue_full" and int(full.header("retry-after")) >= 1
        assert dict(router.in_flight_max) == {10: 1, 11: 1}
        assert sorted(row.status for row in await rig.rows()) == ["ok"] * 4 + ["refused"]

    with_gateway(tmp_path, test, queue_max=2)


def test_a_place_in_the_queue_ends(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.routers[0].behave(hold=True)
        held = asyncio.ensure_future(rig.chat())
        await turn_until(lambda: rig.routers[0].asked)
        late = await rig.chat()
        assert (late.status, error_of(late)["code"]) == (503, "queue_timeout") and late.header("retry-after")
        held.cancel()
        await turn_until(lambda: rig.routers[0].left == 1)
        rig.routers[0].behave()
        assert (await rig.chat()).status == 200
        assert sorted(row.status for row in await rig.rows()) == ["client_gone", "ok", "refused"]

    with_gateway(tmp_path, test, sessions=1, queue_wait_s=0.02)


def test_a_member_that_is_busy_before_submission_is_replaced_by_another(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.routers[0].behave(status=503, task=False)
        reply = await rig.chat()
        assert reply.status == 200
        assert [len(router.asked) for router in rig.routers] == [1, 1]
        assert rig.routers[0].asked[0].headers["x-request-id"] == rig.routers[1].asked[0].headers["x-request-id"]
        (row,) = await rig.rows()
        assert (row.member, row.status) == ("router-2", "ok")

    with_gateway(tmp_path, test, routers=2)


@pytest.mark.parametrize(
    ("manner", "status", "code"),
    [
        ({"status": 503, "task": True, "code": "no_miner"}, 503, "no_miner"),
        ({"status": 500}, 502, "member_failed"),
        ({"status": 504, "code": "task_timeout"}, 504, "task_timeout"),
        ({"status": 400, "code": "too_long", "task": False}, 400, "too_long"),
        ({"status": 401, "task": False}, 502, "member_refused_gateway"),
        ({"error_body": True, "code": "inner"}, 502, "inner"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_may_have_been_submitted_is_never_asked_of_a_second_member(
    tmp_path: Path, manner: dict[str, object], status: int, code: str, stream: bool
) -> None:
    async def test(rig: Rig) -> None:
        rig.routers[0].behave(**manner)
        reply = await rig.chat(stream=stream)
        assert (reply.status, error_of(reply)["code"]) == (status, code)
        assert len(rig.routers[0].asked) == 1 and not rig.routers[1].asked
        (row,) = await rig.rows()
        assert (row.status, row.error, row.member) == ("failed", code, "router-1")

    with_gateway(tmp_path, test, routers=2)


def test_an_answer_that_lies_about_its_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cortops.programs.gateway.request.RETURN_EVERY_S", 0.01)

    async def test(rig: Rig) -> None:
        rig.routers[0].behave(lie=True)
        reply = await rig.chat()
        assert (reply.status, error_of(reply)["code"]) == (502, "member_broke_off")

    with_gateway(tmp_path, test)


@pytest.mark.parametrize(
    ("manner", "code"),
    [({"reset_after": 2}, "member_broke_off"), ({"no_done": True}, "member_broke_off"), ({"error_event": True, "code": "late"}, "late")],
)
def test_a_stream_that_breaks_off_ends_with_an_error_event(tmp_path: Path, manner: dict[str, object], code: str) -> None:
    async def test(rig: Rig) -> None:
        rig.routers[0].behave(**manner)
        reply = await rig.chat(stream=True)
        events = events_of(reply.body)
        assert reply.status == 200 and events[-1]["error"]["code"] == code
        assert events[-1]["request_id"] == reply.header("x-request-id")
        (row,) = await rig.rows()
        assert (row.status, row.error, row.task) == ("failed", code, 1)

    with_gateway(tmp_path, test)


def test_no_member(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.routers[0].behave(well=False)
        await turn_until(lambda: any(line["event"] == "member_turned" for line in rig.logged()))
        reply = await rig.chat()
        assert (reply.status, error_of(reply)["code"]) == (503, "no_member") and reply.header("retry-after")
        health = await rig.ask("/health", key="")
        page = msgspec.json.decode(health.body)
        assert health.status == 503 and page["pools"]["pool-1"]["state"] == "down"
        assert "told to be" in page["why"][0]
        rig.routers[0].behave()
        await turn_until(lambda: rig.logged()[-1].get("state") == "ok")
        assert (await rig.chat()).status == 200

    with_gateway(tmp_path, test, health=Health(every_s=0.01, bad_after=2, good_after=2))


def test_a_client_leaving_a_stream_closes_upstream_and_leaves_one_row(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        router = rig.routers[0]
        router.behave(event_every_s=0.005, text=("word ",) * 1000)
        body = msgspec.json.encode({**CHAT, "stream": True})
        headers = [("Authorization", f"Bearer {rig.key}")]
        async with rig.http.stream(
            "POST", f"{rig.url}/v1/chat/completions", headers=headers, body=body, timeout_s=5, idle_timeout_s=5
        ) as stream:
            assert b"word" in await stream.read()
        await turn_until(lambda: router.left == 1)
        await turn_until(lambda: not router.in_flight.total())
        (row,) = await rig.rows()
        assert (row.status, row.error, row.member, row.task) == ("client_gone", "client_gone", "router-1", 1)
        assert row.first_token_at is not None

    with_gateway(tmp_path, test, sessions=1)


def test_a_client_leaving_the_queue_leaves_no_place_behind(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.routers[0].behave(hold=True)
        first = asyncio.ensure_future(rig.chat())
        await turn_until(lambda: rig.routers[0].asked)
        second = asyncio.ensure_future(rig.chat())

        async def queued() -> int:
            return int(msgspec.json.decode((await rig.ask("/health", key="")).body)["pools"]["pool-1"]["queued"])

        while await queued() != 1:
            pass
        second.cancel()
        while await queued() != 0:
            pass
        first.cancel()
        rows = await rig.rows()
        assert [row.status for row in rows] == ["client_gone"] * 2 and {row.member for row in rows} == {"", "router-1"}

    with_gateway(tmp_path, test, sessions=1)


def test_a_client_that_does_not_read_holds_the_member_back(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        router = rig.routers[0]
        router.behave(flood_bytes=64 * 2**20)
        body = msgspec.json.encode({**CHAT, "stream": True})
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port, limit=2**16)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {rig.key}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await reader.readline()
        before = -1
        while before != router.sent_bytes:
            before = router.sent_bytes
            await asyncio.sleep(0.02)
        # What four sockets' kernel buffers hold, and 64 KiB in each program
        assert router.sent_bytes < 24 * 2**20
        writer.close()
        await writer.wait_closed()
        await turn_until(lambda: router.left == 1)
        (row,) = await rig.rows()
        assert row.status == "client_gone"

    with_gateway(tmp_path, test)


def test_a_member_that_never_answers_is_a_504(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.routers[0].behave(hold=True)
        reply = await rig.chat()
        assert (reply.status, error_of(reply)["code"]) == (504, "timeout")
        await turn_until(lambda: rig.routers[0].left == 1)
        (row,) = await rig.rows()
        assert (row.status, row.error) == ("failed", "timeout")

    with_gateway(tmp_path, test, limits=Limits(request_timeout_s=0.05))


def test_the_key_store_out_of_reach_is_not_a_wrong_key(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        assert rig.http is not None
        reply = await rig.chat()
        assert (reply.status, error_of(reply)["code"]) == (503, "key_store_unavailable") and reply.header("retry-after")
        assert (await rig.ask("/health", key="")).status == 503

    async def main() -> None:
        async with gateway(tmp_path) as rig:
            await rig.stop()
        for path in tmp_path.glob("keys.db*"):
            path.unlink()
        clock = SystemClock()
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(
            run(make_config(tmp_path, rig.routers), make_log("gateway", io.BytesIO(), clock), clock, started=started)
        )
        rig.port, rig.http = await started, HttpClient(clock=clock)
        await test(rig)
        await rig.http.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_a_stop_lets_a_stream_end_and_takes_no_new_request(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        rig.routers[0].behave(event_every_s=0.005, text=("word ",) * 8)
        streaming = asyncio.ensure_future(rig.chat(stream=True))
        await turn_until(lambda: rig.routers[0].asked)
        rows = await rig.rows()
        reply = await streaming
        assert events_of(reply.body)[-1] == "[DONE]" and reply.header("connection") in ("close", "keep-alive")
        assert [row.status for row in rows] == ["ok"]

    with_gateway(tmp_path, test)
