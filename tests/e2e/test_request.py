"""A request through every box: client, nginx with TLS, gateway, router, chain, oracle, three miners, engine, and back; then a verdict."""

from __future__ import annotations

import ssl
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from cortops.contracts.keccak import keccak256
from cortops.testing.local import LocalEnvironment, ask, until

pytestmark = pytest.mark.real

MESSAGES: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Why is the sky blue?"}]
ROUTERS, MINERS = {"router-1", "router-2"}, ["miner-1", "miner-2", "miner-3"]
STEPS = ["submitted", "assigned", "acked", "precommitted", "committed", "ended", "validated"]


def _client(local: LocalEnvironment, key: str) -> openai.OpenAI:
    trust = ssl.create_default_context(cafile=local.endpoints["ca"])
    return openai.OpenAI(
        base_url=f"{local.url}/v1", api_key=key, max_retries=0, http_client=openai.DefaultHttpxClient(verify=trust, trust_env=False)
    )


@pytest.fixture(scope="module")
def client(local_environment: LocalEnvironment) -> Iterator[openai.OpenAI]:
    with _client(local_environment, local_environment.key) as made:
        yield made


def test_a_chat_is_answered_proven_on_chain_and_counted(local_environment: LocalEnvironment, client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="smollm2", messages=MESSAGES, max_tokens=16)
    answer = raw.parse()
    text = answer.choices[0].message.content
    assert text and answer.choices[0].finish_reason == "length"
    assert answer.usage is not None and answer.usage.completion_tokens == 16 and answer.usage.prompt_tokens > 0
    row = local_environment.place.usage_of(raw.headers["x-request-id"])
    assert (row.status, row.model, row.pool, row.stream) == ("ok", "smollm2", "smollm2", False) and row.member in ROUTERS
    assert (row.prompt_tokens, row.completion_tokens) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)

    shown = _validated(local_environment, f"{row.session}/{row.task}")
    assert (shown["session"], shown["task"], shown["state"]) == (row.session, row.task, "ended")
    *on_chain, usage = shown["steps"]
    assert usage["step"] == "usage" and usage["request"] == row.request_id and usage["by"] == row.member
    steps = _by_step(on_chain)
    assert list(steps) == STEPS, "each begins after the one before"
    who = {name: sorted(step["by"] for step in found) for name, found in steps.items()}
    assert who == dict.fromkeys(STEPS, MINERS) | {"submitted": [row.member], "assigned": ["oracle-1"], "ended": ["oracle-1"]}
    for member in ("block", "at"):
        assert [step[member] for step in on_chain] == sorted(step[member] for step in on_chain) and on_chain[0][member] > 0
    assert all(len(step["tx"]) == 66 for step in on_chain)
    assert len({step["tx"] for step in on_chain}) == len(on_chain) - len(MINERS) + 1, "one for each step, and one for all verdicts"
    hashes = {step["hash"] for name in ("precommitted", "committed") for step in steps[name]}
    assert hashes == {"0x" + keccak256(text.encode()).hex()}, "three miners, one seed, one text"
    assert {step["note"] for step in steps["validated"]} == {"VALID 1.00 by validator-1"}


def _validated(local: LocalEnvironment, task: str) -> Any:
    """`task show` once the verdicts are there: they come after the answer."""

    def look() -> Any:
        shown = local.place.read("task", "show", task)
        return shown if sum(step["step"] == "validated" for step in shown["steps"]) >= len(MINERS) else None

    return until(look, f"{task} has a verdict on each miner")


