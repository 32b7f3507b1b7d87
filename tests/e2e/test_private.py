"""A private session in a whole environment: asked once, then everything that was written anywhere is searched for the prompt."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from cortops.protocol.envfile import parse
from cortops.testing.local import SMALL, LocalEnvironment, bring_up, place

pytestmark = pytest.mark.proof

SESSION = 2
PROMPT = "tell-nobody-of-this-prompt"


def _declared(miners: list[str]) -> str:
    """The small environment with a private session beside the open one."""
    body: dict[str, Any] = yaml.load(SMALL.read_text(), yaml.BaseLoader)  # text only: `on` is a key here
    body["network"]["sessions"][str(SESSION)] = {"name": "private", "model": "smollm2", "nodes": ["miner-1"], "routers": ["router-1"]}
    body["nodes"]["router-1"]["sessions"]["smollm2"] = ["1", str(SESSION)]
    body["payloads"] = {"sessions": {str(SESSION): {"miners": miners} if miners else {}}}
    return yaml.safe_dump(body, sort_keys=False)


def _ask(up: LocalEnvironment) -> tuple[int, Any]:
    settings = parse((up.place.root / "etc" / "router-1.env").read_text())
    body = json.dumps({"prompt": PROMPT, "max_tokens": 8, "temperature": 0}).encode()
    url = f"http://127.0.0.1:{settings['ROUTER_REST_BIND_PORT']}/api/v2/completions/{SESSION}"
    request = urllib.request.Request(url, body, {"Authorization": f"Bearer {settings['API_KEY']}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def _told_by_chain(up: LocalEnvironment) -> bytes:
    """The data of every event, and the input of every transaction."""
    port = up.place.env.nodes["chain-1"].port

    def rpc(method: str, *params: object) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.loads(reply.read())["result"]

    found = [log["data"] for log in rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})]
    for number in range(int(rpc("eth_blockNumber"), 16) + 1):
        found += [transaction["input"] for transaction in rpc("eth_getBlockByNumber", hex(number), True)["transactions"]]
    return b"".join(bytes.fromhex(data[2:]) for data in found)


def _holding(root: Path, word: str) -> list[str]:
    return [str(path) for path in root.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


def _states(up: LocalEnvironment) -> dict[str, str]:
    return {entity["entity"]: entity["state"] for entity in up.place.status()["entities"] if entity["entity"].startswith("payloads/")}


def test_a_private_prompt_stands_in_clear_nowhere(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("private") / "small.yaml"
    file.write_text(_declared(["miner-1"]))
    with place(file=file) as where:
        up = bring_up(where)
        status, body = _ask(up)
        assert status == 200 and body["usage"]["completion_tokens"] > 0, body
        answer = body["choices"][0]["text"]
        where.until_well()
        assert _states(up) == {"payloads/allowlist": "ok", "payloads/router-1": "ok"}

        objects = [path for path in (where.root / "data" / "payloads").rglob("*") if path.is_file() and "canary" not in path.parts]
        assert {path.parts[-2] for path in objects} == {"prompt", "result"}
        told = _told_by_chain(up)
        assert all(path.name.encode() in told for path in objects), "the search reads what stands on chain"
        assert (where.root / "data" / "gateway").is_dir() and (where.root / "log" / "engine-1.log").is_file()
        for word in (PROMPT, answer.strip()):
            assert len(word) < 8 or (_holding(where.root, word) == [] and word.encode() not in told)
