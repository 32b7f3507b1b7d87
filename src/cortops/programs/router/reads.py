"""The families that only read. Bodies of ping, status, info, about, miners and sessions are ours (facts J.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

import cortops
from cortops.contracts.network import STATUS_NAMES, TASKS_PAGE_MAX, Session, Task
from cortops.programs.common.chain import Chain
from cortops.programs.common.health import Health
from cortops.programs.router.desk import Desk
from cortops.programs.router.links import Links
from cortops.programs.router.offers import Answered, Asked, Family
from cortops.protocol.settings import RouterSettings
from cortops.words.errors import BadInput

DIGITS_MAX = 18  # of an id


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """The routes that read: what they say of the router, its sessions and tasks."""

    settings: RouterSettings
    chain: Chain
    desk: Desk
    links: Links

    def health(self) -> Health:
        """How the router is, for `/health` and `/status`."""
        why = self.chain.why() + (() if self.desk.ready else ("the chain has not been read yet",))
        facts = self.chain.facts()
        return Health.judge(
            why,
            node=self.chain.address,
            chain_id=self.chain.chain_id,
            head=facts["head"],
            head_age_s=facts["head_age_s"],
            sessions=[{"id": session, "in_flight": self.desk.in_flight(session)} for session in self.settings.sessions],
            miners=len(self.links.miners()),
        )

    async def answer(self, asked: Asked) -> Answered:
        """One of the families that only read. Raises ChainError, CallReverted for what is not there, BadInput."""
        match asked.family:
            case Family.PING:
                return Answered(status=200, body={"message": "pong"})
            case Family.STATUS:
                health = self.health()
                return Answered(status=health.http_status, body=msgspec.json.decode(health.as_json()))
            case Family.ABOUT:
                return Answered(status=200, body=self._about())
            case Family.INFO:
                return Answered(status=200, body=self._info())
            case Family.MINERS:
                links = [{"address": link.address, "connected_at": int(link.since)} for link in self.links.miners()]
                return Answered(status=200, body={"miners": links})
            case Family.SESSIONS:
                return Answered(status=200, body=await self._sessions(asked))
            case _:
                return Answered(status=200, body=await self._tasks(asked))

    def _about(self) -> dict[str, Any]:
        return {"name": self.settings.name, "node": self.chain.address, "software": "cortops", "version": cortops.__version__}

    def _info(self) -> dict[str, Any]:
        return self._about() | {
            "chain_id": self.chain.chain_id,
            "contracts": asdict(self.chain.network.addresses),
            "sessions": list(self.settings.sessions),
            "route_families": route_families(self.settings),
            "precommit_timeout_s": self.settings.precommit_timeout_s,
            "request_timeout_s": self.settings.request_timeout_s,
        }

    async def _sessions(self, asked: Asked) -> dict[str, Any]:
        """One session where it is named, else all that are declared for this router."""
        named = asked.session or _whole(asked.body.get("session_id"), "session_id")
        if named is not None:
            return _session(await self.chain.network.session(named))
        found = [await self.chain.network.session(session) for session in self.settings.sessions]
        return {"sessions": [_session(session) for session in found]}

    async def _tasks(self, asked: Asked) -> dict[str, Any]:
        session = asked.session or _whole(asked.body.get("session_id"), "session_id")
        if session is None:
            raise BadInput("is needed - at `$.session_id`")
        task = _whole(asked.body.get("task_id"), "task_id")
        return await self._listed(session, asked.body) if task is None else await self._one(session, task)

    async def _listed(self, session: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """The newest TASKS_PAGE_MAX tasks of the session, newest first; `before` goes back as far as the chain keeps them."""
        count = (await self.chain.network.task_counts([session]))[0]
        before = _whole(body.get("before"), "before")
        end = count if before is None else min(before - 1, count)
        offset = max(0, end - TASKS_PAGE_MAX)
        page = await self.chain.network.tasks(session, offset, max(0, end - offset))
        return {"tasks": [_task(task) for task in reversed(page)]}

    async def _one(self, session: int, task: int) -> dict[str, Any]:
        """With its results (facts A.5), as long as the chain keeps it. Of private sessions these are names of results."""
        found = await self.chain.network.task(session, task)
        told = [event.args for event in await self.chain.events((session, task)) if event.name == "TaskCommitted"]
        return _task(found) | {"results": {"data": [args["data"] for args in told], "miners": [args["miner"] for args in told]}}


def route_families(settings: RouterSettings) -> list[str]:
    """What this router answers, as its settings say."""
    always = ["completions", "chat", "delegate", "validate", "factcheck"]
    gated = {"create": settings.create_enabled, "trial": settings.trial_enabled}
    gated |= {"x402": settings.x402, "mcp": settings.mcp, "a2a": settings.a2a}
    return always + [family for family, on in gated.items() if on]


def _whole(value: Any, name: str) -> int | None:
    """A number, or the text of one as it stands in a query; None where there is none."""
    if value is None or value == "":
        return None
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or len(text) > DIGITS_MAX:
        raise BadInput(f"is a whole number of at most {DIGITS_MAX} digits - at `$.{name}`")
    return int(text)


def _session(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "sid": session.sid,
        "name": session.name,
        "active": session.active,
        "owner": session.owner,
        "mode": session.mode,
        "redundant": session.redundant,
        "model": session.model,
        "dedicated_nodes": list(session.dedicated_nodes),
        "routers": list(session.routers),
        "created_at": session.created_at,
    }


def _task(task: Task) -> dict[str, Any]:
    return {
        "task_id": task.id,
        "session_id": task.session,
        "assigned_miners": list(task.miners),
        "created_at": task.created_at,
        "finished_at": task.finished_at or None,
        "status": task.status,
        "status_name": STATUS_NAMES[task.status],
    }
