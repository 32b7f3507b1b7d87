"""Are the programs of others well? Each role has one check, of what its clients rely on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cortops.environment.declared import Environment
from cortops.environment.foreign import DatabaseNode, ForeignNode, IpfsNode, ObjectStoreNode, RpcRelayNode
from cortops.environment.graph import node_entity
from cortops.surfaces.chain.checks import HEAD
from cortops.surfaces.reach import from_here
from cortops.surfaces.readings import bad, inconclusive, json_of, number_of, ok, reply_of
from cortops.surfaces.site import Site
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Answer, Http, Question, Reply, Rpc, Tcp

POSTGRES_PROTOCOL = 3 << 16  # version 3.0
CANNOT_CONNECT_NOW, TOO_MANY_CONNECTIONS = "57P03", "53300"  # SQLSTATE
NO_KEY = 403  # what an object store says to somebody without one


def questions(env: Environment, site: Site) -> Iterator[Question]:
    for name, node in env.nodes.items():
        if not isinstance(node, ForeignNode):
            continue
        ip = from_here(env, node.host)
        base = f"http://{ip}:{node.port}"
        match node:
            case DatabaseNode():
                hello = postgres_hello(node.user or site.hosts[node.host].user)
                yield Tcp(id=asked(name), host=ip, port=node.port, send=hello, timeout_s=3)
            case ObjectStoreNode():
                yield Http(id=asked(name), url=f"{base}{node.health_path}", timeout_s=3)
            case IpfsNode():
                yield Http(id=asked(name), url=f"{base}/api/v0/id", method="POST", timeout_s=3)
            case RpcRelayNode():
                yield Rpc(id=asked(name), url=base, method="eth_getBlockByNumber", params=("latest", False), timeout_s=3)
                yield Rpc(id=_chain_id(name), url=base, method="eth_chainId", timeout_s=3)
    if _relays_the_network(env):
        for number, url in enumerate(env.network.references):
            yield Rpc(id=_reference(number), url=url, method="eth_getBlockByNumber", params=("latest", False), timeout_s=3)


def check(env: Environment, name: str, owner: str) -> Check:
    """The one check of a node of these roles, besides whether its process runs."""
    node, question = env.nodes[name], asked(name)
    asks: tuple[str, ...] = (question,)
    match node:
        case DatabaseNode():
            judge = _takes_connections(question)
        case ObjectStoreNode():
            judge = _answers(question, (200, NO_KEY))
        case IpfsNode():
            judge = _tells_its_id(question)
        case RpcRelayNode():
            others = tuple(_reference(number) for number in range(len(env.network.references))) if env.network.rpc.node == name else (HEAD,)
            judge = _relays(name, env.network.chain_id, others, node.behind_max_s)
            asks = (question, _chain_id(name), *others)
        case _:
            raise AssertionError(f"{name} runs our program")
    return Check(entity=node_entity(name, node), name="service", asks=asks, judge=judge, owner=owner)


def asked(name: str) -> str:
    """The question about a node."""
    return f"service:{name}"


def postgres_hello(user: str) -> bytes:
    """A StartupMessage: who is there, and to which database; PostgreSQL 15, 55.7. It is answered before anybody proves who he is."""
    words = ("user", user, "database", "postgres", "application_name", "cortops")
    body = POSTGRES_PROTOCOL.to_bytes(4, "big") + b"".join(word.encode() + b"\0" for word in words) + b"\0"
    return (len(body) + 4).to_bytes(4, "big") + body


def _takes_connections(question: str) -> Judge:
    """A request to prove who we are is what we want to hear; a refusal of us too, but not of everybody."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, question)
        if isinstance(answer, Verdict):
            return answer
        if answer.body[:1] == b"R":
            return ok("takes connections")
        if answer.body[:1] != b"E":
            return bad(f"does not speak as PostgreSQL does: {answer.text[:80]!r}" if answer.body else "ends connections without a word")
        fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in answer.body[5:].split(b"\0") if part}
        state, said = fields.get(b"C", ""), fields.get(b"M", "")[:120]
        refuses_all = state in (CANNOT_CONNECT_NOW, TOO_MANY_CONNECTIONS)
        return bad(f"takes no connections: {said} ({state})") if refuses_all else ok(f"takes connections, and not ours: {said}")

    return judge


def _answers(question: str, well: tuple[int, ...]) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, question)
        if isinstance(answer, Verdict):
            return answer
        return ok(f"answers {answer.status}") if answer.status in well else bad(f"answers {answer.status}: {answer.text[:120]}")

    return judge


def _tells_its_id(question: str) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, question)
        if isinstance(answer, Verdict):
            return answer
        peer = json_of(answer).get("ID")
        if answer.status == 200 and isinstance(peer, str) and peer:
            return ok(f"peer {peer[:80]}")
        return bad(f"answers {answer.status} and tells no peer id: {answer.text[:120]}")

    return judge


def _relays(name: str, chain_id: int, others: tuple[str, ...], behind_max_s: int) -> Judge:
    """Its chain is the network's, and its head is about as young as the youngest that others know."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, asked(name))
        if isinstance(answer, Verdict):
            return answer
        said_id = reply_of(replies, _chain_id(name))
        if isinstance(said_id, Verdict):
            return said_id
        if answer.status != 0:
            return bad(f"gives no head: {answer.text[:120]}")
        found = number_of(said_id.text.strip('"'))
        if found != chain_id:
            return bad(f"says it is chain {found}, declared is {chain_id}")
        made_at = _made_at(answer)
        if made_at is None:
            return inconclusive(f"the head could not be read: {answer.text[:80]}")
        known = [at for other in others if isinstance(reply := replies.get(other), Answer) and (at := _made_at(reply)) is not None]
        if not known:
            return ok(f"chain {chain_id}; nobody else could be asked for the head")
        behind_s = max(known) - made_at
        return (bad if behind_s > behind_max_s else ok)(
            f"chain {chain_id}, head {max(behind_s, 0)} s behind the youngest of {len(known)} others"
        )

    return judge


def _made_at(answer: Answer) -> int | None:
    return number_of(json_of(answer).get("timestamp"))


def _relays_the_network(env: Environment) -> bool:
    return isinstance(env.nodes.get(env.network.rpc.node or ""), RpcRelayNode)


def _chain_id(name: str) -> str:
    return f"service-chain:{name}"


def _reference(number: int) -> str:
    return f"reference:{number}"
