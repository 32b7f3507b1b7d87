"""The lines that people copy: what they ask, how they are quoted, and that curl does with them what they say."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.surfaces.proxy.nginx_rig import Behind, front
from tests.surfaces.stage import example

from cortops.environment.declared import Environment
from cortops.surfaces.proxy.curls import Curl, curls
from cortops.surfaces.proxy.nginx import Open, ServerName, Upstream

ENV = example()
KEY = "ck_local_x"


def at_port(env: Environment, port: int, **names: str) -> Environment:
    """The same environment with its hostnames on `port`; some by another name."""
    return replace(env, proxy={names.get(route.to, name): route.model_copy(update={"port": port}) for name, route in env.proxy.items()})


def words(curl: Curl) -> list[str]:
    return shlex.split(curl.text)


def test_each_hostname_has_a_line_that_asks_something_only_it_can_answer() -> None:
    found = {curl.hostname: words(curl) for curl in curls(ENV, "/srv/ca.pem", KEY)}
    assert list(found) == list(ENV.proxy)
    assert all(line[:3] == ["curl", "--cacert", "/srv/ca.pem"] for line in found.values())
    assert found["gateway.localhost"][3:6] == [
        "https://gateway.localhost:8443/v1/chat/completions",
        "-H",
        f"authorization: Bearer {KEY}",
    ]
    assert json.loads(found["gateway.localhost"][-1])["model"] == "smollm2"
    assert found["router.localhost"][3:] == ["https://router.localhost:8443/api/v1/status"]
    assert found["portal.localhost"][3:] == ["https://portal.localhost:8443/portal/sign-in"]
    assert found["rpc.localhost"][3] == "https://rpc.localhost:8443/"
    assert json.loads(found["rpc.localhost"][-1])["method"] == "eth_chainId"
    assert found["console.localhost"][3:] == ["https://console.localhost:8443/status.json"]
    assert all(curl.shows for curl in curls(ENV, "/srv/ca.pem", KEY))


def test_a_key_is_shown_to_the_gateway_alone() -> None:
    assert [curl.hostname for curl in curls(ENV, "/srv/ca.pem", KEY) if KEY in curl.text] == ["gateway.localhost"]


def test_a_name_that_curl_cannot_know_is_led_to_this_machine() -> None:
    env = at_port(ENV, 443, console="status.lab.example")
    lines = {curl.hostname: words(curl) for curl in curls(env, "/ca", KEY)}
    assert lines["status.lab.example"][3:5] == ["--resolve", "status.lab.example:443:127.0.0.1"]
    assert lines["status.lab.example"][5] == "https://status.lab.example/status.json", "443 goes without saying"
    assert not [name for name, line in lines.items() if "--resolve" in line and name.endswith(".localhost")]


@pytest.mark.parametrize(
    ("path", "quoted"), [("~/my files/ca.pem", "~/'my files/ca.pem'"), ("/it's/ca.pem", "'/it'\"'\"'s/ca.pem'"), ("~/ca.pem", "~/ca.pem")]
)
def test_a_path_is_quoted_and_the_home_folder_stays_the_shells(path: str, quoted: str) -> None:
    assert all(curl.text.startswith(f"curl --cacert {quoted} ") for curl in curls(ENV, path, KEY))


@pytest.mark.parametrize("width", [1, 60, 100, 1000])
def test_a_line_broken_over_several_is_the_same_command(width: int) -> None:
    for curl in curls(ENV, "/srv/ca.pem", KEY):
        lines = curl.lines(width)
        assert all(line.endswith(" \\") for line in lines[:-1]) and not lines[-1].endswith("\\")
        assert shlex.split("\n".join(lines).replace("\\\n", "")) == words(curl), "what sh makes of it"
    assert len(curls(ENV, "/ca", KEY)[0].lines(1000)) == 1


@pytest.mark.real
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed here")
def test_curl_finds_the_names_by_itself_and_asks_what_the_line_says(tmp_path: Path) -> None:
    one = Behind("one")

    def server(hostname: str) -> ServerName:
        return ServerName(
            hostname=hostname,
            listen=(),
            certificate="",
            certificate_key="",
            who="one",
            upstreams=(Upstream(name=f"to_{hostname}", servers=(one.address,)),),
            locations=(Open(match="/", upstream=f"to_{hostname}"),),
            body_max_kib=64,
            read_timeout_s=30,
        )

    async def run() -> None:
        async with one, front(tmp_path, *(server(name) for name in (*ENV.proxy, "api.lab.example"))) as nginx:
            for curl in curls(at_port(ENV, nginx.port, gateway="api.lab.example"), str(nginx.ca_file), KEY):
                process = await asyncio.create_subprocess_exec("sh", "-c", curl.text + " -sS", stdout=asyncio.subprocess.PIPE)
                out, _ = await process.communicate()
                assert process.returncode == 0
                told = json.loads(out)
                assert told["headers"]["host"] == f"{curl.hostname}:{nginx.port}"
                url = next(word for word in words(curl) if word.startswith("https://"))
                assert told["target"] == url.removeprefix(f"https://{curl.hostname}:{nginx.port}")
                assert told["method"] == ("POST" if "-d" in words(curl) else "GET")

    asyncio.run(run())
