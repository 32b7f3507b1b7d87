"""The question that reads logs and asks RPCs, run here by this machine's sh; and readings of answers that a test writes."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.surfaces.nodes.logs import KEPT_LINES_MAX, TAIL_KIB, HostLogs, LogPlace, question, read
from cortops.targets.local import LocalTarget
from cortops.targets.shell import ask_shell
from cortops.words.clock import SystemClock
from cortops.words.question import Answer

pytestmark = pytest.mark.real  # real shells and their tools, hundreds of processes

KEY = "kEy-of-an-endpoint"
STATE = "* Latest ID: {} / Latest State: 3\n"


def ask(*places: LogPlace) -> Answer:
    asked = question("h1", places, since_s=3600)
    answer = asyncio.run(ask_shell(LocalTarget("h1"), [asked], SystemClock()))[asked.id]
    assert isinstance(answer, Answer) and answer.status == 0
    return answer


def place(folder: Path, node: str = "m1", *, log: str = "", env: str = "") -> LogPlace:
    (folder / f"{node}.log").write_text(log)
    (folder / f"{node}.env").write_text(env)
    return LogPlace(node=node, log=str(folder / f"{node}.log"), env_file=str(folder / f"{node}.env"))


class _Rpc(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind = self.path.split("/")[1]
        block = {"l1BlockNumber": "0x1", "number": "0x2a", "timestamp": "0x6553f100", "transactions": ["0x" + "1" * 64] * 500}
        said: dict[str, object] = {"result": "0x66eee" if asked["method"] == "eth_chainId" else block}
        if kind == "refuses":
            said = {"error": {"code": -32005, "message": f"limit of {KEY}"}}
        body = b"<html>" if kind in ("broken", "forbidden") else json.dumps({"jsonrpc": "2.0", "id": 1, **said}, indent=1).encode()
        self.send_response(403 if kind == "forbidden" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def rpc() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Rpc) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_long_log_is_read_at_its_end_and_the_newest_lines_travel(tmp_path: Path) -> None:
    text = "".join(STATE.format(number) + "x" * 200 + "\n" for number in range(20_000))
    answer = ask(place(tmp_path, log=text))
    found = read(answer).nodes["m1"]
    assert found.facts is not None and found.facts.session is not None
    assert found.facts.session.id == 19_999 and found.size_bytes == len(text) > TAIL_KIB * 1024
    assert found.modified_at == pytest.approx(Path(tmp_path, "m1.log").stat().st_mtime, abs=5)
    assert len(answer.body) < 50 * KEPT_LINES_MAX, "lines that no pack knows stay there"
    assert found.facts.lines > 2 * KEPT_LINES_MAX


def test_a_log_rotated_just_now_is_read_with_its_predecessor(tmp_path: Path) -> None:
    where = place(tmp_path, log="Pinging network...\n")
    Path(where.log + ".1").write_text("Traceback (most recent call last):\n" * 3)
    facts = read(ask(where)).nodes["m1"].facts
    assert facts is not None and (facts.traceback_lines, facts.lines) == (1, 4)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    nowhere = LogPlace(node="m1", log=str(tmp_path / "no.log"), env_file=str(tmp_path / "no.env"))
    hidden = LogPlace(node="m2", log="/nowhere/at/all.log", env_file=str(tmp_path / "no.env"))
    held = LogPlace(node="m3", log="docker:nothing-of-this-name", env_file="/app/.env")
    found = read(ask(nowhere, hidden, held)).nodes
    assert {name: (node.facts, node.why) for name, node in found.items()} == {
        "m1": (None, "there is no log at the declared place"),
        "m2": (None, "its log cannot be read by this user"),
        "m3": (None, "docker does not answer for its container"),
    }
    assert found["m1"].rpc_why == "its env file cannot be read"
    assert found["m3"].rpc_why == "its env file names no RPC"


@pytest.mark.parametrize("form", ["HOST={}", 'HOST="{}"', "export HOST='{}'", "  HOST = {} # mine", 'HOST="{}" # "mine"'])
def test_the_rpc_is_asked_there_and_its_key_stays_there(tmp_path: Path, rpc: str, form: str) -> None:
    url = f"{rpc}/v2/{KEY}"
    env = f"HOST_MAINNET={rpc}/other\nNODE_PRIVATE_KEY=the-private-one\nHOST={rpc}/old\n{form.format(url)}\n# HOST={rpc}/comment\n"
    answer = ask(place(tmp_path, env=env))
    found = read(answer)
    sha = hashlib.sha256(url.encode()).hexdigest()
    assert found.nodes["m1"].rpc_hosts == {sha: rpc}
    probe = found.probes[sha]
    assert (probe.error, probe.number, probe.head_at, probe.chain_id) == ("", 42, 0x6553F100, 421614)
    assert probe.at == pytest.approx(answer.at, abs=5) and 0 < probe.latency_s < 3
    assert KEY.encode() not in answer.body and b"the-private-one" not in answer.body


@pytest.mark.parametrize(("kind", "error"), [("refuses", "limited"), ("forbidden", "forbidden"), ("broken", "no block")])
def test_an_rpc_that_answers_otherwise(tmp_path: Path, rpc: str, kind: str, error: str) -> None:
    answer = ask(place(tmp_path, env=f"HOST={rpc}/{kind}/{KEY}\n"))
    (probe,) = read(answer).probes.values()
    assert (probe.error, probe.number) == (error, None)
    assert KEY.encode() not in answer.body


def test_an_rpc_that_is_not_there(tmp_path: Path) -> None:
    (probe,) = read(ask(place(tmp_path, env="HOST=http://127.0.0.1:9/x\n"))).probes.values()
    assert (probe.error, probe.number, probe.chain_id) == ("refused", None, None)


def test_many_endpoints_where_the_env_file_turns_them_on(tmp_path: Path, rpc: str) -> None:
    listed = "".join(f'RPC_HOST_{number}="{rpc}/{number}"\n' for number in range(6))
    on, off = f"ENABLE_MULTIPLE_RPC_HOST=1\nHOST={rpc}/own\n{listed}", f"ENABLE_MULTIPLE_RPC_HOST=0\nHOST={rpc}/own\n{listed}"
    found = read(ask(place(tmp_path, "m1", env=on), place(tmp_path, "m2", env=off), place(tmp_path, "m3", env=off)))
    assert [len(found.nodes[name].rpcs) for name in ("m1", "m2", "m3")] == [4, 1, 1]
    assert len(found.probes) == 5, "an endpoint that two nodes share is asked once"


@pytest.mark.parametrize("url", ["http://h/$(touch x)", 'http://h/"x', "http://h/a b", "ftp://h/x", "http://h/`id`", "http://"])
def test_an_odd_address_is_asked_nothing(tmp_path: Path, url: str) -> None:
    found = read(ask(place(tmp_path, env=f"HOST={url}\n")))
    assert (found.probes, found.nodes["m1"].rpcs) == ({}, ())


def test_names_with_odd_signs_are_quoted(tmp_path: Path) -> None:
    folder = tmp_path / "it's; $(touch bad)"
    folder.mkdir()
    found = read(ask(place(folder, log=STATE.format(1))))
    assert found.nodes["m1"].facts is not None and not list(tmp_path.glob("**/bad"))


def reading(*lines: str, at: float = 1000.0) -> HostLogs:
    return read(Answer(question="logs:h1", at=at, elapsed_s=1.0, status=0, body="\n".join(lines).encode()))


def test_times_are_told_by_our_clock_and_stamps_by_the_hosts_zone() -> None:
    found = reading(
        "clock 1 +0200",
        "node m1",
        "file 10 8000 read",
        "lines 2 2",
        "L 1 1970-01-01 04:00:00 * Node Pool Reserved Node Stale: True",
        "L 2 Pinging network...",
        "clock 8201000000000 +0200",  # 7200 s ahead of ours
    )
    node = found.nodes["m1"]
    assert found.offset_s == -7200.0 and node.modified_at == 800.0
    assert node.facts is not None and node.facts.stale_since == 0.0


def test_a_host_without_curl() -> None:
    found = reading("rpc m1 ab http://x", "nocurl", "node m1")
    assert found.nodes["m1"].rpc_why == "there is no curl on its host to ask it"


@given(st.text(max_size=300))
def test_no_answer_breaks_the_reading(text: str) -> None:
    tags = "".join(f"{tag} {text}\n" for tag in ("clock", "rpc m1", "norpc", "probe", "node", "file", "lines", "L"))
    assert isinstance(reading(text, tags), HostLogs)
