"""The router's GET routes. Bodies of ping, status, info, about, miners and sessions are ours (facts J.1)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import msgspec
from aiohttp import web

import cortops
from cortops.contracts.network import STATUS_NAMES, TASKS_PAGE_MAX, Session, Task
from cortops.programs.common.chain import Chain
from cortops.programs.common.health import Health
from cortops.programs.router.desk import Desk
from cortops.programs.router.links import Links
from cortops.protocol.settings import RouterSettings

ROUTE_FAMILIES = ("completions", "chat")


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

    async def ping(self, _request: web.Request) -> web.Response:
        """GET /api/v1/ping."""
        return _json({"message": "pong"})

    async def status(self, _request: web.Request) -> web.Response:
        """GET /api/v1/status."""
        health = self.health()
        return web.Response(status=health.http_status, body=health.as_json(), content_type="application/json")

    async def about(self, _request: web.Request) -> web.Response:
        """GET /api/v1/about."""
        return _json({"name": self.settings.name, "node": self.chain.address, "software": "cortops", "version": cortops.__version__})

    async def info(self, _request: web.Request) -> web.Response:
        """GET /api/v1/info."""
        return _json(
            {
                "name": self.settings.name,
                "node": self.chain.address,
                "software": "cortops",
                "version": cortops.__version__,
                "chain_id": self.chain.chain_id,
                "contracts": asdict(self.chain.network.addresses),
                "sessions": self.settings.sessions,
                "route_families": ROUTE_FAMILIES,
                "precommit_timeout_s": self.settings.precommit_timeout_s,
                "request_timeout_s": self.settings.request_timeout_s,
            }
        )

    async def miners(self, _request: web.Request) -> web.Response:
        """GET /api/v1/miners."""
        return _json({"miners": [{"address": link.address, "connected_at": int(link.since)} for link in self.links.miners()]})

    async def sessions(self, _request: web.Request) -> web.Response:
        """GET /api/v1/sessions."""
        found = [await self.chain.network.session(session) for session in self.settings.sessions]
        return _json({"sessions": [_session(session) for session in found]})

    async def session(self, request: web.Request) -> web.Response:
        """GET /api/v1/sessions/{sid}."""
        return _json(_session(await self.chain.network.session(int(request.match_info["sid"]))))

    async def tasks(self, request: web.Request) -> web.Response:
        """The newest TASKS_PAGE_MAX tasks of the session, newest first; `?before=TID` goes back as far as the chain keeps them."""
        session = int(request.match_info["sid"])
        count = (await self.chain.network.task_counts([session]))[0]
        before = request.query.get("before", "")
        end = min(int(before) - 1, count) if before.isdecimal() and len(before) < 19 else count
        offset = max(0, end - TASKS_PAGE_MAX)
        page = await self.chain.network.tasks(session, offset, max(0, end - offset))
        return _json({"tasks": [_task(task) for task in reversed(page)]})

    async def task(self, request: web.Request) -> web.Response:
        """One task with its results (facts A.5), as long as the chain keeps it."""
        session, task = int(request.match_info["sid"]), int(request.match_info["tid"])
        found = await self.chain.network.task(session, task)
        told = [event.args for event in await self.chain.events((session, task)) if event.name == "TaskCommitted"]
        results = {"data": [args["data"] for args in told], "miners": [args["miner"] for args in told]}
        return _json({**_task(found), "results": results})


def _session(session: Session) -> dict[str, object]:
    return {
        "id": session.id,
        "sid": session.sid,
        "name": session.name,
        "active": session.active,
        "owner": session.owner,
        "mode": session.mode,
        "redundant": session.redundant,
        "model": session.model,
        "dedicated_nodes": session.dedicated_nodes,
        "routers": session.routers,
        "created_at": session.created_at,
    }


def _task(task: Task) -> dict[str, object]:
    return {
        "task_id": task.id,
        "session_id": task.session,
        "assigned_miners": task.miners,
        "created_at": task.created_at,
        "finished_at": task.finished_at or None,
        "status": task.status,
        "status_name": STATUS_NAMES[task.status],
    }


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