def _by_step(steps: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """By name, in the order in which the names come first."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for step in steps:
        found[step["step"]].append(step)
    return found


def test_a_stream_comes_in_chunks_and_tells_its_usage_when_asked(local_environment: LocalEnvironment, client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="smollm2", messages=MESSAGES, max_tokens=12, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    deltas = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(deltas) > 3
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 12 and not chunks[-1].choices
    row = local_environment.place.usage_of(chunks[0].id.removeprefix("chatcmpl-"))
    assert row.stream and row.status == "ok" and row.completion_tokens == 12
    assert row.first_token_at is not None and row.started_at < row.first_token_at < row.finished_at
    shown = local_environment.place.read("task", "show", f"{row.session}/{row.task}")
    committed = {step["hash"] for step in shown["steps"] if step["step"] == "committed"}
    assert committed == {"0x" + keccak256("".join(deltas).encode()).hex()}, "what was streamed is what was committed"


def test_a_stream_keeps_usage_to_itself_unless_asked(local_environment: LocalEnvironment, client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="smollm2", messages=MESSAGES, max_tokens=4, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert local_environment.place.usage_of(chunks[0].id.removeprefix("chatcmpl-")).completion_tokens == 4


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["smollm2"]


def test_a_wrong_key_is_refused_with_the_standard_body(local_environment: LocalEnvironment) -> None:
    with _client(local_environment, "ck_local_" + "0" * 48) as stranger, pytest.raises(openai.AuthenticationError) as refused:
        stranger.chat.completions.create(model="smollm2", messages=MESSAGES)
    assert refused.value.status_code == 401
    assert isinstance(refused.value.body, dict) and {"message", "type", "code", "param"} <= set(refused.value.body)
    assert refused.value.code == "invalid_api_key"


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="no-such-model", messages=MESSAGES)
    assert refused.value.code == "model_not_found" and "no-such-model" in str(refused.value.message)


def test_answers_carry_the_request_id(local_environment: LocalEnvironment, client: openai.OpenAI) -> None:
    own = client.models.with_raw_response.list()
    assert own.headers["x-request-id"]
    given = client.chat.completions.with_raw_response.create(
        model="smollm2", messages=MESSAGES, max_tokens=1, extra_headers={"X-Request-ID": "from-the-client-1"}
    )
    assert given.headers["x-request-id"] == "from-the-client-1"
    row = local_environment.place.usage_of(given.parse().id.removeprefix("chatcmpl-"))
    assert row.client_request_id == "from-the-client-1"


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v2/chat/completions", "/metrics", "/"])
def test_a_route_of_no_family_is_a_json_404(client: openai.OpenAI, local_environment: LocalEnvironment, path: str) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.post(f"{local_environment.url}{path}", cast_to=object, body={})
    assert refused.value.response.headers["content-type"].startswith("application/json")
    assert isinstance(refused.value.body, dict) and refused.value.body["message"]


def test_another_authority_is_not_believed(local_environment: LocalEnvironment) -> None:
    stranger = openai.OpenAI(base_url=f"{local_environment.url}/v1", api_key=local_environment.key, max_retries=0)
    with stranger, pytest.raises(openai.APIConnectionError) as failed:
        stranger.models.list()
    assert "CERTIFICATE_VERIFY_FAILED" in str(failed.value.__cause__)


def test_requests_at_once_are_spread_over_both_sessions(local_environment: LocalEnvironment) -> None:
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: ask(local_environment), range(4)))
    rows = [local_environment.place.usage_of(answer["id"].removeprefix("chatcmpl-")) for answer in answers]
    assert {row.status for row in rows} == {"ok"} and {row.member for row in rows} == ROUTERS
    assert len({(row.session, row.task) for row in rows}) == len(rows)


def test_the_environment_is_well(local_environment: LocalEnvironment) -> None:
    where = local_environment.place
    status = where.until_well()
    assert {"environment", "state", "entities", "endpoints"} <= set(status) and (status["environment"], status["state"]) == ("local", "ok")
    names = {item["entity"] for item in status["entities"]}
    assert {"rpc/chain-1", "contract/session", "engine/engine-1", "oracle/oracle-1", "validator/validator-1", "monitor/watch"} <= names
    assert {f"router/{name}" for name in ROUTERS} | {f"miner/{name}" for name in MINERS} | {"session/1", "session/2"} <= names
    assert {"pool/smollm2", "gateway/gateway-1", "gateway/gateway-2", "host/here"} <= names
    assert {f"{kind}/{hostname}" for kind in ("dns", "proxy") for hostname in where.env.proxy} <= names
    known = {item["id"] for item in status["evidence"]}
    for item in status["entities"]:
        assert set(item) >= {"entity", "kind", "state", "since", "reason", "evidence", "depends_on"}
        assert item["state"] == "ok" and item["reason"] and item["evidence"] and set(item["evidence"]) <= known, item
        assert set(item["depends_on"]) <= names and item["entity"].startswith(f"{item['kind']}/")
    assert status["endpoints"] == dict(local_environment.endpoints)


def test_status_reads_what_watch_saw_or_asks_now(local_environment: LocalEnvironment) -> None:
    watched, now = local_environment.place.until_well(), local_environment.place.status("--now")
    assert (watched["asked"], watched["every_s"], watched["note"]) == ("watch", 3.0, "") and (now["asked"], now["every_s"]) == ("now", 0.0)
    assert all(item["since"] <= watched["at"] for item in watched["entities"]), "watch knows since when"
    assert {item["since"] for item in now["entities"]} == {None}, "who asks once does not"
    assert [item["entity"] for item in watched["entities"]] == [item["entity"] for item in now["entities"]]


def test_names_resolve_in_a_shell(local_environment: LocalEnvironment) -> None:
    command = 'curl -sS --cacert "$CA" "$GATEWAY/v1/models" -H "authorization: Bearer $KEY"'
    done = subprocess.run(["bash", "-c", command], env=local_environment.environ, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0 and '"smollm2"' in done.stdout, done.stderr
