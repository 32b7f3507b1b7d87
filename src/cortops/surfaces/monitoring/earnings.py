"""Do installed nodes earn? A watch answers that at its own address, /nodes.json, from logs and chain; here it is asked and judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cortops.environment.declared import Environment
from cortops.environment.graph import rpc_entity
from cortops.surfaces.nodes.page import NodesPage, as_json
from cortops.surfaces.readings import bad, inconclusive, json_of, ok, reply_of
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Http, JSONValue, Question, Reply

LOOPBACK = "127.0.0.1"
PATH = "/nodes.json"
PAGE = "nodes:page"
STALE_S = 1_200.0  # an older page says nothing of now
TOLD_MAX_CHARS = 300


def document(page: NodesPage | None) -> dict[str, object]:
    """What the address answers: the shape of `nodes --json` below `nodes`, when it was asked, and how the network is."""
    if page is None:
        return {"at": None, "network": "", "moving": None, "nodes": []}
    return {"at": page.at, "network": page.network.text, "moving": page.network.moving, "nodes": as_json(page)}


def questions(env: Environment, port: int) -> Iterator[Question]:
    """port: of the watch's console on this machine."""
    if env.installed:
        yield Http(id=PAGE, url=f"http://{LOOPBACK}:{port}{PATH}", timeout_s=3)


def checks(env: Environment) -> Iterator[Check]:
    """Two a node: one that does not earn is down, one that soon will not is degraded. A network that stands is no node's trouble."""
    if env.installed:
        rpc = rpc_entity(env)
        yield Check(entity=rpc, name="network moves", asks=(PAGE,), judge=_moves, owner=env.owner_of(rpc), makes="degraded")
    for name, node in env.installed.items():
        entity = Entity(node.role, name)
        owner = env.owner_of(entity)
        yield Check(entity=entity, name="earning", asks=(PAGE,), judge=_judge(name, "down"), owner=owner, runbook="miner")
        yield Check(
            entity=entity, name="earning on", asks=(PAGE,), judge=_judge(name, "degraded"), owner=owner, runbook="miner", makes="degraded"
        )


def _told(replies: Mapping[str, Reply], now: float) -> dict[str, JSONValue] | Verdict:
    """The document, unless it is missing, empty or old."""
    answer = reply_of(replies, PAGE)
    if isinstance(answer, Verdict):
        return inconclusive(f"whether it earns could not be asked: {answer.text}")
    told = json_of(answer)
    at = told.get("at")
    if not isinstance(at, int | float):
        return inconclusive("whether it earns was not looked at yet")
    return told if now - at <= STALE_S else inconclusive(f"whether it earns was last seen {(now - at) / 60:.0f} min ago")


def _moves(replies: Mapping[str, Reply], now: float) -> Verdict:
    told = _told(replies, now)
    if isinstance(told, Verdict):
        return ok("not looked at yet whether the network moves")
    text = str(told.get("network"))[:TOLD_MAX_CHARS]
    return bad(text) if told.get("moving") is False else ok(text)


def _judge(name: str, ill: str) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        told = _told(replies, now)
        if isinstance(told, Verdict):
            return told
        rows = told.get("nodes")
        found = rows if isinstance(rows, list) else []
        row = next((row for row in found if isinstance(row, dict) and row.get("node") == name), None)
        return inconclusive("whether it earns was not told") if row is None else _verdict(row, ill)

    return judge


def _verdict(row: Mapping[str, JSONValue], ill: str) -> Verdict:
    text = ": ".join(str(part) for part in (row.get("headline"), row.get("cause")) if part)[:TOLD_MAX_CHARS]
    if row.get("state") == "unknown" or row.get("verdict") == "network":
        return inconclusive(text)
    return bad(text) if row.get("state") == ill else ok(text)
