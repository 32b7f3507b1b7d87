"""Is a host reachable, with room on its disk?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from cortops.environment.declared import Environment
from cortops.surfaces.readings import bad, inconclusive, ok, reply_of
from cortops.surfaces.site import Site
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Question, Reply, Shell

DISK_FREE_MIN_MIB = 512


def questions(env: Environment, site: Site) -> Iterator[Question]:
    for name in env.hosts:
        root = shlex.quote(site.hosts[name].root)
        script = f'd={root}; while [ ! -d "$d" ]; do d=$(dirname "$d"); done; df -Pm "$d" | tail -n 1'
        yield Shell(id=f"disk:{name}", target=name, script=script, timeout_s=5)


def checks(env: Environment, site: Site) -> Iterator[Check]:
    for name in env.hosts:
        host, asked = Entity("host", name), f"disk:{name}"
        yield Check(entity=host, name="disk", asks=(asked,), judge=_disk(asked), owner=env.owner_of(host), makes="degraded")


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
