"""A portal in this process over a real store: two organisations, a person of each, and clients as browsers and programs."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from cortops.programs.common.logs import make_log
from cortops.programs.portal.app import portal
from cortops.programs.portal.books import Books
from cortops.programs.portal.desk import Desk
from cortops.programs.portal.session import COOKIE, Signer
from cortops.protocol import keys, usage
from cortops.protocol.gateway import Listen
from cortops.protocol.keys import IssuedKey
from cortops.protocol.limits import KeyLimits
from cortops.protocol.portal import PortalConfig
from cortops.protocol.usage import UsageRow
from cortops.testing.clock import VirtualClock

HOST = "portal.lab.example"
URL = f"https://{HOST}"
PAGE = {"accept": "text/html,application/xhtml+xml"}
DAY_S = 86_400


class Chance:
    """Bytes that look random and are the same every time."""

    def __init__(self) -> None:
        self._drawn = 0

    def __call__(self, count: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_256(str(self._drawn).encode()).digest(count)


def config(keys_db: str, usage_db: str, **other: Any) -> PortalConfig:
    """Of an environment `lab` with two models."""
    fields: dict[str, Any] = {
        "environment": "lab",
        "owner": "ops@lab.example",
        "listen": Listen(port=0),
        "hostnames": (HOST,),
        "gateway_url": "https://api.lab.example",
        "keys": keys_db,
        "usage": usage_db,
        "models": ("small", "large"),
        "families": ("completion",),
        "session_secret": "s" * 32,
        "session_max_h": 12.0,
    }
    return PortalConfig(**{**fields, **other})


@dataclass(slots=True, kw_only=True)
class Stage:
    """The portal, what it wrote to its log, and the keys of `acme` and `other` that may come in."""

    config: PortalConfig
    clock: VirtualClock
    desk: Desk
    books: Books
    app: Any
    out: io.BytesIO
    acme: IssuedKey
    other: IssuedKey
    chance: Chance = field(default_factory=Chance)

    def client(self, **headers: str) -> TestClient:
        """One with a cookie jar of its own."""
        return TestClient(self.app, base_url=URL, headers=headers, follow_redirects=False, raise_server_exceptions=False)

    def api(self, key: IssuedKey | None = None) -> TestClient:
        """A program with a key, that of acme's person by default."""
        return self.client(authorization=f"Bearer {(key or self.acme).key}")

    def person(self, key: IssuedKey | None = None) -> Browser:
        """Somebody who has signed in, acme's person by default."""
        browser = Browser(self.client(**PAGE))
        answer = browser.sign_in((key or self.acme).key)
        assert answer.status_code == 303, answer.text
        return browser

    def issue(self, name: str, organisation: str = "acme", **other: Any) -> IssuedKey:
        """A key that the operator makes."""
        database = keys.open_keys(self.config.keys)
        try:
            made = {"environment": "lab", "name": name, "organisation": organisation, "now": self.clock.now(), "random_bytes": self.chance}
            return keys.issue(database, **{**made, **other})
        finally:
            database.close()

    def spend(self, *rows: UsageRow) -> None:
        """What the gateway counted."""
        database = usage.open_usage(self.config.usage)
        try:
            usage.insert(database, rows)
        finally:
            database.close()

    def wait(self, seconds: float) -> None:
        asyncio.run(self.clock.advance(seconds))

    def audit(self) -> list[dict[str, Any]]:
        """The log's lines about who did what."""
        lines = [json.loads(line) for line in self.out.getvalue().splitlines()]
        return [line for line in lines if line["event"] == "audit"]


class Browser:
    """A person's browser without scripts: it keeps cookies, and sends forms as the page gives them."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def get(self, path: str) -> Any:
        return self.client.get(path)

    def sign_in(self, key: str) -> Any:
        page = self.get("/portal/sign-in").text
        return self.send("/portal/sign-in", page, key=key)

    def send(self, path: str, page: str, **fields: Any) -> Any:
        """The form of a page, with its hidden fields."""
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w*)">', page))
        return self.client.post(path, data={**hidden, **fields}, headers={"origin": URL})

    @property
    def cookie(self) -> str:
        return str(self.client.cookies.get(COOKIE) or "")


def stage(keys_db: str, usage_db: str, **other: Any) -> Stage:
    """Everything, with a store that holds the two organisations."""
    clock, chance, out = VirtualClock(), Chance(), io.BytesIO()
    database = keys.open_keys(keys_db)
    keys.put_organisation(database, "acme", {"requests_per_min": 600}, now=clock.now())
    keys.put_organisation(database, "other", {}, now=clock.now())
    made = {"environment": "lab", "now": clock.now(), "random_bytes": chance, "scopes": ("portal",)}
    acme, rival = (keys.issue(database, name=f"person of {name}", organisation=name, **made) for name in ("acme", "other"))
    database.close()
    usage.open_usage(usage_db).close()
    found = config(keys_db, usage_db, **other)
    books = Books(found, chance)
    log = make_log("portal", out, clock)
    desk = Desk(found, books, clock=clock, log=log, random_bytes=chance, signer=Signer(found.session_secret))
    app = portal(found, desk, log=log, new_id=lambda: f"req_{chance(12).hex()}")
    return Stage(config=found, clock=clock, desk=desk, books=books, app=app, out=out, acme=acme, other=rival, chance=chance)


def on_files(folder: Path, **other: Any) -> Stage:
    """On SQLite files."""
    return stage(str(folder / "keys.db"), str(folder / "usage.db"), **other)


def row(id: str, key: IssuedKey, at: float, **other: Any) -> UsageRow:
    """One request that was counted."""
    fields = {"model": "small", "prompt_tokens": 10, "completion_tokens": 5, **other}
    return UsageRow(request_id=id, key_id=key.row.id, started_at=at - 1, finished_at=at, **fields)


LIMITS = KeyLimits(requests_per_min=60)
