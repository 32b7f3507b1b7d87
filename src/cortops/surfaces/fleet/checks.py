"""Is a host reachable, with room on its disk? Do the nodes run that were there before us?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from cortops.environment.cortensord import CortensordNode
from cortops.environment.declared import Environment
from cortops.surfaces.fleet.found import running
from cortops.surfaces.readings import answered_by, bad, inconclusive, ok, reply_of
from cortops.surfaces.site import Site
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Question, Reply, Shell

DISK_FREE_MIN_MIB = 512


def questions(env: Environment, site: Site) -> Iterator[Question]:
    for name in env.hosts:
        root = shlex.quote(site.hosts[name].root if name in site.hosts else "/")
        script = f'd={root}; while [ ! -d "$d" ]; do d=$(dirname "$d"); done; df -Pm "$d" | tail -n 1'
        yield Shell(id=f"disk:{name}", target=name, script=script, timeout_s=5)
    yield from (running.question(host, nodes) for host, nodes in _by_host(env).items())


def checks(env: Environment, site: Site) -> Iterator[Check]:
    for name in env.hosts:
        host, asked = Entity("host", name), f"disk:{name}"
        yield Check(entity=host, name="disk", asks=(asked,), judge=_disk(asked), owner=env.owner_of(host), makes="degraded")
    for name, node in env.installed.items():
        entity, asked = Entity(node.role, name), running.question_id(node.host)
        yield Check(entity=entity, name="process", asks=(asked,), judge=_runs(asked, name, node.host), owner=env.owner_of(entity))


def _by_host(env: Environment) -> dict[str, dict[str, CortensordNode]]:
    hosts: dict[str, dict[str, CortensordNode]] = {}
    for name, node in env.installed.items():
        hosts.setdefault(node.host, {})[name] = node
    return hosts


def _disk(asked: str) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, asked)
        if isinstance(answer, Verdict):
            return answer
        columns = answer.text.split()
        if len(columns) < 4 or not columns[3].isdigit():
            return inconclusive(f"df said: {answer.text[:120]}")
        free_mib = int(columns[3])
        return (ok if free_mib >= DISK_FREE_MIN_MIB else bad)(f"{free_mib} MiB free, {DISK_FREE_MIN_MIB} needed")

    return judge


def _runs(asked: str, name: str, host: str) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = answered_by(replies, asked, host)
        if isinstance(answer, Verdict):
            return answer
        found = running.read(answer.text).get(name)
        if found is None:
            return inconclusive(f"its host did not tell of it: {answer.text[:120]}")
        if found.state == "unseen":
            return inconclusive(found.text)
        if found.state == "running":
            return ok(", ".join(part for part in (f"runs, pid {found.pid}" if found.pid else "runs", found.text) if part))
        return bad(found.text)

    return judge
