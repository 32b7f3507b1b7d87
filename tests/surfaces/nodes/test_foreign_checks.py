"""The check of each program of others, over answers as the real ones give them."""

from __future__ import annotations

import json

import pytest
from tests.surfaces.stage import site_of

from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.surfaces.nodes.foreign_checks import check, postgres_hello, questions
from cortops.words.question import REFUSED, Answer, Http, NoAnswer, Question, Reply, Rpc, Silence, Tcp

NOW = 1_000_000
TEXT = """format: 1
environment: lab
owners: {default: ops@lab.example}
hosts: {here: {local: true}}
network: {chain_id: 421, rpc: RPC, references: ["https://a.example", "https://b.example"], contracts: {runtime: "0x%s"}}
nodes:
  db: {role: database, host: here, port: 5432, program: /x}
  store: {role: object-store, host: here, port: 9000, program: /x, health_path: /minio/health/live}
  ipfs: {role: ipfs, host: here, port: 5001, program: /x}
  relay: {role: rpc-relay, host: here, port: 8600, program: /x}
""" % ("a" * 40)


def env_of(rpc: str = "relay") -> Environment:
    found = load(TEXT.replace("RPC", rpc), "lab.yaml")
    assert isinstance(found, Environment)
    return found


def judged(name: str, env: Environment | None = None, **bodies: bytes | str | int | Silence) -> tuple[str, str]:
    """The verdict on a node; bodies: question id with `:` and `-` as `_` -> body, HTTP status, or no answer."""
    env = env or env_of()
    found = check(env, name, "ops")
    replies: dict[str, Reply] = {}
    for asked in found.asks:
        said = bodies.get(asked.replace(":", "_").replace("-", "_"))
        if isinstance(said, Silence):
            replies[asked] = NoAnswer(question=asked, at=NOW, elapsed_s=0, silence=said, why=said.value)
        elif isinstance(said, int):
            replies[asked] = Answer(question=asked, at=NOW, elapsed_s=0, status=said, body=b"text")
        elif said is not None:
            body = said.encode() if isinstance(said, str) else said
            status = 0 if env.nodes[name].role in ("database", "rpc-relay") else 200
            replies[asked] = Answer(question=asked, at=NOW, elapsed_s=0, status=status, body=body)
    verdict = found.judge(replies, NOW)
    return verdict.outcome, verdict.text


def refused(state: str, message: str) -> bytes:
    fields = b"".join(part.encode() + b"\0" for part in ("SFATAL", "VFATAL", f"C{state}", f"M{message}", "Fpostmaster.c")) + b"\0"
    return b"E" + (len(fields) + 4).to_bytes(4, "big") + fields


def head(seconds_ago: int) -> str:
    return json.dumps({"number": "0x1", "timestamp": hex(NOW - seconds_ago)})


def test_each_is_asked_in_its_own_way() -> None:
    env = env_of()
    asked: dict[str, Question] = {question.id: question for question in questions(env, site_of(env))}
    database, store, ipfs = asked["service:db"], asked["service:store"], asked["service:ipfs"]
    assert isinstance(database, Tcp) and (database.host, database.port, database.send) == ("127.0.0.1", 5432, postgres_hello("ops"))
    assert isinstance(store, Http) and (store.method, store.url) == ("GET", "http://127.0.0.1:9000/minio/health/live")
    assert isinstance(ipfs, Http) and (ipfs.method, ipfs.url) == ("POST", "http://127.0.0.1:5001/api/v0/id")
    assert {question.method for question in asked.values() if isinstance(question, Rpc)} == {"eth_chainId", "eth_getBlockByNumber"}
    assert [name for name in asked if name.startswith("reference:")] == ["reference:0", "reference:1"]
    beside = env_of('{url: "https://own.example"}')
    assert not [question.id for question in questions(beside, site_of(beside)) if question.id.startswith("reference:")]
    assert check(beside, "relay", "ops").asks[-1] == "chain:head", "the network's own RPC is asked anyway"


