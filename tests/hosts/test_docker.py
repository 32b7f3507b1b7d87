"""The stand-in for Docker answers in Docker's forms. What it is asked is what operators and cortops ask; the rest it refuses."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator

import pytest
from tests.hosts.docker.template import TemplateError, render
from tests.hosts.saturday import PACE, Saturday
from tests.hosts.shapes import docker, install

from cortops.testing.cortensord.network import wait_until
from cortops.testing.hosts import SystemHost

WITHIN_S = 20.0
VALUE = {"Name": "/a", "Pid": 7, "Up": True, "Args": ["x", "y"], "Labels": {"k": "v"}, "State": {"Status": "running"}}


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{{.Name}} {{.State.Status}}", "/a running"),
        ("{{json .Args}}{{json .State}}", '["x","y"]{"Status":"running"}'),
        (r'{{printf "pid\t%d up %t %q\n" .Pid .Up .Name}}', 'pid\t7 up true "/a"\n'),
        ("{{range .Args}}<{{.}}>{{end}}", "<x><y>"),
        ("{{range $i, $w := .Args}}{{$i}}={{$w}};{{end}}", "0=x;1=y;"),
        ("{{range $k, $v := .Labels}}{{$k}}={{$v}}{{end}}", "k=v"),
        ('{{index .Labels "k"}}{{len .Args}}', "v2"),
        ('{{if eq .State.Status "running"}}yes{{else}}no{{end}}', "yes"),
        ("{{with .State}}{{.Status}}{{end}}", "running"),
        ('{{join .Args ","}} {{.Name | upper}} {{.Up}}', "x,y /A true"),
        ("{{.State}} {{.Args}}", "map[Status:running] [x y]"),
    ],
)
def test_templates_print_as_go_does(template: str, shown: str) -> None:
    assert render(template, VALUE) == shown


@pytest.mark.parametrize("template", ["{{.None}}", "{{range .Args}}", "{{fly .Name}}", "{{end}}"])
def test_templates_that_go_refuses_are_refused(template: str) -> None:
    with pytest.raises(TemplateError):
        render(template, VALUE)


@pytest.fixture(scope="module")
def host(saturday: Saturday) -> Iterator[SystemHost]:
    """One host with a container of its own beside those of Saturday."""
    where = saturday.fleet["h1"]
    install(where, [docker("h1", 9, env=PACE)], saturday.program.read_bytes(), saturday.net)
    yield where
    where.do("docker rm --force cortensor-9 cts-llm-9")


@pytest.mark.real
def test_the_list_has_dockers_columns_and_forms(host: SystemHost) -> None:
    lines = host.do("docker ps").splitlines()
    assert lines[0].split("  ")[0] == "CONTAINER ID" and lines[0].endswith("NAMES")
    row = next(line for line in lines if line.endswith(" cortensor-9"))
    assert re.match(r'[0-9a-f]{12}   cortensor-9 +"/bin/bash -c /home/…"   .* ago +Up .* cortensor-9$', row), row
    ids = host.do("docker ps --all --no-trunc --format '{{.ID}}\\t{{.Names}}'")
    assert re.search(r"^[0-9a-f]{64}\tcortensor-9$", ids, re.MULTILINE)
    row = json.loads(host.do("docker ps --filter name=cortensor-9 --format '{{json .}}'"))
    assert (row["Names"], row["State"], len(row["ID"])) == ("cortensor-9", "running", 12)
    assert len(host.do("docker ps -aq --filter name=cts-llm-9").split()) == 1


@pytest.mark.real
def test_inspect_tells_the_process_and_its_words(host: SystemHost) -> None:
    (whole,) = json.loads(host.do("docker inspect cortensor-9"))
    pid = whole["State"]["Pid"]
    assert host.do(f"cat /proc/{pid}/comm").strip() == "run.sh"
    assert (whole["Path"], whole["Args"]) == ("/bin/bash", ["-c", "/home/deploy/.cortensor/run.sh"])
    assert whole["State"]["Status"] == "running" and whole["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert f"docker-{whole['Id']}.scope" in host.do(f"cat /proc/{pid}/cgroup")
    assert host.do("docker inspect --format '{{.State.Pid}}' cortensor-9").strip() == str(pid)
    gone = host.run("docker inspect nothing")
    assert (gone.returncode, gone.stdout, gone.stderr) == (1, "[]\n", "Error: No such object: nothing\n")


@pytest.mark.real
def test_logs_come_whole_by_tail_by_time_and_with_stamps(host: SystemHost) -> None:
    wait_until(lambda: "Latest ID" in host.do("docker logs cortensor-9"), WITHIN_S)
    assert host.do("docker logs cortensor-9").startswith("register: 0x")
    assert host.do("docker logs --tail 2 cortensor-9").count("\n") == 2
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z register", host.do("docker logs --timestamps cortensor-9"))
    assert host.do("docker logs --since 1h cortensor-9").startswith("register: 0x")
    assert host.do("docker logs --since 2099-01-01T00:00:00Z cortensor-9") == ""


@pytest.mark.real
def test_files_and_processes_inside(host: SystemHost) -> None:
    assert host.do("docker exec cortensor-9 pwd").strip() == "/home/deploy/.cortensor"
    assert "NODE_PUBLIC_KEY=0x" in host.do("docker exec cortensor-9 cat .env")
    assert host.run("docker exec cortensor-9 sh -c 'exit 7'").returncode == 7
    assert host.do("docker exec -i cortensor-9 cat", data=b"through").strip() == "through"
    assert re.search(r"cortensord \.env minerv4 1 docker$", host.do("docker top cortensor-9"), re.MULTILINE)
    packed = host.do("docker cp -L cortensor-9:/home/deploy/.cortensor/run.sh - | base64").encode()
    with tarfile.open(fileobj=io.BytesIO(__import__("base64").b64decode(packed))) as archive:
        assert archive.getnames() == ["run.sh"]


@pytest.mark.real
def test_stop_start_kill_and_restart(host: SystemHost) -> None:
    look = "docker inspect --format '{{.State.Running}} {{.State.ExitCode}} {{.RestartCount}}' cortensor-9"
    host.do("docker stop --time 0 cortensor-9")
    assert host.do(look) == "false 137 0\n"
    assert "cortensor-9" not in host.do("docker ps") and "Exited (137)" in host.do("docker ps --all")
    assert host.run("docker exec cortensor-9 true").returncode == 1
    host.do("docker start cortensor-9")
    host.do("kill -9 $(docker inspect --format '{{.State.Pid}}' cortensor-9)")
    wait_until(lambda: host.do(look).startswith("true"), WITHIN_S)
    wait_until(lambda: host.do(look).endswith("1\n"), WITHIN_S)
    assert host.do(look) == "true 0 1\n"


@pytest.mark.real
def test_an_engine_that_is_restarted_brings_its_containers_back(host: SystemHost) -> None:
    before = host.do("docker ps --quiet").split()
    host.do("systemctl restart docker")
    wait_until(lambda: sorted(host.run("docker ps --quiet").stdout.split()) == sorted(before), WITHIN_S)
    assert sorted(host.do("docker ps --quiet").split()) == sorted(before)


@pytest.mark.real
def test_refusals_are_dockers(host: SystemHost) -> None:
    assert host.run("docker rm cortensor-9").stderr.startswith("Error response from daemon: cannot remove container")
    assert host.run("docker logs nothing").stderr == "Error response from daemon: No such container: nothing\n"
    assert "is not a docker command" in host.run("docker fly").stderr
    assert "template parsing error" in host.run("docker inspect --format '{{.None}}' cortensor-9").stderr
