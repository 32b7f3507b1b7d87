"""Router, miner and oracle in one process, on a real chain, with a scripted engine."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import msgspec
import pytest
from tests.programs.router.spine_rig import BLOCK_EVERY_S, CHAT, KEY, PATIENCE_S, events_of, free_port, play, private_key, spine

from cortops.contracts.network import result_hash
from cortops.programs.router.desk import SUBMIT_GAS
from cortops.testing.chain import wallet_of
from cortops.testing.engine import Say
from cortops.words.errors import BadInput

pytestmark = pytest.mark.real


def test_a_plain_request_passes_every_box() -> None:
    async def run() -> None:
        async with spine(Say(pieces=("Hello", " you"))) as one:
            async with one.ask(CHAT, "ref-1") as reply:
                assert reply.status == 200, await reply.text()
                body = await reply.json()
                task = reply.headers["X-Cortensor-Task"]
            assert body["object"] == "chat.completion" and body["model"] == "m"
            assert body["choices"] == [
                {"index": 0, "message": {"role": "assistant", "content": "Hello you"}, "logprobs": None, "finish_reason": "stop"}
            ]
            assert body["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
            path = await one.path(task)
            assert [step.step for step in path.steps] == ["submitted", "assigned", "acked", "precommitted", "committed", "ended"]
            assert path.steps[3].hash == path.steps[4].hash == result_hash("Hello you")
            assert path.steps[0].note == "ref-1" and path.steps[4].by == wallet_of("miner").address
            asked_path, asked = one.engine.requests[0]
            assert asked_path == "/v1/chat/completions"
            assert asked["messages"] == CHAT["messages"] and asked["model"] == "scripted" and asked["max_tokens"] == 20

    play(run)


def test_a_streamed_request_streams_before_the_commit_and_ends_with_usage(capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        async with spine(Say(pieces=tuple(f" w{at}" for at in range(8)), pause_s=0.02)) as one:
            body = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
            began, block = one.chain.clock.monotonic(), int(await one.chain.rpc.call("eth_blockNumber"), 16)
            async with one.ask(body) as reply:
                assert reply.status == 200 and reply.headers["Content-Type"] == "text/event-stream"
                task = reply.headers["X-Cortensor-Task"]
                first = await reply.content.readuntil(b"\n\n")
                first_ms = (one.chain.clock.monotonic() - began) * 1000
                blocks = int(await one.chain.rpc.call("eth_blockNumber"), 16) - block
                events = [msgspec.json.decode(first.removeprefix(b"data: ")), *await events_of(reply)]
            with capsys.disabled():
                print(f"\nfirst chunk after {first_ms:.0f} ms and {blocks} blocks of {BLOCK_EVERY_S * 1000:.0f} ms")  # noqa: T201
            assert events[-1] == "[DONE]"
            assert events[-2]["choices"] == [] and events[-2]["usage"]["completion_tokens"] == 8
            assert events[-3]["choices"][0]["finish_reason"] == "stop"
            assert events[0]["choices"][0]["delta"]["role"] == "assistant"
            text = "".join(event["choices"][0]["delta"].get("content") or "" for event in events[:-2])
            assert text == "".join(f" w{at}" for at in range(8))
            path = await one.path(task)
            assert path.state == "ended" and path.steps[3].hash == path.steps[4].hash == result_hash(text)

    play(run)


def test_a_session_that_goes_well_is_not_estimated_again() -> None:
    async def run() -> None:
        async with spine(Say(pieces=("a",)), Say(pieces=("b",))) as one:
            limits = []
            for reference in ("first", "second"):
                async with one.ask(CHAT, reference) as reply:
                    assert reply.status == 200, await reply.text()
                    tx = (await one.path(reply.headers["X-Cortensor-Task"])).steps[0].tx
                limits.append(int((await one.chain.rpc.call("eth_getTransactionByHash", tx))["gas"], 16))
            assert limits[0] < SUBMIT_GAS <= limits[1]

    play(run)


def test_a_restarted_router_adopts_the_task_of_a_retry() -> None:
    async def run() -> None:
        async with spine(Say(pieces=("a", "b", "c"))) as one:
            one.engine.hold()
            first = asyncio.ensure_future(one.ask(CHAT, "same").__aenter__())

            async def runs() -> bool:
                return one.engine.running == 1

            await one.until(runs)
            await one.stop("router")
            stopped = await first
            assert (stopped.status, (await stopped.json())["error"]["code"]) == (503, "router_stopping")
            assert stopped.headers["X-Cortensor-Task"] == f"{one.session}/1"
            one.start("router")
            await one.all_ok()
            one.engine.release()
            async with one.ask(CHAT | {"stream": True}, "same") as reply:
                assert reply.headers["X-Cortensor-Task"] == f"{one.session}/1"
                events = await events_of(reply)
            assert "".join(event["choices"][0]["delta"].get("content") or "" for event in events[:-1]) == "abc"
            async with one.ask(CHAT, "same") as reply:  # and once more when all is over: from the chain alone
                body = await reply.json()
            assert body["choices"][0]["message"]["content"] == "abc" and body["usage"]["completion_tokens"] == 3
            assert await one.network.task_counts([one.session]) == [1]
            assert len(one.engine.requests) == 1

    play(run)


@pytest.mark.parametrize("how", ["cut", "error"])
def test_an_engine_that_dies_is_a_clean_error_and_the_oracle_ends_the_task(how: Any) -> None:
    async def run() -> None:
        overrides = {"router": {"precommit_timeout_s": 1}}
        async with spine(Say(pieces=("a", "b", "c"), break_at=2, how=how), Say(status=500), **overrides) as one:
            async with one.ask(CHAT | {"stream": True}) as reply:
                task = reply.headers["X-Cortensor-Task"]
                events = await events_of(reply)
            assert events[-1]["error"]["code"] == "engine_failed" and events[-1]["error"]["type"] == "server_error"
            path = await one.path(task)
            assert path.state == "failed" and [step.step for step in path.steps] == ["submitted", "assigned", "acked", "ended"]
            async with one.ask(CHAT) as reply:
                assert reply.status == 502 and (await reply.json())["error"]["code"] == "engine_failed"
                assert reply.headers["X-Cortensor-Task"] == f"{one.session}/2"

    play(run)


def test_requests_of_one_session_take_turns_and_status_counts_them() -> None:
    async def run() -> None:
        async with spine() as one:
            one.engine.hold()
            asked = [asyncio.ensure_future(one.ask(CHAT, f"r{at}").__aenter__()) for at in range(3)]

            async def counted() -> bool:
                async with one.web.get(one.url + "/api/v1/status") as reply:
                    return (await reply.json())["sessions"] == [{"id": one.session, "in_flight": 3}] and one.engine.running == 1

            await one.until(counted)
            assert await one.network.task_counts([one.session]) == [1]
            one.engine.release()
            replies = [await reply for reply in asked]
            assert [reply.status for reply in replies] == [200] * 3
            assert [reply.headers["X-Cortensor-Task"] for reply in replies] == [f"{one.session}/{at}" for at in (1, 2, 3)]
            for reply in replies:
                reply.release()

    play(run)


def test_a_client_that_leaves_lets_its_task_go_on() -> None:
    async def run() -> None:
        async with spine() as one:
            one.engine.hold()
            asked = asyncio.ensure_future(one.ask(CHAT, "gone").__aenter__())

            async def runs() -> bool:
                return one.engine.running == 1

            await one.until(runs)
            asked.cancel()
            await asyncio.wait({asked})
            one.engine.release()
            assert (await one.path(f"{one.session}/1")).state == "ended"

            async def forgotten() -> bool:
                return (await one.health("router"))[1]["sessions"][0]["in_flight"] == 0

            await one.until(forgotten)

    play(run)


def test_a_restarted_miner_finishes_what_it_had_acked() -> None:
    async def run() -> None:
        async with spine() as one:
            one.engine.hold()
            asked = asyncio.ensure_future(one.ask(CHAT, "r").__aenter__())

            async def acked() -> bool:
                return one.engine.running == 1 and (await one.network.task_results(one.session, 1))[0].step == 1

            await one.until(acked)
            await one.stop("miner")
            one.engine.release()
            one.start("miner")
            reply = await asked
            assert reply.status == 200 and (await reply.json())["choices"][0]["message"]["content"] == "Hello there."

    play(run)


def test_a_late_oracle_takes_up_what_waits() -> None:
    async def run() -> None:
        async with spine(start=("router", "miner")) as one:
            asked = asyncio.ensure_future(one.ask(CHAT, "r").__aenter__())

            async def queued() -> bool:
                return await one.network.task_counts([one.session]) == [1]

            await one.until(queued)
            one.start("oracle")
            reply = await asked
            assert reply.status == 200 and (await reply.json())["usage"]["total_tokens"] == 5

    play(run)


def test_a_head_that_goes_back_loses_the_task_but_no_request() -> None:
    async def run() -> None:
        async with spine(Say(pieces=("of the lost branch",)), Say(pieces=("of the new one",))) as one:
            snapshot = await one.chain.rpc.call("evm_snapshot")
            one.engine.hold()
            asked = asyncio.ensure_future(one.ask(CHAT, "same").__aenter__())

            async def acked() -> bool:
                return one.engine.running == 1 and (await one.network.task_results(one.session, 1))[0].step == 1

            await one.until(acked)
            await one.chain.rpc.call("evm_revert", snapshot)
            lost = await asked
            assert (lost.status, (await lost.json())["error"]["code"]) == (503, "chain_rewound")

            async def stopped() -> bool:
                return one.engine.running == 0

            await one.until(stopped)
            one.engine.release()
            async with one.ask(CHAT, "same") as reply:
                assert reply.status == 200, await reply.text()
                assert (await reply.json())["choices"][0]["message"]["content"] == "of the new one"
                task = reply.headers["X-Cortensor-Task"]

            async def ended() -> bool:
                path = await one.path(task)
                return path.state == "ended" and path.task == 1

            await one.until(ended)

    play(run)


def test_health_names_what_is_missing() -> None:
    async def run() -> None:
        overrides = {
            "miner": {
                "engine_url": f"http://127.0.0.1:{free_port()}",
                "address": wallet_of("nobody").address,
                "private_key": private_key("nobody"),
            }
        }
        async with spine(start=("router",)) as one:
            one.overrides.update(overrides)
            one.start("miner")
            one.overrides["oracle"] = {"address": wallet_of("nobody").address, "private_key": private_key("nobody")}
            one.start("oracle")

            async def said() -> bool:
                try:
                    miner, oracle = await one.health("miner"), await one.health("oracle")
                except OSError:
                    return False
                return "not registered" in str(miner[1].get("why")) and "oracle role" in str(oracle[1].get("why"))

            await one.until(said)
            status, miner = await one.health("miner")
            assert status == 503 and len(miner["why"]) == 2
            assert any("not registered" in why for why in miner["why"]) and miner["routers_connected"] == []
            assert b"is not registered" in one.logs["router"].getvalue()  # its link was refused with the reason
            secrets = [private_key("router"), private_key("nobody"), KEY]
            assert not any(secret.encode() in log.getvalue() for secret in secrets for log in one.logs.values())

    play(run)


def test_settings_that_cannot_be_right_are_refused() -> None:
    async def run() -> None:
        async with spine(start=("router",)) as one:
            for name, values, words in (
                ("router", {"api_key": "default-dev-token", "port": 0, "ws_port": 0}, "development token"),
                ("oracle", {"private_key": private_key("other")}, "belongs to"),
                ("oracle", {"chain_id": 1}, "CHAINID says 1"),
            ):
                one.overrides[name] = values
                before = one.running.pop(name, None)
                one.start(name)
                refused = one.running.pop(name)
                await asyncio.wait({refused}, timeout=PATIENCE_S)
                error = refused.exception()
                while isinstance(error, BaseExceptionGroup):
                    error = error.exceptions[0]
                assert isinstance(error, BadInput) and words in error.what
                if before is not None:
                    one.running[name] = before

    play(run)


def test_without_a_link_the_answer_comes_from_the_chain() -> None:
    async def run() -> None:
        async with spine(start=("router", "oracle")) as one:
            one.overrides["miner"] = {"routers": ()}
            one.start("miner")
            async with one.ask(CHAT | {"stream": True, "stream_options": {"include_usage": True}}) as reply:
                events = await events_of(reply)
            assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": "Hello there."}
            assert events[-2]["usage"]["completion_tokens"] == 3

    play(run)


def test_the_native_route_speaks_the_public_form() -> None:
    async def run() -> None:
        async with spine(Say(pieces=("x", "y")), Say(pieces=("x", "y"))) as one:
            headers = {"Authorization": f"Bearer {KEY}"}
            body = {"prompt": "say it", "prompt_type": 0, "prompt_template": "Q: {prompt} A:", "max_tokens": 9, "temperature": 0.5}
            async with one.web.post(f"{one.url}/api/v1/completions", json=body | {"session_id": one.session}, headers=headers) as reply:
                found = await reply.json()
            assert found["choices"] == [{"index": 0, "text": "xy", "logprobs": None, "finish_reason": "stop"}] and found["task_id"] == 1
            path, asked = one.engine.requests[0]
            assert isinstance(asked.pop("seed"), int), "the task's own"
            assert (path, asked) == (
                "/v1/completions",
                {
                    "prompt": "Q: say it A:", "max_tokens": 9, "temperature": 0.5, "top_p": 1.0, "top_k": 40, "presence_penalty": 0.0,
                    "frequency_penalty": 0.0, "model": "scripted", "stream": True, "stream_options": {"include_usage": True},
                },
            )  # fmt: skip
            async with one.web.post(
                f"{one.url}/api/v1/completions/{one.session}", json=body | {"stream": True, "prompt_type": 1}, headers=headers
            ) as reply:
                events = await events_of(reply)
            assert "".join(event["choices"][0]["text"] for event in events[:-1]) == "xy"
            assert events[-2]["choices"][0]["finish_reason"] == "stop" and events[-1] == "[DONE]"
            async with one.web.get(f"{one.url}/api/v1/tasks/{one.session}/1", headers=headers) as reply:
                task = await reply.json()
            assert task["results"] == {"data": ["xy"], "miners": [wallet_of("miner").address]} and task["status"] in (3, 4)
            for path, key, length in (
                ("tasks/" + str(one.session), "tasks", 2),
                ("sessions", "sessions", 1),
                ("miners", "miners", 1),
            ):
                async with one.web.get(f"{one.url}/api/v1/{path}", headers=headers) as reply:
                    assert len((await reply.json())[key]) == length, path

    play(run)


def test_bad_requests_have_the_one_error_shape_and_reach_no_chain() -> None:
    async def run() -> None:
        async with spine(start=("router",)) as one:
            headers = {"Authorization": f"Bearer {KEY}"}
            chat, native = f"/api/v1/chat/completions/{one.session}", f"/api/v1/completions/{one.session}"
            long = {"messages": [{"role": "user", "content": "x" * 33_000}]}
            for path, body, given, status, code, param in (
                (chat, CHAT, {}, 401, "invalid_api_key", None),
                (chat, CHAT, {"Authorization": "Bearer default-dev-token"}, 401, "invalid_api_key", None),
                (chat, long, headers, 400, "context_length_exceeded", "messages"),
                (chat, {"messages": []}, headers, 400, "invalid_request", "messages"),
                (chat, CHAT | {"n": 2}, headers, 400, "invalid_request", "n"),
                (chat, CHAT | {"temperature": 9}, headers, 400, "invalid_request", "temperature"),
                (chat, CHAT, headers | {"X-Request-ID": "a b"}, 400, "invalid_request", "client_reference"),
                ("/api/v1/chat/completions/99", CHAT, headers, 404, "session_not_found", "session_id"),
                ("/api/v1/completions", {"prompt": "x"}, headers, 400, "invalid_request", "session_id"),
                (native, {"prompt": "x", "prompt_type": 2}, headers, 400, "invalid_request", "prompt_type"),
                (native, {"prompt": "x" * 5_000_000}, headers, 413, "body_too_large", None),
                ("/api/v1/nothing", {}, headers, 404, "not_found", None),
            ):
                async with one.web.post(one.url + path, data=io.BytesIO(msgspec.json.encode(body)), headers=given) as reply:
                    error = (await reply.json())["error"]
                    assert (reply.status, error["code"], error["param"]) == (status, code, param), (path, error)
                    assert set(error) == {"message", "type", "code", "param"}
            assert await one.network.task_counts([one.session]) == [0]

    play(run)