def test_the_hello_is_a_startup_message() -> None:
    hello = postgres_hello("me")
    assert int.from_bytes(hello[:4], "big") == len(hello) and hello[4:8] == b"\0\3\0\0"
    assert hello[8:].startswith(b"user\0me\0database\0postgres\0") and hello.endswith(b"\0\0")


@pytest.mark.parametrize(
    ("body", "outcome", "text"),
    [
        (b"R\0\0\0\x08\0\0\0\0", "ok", "takes connections"),
        (b"R\0\0\0\x17\0\0\0\x0aSCRAM", "ok", "takes connections"),
        (refused("57P03", "the database system is starting up"), "bad", "takes no connections: the database system is starting up (57P03)"),
        (refused("53300", "sorry, too many clients already"), "bad", "takes no connections: sorry, too many clients already (53300)"),
        (refused("28000", 'role "me" does not exist'), "ok", 'takes connections, and not ours: role "me" does not exist'),
        (b"HTTP/1.1 400 Bad Request\r\n", "bad", "does not speak as PostgreSQL does: 'HTTP/1.1 400 Bad Request'"),
        (b"", "bad", "ends connections without a word"),
        (Silence.REFUSED, "bad", "refused"),
        (Silence.LOST, "inconclusive", "lost"),
    ],
)
def test_a_database_is_well_when_it_takes_connections(body: bytes | Silence, outcome: str, text: str) -> None:
    assert judged("db", service_db=body) == (outcome, text)


@pytest.mark.parametrize(("status", "outcome"), [(200, "ok"), (403, "ok"), (404, "bad"), (503, "bad")])
def test_an_object_store_is_well_when_it_answers(status: int, outcome: str) -> None:
    assert judged("store", service_store=status)[0] == outcome


def test_an_ipfs_node_is_well_when_it_tells_its_peer_id() -> None:
    assert judged("ipfs", service_ipfs='{"ID": "12D3"}') == ("ok", "peer 12D3")
    assert judged("ipfs", service_ipfs='{"ID": ""}')[0] == judged("ipfs", service_ipfs=405)[0] == "bad"


@pytest.mark.parametrize(
    ("own", "chain", "references", "outcome", "text"),
    [
        (5, "0x1a5", (3, 9), "ok", "chain 421, head 2 s behind the youngest of 2 others"),
        (5, "0x1a5", (35, 36), "ok", "chain 421, head 0 s behind the youngest of 2 others"),
        (40, "0x1a5", (3, 9), "bad", "chain 421, head 37 s behind the youngest of 2 others"),
        (900, "0x1a5", (880, None), "ok", "chain 421, head 20 s behind the youngest of 1 others"),
        (900, "0x1a5", (None, None), "ok", "chain 421; nobody else could be asked for the head"),
        (5, "0x1", (3, 9), "bad", "says it is chain 1, declared is 421"),
    ],
)
def test_a_relay_is_well_on_the_right_chain_and_not_behind(
    own: int, chain: str, references: tuple[int | None, ...], outcome: str, text: str
) -> None:
    known = {f"reference_{number}": head(ago) for number, ago in enumerate(references) if ago is not None}
    assert judged("relay", service_relay=head(own), service_chain_relay=f'"{chain}"', **known) == (outcome, text)


def test_a_relay_that_says_nothing_of_use() -> None:
    assert judged("relay", service_relay="null", service_chain_relay='"0x1a5"')[0] == "inconclusive"
    assert judged("relay", service_relay=REFUSED, service_chain_relay='"0x1a5"') == ("bad", "gives no head: text")
    assert judged("relay", service_relay=Silence.REFUSED, service_chain_relay=Silence.REFUSED) == ("bad", "refused")
    assert judged("relay", service_relay=head(1), service_chain_relay=Silence.TIMEOUT) == ("bad", "timeout")
