"""The portal as its own process, behind a real nginx with TLS, as the environment declares the two."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from portal_rig import Stage, config, on_files
from tests.surfaces.portal.test_render import ENV, HOSTNAME
from tests.surfaces.proxy.nginx_rig import Front, free_port, front, server_of

from cortops.programs.portal.session import COOKIE
from cortops.protocol.gateway import Listen
from cortops.protocol.http import HttpReply
from cortops.words.clock import SystemClock

pytestmark = pytest.mark.real


@asynccontextmanager
async def running(found: Stage, port: int, folder: Path) -> AsyncIterator[list[str]]:
    """The program over the store of `found`; afterwards the lines of its log."""
    settings = config(found.config.keys, found.config.usage, listen=Listen(port=port), hostnames=(HOSTNAME,))
    (folder / "portal.json").write_bytes(settings.to_json())
    lines: list[str] = []
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cortops.programs.portal", str(folder / "portal.json"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        lines.append((await asyncio.wait_for(process.stdout.readline(), 30)).decode())
        yield lines
    finally:
        process.terminate()
        lines += (await process.stdout.read()).decode().splitlines()
        assert await process.wait() == 0


async def ask(through: Front, path: str, *, form: dict[str, str] | None = None, **headers: str) -> HttpReply:
    """As a browser asks, without following where it is led."""
    url = f"https://{HOSTNAME}:{through.port}"
    told = {
        "accept": "text/html",
        "host": f"{HOSTNAME}:{through.port}",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    if form is not None:
        told |= {"content-type": "application/x-www-form-urlencoded", "origin": url}
    return await through.client.request(
        "GET" if form is None else "POST",
        url + path,
        headers=tuple((name, value) for name, value in told.items() if name != "host"),
        body=urlencode(form or {}).encode(),
        timeout_s=10,
        connect_to=("127.0.0.1", through.port),
        tls=through.tls,
    )


def cookie_of(reply: HttpReply) -> str:
    """What a browser would keep."""
    return next(value.partition(";")[0] for name, value in reply.headers if name.lower() == "set-cookie" and value.startswith(COOKIE))


async def _signed_in(through: Front, key: str) -> str:
    page = await ask(through, "/portal/sign-in")
    token = re.findall(rb'name="token" value="(\w+)"', page.body)[0].decode()
    reply = await ask(through, "/portal/sign-in", form={"token": token, "key": key}, cookie=cookie_of(page))
    assert (reply.status, reply.header("location")) == (303, "/portal/api-keys")
    return cookie_of(reply)


def test_people_and_programs_come_through_nginx(tmp_path: Path) -> None:
    found, port = on_files(tmp_path), free_port()
    assert ENV.portal is not None
    env = replace(ENV, portal=ENV.portal.model_copy(update={"port": port}))
    expires = SystemClock().now() + 3600
    key = found.issue("me", scopes=("portal",), expires_at=max(expires, found.clock.now() + 3600))

    async def main() -> list[str]:
        async with running(found, port, tmp_path) as lines, front(tmp_path, server_of(env, HOSTNAME)) as through:
            cookie = await _signed_in(through, key.key)
            page = await ask(through, "/portal/api-keys", cookie=cookie)
            assert page.status == 200 and b"keys are valid" in page.body
            docs = await ask(through, "/portal/docs", cookie=cookie)
            assert f"https://{HOSTNAME}:{through.port}/portal/api-keys".encode() in docs.body
            listed = await ask(through, "/portal/api-keys", authorization=f"Bearer {key.key}")
            assert listed.status == 200 and json.loads(listed.body)["organisation"] == "acme"
            wrong = await ask(through, "/portal/usage-summary", authorization="Bearer ck_lab_wrong", x_forwarded_for="203.0.113.9")
            assert wrong.status == 401 and json.loads(wrong.body)["request_id"] == wrong.header("x-request-id") != ""
            assert [(await ask(through, path)).status for path in ("/health", "/metrics", "/elsewhere")] == [200, 404, 404]
        return lines

    try:
        lines = [json.loads(line) for line in asyncio.run(main()) if line.strip()]
    finally:
        found.books.close()
    told = [(line["action"], line["source"], line["outcome"]) for line in lines if line["event"] == "audit"]
    assert told == [("sign_in", "127.0.0.1", "done"), ("key_refused", "127.0.0.1", "invalid_api_key")], "nobody chooses their own address"
    assert key.key not in json.dumps(lines)
