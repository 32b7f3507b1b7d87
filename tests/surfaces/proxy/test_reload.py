"""nginx through the deploy engine: a change reloads it under open streams, and a configuration that it refuses changes nothing."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.surfaces.proxy.nginx_rig import Behind, free_port, nginx_program, seed
from tests.surfaces.proxy.test_ways import ENV
from tests.surfaces.stage import site_of

from cortops.deploy import authority
from cortops.deploy.kinds import desire
from cortops.deploy.observed import Desired, Present, Progress, Step
from cortops.deploy.plan import plan
from cortops.environment.declared import Environment
from cortops.protocol.http import HttpClient
from cortops.surfaces.proxy.render import render
from cortops.testing.host import Host, host
from cortops.words.change import Action, Plan
from cortops.words.clock import SystemClock
from cortops.words.resource import Content, File, Resource

pytestmark = pytest.mark.real
NAME = "gateway.localhost"
STREAMS = 200


@dataclass(frozen=True, slots=True)
class Place:
    """A host, a certificate for NAME, and a gateway behind it."""

    host: Host
    behind: Behind
    port: int
    trusted: authority.Issued
    certificate: authority.Issued

    def declared(self, **changes: Any) -> Environment:
        """ENV with NAME alone, its gateway being `behind`."""
        assert ENV.gateway is not None
        route = ENV.proxy[NAME].model_copy(update={"port": self.port, **changes})
        return replace(ENV, gateway=ENV.gateway.model_copy(update={"port": self.behind.port, "processes": 1}), proxy={NAME: route})

    def resources(self, env: Environment) -> tuple[Resource, ...]:
        """What render makes of it, and the folders that it takes for granted."""
        known, root = site_of(env), str(self.host.root)
        here = replace(known.hosts["here"], name=self.host.name, root=root, python=sys.executable, nginx=nginx_program(self.host.root))
        folders = (here.folder(root), *(here.folder(f"{root}/{name}") for name in ("etc", "log")), here.folder(f"{root}/run", mode=0o700))
        made = (replace(item, place=self.host.name) for item in render(env, replace(known, hosts={"here": here})))
        return (*folders, *made)

    def desired(self, *resources: Resource) -> tuple[Desired, ...]:
        def fill(content: Content) -> bytes:
            return "".join(part if isinstance(part, str) else self._secret(part) for part in content).encode()

        return desire(resources, fill, self.host.manager)

    def _secret(self, part: object) -> str:
        return self.certificate.key if "public" not in str(part) else self.certificate.certificate

    async def planned(self, items: tuple[Desired, ...]) -> Plan:
        return plan("lab", items, await self.host.driver().observe(items), (), "1")

    async def make(self, items: tuple[Desired, ...]) -> list[Progress]:
        by_id = {item.resource.id: item for item in items}
        steps = [Step(action=change.action, desired=by_id[change.resource]) for change in (await self.planned(items)).changes]
        return [event async for event in self.host.driver().apply(steps, "a1")]

    async def remove(self, items: tuple[Desired, ...]) -> None:
        steps = [Step(action=Action.DELETE, desired=item) for item in reversed(items)]
        assert [event async for event in self.host.driver().apply(steps, "a2")][-1].event == "done"

    async def pid(self, items: tuple[Desired, ...]) -> str:
        seen = (await self.host.driver().observe(items))[items[-1].resource.key]
        assert isinstance(seen, Present)
        return seen.attributes["pid"]


@pytest.fixture(name="place")
def _place() -> Iterator[Place]:
    now = SystemClock().now()
    trusted = authority.make_authority("test", now, seed)
    with host() as made:
        yield Place(made, Behind("gateway", "stream"), free_port(), trusted, authority.issue(trusted, [NAME], now, seed))
        for left in (*made.root.glob("log/*.log"), *made.root.glob("run/proxy/*")):
            left.unlink() if left.is_file() else left.rmdir()


def trusting(place: Place) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=place.trusted.certificate)


def test_200_streams_go_on_through_a_reload_and_new_requests_get_the_new_configuration(place: Place) -> None:
    before = place.desired(*place.resources(place.declared(body_max_mib=1)))
    after = place.desired(*place.resources(place.declared(body_max_mib=0.0625)))

    async def run() -> None:
        client, tls = HttpClient(clock=SystemClock()), trusting(place)
        there = ("127.0.0.1", place.port)

        async def posted() -> int:
            url = f"https://{NAME}:{place.port}/health"
            return (await client.request("POST", url, body=b"x" * 70_000, timeout_s=10, connect_to=there, tls=tls)).status

        assert (await place.make(before))[-1].event == "done"
        pid = await place.pid(before)
        async with place.behind, AsyncExitStack() as stack:
            streams = []
            for _ in range(STREAMS):
                url = f"https://{NAME}:{place.port}/health"
                asked = client.stream("GET", url, timeout_s=60, idle_timeout_s=60, connect_to=there, tls=tls)
                streams.append(await stack.enter_async_context(asked))
            assert [await stream.read() for stream in streams] == [b"data: 1\n\n"] * STREAMS
            place.behind.manner = "answer"
            assert await posted() == 200
            found = await place.planned(after)
            assert [(change.resource.rpartition("/")[2], change.action) for change in found.changes] == [
                ("nginx.conf", Action.UPDATE),
                ("service:proxy", Action.RELOAD),
            ]
            assert found.changes[1].reason.endswith("nginx.conf; nginx -t -q first; HUP to what runs, no restart")
            assert [event.event for event in await place.make(after)] == ["begun", "done", "begun", "done"]
            for _ in range(100):
                if await posted() == 413:
                    break
                await asyncio.sleep(0.05)
            else:
                raise AssertionError("the new configuration is not in force")
            place.behind.go.set()
            ends = [b"".join([chunk async for chunk in stream.chunks()]) for stream in streams]
            assert ends == [b"data: 2\n\n"] * STREAMS, "none was dropped"
        assert await place.pid(after) == pid
        assert not (await place.planned(after)).changes
        await client.close()
        await place.remove(after)

    asyncio.run(run())


def test_a_configuration_that_nginx_refuses_changes_nothing_and_its_words_are_told(place: Place) -> None:
    good = place.desired(*place.resources(place.declared()))
    broken = place.desired(*(_broken(item) for item in place.resources(place.declared(body_max_mib=2))))

    async def run() -> None:
        await place.make(good)
        pid, text = await place.pid(good), (place.host.root / "etc/nginx.conf").read_text()
        told = await place.make(broken)
        assert [event.event for event in told] == ["begun", "failed"], told
        assert re.match(r'refused by nginx: .* \[emerg\] .*: unexpected "}" in .*/nginx.conf.cortops-new:\d+ ', told[-1].text), told
        assert (place.host.root / "etc/nginx.conf").read_text() == text
        assert not (await place.planned(good)).changes and await place.pid(good) == pid
        client = HttpClient(clock=SystemClock())
        reply = await client.request(
            "GET", f"https://{NAME}:{place.port}/x", timeout_s=10, connect_to=("127.0.0.1", place.port), tls=trusting(place)
        )
        assert json.loads(reply.body)["error"]["code"] == "not_found", "the one before serves on"
        await client.close()
        await place.remove(good)

    asyncio.run(run())


def _broken(item: Resource) -> Resource:
    if isinstance(item, File) and item.path.endswith("nginx.conf"):
        return replace(item, content=(f"{item.content[0]}}}\n",))
    return item
